//! Calls to the kernel that fail: each kind that a write makes, as a disk that breaks has it. The
//! error is told, the old object stays, and nothing is left; unless the write can go on without.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backend_fs::FileSystemObjectStore;
use common::{child_mode, child_of, create_only, names, pattern, read_all, strace};
use writer_core::{
    ByteRange, Error, ErrorKind, ObjectMetadata, ObjectStore, Result, Segment, WriterOptions,
};

/// Three parts.
const LEN: usize = 600_000;

/// Renames that would fail if the name is taken are not known, where a write is `linked`.
const NO_EXCLUSIVE_RENAME: &str = "inject=renameat2:error=EINVAL";

/// What is there after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Old,
    New,
    /// The old object, and the staging file that could not be removed.
    Debris,
}

/// How a write of a `mode` ends if `call` is made to fail with an `error`, and what it finds.
struct Fault {
    mode: &'static str,
    call: &'static str,
    /// Which of the calls of one thread: a number, or from one on (`1+`).
    when: &'static str,
    error: &'static str,
    outcome: &'static str,
    found: Found,
}

const fn fault(
    (mode, call, when, error): (&'static str, &'static str, &'static str, &'static str),
    outcome: &'static str,
    found: Found,
) -> Fault {
    Fault {
        mode,
        call,
        when,
        error,
        outcome,
        found,
    }
}

use Found::{Debris, New, Old};

fn old() -> Vec<u8> {
    b"the old object\n".repeat(1_000)
}

fn new(mode: &str) -> Vec<u8> {
    let mut bytes = pattern(LEN);
    if mode == "copy" {
        bytes[LEN / 2..].fill(0);
    }
    bytes
}

fn had_old(mode: &str) -> bool {
    !matches!(mode, "new" | "create" | "fresh" | "linked")
}

fn object(directory: &Path, mode: &str) -> PathBuf {
    directory.join(match mode {
        "new" | "create" => "made/deep/object",
        "fresh" | "linked" => "fresh",
        _ => "object",
    })
}

/// Has a child write while faults happen, and looks at what is there then.
fn meet(faults: &[Fault]) {
    if !strace::works() {
        return;
    }
    for fault in faults {
        let Fault { mode, call, .. } = fault;
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().canonicalize().unwrap().join("objects");
        fs::create_dir(&directory).unwrap();
        let path = object(&directory, mode);
        if had_old(mode) {
            fs::write(&path, old()).unwrap();
        }
        if *mode == "protected" {
            fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
        }
        if *mode == "copy" {
            let source = File::create_new(directory.join("source")).unwrap();
            source.write_all_at(&pattern(LEN)[..LEN / 2], 0).unwrap();
            source.set_len(LEN as u64).unwrap();
        }
        let inject = format!("inject={call}:error={}:when={}", fault.error, fault.when);
        let base = directory.to_str().unwrap();
        let mut arguments = vec!["-e", &inject];
        // What the program opens besides is none of it.
        if *call == "openat" {
            arguments.extend(["-P", base]);
        }
        if *mode == "linked" {
            arguments.extend(["-P", path.to_str().unwrap(), "-e", NO_EXCLUSIVE_RENAME]);
        }
        let calls = format!("{call},renameat2");
        let log = strace::traced("child_meets_a_fault", mode, &directory, &calls, &arguments);
        let log = log.unwrap();
        let fired = log.matches("(INJECTED)").count();
        assert!(*mode != "linked" || fired == 2, "{log}");
        let outcome = fs::read_to_string(directory.with_extension("outcome")).unwrap();
        let case = format!("{mode}: {call} number {}: {}", fault.when, fault.error);
        assert!(fired > 0, "{case}: did not happen\n{log}");
        assert_eq!(outcome, fault.outcome, "{case}\n{log}");
        look(&directory, fault, &case);
    }
    println!("{} faults", faults.len());
}

fn look(directory: &Path, fault: &Fault, case: &str) {
    let path = object(directory, fault.mode);
    let had_old = had_old(fault.mode);
    let found = fs::read(&path).ok();
    match fault.found {
        New => assert!(found == Some(new(fault.mode)), "{case}"),
        Old | Debris => assert!(found == had_old.then(old), "{case}"),
    }
    if fault.found == Old && !had_old {
        assert!(
            names(directory).is_empty(),
            "{case}: {:?}",
            names(directory)
        );
    }
    let Some(above) = path.parent().filter(|above| above.exists()) else {
        return;
    };
    let left = names(above);
    let staging = left.iter().filter(|name| name.contains("staging")).count();
    let expected = usize::from(fault.found == Debris);
    assert_eq!(staging, expected, "{case}: {left:?}");
}

