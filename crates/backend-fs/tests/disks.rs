//! Disks that are full, have no files left, or can't be written to: small file systems that are
//! mounted for a test, which takes root.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use common::{MIB, Mount, create_only, listing, names, pattern, read_all};
use writer_core::{
    ByteRange, ErrorKind, ObjectMetadata, ObjectStore, Result, Segment, WriterOptions,
};

fn store() -> FileSystemObjectStore {
    FileSystemObjectStore::with_memory(4 << 20).unwrap()
}

/// A disk of 8 MiB or little more, by name.
fn small_disks(image: &Path) -> impl Iterator<Item = (&'static str, Mount)> {
    let tmpfs = Mount::of_tmpfs("8m").map(|mount| ("tmpfs", mount));
    // With blocks of 1 KiB, and none kept back for root.
    let mkfs = ["mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0"];
    let ext4 = Mount::of_image(&mkfs, image, 10 << 20).map(|mount| ("ext4", mount));
    tmpfs.into_iter().chain(ext4)
}

/// A way to write a whole object.
#[derive(Clone, Copy, Debug)]
enum Way {
    Chunks,
    Owned,
    Sized,
    Copied,
    CreateOnly,
}

async fn write(
    store: &FileSystemObjectStore,
    path: &Path,
    way: Way,
    source: &Arc<File>,
    data: &[u8],
) -> Result<ObjectMetadata> {
    let options = match way {
        Way::Sized => WriterOptions::default().with_expected_size(data.len() as u64),
        Way::CreateOnly => create_only(),
        _ => WriterOptions::default(),
    };
    let mut writer = store.create_writer_at(path, Some(options)).await?;
    match way {
        Way::Copied => {
            let whole = Segment::file(Arc::clone(source), 0..data.len() as u64);
            writer.write_owned(whole).await?;
        }
        Way::Owned => writer.write_owned(data.to_vec().into()).await?,
        _ => {
            for chunk in data.chunks(70_000) {
                writer.write_chunk(chunk).await?;
            }
        }
    }
    writer.finish().await
}

/// In every way of writing, a disk fills up in the middle of an object. What was there stays, and
/// the space is free again.
#[tokio::test]
async fn a_full_disk_keeps_what_it_had() {
    let place = tempfile::tempdir().unwrap();
    let data = pattern(9 * MIB);
    fs::write(place.path().join("source"), &data).unwrap();
    let source = Arc::new(File::open(place.path().join("source")).unwrap());
    for (name, mount) in small_disks(&place.path().join("image")) {
        let store = store();
        let old = mount.path().join("object");
        store.put_at(&old, pattern(MIB).into()).await.unwrap();
        let before = listing(mount.path());
        let ways = [
            Way::Chunks,
            Way::Owned,
            Way::Sized,
            Way::Copied,
            Way::CreateOnly,
        ];
        for way in ways {
            let path = match way {
                Way::CreateOnly => mount.path().join("made/new"),
                _ => old.clone(),
            };
            let error = write(&store, &path, way, &source, &data).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{way:?}: {error:?}");
            assert!(error.uri().is_some());
            store.close().await.unwrap();
            assert_eq!(listing(mount.path()), before, "{name}: {way:?}");
            assert!(fs::read(&old).unwrap() == pattern(MIB));
            // As much as fits beside the old object.
            let fits = &data[..5 * MIB];
            let next = mount.path().join("next");
            write(&store, &next, way, &source, fits).await.unwrap();
            assert!(fs::read(&next).unwrap() == fits, "{name}: {way:?}");
            store.delete_at(&next).await.unwrap();
        }
        println!("{name}: {} times full", ways.len());
    }
}

/// Many objects at once fill a disk: those that were told are there, the others leave nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_objects_those_that_fit_are_whole() {
    const OBJECTS: usize = 120;
    let place = tempfile::tempdir().unwrap();
    for (name, mount) in small_disks(&place.path().join("image")) {
        let store = store();
        let tasks = (0..OBJECTS).map(|n| {
            let (store, path) = (store.clone(), mount.path().join(format!("{n}")));
            tokio::spawn(async move { store.put_at(&path, pattern(100_000 + n).into()).await })
        });
        let mut stored = Vec::new();
        for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(receipt) => {
                    assert_eq!(receipt.size, 100_000 + n as u64);
                    stored.push(n);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}"),
            }
        }
        store.close().await.unwrap();
        println!("{name}: {} of {OBJECTS} objects fitted", stored.len());
        assert!((1..OBJECTS).contains(&stored.len()), "{}", stored.len());
        let mut expected: Vec<String> = stored.iter().map(usize::to_string).collect();
        expected.sort();
        let mut found = names(mount.path());
        found.retain(|name| name != "lost+found");
        assert_eq!(found, expected);
        for n in stored {
            let bytes = fs::read(mount.path().join(n.to_string())).unwrap();
            assert!(bytes == pattern(100_000 + n), "{name}: {n}");
        }
    }
}

