//! Objects made of ranges of other files.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use common::{MIB, Mount, Place, pattern};
use writer_core::{ErrorKind, ObjectMetadata, ObjectStore, Segment, WriterOptions};

fn source(path: &Path, data: &[u8]) -> Arc<File> {
    fs::write(path, data).unwrap();
    Arc::new(File::open(path).unwrap())
}

async fn write(
    store: &FileSystemObjectStore,
    path: &Path,
    segments: Vec<Segment>,
) -> writer_core::Result<ObjectMetadata> {
    let mut writer = store.create_writer(path.to_str().unwrap(), None).await?;
    for segment in segments {
        writer.write_owned(segment).await?;
    }
    writer.finish().await
}

#[tokio::test]
async fn ranges_and_memory_follow_each_other() {
    let place = Place::new();
    let data = pattern(3 * MIB + 12_345);
    let file = source(&place.path("source"), &data);
    let range =
        |start: usize, end: usize| Segment::file(Arc::clone(&file), start as u64..end as u64);
    let memory = |len| Segment::from(pattern(len));
    let mut expected = Vec::new();
    expected.extend_from_slice(&data[5..100_000]);
    expected.extend_from_slice(&pattern(50_000));
    expected.extend_from_slice(&data);
    expected.extend_from_slice(&pattern(700_000));
    expected.extend_from_slice(&data[MIB..MIB + 1]);
    let segments = vec![
        range(5, 100_000),
        memory(50_000),
        range(0, data.len()),
        memory(700_000),
        range(MIB, MIB + 1),
        range(7, 7),
    ];
    let receipt = write(&place.store, &place.path("object"), segments)
        .await
        .unwrap();
    assert!(fs::read(place.path("object")).unwrap() == expected);

    // The same bytes from memory have the same checksum.
    let copy = place
        .store
        .put(&place.uri("copy"), expected.into())
        .await
        .unwrap();
    assert_eq!(copy.checksum, receipt.checksum);
    assert!(receipt.checksum.is_some());

    // Nobody has moved the cursor.
    let mut file = &*file;
    assert_eq!(file.stream_position().unwrap(), 0);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert!(rest == data);
    assert_eq!(place.store.budget().used(), 0);
}

#[tokio::test]
async fn a_copy_takes_one_page_of_memory() {
    let place = Place::new();
    let data = pattern(20 * MIB);
    let file = source(&place.path("source"), &data);
    let whole = Segment::file(file, 0..data.len() as u64);
    write(&place.store, &place.path("object"), vec![whole])
        .await
        .unwrap();
    assert!(fs::read(place.path("object")).unwrap() == data);
    assert!(place.store.budget().peak() <= 256 << 10);
}

#[tokio::test]
async fn holes_stay_holes() {
    let place = Place::new();
    let path = place.path("source");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    file.set_len(256 << 20).unwrap();
    let data = pattern(300_000);
    for at in [1 << 20, 100 << 20, (180 << 20) + 777] {
        file.write_all_at(&data, at).unwrap();
    }
    file.sync_all().unwrap();
    if file.metadata().unwrap().blocks() * 512 >= 256 << 20 {
        println!("skipped: the file system has no holes");
        return;
    }
    let file = Arc::new(file);
    for (range, name) in [(0..256 << 20, "whole"), ((1 << 20) - 5..200 << 20, "part")] {
        let len = range.end - range.start;
        let segment = Segment::file(Arc::clone(&file), range.clone());
        let receipt = write(&place.store, &place.path(name), vec![segment])
            .await
            .unwrap();
        assert_eq!(receipt.size, len);
        let object = File::open(place.path(name)).unwrap();
        assert!(object.metadata().unwrap().blocks() * 512 < 8 << 20);
        let (mut a, mut b) = (vec![0; MIB], vec![0; MIB]);
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        let mut at = 0;
        while at < len {
            let step = usize::try_from((len - at).min(MIB as u64)).unwrap();
            file.read_exact_at(&mut a[..step], range.start + at)
                .unwrap();
            object.read_exact_at(&mut b[..step], at).unwrap();
            assert!(a[..step] == b[..step], "at {at}");
            crc.update(&b[..step]);
            at += step as u64;
        }
        assert_eq!(receipt.checksum.unwrap().0, crc.finalize());
    }
}

#[tokio::test]
async fn another_file_system_is_read_and_written() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: no /dev/shm");
        return;
    };
    let place = Place::new();
    let data = pattern(5 * MIB + 1);
    let file = source(&elsewhere.path().join("source"), &data);
    let whole = Segment::file(Arc::clone(&file), 0..data.len() as u64);
    let receipt = write(&place.store, &place.path("object"), vec![whole])
        .await
        .unwrap();
    assert!(fs::read(place.path("object")).unwrap() == data);
    let copy = place
        .store
        .put(&place.uri("copy"), data.into())
        .await
        .unwrap();
    assert_eq!(copy.checksum, receipt.checksum);
}

