//! The examples do what they say, which each of them checks.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../examples/http_upload.rs"]
mod http_upload;
#[path = "../examples/parquet_table.rs"]
mod parquet_table;
#[path = "../examples/read_lines.rs"]
mod read_lines;
#[path = "../examples/sink.rs"]
mod sink;
#[path = "../examples/tar_archive.rs"]
mod tar_archive;
#[path = "../examples/tokio_copy.rs"]
mod tokio_copy;

/// Runs an example in a folder of its own, in which it leaves its one object and nothing else.
macro_rules! example {
    ($name:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            $name::run(folder.path().to_owned()).await.unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    };
}

example!(http_upload);
example!(parquet_table);
example!(read_lines);
example!(sink);
example!(tar_archive);
example!(tokio_copy);
