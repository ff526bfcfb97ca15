//! What can be asked of objects that are there.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;

use common::{MIB, Mount, Place, pattern, read_all};
use writer_core::{ByteRange, ErrorKind, ObjectStore, WriterOptions};
use writer_tokio::AsyncObjectReader;

fn described() -> WriterOptions {
    WriterOptions::default()
        .with_content_type("text/csv; charset=utf-8")
        .with_content_encoding("br")
        .with_metadata("Owner", "Ünal")
        .with_metadata("empty", "")
}

#[tokio::test]
async fn content_type_and_metadata_come_back() {
    let place = Place::new();
    let uri = place.uri("object");
    let writer = match place.store.create_writer(&uri, Some(described())).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            return;
        }
        writer => writer.unwrap(),
    };
    let receipt = writer.finish().await.unwrap();
    assert_eq!(
        receipt.content_type.as_deref(),
        Some("text/csv; charset=utf-8")
    );
    assert_eq!(receipt.metadata["owner"], "Ünal");
    let stat = place.store.stat(&uri).await.unwrap();
    assert_eq!(stat.content_type, receipt.content_type);
    assert_eq!(receipt.content_encoding.as_deref(), Some("br"));
    assert_eq!(stat.content_encoding, receipt.content_encoding);
    assert_eq!(stat.metadata, receipt.metadata);
    let reader = place.store.get(&uri, ByteRange::Full).await.unwrap();
    assert_eq!(reader.metadata(), &stat);

    // A new object has its own.
    place.store.put(&uri, "x".into()).await.unwrap();
    let stat = place.store.stat(&uri).await.unwrap();
    assert_eq!((stat.content_type, stat.metadata.len()), (None, 0));
    assert_eq!(stat.content_encoding, None);
}

#[tokio::test]
async fn attributes_of_a_file_that_is_read_only_are_kept_too() {
    let place = Place::new();
    let uri = place.uri("object");
    place.store.put(&uri, "x".into()).await.unwrap();
    let mut permissions = fs::metadata(place.path("object")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(place.path("object"), permissions).unwrap();
    let writer = place
        .store
        .create_writer(&uri, Some(described()))
        .await
        .unwrap();
    writer.finish().await.unwrap();
    assert_eq!(
        place.store.stat(&uri).await.unwrap().metadata["owner"],
        "Ünal"
    );
}

#[tokio::test]
async fn metadata_that_can_not_be_kept_is_refused_with_the_name_of_the_option() {
    let place = Place::new();
    let uri = place.uri("object");
    let refused = |options| place.store.create_writer(&uri, Some(options));
    let options = WriterOptions::default().with_metadata("a b", "x");
    let error = refused(options).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("a b"));

    let options = WriterOptions::default().with_metadata("big", "x".repeat(1 << 20));
    let error = refused(options).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.message().contains("big"), "{error}");
    assert!(place.listing().is_empty());

    // No attributes of users there: ramfs has none.
    let Some(mount) = Mount::of_ramfs() else {
        return;
    };
    let uri = mount.path().join("object").display().to_string();
    let error = place
        .store
        .create_writer(&uri, Some(described()))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("content_type"), "{error}");
    let uri = mount.path().join("object.csv").display().to_string();
    let guessed = WriterOptions::default().with_guessed_content_type(true);
    let writer = place.store.create_writer(&uri, Some(guessed)).await;
    let receipt = writer.unwrap().finish().await.unwrap();
    assert_eq!(
        receipt.content_type, None,
        "it can't be kept, and nobody asked"
    );
    place.store.put(&uri, "x".into()).await.unwrap();
    assert_eq!(place.store.stat(&uri).await.unwrap().size, 1);
}

#[tokio::test]
async fn a_content_type_that_the_name_tells_is_kept() {
    let place = Place::new();
    for (name, expected) in [
        ("a.json", Some("application/json")),
        ("a.json.gz", Some("application/gzip")),
        ("a", None),
    ] {
        let uri = place.uri(name);
        let options = WriterOptions::default().with_guessed_content_type(true);
        let writer = place.store.create_writer(&uri, Some(options)).await;
        let receipt = writer.unwrap().finish().await.unwrap();
        let stat = place.store.stat(&uri).await.unwrap();
        assert_eq!(stat.content_type.as_deref(), expected, "{name}");
        assert_eq!(receipt.content_type, stat.content_type, "{name}");
    }
}

