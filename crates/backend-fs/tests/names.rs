//! Which file a name means, and what stands in its place.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use common::{Place, child, child_of, create_only, is_root, names, pattern, read_all};
use writer_core::{ByteRange, ErrorKind, ObjectStore};

#[tokio::test]
async fn a_uri_is_taken_literally() {
    let place = Place::new();
    let longest = "n".repeat(255);
    let longest_unicode = "ü".repeat(127);
    for name in [
        "a b",
        "100%20",
        "a#b?c",
        "日本語",
        "-",
        ".hidden",
        "new\nline",
        &longest,
        &longest_unicode,
    ] {
        for uri in [place.uri(name), place.path(name).display().to_string()] {
            let receipt = place.store.put(&uri, "bytes".into()).await.unwrap();
            assert_eq!(receipt.uri, uri);
            assert_eq!(fs::read(place.path(name)).unwrap(), b"bytes");
            assert_eq!(place.store.stat(&uri).await.unwrap().e_tag, receipt.e_tag);
            place.store.delete(&uri).await.unwrap();
            assert!(place.listing().is_empty(), "{name:?}");
        }
    }
}

#[tokio::test]
async fn a_create_only_name_may_be_as_long_as_any() {
    let place = Place::new();
    let name = "n".repeat(255);
    let options = Some(create_only());
    let writer = place.store.create_writer(&place.uri(&name), options).await;
    writer.unwrap().finish().await.unwrap();
    assert_eq!(names(place.directory.path()), [name]);
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused_before_anything_is_written() {
    let place = Place::new();
    let uri = place.uri(&"n".repeat(256));
    let error = place.store.create_writer(&uri, None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.uri(), Some(uri.as_str()));
    assert!(place.listing().is_empty());
}

#[tokio::test]
async fn names_that_are_not_utf_8_have_the_path_methods() {
    let place = Place::new();
    let path = place
        .directory
        .path()
        .join(OsString::from_vec(b"\xff\xfe b".to_vec()));
    let mut writer = place.store.create_writer_at(&path, None).await.unwrap();
    writer.write_chunk(b"first").await.unwrap();
    Box::new(writer).finish().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first");
    place.store.put_at(&path, "second".into()).await.unwrap();
    assert_eq!(place.store.stat_at(&path).await.unwrap().size, 6);
    let reader = place.store.get_at(&path, ByteRange::Full).await.unwrap();
    assert_eq!(read_all(reader).await, b"second");
    place.store.delete_at(&path).await.unwrap();
    assert!(place.listing().is_empty());
}

#[tokio::test]
async fn what_is_no_file_name_is_refused_by_every_call() {
    let place = Place::new();
    let reserved = place.uri(".x.0123456789abcdef.s3dlio-staging");
    for uri in [
        "s3://b/k",
        "",
        "file://",
        "/tmp/",
        "/tmp/..",
        "/tmp/a\0b",
        &reserved,
    ] {
        let store = &place.store;
        let errors = [
            store.create_writer(uri, None).await.err(),
            store.put(uri, "x".into()).await.err(),
            store.stat(uri).await.err(),
            store.get(uri, ByteRange::Full).await.err(),
            store.delete(uri).await.err(),
        ];
        for error in errors {
            let error = error.unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert_eq!(error.uri(), Some(uri));
        }
    }
    for path in ["", "/tmp/", "/tmp/."] {
        let error = place.store.create_writer_at(Path::new(path), None).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(place.listing().is_empty());
}

#[tokio::test]
async fn only_files_are_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("directory")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(place.path("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let before = place.listing();
    for (uri, what) in [
        (place.uri("directory"), "a directory"),
        (place.uri("pipe"), "a named pipe"),
        ("/dev/null".to_owned(), "a device"),
    ] {
        for options in [None, Some(create_only())] {
            let error = place
                .store
                .create_writer(&uri, options)
                .await
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(what), "{error}");
        }
        let error = place.store.stat(&uri).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = place.store.get(&uri, ByteRange::Full).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = place.store.delete(&uri).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(place.listing(), before);
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_is_said() {
    let place = Place::new();
    fs::write(place.path("file"), b"x").unwrap();
    let uri = place.uri("file/object");
    for options in [None, Some(create_only())] {
        let error = place
            .store
            .create_writer(&uri, options)
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    assert_eq!(
        place.store.stat(&uri).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    place.store.delete(&uri).await.unwrap();
}

#[tokio::test]
async fn a_link_leads_to_the_file_that_is_written() {
    let place = Place::new();
    fs::create_dir(place.path("real")).unwrap();
    fs::write(place.path("real/file"), b"old").unwrap();
    symlink("real/file", place.path("one")).unwrap();
    symlink(place.path("one"), place.path("two")).unwrap();
    let mut writer = place
        .store
        .create_writer(&place.uri("two"), None)
        .await
        .unwrap();
    writer.write_chunk(b"new").await.unwrap();
    // Beside the real file, so that the rename stays on its file system.
    assert_eq!(names(&place.path("real")).len(), 2);
    writer.finish().await.unwrap();
    assert_eq!(fs::read(place.path("real/file")).unwrap(), b"new");
    assert!(
        fs::symlink_metadata(place.path("one"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::symlink_metadata(place.path("two"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(place.store.stat(&place.uri("two")).await.unwrap().size, 3);

    place.store.delete(&place.uri("one")).await.unwrap();
    assert!(!place.path("one").exists());
    assert!(place.path("real/file").exists());
}

#[tokio::test]
async fn a_dangling_link_has_its_target_made_and_a_loop_is_refused() {
    let place = Place::new();
    symlink("there/file", place.path("dangling")).unwrap();
    for options in [None, Some(create_only())] {
        let uri = place.uri("dangling");
        place.store.delete(&place.uri("there/file")).await.unwrap();
        let writer = place.store.create_writer(&uri, options).await.unwrap();
        writer.finish().await.unwrap();
        assert!(fs::metadata(place.path("there/file")).unwrap().is_file());
    }
    let again = place
        .store
        .create_writer(&place.uri("dangling"), Some(create_only()))
        .await;
    assert_eq!(again.err().unwrap().kind(), ErrorKind::AlreadyExists);

    symlink("loop-b", place.path("loop-a")).unwrap();
    symlink("loop-a", place.path("loop-b")).unwrap();
    let error = place
        .store
        .create_writer(&place.uri("loop-a"), None)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("circle"), "{error}");
}

#[tokio::test]
async fn replacing_keeps_the_mode_and_the_owner() {
    let place = Place::new();
    let uri = place.uri("file");
    for mode in [0o640, 0o444, 0o600, 0o777] {
        place.store.put(&uri, "old".into()).await.unwrap();
        fs::set_permissions(place.path("file"), fs::Permissions::from_mode(mode)).unwrap();
        let data = pattern(100);
        place.store.put(&uri, data.into()).await.unwrap();
        let metadata = fs::metadata(place.path("file")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode);
        assert_eq!(metadata.len(), 100);
    }
    if !is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    std::os::unix::fs::chown(place.path("file"), Some(1234), Some(2345)).unwrap();
    place.store.put(&uri, "new".into()).await.unwrap();
    let metadata = fs::metadata(place.path("file")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 2345));
    assert_eq!(metadata.mode() & 0o7777, 0o777);
}

#[tokio::test]
async fn a_staging_file_is_no_more_readable_than_what_it_replaces() {
    let place = Place::new();
    place
        .store
        .put(&place.uri("file"), "old".into())
        .await
        .unwrap();
    fs::set_permissions(place.path("file"), fs::Permissions::from_mode(0o600)).unwrap();
    let writer = place
        .store
        .create_writer(&place.uri("file"), None)
        .await
        .unwrap();
    for name in names(place.directory.path()) {
        let metadata = fs::metadata(place.path(&name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(writer);
}

/// The umask belongs to the whole process, so another one is used.
#[test]
fn a_new_file_has_the_mode_that_the_umask_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let program = child("child_writes_two_files", directory.path());
    let status = Command::new("sh")
        .args(["-c", "umask 027; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .env("CHILD_OF", directory.path())
        .status();
    assert!(status.unwrap().success());
    for name in ["new/replace", "new/create"] {
        let mode = fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o640, "{name}");
    }
    let mode = fs::metadata(directory.path().join("new"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);
}

#[tokio::test]
async fn child_writes_two_files() {
    let Some(directory) = child_of() else { return };
    let place = Place::new();
    for (name, options) in [("replace", None), ("create", Some(create_only()))] {
        let path = directory.join("new").join(name);
        let writer = place.store.create_writer_at(&path, options).await.unwrap();
        Box::new(writer).finish().await.unwrap();
    }
}