#[test]
fn child_meets_a_fault() {
    let Some(directory) = child_of() else { return };
    // One thread works on the disk, so that its calls can be counted.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(meet_it(directory));
}

async fn meet_it(directory: PathBuf) {
    let mode = child_mode();
    let store = FileSystemObjectStore::with_memory(4 << 20).unwrap();
    let path = object(&directory, &mode);
    let outcome = match write(&store, &path, &mode).await {
        Ok(receipt) => {
            assert_eq!(receipt.size, LEN as u64);
            // What was told can be read.
            let reader = store.get_at(&path, ByteRange::Full).await.unwrap();
            assert!(read_all(reader).await == new(&mode));
            "stored".to_owned()
        }
        Err(error) => {
            assert!(error.uri().is_some(), "{error:?}");
            let tells = error.message().contains("staging file /");
            format!(
                "{:?}{}",
                error.kind(),
                if tells { ", names it" } else { "" }
            )
        }
    };
    assert_eq!(store.budget().used(), 0);
    let closed = store.close().await;
    let left = if closed.is_err() { ", close too" } else { "" };
    fs::write(directory.with_extension("outcome"), outcome + left).unwrap();
}

async fn write(store: &FileSystemObjectStore, path: &Path, mode: &str) -> Result<ObjectMetadata> {
    let options = match mode {
        "create" | "fresh" | "linked" => create_only(),
        "sized" => WriterOptions::default().with_expected_size(LEN as u64),
        "match" => {
            let tag = store.stat_at(path).await?.e_tag.unwrap();
            WriterOptions::default().with_if_match(tag)
        }
        _ => WriterOptions::default(),
    };
    let mut writer = store.create_writer_at(path, Some(options)).await?;
    if mode == "copy" {
        let source = Arc::new(File::open(path.with_file_name("source")).unwrap());
        let whole = Segment::file(source, 0..LEN as u64);
        writer.write_owned(whole).await?;
    } else {
        for chunk in new(mode).chunks(50_000) {
            writer.write_chunk(chunk).await?;
        }
    }
    if mode == "ahead" {
        // By the thread that works on the disk, whose calls are counted.
        let object = path.to_owned();
        let set = tokio::task::spawn_blocking(move || {
            let file = File::options().write(true).open(object)?;
            file.set_modified(SystemTime::now() + Duration::from_millis(900))
        });
        set.await.unwrap().unwrap();
    }
    if mode == "cancel" {
        writer.cancel().await?;
        let uri = path.display().to_string();
        return Err(Error::new(ErrorKind::Closed, "cancelled").with_uri(uri));
    }
    writer.finish().await
}

#[test]
fn writes_that_fail() {
    meet(&[
        fault(("replace", "pwritev", "1", "EIO"), "Other", Old),
        fault(("replace", "pwritev", "2", "ENOSPC"), "StorageFull", Old),
        fault(("replace", "pwritev", "3", "EDQUOT"), "StorageFull", Old),
        fault(("replace", "pwritev", "3", "EFBIG"), "StorageFull", Old),
        fault(("create", "pwritev", "2", "EIO"), "Other", Old),
        fault(("new", "pwritev", "2", "EIO"), "Other", Old),
        // A signal is no fault.
        fault(("replace", "pwritev", "1..2", "EINTR"), "stored", New),
        fault(("sized", "fallocate", "1", "ENOSPC"), "StorageFull", Old),
        fault(("sized", "fallocate", "1", "EINTR"), "stored", New),
        // It is only a precaution.
        fault(("sized", "fallocate", "1+", "EOPNOTSUPP"), "stored", New),
    ]);
}

#[test]
fn copies_that_fail() {
    meet(&[
        fault(("copy", "copy_file_range", "1", "EIO"), "Other", Old),
        fault(
            ("copy", "copy_file_range", "1", "ENOSPC"),
            "StorageFull",
            Old,
        ),
        fault(("copy", "copy_file_range", "1", "EINTR"), "stored", New),
        fault(("copy", "copy_file_range", "1+", "EXDEV"), "stored", New),
        fault(("copy", "copy_file_range", "1+", "ENOSYS"), "stored", New),
        fault(
            ("copy", "copy_file_range", "1+", "EOPNOTSUPP"),
            "stored",
            New,
        ),
        // The hole at the end.
        fault(("copy", "ftruncate", "1", "EIO"), "Other", Old),
        fault(("copy", "ftruncate", "1", "EFBIG"), "StorageFull", Old),
    ]);
}