#[tokio::test]
async fn a_listing_is_in_the_order_of_uris() {
    let place = Place::new();
    let names = ["a-b", "a.txt", "a/b", "a/b.c/d", "a0", "b", "c/x/y", "c/x0"];
    let mut expected: Vec<String> = Vec::new();
    for name in names.into_iter().rev() {
        let uri = place.uri(name);
        place.store.put(&uri, "x".into()).await.unwrap();
        expected.push(uri);
    }
    expected.sort();
    let mut lister = place.store.list(&place.uri("")).await.unwrap();
    let mut found = Vec::new();
    while let Some(batch) = lister.next_batch().await.unwrap() {
        found.extend(batch.into_iter().map(|object| object.uri));
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn ranges_of_an_object_are_read() {
    let place = Place::new();
    let data = pattern(2 * MIB + 100);
    let uri = place.uri("object");
    place.store.put(&uri, data.clone().into()).await.unwrap();
    let len = data.len() as u64;
    for range in [
        ByteRange::Full,
        ByteRange::From(1),
        ByteRange::From(len - 1),
        ByteRange::Last(1_500_000),
        ByteRange::Last(len * 2),
        ByteRange::Bounded {
            start: 512 << 10,
            end: 1024 << 10,
        },
        ByteRange::Bounded {
            start: 3,
            end: u64::MAX,
        },
    ] {
        let reader = place.store.get(&uri, range).await.unwrap();
        assert_eq!(reader.metadata().size, len);
        let (start, len) = range.resolve(len).unwrap();
        let (start, len) = (
            usize::try_from(start).unwrap(),
            usize::try_from(len).unwrap(),
        );
        assert!(
            read_all(reader).await == data[start..start + len],
            "{range:?}"
        );
    }
    let error = place
        .store
        .get(&uri, ByteRange::From(len))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);

    place.store.put(&uri, Vec::new().into()).await.unwrap();
    let reader = place.store.get(&uri, ByteRange::Full).await.unwrap();
    assert!(read_all(reader).await.is_empty());
}

#[tokio::test]
async fn a_reader_keeps_to_the_object_that_it_opened() {
    let place = Place::new();
    let uri = place.uri("object");
    let data = pattern(3 * MIB);
    place.store.put(&uri, data.clone().into()).await.unwrap();
    let reader = place.store.get(&uri, ByteRange::Full).await.unwrap();
    place.store.put(&uri, "new".into()).await.unwrap();
    assert!(read_all(reader).await == data);

    place.store.put(&uri, data.into()).await.unwrap();
    let mut reader = place.store.get(&uri, ByteRange::Full).await.unwrap();
    let file = OpenOptions::new()
        .write(true)
        .open(place.path("object"))
        .unwrap();
    file.set_len(100).unwrap();
    let error = loop {
        match reader.next_chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a truncated object was read to its end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert_eq!(
        reader.next_chunk().await.unwrap_err().to_string(),
        error.to_string()
    );
}

#[tokio::test]
async fn what_is_missing_is_not_found() {
    let place = Place::new();
    for name in ["missing", "no/such/directory"] {
        let uri = place.uri(name);
        let error = place.store.stat(&uri).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.uri(), Some(uri.as_str()));
        let error = place.store.get(&uri, ByteRange::Full).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        place.store.delete(&uri).await.unwrap();
    }
    assert!(listed(&place, &place.uri("no/such/")).await.is_empty());
}

async fn listed(place: &Place, prefix: &str) -> BTreeSet<String> {
    let mut lister = place.store.list(prefix).await.unwrap();
    let mut uris = BTreeSet::new();
    while let Some(batch) = lister.next_batch().await.unwrap() {
        assert!(!batch.is_empty());
        for object in batch {
            assert!(uris.insert(object.uri.clone()), "{} came twice", object.uri);
        }
    }
    assert!(lister.next_batch().await.unwrap().is_none());
    uris
}

#[tokio::test]
async fn a_listing_is_what_begins_with_the_prefix() {
    let place = Place::new();
    let names = ["abc", "ab/x", "ab/y/z", "ab%20c", "b/ab", ".hidden"];
    for name in names {
        place
            .store
            .put(&place.uri(name), name.into())
            .await
            .unwrap();
    }
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path(".abc.0123456789abcdef.s3dlio-staging"), b"").unwrap();
    symlink(place.directory.path(), place.path("ab/round")).unwrap();
    symlink("abc", place.path("link")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    let scheme = place.uri("");
    let plain = place.path("").display().to_string();
    for root in [scheme, plain] {
        for (prefix, expected) in [
            (
                "",
                &["abc", "ab/x", "ab/y/z", "ab%20c", "b/ab", ".hidden", "link"][..],
            ),
            ("ab", &["abc", "ab/x", "ab/y/z", "ab%20c"]),
            ("ab/", &["ab/x", "ab/y/z"]),
            ("ab/y/z", &["ab/y/z"]),
            ("ab%", &["ab%20c"]),
            ("zzz", &[]),
            (".", &[".hidden"]),
        ] {
            let expected = expected
                .iter()
                .map(|name| format!("{root}{name}"))
                .collect();
            assert_eq!(listed(&place, &format!("{root}{prefix}")).await, expected);
        }
        let uri = format!("{root}ab/x");
        let mut lister = place.store.list(&uri).await.unwrap();
        let batch = lister.next_batch().await.unwrap().unwrap();
        let stat = place.store.stat(&uri).await.unwrap();
        assert_eq!(batch, [stat]);
    }
}

#[tokio::test]
async fn a_relative_prefix_lists_relative_names() {
    let place = Place::new();
    assert!(
        listed(&place, "file://src/li")
            .await
            .contains("file://src/lib.rs")
    );
    assert!(listed(&place, "src/").await.contains("src/lib.rs"));
    assert!(listed(&place, "Cargo").await.contains("Cargo.toml"));
    assert_eq!(
        place.store.stat("file://src/lib.rs").await.unwrap().uri,
        "file://src/lib.rs"
    );
}

#[tokio::test]
async fn a_long_listing_comes_in_batches() {
    let place = Place::new();
    for n in 0..2_500 {
        let directory = place.path(&format!("d{}", n % 3));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(n.to_string()), b"").unwrap();
    }
    assert_eq!(listed(&place, &place.uri("")).await.len(), 2_500);
}

