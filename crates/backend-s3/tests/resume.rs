//! Uploads that stop, and are taken up again.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use backend_s3::{Resume, S3ObjectStore};
use common::{PART, open, options, random, server, store};
use testkit::server::{Fault, TestServer};
use writer_core::{
    Crc64Nvme, Error, ErrorKind, IfExists, ObjectMetadata, ObjectStore, Result, Segment,
    WriterOptions,
};

const PARTS: u64 = 8;
const URI: &str = "s3://test/key";

fn data() -> Vec<u8> {
    random(1, (PARTS * PART - 100) as usize)
}

fn now() -> Resume {
    Resume::default().with_min_idle(Duration::ZERO)
}

/// An upload of `data` that failed at part 6, and left its others.
async fn broken_off(server: &TestServer, store: &S3ObjectStore, options: WriterOptions) -> Error {
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(6)
            .always()
            .respond(403, "AccessDenied"),
    );
    let keeping = store.keeping_parts();
    let options = options.with_max_concurrency(1);
    let mut writer = open(&keeping, "key", options).await;
    let written = writer.write_owned(data().into()).await;
    let error = match written {
        Ok(()) => writer.finish().await.unwrap_err(),
        Err(error) => error,
    };
    keeping.close().await.unwrap();
    fault.remove();
    server.clear_log();
    error
}

async fn resume(
    store: &S3ObjectStore,
    data: &[u8],
    options: WriterOptions,
    how: Resume,
) -> Result<ObjectMetadata> {
    let mut writer = store.resume(URI, options, how).await?;
    for chunk in data.chunks(100_000) {
        writer.write_owned(chunk.to_vec().into()).await?;
    }
    writer.finish().await
}

/// How many parts were sent; one that is late may be sent twice.
fn parts_sent(server: &TestServer) -> usize {
    let log = server.log_of("UploadPart");
    let numbers: BTreeSet<_> = log.iter().map(|request| request.part_number).collect();
    numbers.len()
}

#[tokio::test]
async fn only_what_is_missing_is_sent() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let error = broken_off(&server, &store, options()).await;
    let left = server.uploads();
    assert_eq!(left[0].parts.len(), 5);
    assert!(error.message().contains(&left[0].upload_id), "{error}");

    let receipt = resume(&store, &data(), options(), now()).await.unwrap();
    assert_eq!(receipt.bytes_reused, Some(5 * PART));
    assert_eq!(receipt.parts, Some(8));
    assert_eq!(parts_sent(&server), 3);
    assert!(server.log_of("CreateMultipartUpload").is_empty());
    let object = server.object("key").unwrap();
    assert_eq!(object.bytes(), data());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &data());
    assert_eq!(receipt.checksum.unwrap().0, crc);
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn a_file_is_resumed_with_the_part_size_of_the_upload() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options()).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &data()).unwrap();
    let file = Arc::new(fs::File::open(file.path()).unwrap());
    let size = data().len() as u64;
    let options = WriterOptions::default()
        .with_part_size(3 * PART)
        .with_expected_size(size);
    let mut writer = store.resume(URI, options, now()).await.unwrap();
    writer
        .write_owned(Segment::file(file, 0..size))
        .await
        .unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(receipt.bytes_reused, Some(5 * PART));
    assert_eq!(receipt.parts, Some(8));
    assert_eq!(server.object("key").unwrap().bytes(), data());
}

#[tokio::test]
async fn what_has_changed_since_is_sent_again() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options()).await;
    let mut changed = data();
    changed[PART as usize + 5] ^= 1;
    changed.truncate(4 * PART as usize + 10);
    let receipt = resume(&store, &changed, options(), now()).await.unwrap();
    assert_eq!(receipt.bytes_reused, Some(3 * PART));
    assert_eq!(server.object("key").unwrap().bytes(), changed);
    assert_eq!(parts_sent(&server), 2);
}

#[tokio::test]
async fn parts_without_a_checksum_are_compared_by_their_etags() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let unchecked = options().with_checksums(false);
    broken_off(&server, &store, unchecked.clone()).await;
    let mut changed = data();
    changed[5] ^= 1;
    let receipt = resume(&store, &changed, unchecked, now()).await.unwrap();
    assert_eq!(receipt.bytes_reused, Some(4 * PART));
    assert_eq!(server.object("key").unwrap().bytes(), changed);
}

#[tokio::test]
async fn what_is_compared_by_etags_has_a_checksum_all_the_same() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options().with_checksums(false)).await;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &data());
    let expected = options().with_expected_checksum(Crc64Nvme(crc));
    let receipt = resume(&store, &data(), expected, now()).await.unwrap();
    assert_eq!(receipt.bytes_reused, Some(5 * PART));
    assert_eq!(receipt.checksum, Some(Crc64Nvme(crc)));
}