/// A disk with bytes to spare, and no file.
#[tokio::test]
async fn a_disk_without_inodes_says_so() {
    // The root, the old object, and room for two more.
    let Some(mount) = Mount::of_inodes(4) else {
        return;
    };
    let store = store();
    let old = mount.path().join("object");
    store.put_at(&old, "old".into()).await.unwrap();
    let before = listing(mount.path());
    let mut refused = 0;
    // Of three directories two can be made, and go again.
    let deep = mount.path().join("a/b/c/object");
    // Directories, and no inode left for the staging file itself.
    let shallow = mount.path().join("a/b/object");
    for path in [&deep, &shallow] {
        for options in [WriterOptions::default(), create_only()] {
            let made = store.create_writer_at(path, Some(options)).await;
            assert_eq!(made.err().unwrap().kind(), ErrorKind::StorageFull);
            assert_eq!(listing(mount.path()), before);
            refused += 1;
        }
    }
    let second = store.create_writer_at(&mount.path().join("2"), None).await;
    let third = store.create_writer_at(&mount.path().join("3"), None).await;
    let fourth = store.create_writer_at(&old, None).await;
    assert_eq!(fourth.err().unwrap().kind(), ErrorKind::StorageFull);
    second.unwrap().cancel().await.unwrap();
    store.put_at(&old, "new".into()).await.unwrap();
    third.unwrap().finish().await.unwrap();
    assert_eq!(names(mount.path()), ["3", "object"]);
    assert_eq!(fs::read(&old).unwrap(), b"new");
    println!("{} times no inode", refused + 1);
}

#[tokio::test]
async fn a_read_only_disk_can_be_read() {
    let Some(mount) = Mount::of_tmpfs("8m") else {
        return;
    };
    let store = store();
    let old = mount.path().join("object");
    let tag = store
        .put_at(&old, "old".into())
        .await
        .unwrap()
        .e_tag
        .unwrap();
    assert!(mount.make_read_only(), "root can");
    let before = listing(mount.path());
    for options in [
        WriterOptions::default(),
        create_only(),
        WriterOptions::default().with_if_match(tag.as_str()),
    ] {
        for name in ["object", "new", "made/new"] {
            let path = mount.path().join(name);
            let opened = store.create_writer_at(&path, Some(options.clone())).await;
            let kind = opened.err().unwrap().kind();
            let is_there = name == "object";
            let expected = match (&options.if_match, options == create_only()) {
                (Some(_), _) if !is_there => ErrorKind::PreconditionFailed,
                (None, true) if is_there => ErrorKind::AlreadyExists,
                _ => ErrorKind::AccessDenied,
            };
            assert_eq!(kind, expected, "{name}");
        }
    }
    let deleted = store.delete_at(&old).await.unwrap_err();
    assert_eq!(deleted.kind(), ErrorKind::AccessDenied);
    assert_eq!(listing(mount.path()), before);
    let reader = store.get_at(&old, ByteRange::Full).await.unwrap();
    assert_eq!(reader.metadata().e_tag, Some(tag));
    assert_eq!(read_all(reader).await, b"old");
}

/// The disk goes away in the middle of a write.
#[tokio::test]
async fn a_disk_that_breaks_fails_the_writes_on_it() {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let mkfs = ["mkfs.ext4", "-q", "-F"];
    let Some(mount) = Mount::of_image(&mkfs, &image, 24 << 20) else {
        return;
    };
    let store = store();
    let old = mount.path().join("object");
    store.put_at(&old, "old".into()).await.unwrap();
    let mut writers = Vec::new();
    for options in [WriterOptions::default(), create_only()] {
        let path = mount.path().join(if options == create_only() {
            "new"
        } else {
            "object"
        });
        let opened = store.create_writer_at(&path, Some(options)).await;
        let mut writer = opened.unwrap();
        writer.write_chunk(&pattern(MIB)).await.unwrap();
        writers.push(writer);
    }
    if !mount.cut_power() {
        return;
    }
    for mut writer in writers {
        let written = writer.write_chunk(&pattern(MIB)).await;
        let finished = match written {
            Ok(()) => writer.finish().await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(finished.unwrap_err().kind(), ErrorKind::Other);
    }
    let opened = store.create_writer_at(&old, None).await;
    assert!(opened.is_err());
    let _what_could_not_be_removed = store.close().await;
    assert_eq!(store.budget().used(), 0);
    drop(mount);

    let mount = Mount::again(&image).unwrap();
    let old = mount.path().join("object");
    assert_eq!(fs::read(&old).unwrap(), b"old");
    let store = self::store();
    store.put_at(&old, "new".into()).await.unwrap();
    assert_eq!(names(mount.path()), ["lost+found", "object"]);
}
