//! The power fails: after every call to the kernel that a write makes, with every part of what was
//! not synced by then on the disk or not. What is found is the old object or the new one, whole,
//! and the new one if its writer has said so.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod real;
mod record;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use common::strace::traced;
use common::{child_mode, child_of, create_only, names, pattern, read_all};
use model::{Image, parent};
use record::{Node, Record};
use tokio::sync::Barrier;
use writer_core::{ByteRange, ErrorKind, Segment, WriterOptions};

/// Three parts, the last of them short.
const LEN: usize = 600_000;

/// One part, where there are many objects.
const SMALL: usize = 20_000;

/// Where the hole at the end of the file that is copied begins.
const DATA: usize = 300_000;

const WRITERS: usize = 5;

/// At most so many of the disks that a scene leaves are made, and looked at by a store.
const LOOKS: usize = 100;

/// What is written at `path`.
fn new(path: &str) -> Vec<u8> {
    if path.ends_with("copy") {
        let mut bytes = pattern(DATA);
        bytes.resize(LEN, 0);
        return bytes;
    }
    let len = if path.contains("object-") { SMALL } else { LEN };
    let salt: usize = path.bytes().map(usize::from).sum();
    pattern(len + salt).split_off(salt)
}

fn old(path: &str) -> Vec<u8> {
    format!("the old object of {path}\n")
        .repeat(100)
        .into_bytes()
}

/// An object, and what it may be.
struct Object {
    path: String,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

impl Object {
    /// Judges what was `found` where the new object must be if its writer `knows` of it.
    fn judge(&self, found: Option<&[u8]>, knows: bool) -> Result<(), String> {
        let path = &self.path;
        if found == self.new.as_deref() {
            return Ok(());
        }
        if found != self.old.as_deref() {
            return Err(format!("{path}: {:?} bytes, torn", found.map(<[u8]>::len)));
        }
        match knows {
            false => Ok(()),
            true => Err(format!("{path}: the old object, and its writer was told")),
        }
    }
}

/// What was recorded of one way to write.
struct Scene {
    record: Record,
    objects: Vec<Object>,
    /// What was in the files that were there before.
    files: Vec<Vec<u8>>,
}

impl Scene {
    /// Has a child write `objects` of a new directory in `mode`.
    fn record(mode: &str, objects: &[&str], had_old: bool, inject: &[&str]) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().canonicalize().unwrap().join("objects");
        fs::create_dir(&directory).unwrap();
        let base = directory.to_str().unwrap().to_owned();
        let objects = objects.iter().map(|name| {
            let path = format!("{base}/{name}");
            let old = had_old.then(|| old(&path));
            let new = (mode != "delete").then(|| new(&path));
            Object { path, old, new }
        });
        let objects: Vec<Object> = objects.collect();
        let mut before = Vec::new();
        let mut files = Vec::new();
        for Object { path, old, .. } in &objects {
            if let Some(old) = old {
                fs::write(path, old).unwrap();
                files.push(old.clone());
                before.push(path.clone());
            }
        }
        if mode == "copy" {
            let path = format!("{base}/source");
            let source = File::create_new(&path).unwrap();
            source.set_len(LEN as u64).unwrap();
            source.write_all_at(&pattern(DATA), 0).unwrap();
            files.push(new("copy"));
            before.push(path);
        }
        let log = traced("child_writes", mode, &directory, record::TRACE, inject)?;
        let record = record::read(&log, &base, &before);
        Some(Self {
            record,
            objects,
            files,
        })
    }

    /// What a file holds on `image`.
    fn bytes(&self, record: &Record, image: &Image, file: usize) -> Vec<u8> {
        if let Some(bytes) = self.files.get(file) {
            return bytes.clone();
        }
        let mut objects = self.objects.iter();
        let object = objects.find(|object| record.becomes(file, &object.path));
        let whole = object.and_then(|object| object.new.as_deref());
        // Others than the objects were taken by a sweep before their writer had locked them, and
        // nothing was written to them.
        record.bytes(image, file, whole.unwrap_or_default())
    }

    fn read(&self, record: &Record, image: &Image, path: &str) -> Option<Vec<u8>> {
        match image.names.get(path)? {
            Node::File(file) => Some(self.bytes(record, image, *file)),
            Node::Directory => panic!("{path} is a directory"),
        }
    }

    /// Fails the power at every moment; gives all that may be on the disk then, and how often it
    /// failed.
    fn cut(&self, record: &Record) -> Result<(BTreeSet<Image>, usize), String> {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut seen, mut cuts) = (BTreeSet::new(), 0);
        for moment in record.moments() {
            let objects = self.objects.iter();
            let knows = objects.map(|object| record.knows(&object.path, moment));
            let knows: Vec<bool> = knows.collect();
            for image in record.images(moment, &mut random) {
                cuts += 1;
                if !seen.insert((image.clone(), knows.clone())) {
                    continue;
                }
                for (object, knows) in self.objects.iter().zip(&knows) {
                    let found = self.read(record, &image, &object.path);
                    let judged = object.judge(found.as_deref(), *knows);
                    judged.map_err(|why| format!("after line {moment}: {why}"))?;
                }
            }
        }
        let images = seen.into_iter().map(|(image, _)| image);
        Ok((images.collect(), cuts))
    }

    /// Makes the directory of `image`, and looks at it with a store of its own.
    async fn look(&self, image: &Image) {
        let place = tempfile::tempdir().unwrap();
        let there = |path: &str| {
            let below = path.strip_prefix(&self.record.base).unwrap();
            place.path().join(below.trim_start_matches('/'))
        };
        for (path, node) in &image.names {
            match node {
                Node::Directory => fs::create_dir(there(path)).unwrap(),
                Node::File(file) => {
                    let bytes = self.bytes(&self.record, image, *file);
                    fs::write(there(path), bytes).unwrap();
                }
            }
        }
        let store = FileSystemObjectStore::with_memory(1 << 20).unwrap();
        for Object { path, .. } in &self.objects {
            let found = match store.get_at(&there(path), ByteRange::Full).await {
                Ok(reader) => Some(read_all(reader).await),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => panic!("{error:?}"),
            };
            assert!(found == self.read(&self.record, image, path), "{path}");
            // The next writer of the directory removes what the power cut has left.
            let directory = there(parent(path).unwrap());
            if directory.exists() {
                let next = store.create_writer_at(&directory.join("next"), None).await;
                next.unwrap().cancel().await.unwrap();
                let left = names(&directory);
                assert!(
                    !left.iter().any(|name| name.contains("staging")),
                    "{left:?}"
                );
            }
        }
    }
}