/// One that pauses is no one's to take.
#[tokio::test]
async fn what_this_store_is_at_is_not_taken_up() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let mut running = open(&store, "key", options()).await;
    running.write_owned(data().into()).await.unwrap();
    // Its id is known to this store once a part leaves.
    while server.stats().requests_of("UploadPart") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let named = Resume::default().with_upload_id(&server.uploads()[0].upload_id);
    let error = resume(&store, &data(), options(), named).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let receipt = resume(&store, &data(), options(), now()).await.unwrap();
    assert_eq!(receipt.bytes_reused, None);
    running.finish().await.unwrap();
}

#[tokio::test]
async fn what_no_other_try_can_make_is_not_kept() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    store.put(URI, "old".into()).await.unwrap();
    let create_only = options().with_if_exists(IfExists::Fail);
    let mut writer = open(&store.keeping_parts(), "key", create_only).await;
    writer.write_owned(data().into()).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn an_upload_that_may_be_somebodys_is_left_alone_unless_it_is_named() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options()).await;
    let error = resume(&store, &data(), options(), Resume::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let id = server.uploads()[0].upload_id.clone();
    assert!(error.message().contains(&id), "{error}");
    assert_eq!(server.uploads()[0].parts.len(), 5);

    let named = Resume::default().with_upload_id(&id);
    let receipt = resume(&store, &data(), options(), named.clone())
        .await
        .unwrap();
    assert_eq!(receipt.bytes_reused, Some(5 * PART));
    let ended = resume(&store, &data(), options(), named).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn without_an_upload_one_is_begun_and_what_fails_again_is_kept() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(6)
            .always()
            .respond(403, "AccessDenied"),
    );
    let resuming = store.resuming(now());
    for round in 0..2 {
        // One part at a time: where part 6 fails first of all, there is nothing to keep.
        let options = options().with_max_concurrency(1);
        let mut writer = open(&resuming, "key", options).await;
        let written = writer.write_owned(data().into()).await;
        let stopped = written.and(writer.finish().await.map(drop));
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::AccessDenied);
        assert_eq!(server.uploads().len(), 1, "round {round}");
    }
    fault.remove();
    assert_eq!(server.log_of("CreateMultipartUpload").len(), 1);
    let receipt = resume(&store, &data(), options(), now()).await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data());
    assert!(receipt.bytes_reused.unwrap() > 0);
}

#[tokio::test]
async fn cancel_and_drop_keep_parts_where_that_is_asked_for() {
    let server = server().start().await.unwrap();
    let keeping = store(&server).await.keeping_parts();
    for (uploads, cancel) in [(1, true), (2, false)] {
        let mut writer = open(&keeping, "key", options()).await;
        writer.write_owned(data().into()).await.unwrap();
        while server.stats().requests_of("UploadPart") < 7 * uploads {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if cancel {
            writer.cancel().await.unwrap();
        } else {
            drop(writer);
        }
        keeping.close().await.unwrap();
        assert_eq!(server.uploads().len() as u64, uploads);
    }
    assert_eq!(server.stats().requests_of("AbortMultipartUpload"), 0);
    assert!(server.object("key").is_none());
}

#[tokio::test]
async fn an_upload_that_is_not_needed_any_more_is_removed() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options()).await;
    resume(&store, b"small by now", options(), now())
        .await
        .unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), "small by now");
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn what_is_compressed_on_its_way_is_refused() {
    let server = server().start().await.unwrap();
    let store = store(&server).await.resuming(now());
    let error = store
        .create_writer("s3://test/log.zst", Some(options()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let plain = options().with_compression(false);
    let writer = store.create_writer("s3://test/log.zst", Some(plain)).await;
    writer.unwrap().cancel().await.unwrap();
}

#[tokio::test]
async fn uploads_are_found_looked_at_and_removed() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    broken_off(&server, &store, options()).await;
    assert!(store.uploads("s3://test/other").await.unwrap().is_empty());
    let found = store.uploads("s3://test/k").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].uri, URI);
    assert!(found[0].initiated.is_some());
    let parts = store.upload_parts(&found[0]).await.unwrap();
    assert_eq!(parts.len(), 5);
    assert!(
        parts
            .iter()
            .all(|part| part.size == PART && part.checksum.is_some())
    );
    for _ in 0..2 {
        store.abort_upload(&found[0]).await.unwrap();
        assert!(server.uploads().is_empty());
    }
    let gone = store.upload_parts(&found[0]).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let error = store.uploads("s3://nowhere/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// What XML can't hold, and what URLs write in another way.
#[tokio::test]
async fn keys_with_any_character_are_listed() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let keys = ["k/\u{1}\u{1b}", "k/%41+b c&<\u{fc}", "k/plain"];
    for key in keys {
        server.insert(key, "x");
    }
    let mut lister = store.list("s3://test/k/").await.unwrap();
    let mut found = Vec::new();
    while let Some(batch) = lister.next_batch().await.unwrap() {
        found.extend(batch.into_iter().map(|object| object.uri));
    }
    assert_eq!(found, keys.map(|key| format!("s3://test/{key}")));
    let uri = format!("s3://test/{}", keys[1]);
    let keeping = store.keeping_parts();
    let known = options().with_expected_size(2 * PART);
    let mut writer = open(&keeping, keys[1], known).await;
    writer.write_chunk(b"x").await.unwrap();
    while server.uploads().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let uploads = store.uploads("s3://test/k/").await.unwrap();
    assert_eq!(uploads[0].uri, uri);
    store.abort_upload(&uploads[0]).await.unwrap();
    assert!(server.uploads().is_empty());
}