#[tokio::test]
async fn what_has_no_size_is_read_all_the_same() {
    let place = Place::new();
    let path = Path::new("/proc/self/status");
    let file = Arc::new(File::open(path).unwrap());
    let receipt = write(
        &place.store,
        &place.path("object"),
        vec![Segment::file(file, 0..100)],
    )
    .await;
    assert_eq!(receipt.unwrap().size, 100);
    assert!(
        fs::read(place.path("object"))
            .unwrap()
            .starts_with(b"Name:")
    );
}

#[tokio::test]
async fn a_source_that_is_too_short_fails() {
    let place = Place::new();
    let file = source(&place.path("source"), &pattern(MIB));
    let before = place.listing();
    let long = Segment::file(Arc::clone(&file), 0..2 * MIB as u64);
    let error = write(&place.store, &place.path("made/object"), vec![long])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert!(error.message().contains("1048576"), "{error}");

    let beyond = Segment::file(file, 3 * MIB as u64..4 * MIB as u64);
    let error = write(&place.store, &place.path("made/object"), vec![beyond])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert_eq!(place.listing(), before);

    // What lies past the end of a file with holes is no hole.
    let file = source(&place.path("source"), b"");
    let writable = OpenOptions::new().write(true).open(place.path("source"));
    writable.unwrap().set_len(MIB as u64).unwrap();
    for range in [0..MIB as u64 + 1, 2 * MIB as u64..3 * MIB as u64] {
        let long = Segment::file(Arc::clone(&file), range);
        let error = write(&place.store, &place.path("made/object"), vec![long]).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::SourceChanged);
    }
}

#[tokio::test]
async fn a_source_that_shrinks_grows_or_changes_fails_the_write() {
    let place = Place::new();
    let data = pattern(100_000);
    type Change = fn(&File);
    let changes: [(&str, Change); 3] = [
        ("shrinks", |file| file.set_len(50_000).unwrap()),
        ("grows", |file| file.set_len(200_000).unwrap()),
        ("changes", |file| file.write_all_at(b"x", 7).unwrap()),
    ];
    for (name, change) in changes {
        let path = place.path(name);
        let file = source(&path, &data);
        let before = fs::metadata(&path).unwrap().ino();
        let mut writer = place
            .store
            .create_writer(&place.uri("made/object"), None)
            .await
            .unwrap();
        // Less than a part: it is copied when the write ends.
        writer
            .write_owned(Segment::file(file, 0..100_000))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        change(&OpenOptions::new().write(true).open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{name}: {error:?}");
        assert!(!place.path("made").exists());
    }
}

#[tokio::test]
async fn a_source_that_shrank_fails_the_next_write() {
    let place = Place::new();
    let path = place.path("source");
    let file = source(&path, &pattern(4 * MIB));
    let mut writer = place
        .store
        .create_writer(&place.uri("object"), None)
        .await
        .unwrap();
    writer
        .write_owned(Segment::file(Arc::clone(&file), 0..10))
        .await
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(MIB as u64)
        .unwrap();
    let mut error = None;
    for _ in 0..500 {
        let segment = Segment::file(Arc::clone(&file), 10..4 * MIB as u64);
        if let Err(failed) = writer.write_owned(segment).await {
            error = Some(failed);
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(error.unwrap().kind(), ErrorKind::SourceChanged);
    drop(writer);
    assert!(!place.path("object").exists());
}

/// Where the file system shares blocks, a copy takes none.
#[tokio::test]
async fn blocks_are_shared_where_they_can_be() {
    let place = Place::new();
    let image = place.path("image");
    for mkfs in [
        &["mkfs.xfs", "-q", "-m", "reflink=1"][..],
        &["mkfs.btrfs", "-q"],
    ] {
        let Some(mount) = Mount::of_image(mkfs, &image, 400 << 20) else {
            continue;
        };
        let data = pattern(24 * MIB + 5);
        let path = mount.path().join("source");
        let file = source(&path, &data);
        file.sync_all().unwrap();
        let free = || {
            let status = rustix::fs::statvfs(mount.path()).unwrap();
            status.f_bfree * status.f_frsize
        };
        let before = free();
        let whole = Segment::file(file, 0..data.len() as u64);
        write(&place.store, &mount.path().join("object"), vec![whole])
            .await
            .unwrap();
        let taken = before.saturating_sub(free());
        assert!(taken < 8 << 20, "{mkfs:?}: {taken} bytes");
        assert!(fs::read(mount.path().join("object")).unwrap() == data);
    }
}

#[tokio::test]
async fn a_cancel_stops_a_copy() {
    let place = Place::new();
    let path = place.path("source");
    let file = File::create_new(&path).unwrap();
    file.set_len(32 << 30).unwrap();
    let before = place.listing();
    let file = Arc::new(File::open(&path).unwrap());
    // With checksums, even holes take time.
    let options = WriterOptions::default().with_checksums(true);
    let mut writer = place
        .store
        .create_writer(&place.uri("object"), Some(options))
        .await
        .unwrap();
    writer
        .write_owned(Segment::file(file, 0..32 << 30))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = std::time::Instant::now();
    writer.cancel().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(place.listing(), before);
}
