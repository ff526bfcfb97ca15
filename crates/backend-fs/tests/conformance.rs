//! The conformance suite on a real disk.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_fs::FileSystemObjectStore;
use testkit::conformance::Subject;

const MEMORY: u64 = 8 << 20;
const PART: u64 = 64 * 1024;

/// The staging files below `folder`, by their names on the disk.
fn staging_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| {
        if path.is_dir() {
            staging_files(&path)
        } else {
            vec![path]
        }
    });
    let is_staging = |path: &PathBuf| path.to_string_lossy().ends_with(".s3dlio-staging");
    found.filter(is_staging).collect()
}

async fn disk() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = FileSystemObjectStore::with_memory(MEMORY).unwrap();
    let prefix = format!("file://{}/suite/", folder.path().display());
    let (left, arrived) = (folder.path().to_owned(), folder.path().to_owned());
    Subject::new(Arc::new(store), prefix, PART)
        .with_memory_budget(MEMORY)
        .with_leftovers(move || {
            let staging = staging_files(&left);
            let names = staging.iter().map(|path| path.display().to_string());
            let names = names.collect();
            async move { names }
        })
        .with_arrived(move |_uri: &str| {
            let staging = staging_files(&arrived);
            let sizes = staging.iter().filter_map(|path| fs::metadata(path).ok());
            let bytes = sizes.map(|metadata| metadata.len()).sum();
            async move { bytes }
        })
        .with_keep(folder)
}

testkit::conformance_tests!(disk);
