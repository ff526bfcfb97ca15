//! `kill -9` at any moment, by a seed: the object is the last that was told or the next one, whole,
//! and the next writer of the directory removes what is left.
//!
//! `FS_KILLS` says how many processes are killed (60 if not set), `FS_KILL_SEED` is the seed of
//! the first.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use backend_fs::FileSystemObjectStore;
use common::{child, child_mode, child_of, create_only, names, pattern};
use writer_core::{ObjectWriter, Segment, WriterOptions};

/// How much of the file that is copied from there is.
const SOURCE: usize = 600_000;

/// An object with a number, which says how long it is.
fn version(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number:08}\n").into_bytes();
    bytes.extend(&pattern(SOURCE)[..len(number)]);
    bytes
}

fn len(number: u64) -> usize {
    number as usize * 77_773 % SOURCE
}

/// The number of an object that is whole.
fn version_of(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let number = bytes
        .get(..8)
        .and_then(|d| std::str::from_utf8(d).ok()?.parse().ok());
    let number = number.unwrap_or_else(|| panic!("{}: {} bytes", path.display(), bytes.len()));
    assert!(bytes == version(number), "{}: torn", path.display());
    number
}

/// What was found after a kill.
struct Found {
    told: u64,
    replaced_untold: bool,
    debris: usize,
}

/// Kills a child when it has told so many objects and some time has passed.
fn kill(seed: u64) -> Found {
    let mut random = fastrand::Rng::with_seed(seed);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    fs::write(directory.join("object"), version(0)).unwrap();
    fs::write(directory.join("source"), pattern(SOURCE)).unwrap();
    let mut child = child("child_writes_until_it_is_killed", directory)
        .env("CHILD_MODE", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let listener = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("told ") {
                tell.store(number.parse().unwrap(), Ordering::SeqCst);
            }
        }
    });
    let enough = random.u64(1..6);
    while told.load(Ordering::SeqCst) < enough {
        assert!(child.try_wait().unwrap().is_none(), "the child has ended");
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(Duration::from_micros(random.u64(..6_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    listener.join().unwrap();
    look(directory, told.load(Ordering::SeqCst))
}

fn look(directory: &Path, told: u64) -> Found {
    let debris = staging(directory);
    let found = version_of(&directory.join("object"));
    // Every fourth is made under a name of its own.
    let last_replaced = if is_create(told) { told - 1 } else { told };
    let next_replaced = if is_create(told + 1) {
        last_replaced
    } else {
        told + 1
    };
    assert!(
        found == last_replaced || found == next_replaced,
        "{found} after {told}"
    );
    for number in (1..=told + 1).filter(|number| is_create(*number)) {
        let made = directory.join(format!("made-{number}"));
        if number <= told || made.exists() {
            assert_eq!(version_of(&made), number);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        let next = directory.join("next");
        store.put_at(&next, "x".into()).await.unwrap();
    });
    assert_eq!(staging(directory), 0, "{:?}", names(directory));
    Found {
        told,
        replaced_untold: found > told,
        debris,
    }
}

fn staging(directory: &Path) -> usize {
    let names = names(directory);
    names.iter().filter(|name| name.contains("staging")).count()
}

fn number_from(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_object_or_the_new_one() {
    let (kills, first) = (number_from("FS_KILLS", 60), number_from("FS_KILL_SEED", 1));
    let (mut told, mut untold, mut debris, mut swept) = (0, 0, 0, 0);
    for seed in first..first + kills {
        let found = std::panic::catch_unwind(|| kill(seed));
        let found = found.unwrap_or_else(|_| panic!("seed {seed}: see above"));
        told += found.told;
        untold += u64::from(found.replaced_untold);
        debris += u64::from(found.debris > 0);
        swept += found.debris;
    }
    println!(
        "{kills} kills after {told} objects: {debris} left {swept} staging files, {untold} had \
         replaced an object and not told"
    );
    // A few, of one seed that is tried again, need not.
    assert!(
        kills < 20 || debris > kills / 10,
        "hardly any kill met a write"
    );
}

fn is_create(number: u64) -> bool {
    number % 4 == 3
}

#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let Some(directory) = child_of() else { return };
    let mut random = fastrand::Rng::with_seed(child_mode().parse().unwrap());
    let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
    let object = directory.join("object");
    let source = Arc::new(File::open(directory.join("source")).unwrap());
    for number in 1.. {
        let (path, options) = match number % 4 {
            3 => (directory.join(format!("made-{number}")), create_only()),
            2 => {
                let tag = store.stat_at(&object).await.unwrap().e_tag.unwrap();
                (object.clone(), WriterOptions::default().with_if_match(tag))
            }
            _ => (object.clone(), WriterOptions::default()),
        };
        let mut writer = store.create_writer_at(&path, Some(options)).await.unwrap();
        write(&mut *writer, number, &source, random.bool()).await;
        writer.finish().await.unwrap();
        println!("told {number}");
    }
}

async fn write(writer: &mut dyn ObjectWriter, number: u64, source: &Arc<File>, copied: bool) {
    let bytes = version(number);
    if copied {
        writer.write_chunk(&bytes[..9]).await.unwrap();
        let range = Segment::file(Arc::clone(source), 0..len(number) as u64);
        writer.write_owned(range).await.unwrap();
        return;
    }
    for chunk in bytes.chunks(40_000) {
        writer.write_chunk(chunk).await.unwrap();
    }
}