#[test]
fn syncs_that_fail() {
    meet(&[
        fault(("replace", "fsync", "1", "EIO"), "Other", Old),
        fault(("replace", "fsync", "1", "ENOSPC"), "StorageFull", Old),
        fault(("match", "fsync", "1", "EDQUOT"), "StorageFull", Old),
        // The file is in its place by now, and may not last.
        fault(("replace", "fsync", "2", "EIO"), "Ambiguous", New),
        fault(("copy", "fsync", "2", "EIO"), "Ambiguous", New),
        // A file system that can't sync directories, or has no need to.
        fault(("replace", "fsync", "2", "EINVAL"), "stored", New),
        // Of two directories that are made, each is synced into the one above it.
        fault(("new", "fsync", "1", "EIO"), "Other", Old),
        fault(("create", "fsync", "2", "EIO"), "Other", Old),
        fault(("create", "fsync", "3", "EIO"), "Other", Old),
        fault(("create", "fsync", "4", "EIO"), "Ambiguous", New),
    ]);
}

#[test]
fn names_that_can_not_be_made() {
    meet(&[
        fault(("replace", "rename", "1", "EIO"), "Other", Old),
        fault(("replace", "rename", "1", "ENOSPC"), "StorageFull", Old),
        fault(("replace", "rename", "1", "EROFS"), "AccessDenied", Old),
        fault(("match", "rename", "1", "EIO"), "Other", Old),
        fault(("create", "linkat", "1", "EIO"), "Other", Old),
        fault(("create", "linkat", "1", "ENOSPC"), "StorageFull", Old),
        fault(("create", "linkat", "1", "EEXIST"), "AlreadyExists", Old),
        fault(("create", "linkat", "1+", "ENOENT"), "NotFound", Old),
        // Another writer may have removed the directory, so it is made again.
        fault(("create", "linkat", "1..3", "ENOENT"), "stored", New),
        fault(("new", "mkdir", "2", "EACCES"), "AccessDenied", Old),
        fault(("new", "mkdir", "3", "ENOSPC"), "StorageFull", Old),
        fault(("create", "mkdir", "3", "EDQUOT"), "StorageFull", Old),
        fault(("protected", "fchmod", "1", "EIO"), "Other", Old),
        // The time of what is replaced, and then the later one.
        fault(("ahead", "utimensat", "2", "EPERM"), "stored", New),
    ]);
}

#[test]
fn locks_that_can_not_be_had() {
    meet(&[
        fault(("replace", "flock", "1+", "ENOLCK"), "stored", New),
        // Nothing else keeps two of them apart.
        fault(("match", "flock", "1+", "ENOLCK"), "Unsupported", Old),
        fault(("match", "flock", "2", "EBADF"), "Unsupported", Old),
        fault(("match", "flock", "2..5", "EAGAIN"), "stored", New),
        fault(("match", "flock", "2", "EINTR"), "stored", New),
    ]);
}

#[test]
fn directories_that_can_not_be_opened() {
    meet(&[
        // To sweep it, to lock it, and to sync it.
        fault(("replace", "openat", "1", "EMFILE"), "stored", New),
        fault(("replace", "openat", "2", "EMFILE"), "stored", New),
        fault(("replace", "openat", "3", "EMFILE"), "Ambiguous", New),
        // Who may not read it has all disks synced.
        fault(("replace", "openat", "3", "EACCES"), "stored", New),
        fault(("match", "openat", "2", "EMFILE"), "Other", Old),
        fault(("match", "openat", "2", "EACCES"), "AccessDenied", Old),
        fault(("fresh", "openat", "2", "EMFILE"), "Other", Old),
        fault(("fresh", "openat", "2", "ENOSPC"), "StorageFull", Old),
        // A file system without files that have no name: it gets one, and is renamed.
        fault(("fresh", "openat", "2", "EOPNOTSUPP"), "stored", New),
        // One that can't do that either: it gets a second name.
        fault(("linked", "openat", "2", "EOPNOTSUPP"), "stored", New),
    ]);
}

#[test]
fn what_can_not_be_removed_is_told() {
    meet(&[
        fault(("cancel", "unlink", "1", "EIO"), "Closed, close too", Old),
        fault(
            ("cancel", "unlink", "1+", "EIO"),
            "Other, names it, close too",
            Debris,
        ),
    ]);
}