/// Writes `objects` in `mode`, and fails the power at every moment of it.
async fn survives(mode: &str, objects: &[&str], had_old: bool, inject: &[&str]) {
    let Some(scene) = Scene::record(mode, objects, had_old, inject) else {
        return;
    };
    let (images, cuts) = scene.cut(&scene.record).unwrap();
    let first = &scene.objects[0];
    let reads = images
        .iter()
        .map(|image| scene.read(&scene.record, image, &first.path));
    let (after, before): (Vec<_>, Vec<_>) = reads.partition(|found| *found == first.new);
    let debris = images
        .iter()
        .filter(|image| image.names.keys().any(|path| path.contains("staging")))
        .count();
    println!(
        "{mode}: {cuts} power cuts, {} disks: {} with the old object, {} with the new one, \
         {debris} with staging files",
        images.len(),
        before.len(),
        after.len(),
    );
    assert!(!before.is_empty() && !after.is_empty());
    let leaves_none = ["create", "delete"].contains(&mode);
    assert_eq!(debris == 0, leaves_none, "{debris}");

    // Nothing was synced that need not be: each file, and each directory.
    let synced = scene.record.synced();
    assert!(!synced.is_empty());
    for sync in &synced {
        let less = scene.record.without(sync);
        assert!(scene.cut(&less).is_err(), "{mode}: needless: {sync:?}");
    }
    for image in images.iter().step_by(images.len() / LOOKS + 1) {
        scene.look(image).await;
    }
}

#[tokio::test]
async fn a_replacement_survives() {
    survives("replace", &["object"], true, &[]).await;
}

#[tokio::test]
async fn a_replacement_of_what_is_unchanged_survives() {
    survives("match", &["object"], true, &[]).await;
}

#[tokio::test]
async fn a_new_object_survives_with_its_directories() {
    survives("new", &["made/deep/object"], false, &[]).await;
}

#[tokio::test]
async fn a_create_survives_and_leaves_nothing() {
    survives("create", &["made/object"], false, &[]).await;
}

#[tokio::test]
async fn a_removal_survives() {
    survives("delete", &["object"], true, &[]).await;
}

#[tokio::test]
async fn a_copy_survives() {
    survives("copy", &["copy"], true, &[]).await;
}

#[tokio::test]
async fn many_that_finish_together_survive() {
    let objects: Vec<String> = (0..WRITERS).map(|n| format!("object-{n}")).collect();
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    // Syncs take as long as on a slow disk, so that they are shared; locks as well, so that a sweep
    // comes before the lock of a new staging file.
    let slow = ["-e", "inject=fsync,flock:delay_enter=5000"];
    survives("many", &objects, true, &slow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes() {
    let Some(directory) = child_of() else { return };
    let mode = child_mode();
    let store = FileSystemObjectStore::new().unwrap();
    let names: Vec<String> = match mode.as_str() {
        "many" => (0..WRITERS).map(|n| format!("object-{n}")).collect(),
        "copy" => vec!["copy".to_owned()],
        "new" => vec!["made/deep/object".to_owned()],
        "create" => vec!["made/object".to_owned()],
        _ => vec!["object".to_owned()],
    };
    let ready = Arc::new(Barrier::new(names.len()));
    let tasks = names.into_iter().map(|name| {
        let path = directory.join(name);
        tokio::spawn(write(store.clone(), path, mode.clone(), Arc::clone(&ready)))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn write(store: FileSystemObjectStore, path: PathBuf, mode: String, ready: Arc<Barrier>) {
    let name = path.to_str().unwrap();
    if mode == "delete" {
        store.delete_at(&path).await.unwrap();
        return mark(name);
    }
    let options = match mode.as_str() {
        "create" => create_only(),
        "match" => {
            let tag = store.stat_at(&path).await.unwrap().e_tag.unwrap();
            WriterOptions::default().with_if_match(tag)
        }
        _ => WriterOptions::default(),
    };
    let mut writer = store.create_writer_at(&path, Some(options)).await.unwrap();
    if mode == "copy" {
        let source = File::open(path.with_file_name("source")).unwrap();
        let whole = Segment::file(Arc::new(source), 0..LEN as u64);
        writer.write_owned(whole).await.unwrap();
    } else {
        writer.write_chunk(&new(name)).await.unwrap();
    }
    ready.wait().await;
    writer.finish().await.unwrap();
    mark(name);
}

/// Marks in the log that the object at `path` is known to be stored, or removed.
fn mark(path: &str) {
    let told = fs::remove_dir(record::mark(path));
    assert!(told.is_err(), "only a mark");
}