#[tokio::test]
async fn an_object_is_read_by_several_readers_and_only_if_it_stays_the_same() {
    let place = Place::new();
    let uri = place.uri("object");
    let data = pattern(3 * MIB + 5);
    place.store.put(&uri, data.clone().into()).await.unwrap();
    let open = || {
        let store = std::sync::Arc::new(place.store.clone());
        let options = writer_tokio::ReadOptions::default()
            .with_part_size(MIB as u64)
            .with_max_concurrency(2);
        writer_tokio::read_in_parts(store, &uri, ByteRange::Full, options)
    };
    assert!(read_all(open().await.unwrap()).await == data);
    let mut reader = open().await.unwrap();
    place
        .store
        .put(&uri, pattern(3 * MIB + 5).into())
        .await
        .unwrap();
    let error = loop {
        match reader.next_chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "it ended as if nothing had been"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
}

/// As other code reads it, from where it is on the disk.
#[tokio::test]
async fn an_object_is_copied_whole_and_in_ranges() {
    let place = Place::new();
    let uri = place.uri("object");
    let data = pattern(3 * MIB + 7);
    place.store.put(&uri, data.clone().into()).await.unwrap();
    for range in [ByteRange::Full, ByteRange::From(5), ByteRange::Last(1)] {
        let (start, len) = range.resolve(data.len() as u64).unwrap();
        let reader = place.store.get(&uri, range).await.unwrap();
        let mut input = AsyncObjectReader::new(reader);
        let mut output = Vec::new();
        let copied = tokio::io::copy(&mut input, &mut output).await.unwrap();
        assert_eq!(copied, len);
        assert!(output == data[start as usize..], "{range:?}");
    }
}
