//! What the tests of this crate share.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

pub mod strace;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_fs::FileSystemObjectStore;
use tempfile::TempDir;
use writer_core::{IfExists, ObjectReader, WriterOptions};

pub const MIB: usize = 1 << 20;

/// A directory on a real disk, and a store.
pub struct Place {
    pub directory: TempDir,
    pub store: FileSystemObjectStore,
}

impl Place {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            store: FileSystemObjectStore::with_memory(4 << 20).unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).to_str().unwrap())
    }

    /// Every path below the directory, with inode and size.
    pub fn listing(&self) -> BTreeMap<PathBuf, (u64, u64)> {
        listing(self.directory.path())
    }
}

pub fn listing(directory: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let size = if metadata.is_dir() {
                0
            } else {
                metadata.size()
            };
            if metadata.is_dir() {
                waiting.push(path.clone());
            }
            found.insert(path, (metadata.ino(), size));
        }
    }
    found
}

pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Bytes that repeat nowhere at the size of a part.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub fn create_only() -> WriterOptions {
    WriterOptions::default().with_if_exists(IfExists::Fail)
}

pub async fn read_all(mut reader: Box<dyn ObjectReader>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(segment) = reader.next_chunk().await.unwrap() {
        assert!(!segment.is_empty());
        match segment {
            writer_core::Segment::Memory(bytes) => all.extend_from_slice(bytes.as_ref()),
            writer_core::Segment::File(_) => panic!("a reader gave a file range"),
        }
    }
    all
}

/// This test program again, to run `test` with `CHILD_OF` set to `directory`.
pub fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env("CHILD_OF", directory);
    command
}

/// How a child is told to work.
pub fn child_mode() -> String {
    std::env::var("CHILD_MODE").unwrap_or_default()
}

/// The directory to work in, if this is a child.
pub fn child_of() -> Option<PathBuf> {
    std::env::var_os("CHILD_OF").map(PathBuf::from)
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A file system of its own, mounted for one test; `None`, with the reason printed, if that is
/// not possible here.
pub struct Mount(TempDir);

impl Mount {
    pub fn of_tmpfs(size: &str) -> Option<Self> {
        let options = format!("size={size}");
        Self::at(&["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// One on which so many files and directories fit, its own root among them.
    pub fn of_inodes(number: u32) -> Option<Self> {
        let options = format!("size=8m,nr_inodes={number}");
        Self::at(&["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// Formats a sparse image of `len` bytes with `mkfs`, and mounts it.
    pub fn of_image(mkfs: &[&str], image: &Path, len: u64) -> Option<Self> {
        fs::File::create(image).unwrap().set_len(len).unwrap();
        if !run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(image)) {
            return None;
        }
        Self::again(image)
    }

    /// Mounts an image that has a file system.
    pub fn again(image: &Path) -> Option<Self> {
        Self::at(&["-o", "loop", image.to_str().unwrap()])
    }

    /// Ends the file system as a power cut would: what it has not written by now is lost. False
    /// if that can't be had here.
    pub fn cut_power(&self) -> bool {
        run(Command::new("xfs_io")
            .args(["-x", "-c", "shutdown"])
            .arg(self.path()))
    }

    /// Nothing can be written any more. False if that can't be had here.
    pub fn make_read_only(&self) -> bool {
        run(Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path()))
    }

    /// A file system without extended attributes.
    pub fn of_ramfs() -> Option<Self> {
        Self::at(&["-t", "ramfs", "ramfs"])
    }

    fn at(args: &[&str]) -> Option<Self> {
        if !is_root() {
            println!("skipped: only root can mount");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mounted = run(Command::new("mount").args(args).arg(directory.path()));
        mounted.then(|| Self(directory))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A thread may be about to close the last file.
        for _ in 0..100 {
            let output = Command::new("umount").arg(self.path()).output();
            if output.is_ok_and(|output| output.status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn run(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            println!("skipped: {command:?}: {}", text.trim());
            false
        }
        Err(error) => {
            println!("skipped: {command:?}: {error}");
            false
        }
    }
}
