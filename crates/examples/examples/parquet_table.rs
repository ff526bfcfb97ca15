//! A Parquet table, written row group by row group.

#![allow(clippy::print_stdout)]

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use backend_fs::FileSystemObjectStore;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use writer_core::ObjectStore;
use writer_tokio::AsyncObjectWriter;

const BATCHES: i64 = 20;
const ROWS: i64 = 10_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(folder()).await
}

/// Writes a table below `folder`, and reads it with the reader of the crate `parquet`.
pub async fn run(folder: PathBuf) -> anyhow::Result<()> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
    ]));
    let store = FileSystemObjectStore::new()?;
    let path = folder.join("table.parquet");
    let output = AsyncObjectWriter::new(store.create_writer(&path.to_string_lossy(), None).await?);

    let mut table = AsyncArrowWriter::try_new(output, Arc::clone(&schema), None)?;
    for batch in 0..BATCHES {
        let ids = batch * ROWS..(batch + 1) * ROWS;
        let names: Vec<String> = ids.clone().map(|id| format!("row {id}")).collect();
        let columns: [arrow_array::ArrayRef; 2] = [
            Arc::new(Int64Array::from_iter_values(ids)),
            Arc::new(StringArray::from(names)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.to_vec())?;
        table.write(&batch).await?;
    }
    table.close().await?; // writes the footer, and finishes the object

    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?.build()?;
    let rows = reader
        .map(|batch| Ok(batch?.num_rows()))
        .sum::<anyhow::Result<usize>>()?;
    assert_eq!(rows as i64, BATCHES * ROWS);
    println!("{}: {rows} rows", path.display());
    Ok(())
}

fn folder() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
}