/// More uploads, and more parts, than one page of a listing has.
#[tokio::test]
async fn listings_go_over_all_pages() {
    const UPLOADS: usize = 1_010;
    let server = server().keep_log(false).start().await.unwrap();
    let store = store(&server).await;
    let keeping = store.keeping_parts();
    let mut writers = Vec::new();
    for n in 0..UPLOADS {
        let options = options().with_expected_size(2 * PART);
        let mut writer = open(&keeping, &format!("many/{n:04}"), options).await;
        writer.write_chunk(b"x").await.unwrap();
        writers.push(writer);
    }
    while server.uploads().len() < UPLOADS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let found = store.uploads("s3://test/many/").await.unwrap();
    let mut uris: Vec<_> = found.iter().map(|upload| &upload.uri).collect();
    uris.dedup();
    assert_eq!(uris.len(), UPLOADS);
}

/// Whatever an earlier upload left, of whatever bytes and in whatever parts: what is resumed becomes
/// exactly what is written now. More runs with RESUME_RUNS, the same again with RESUME_SEED.
#[tokio::test]
async fn whatever_was_left_the_object_is_what_is_written_now() {
    let number = |name, otherwise| std::env::var(name).map_or(otherwise, |n| n.parse().unwrap());
    let first: u64 = number("RESUME_SEED", 1);
    let (mut reused, mut sent_again) = (0, 0);
    for seed in first..first + number("RESUME_RUNS", 40) {
        let outcome = resume_by_seed(seed).await;
        let (bytes, again) = outcome.unwrap_or_else(|error| panic!("RESUME_SEED={seed}: {error}"));
        reused += u64::from(bytes > 0);
        sent_again += u64::from(again);
    }
    assert!(
        reused > 0 && sent_again > 0,
        "{reused} reused, {sent_again} sent again"
    );
}

/// Gives how many bytes were reused, and whether a part that was there was sent again.
async fn resume_by_seed(seed: u64) -> Result<(u64, bool), String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let old = random(seed, rng.usize(..10 * PART as usize));
    let checked = rng.u8(..4) > 0;
    let draw = |rng: &mut fastrand::Rng| {
        options()
            .with_part_size(PART + rng.u64(..2 * PART))
            .with_checksums(checked)
            .with_max_concurrency(rng.usize(1..5))
    };

    let earlier = draw(&mut rng);
    let options = if rng.bool() {
        earlier.clone()
    } else {
        draw(&mut rng)
    };
    let lost = rng.i32(1..8);
    let fault = server.inject(
        Fault::on("UploadPart")
            .part(lost)
            .always()
            .respond(403, "AccessDenied"),
    );
    let keeping = store.keeping_parts();
    let mut writer = open(&keeping, "key", earlier).await;
    if writer.write_owned(old.clone().into()).await.is_ok() && rng.bool() {
        let _may_fail = writer.finish().await;
    } else {
        drop(writer);
    }
    keeping.close().await.unwrap();
    fault.remove();
    let left = server
        .uploads()
        .first()
        .map_or(0, |upload| upload.parts.len());
    server.clear_log();

    let mut new = old;
    let len = new.len();
    match rng.u8(..5) {
        0 => new.truncate(rng.usize(..=len)),
        1 => new.extend(random(seed + 1, rng.usize(..3 * PART as usize))),
        2 if len > 0 => new[rng.usize(..len)] ^= 1,
        _ => {}
    }
    let options = match rng.bool() {
        true => options.with_expected_size(new.len() as u64),
        false => options,
    };
    let resumed = resume(&store, &new, options, now()).await;
    let receipt = resumed.map_err(|error| error.to_string())?;
    store.close().await.map_err(|error| error.to_string())?;
    let object = server.object("key").ok_or("there is no object")?;
    if object.bytes() != new {
        return Err(format!(
            "the object has {} bytes, not what was written",
            object.size
        ));
    }
    if !server.uploads().is_empty() {
        return Err(format!("uploads are left: {:?}", server.uploads()));
    }
    let reused = receipt.bytes_reused.unwrap_or(0);
    let sent: u64 = server
        .log_of("UploadPart")
        .iter()
        .map(|part| part.received)
        .sum();
    let whole = server.log_of("PutObject").len() == 1;
    if !whole && reused + sent < new.len() as u64 {
        return Err(format!(
            "{reused} bytes reused and {sent} sent, of {}",
            new.len()
        ));
    }
    Ok((reused, left > 0 && reused == 0))
}
