//! Other code's shapes of a writer, over a real store of objects in memory.

#![allow(clippy::unwrap_used)]

use std::io::{IoSlice, Read as _, Write as _};
use std::pin::Pin;

use testkit::MemoryStore;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use writer_core::{ByteRange, Error, ErrorKind, ObjectStore, ObjectWriter, Segment, WriterOptions};
use writer_tokio::{AsyncObjectWriter, BlockingObjectWriter, copy_file, copy_from, copy_from_with};

const URI: &str = "memory://object";

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 / 7) as u8).collect()
}

async fn open(store: &MemoryStore) -> Box<dyn ObjectWriter> {
    store.create_writer(URI, None).await.unwrap()
}

async fn stored(store: &MemoryStore) -> Vec<u8> {
    let mut reader = store.get(URI, ByteRange::Full).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        let Segment::Memory(chunk) = chunk else {
            panic!("a file range")
        };
        bytes.extend_from_slice(chunk.as_ref());
    }
    bytes
}

/// Lengths around those of pages.
const LENGTHS: [usize; 6] = [0, 1, 262_143, 262_144, 262_145, 1_500_007];

#[tokio::test]
async fn what_is_copied_arrives_at_shutdown() {
    for len in LENGTHS {
        let store = MemoryStore::new();
        let mut output = AsyncObjectWriter::new(open(&store).await);
        let copied = tokio::io::copy(&mut &data(len)[..], &mut output).await;
        assert_eq!(copied.unwrap(), len as u64);
        output.flush().await.unwrap();
        assert!(store.stat(URI).await.is_err(), "it is not there before");
        assert!(output.receipt().is_none());
        output.shutdown().await.unwrap();
        output.shutdown().await.unwrap();
        assert_eq!(output.receipt().unwrap().size, len as u64);
        assert_eq!(stored(&store).await, data(len));
        let late = output.write_all(b"late").await.unwrap_err();
        assert_eq!(Error::from(late).kind(), ErrorKind::Closed);
        assert_eq!(output.into_receipt().unwrap().size, len as u64);
    }
}

#[tokio::test]
async fn what_is_dropped_is_not_stored() {
    let store = MemoryStore::new();
    let mut output = AsyncObjectWriter::new(open(&store).await);
    output.write_all(&data(300_000)).await.unwrap();
    output.flush().await.unwrap();
    drop(output);
    store.close().await.unwrap();
    assert!(store.stat(URI).await.is_err());
    assert!(store.staged().is_empty());
}

#[tokio::test]
async fn slices_are_gathered() {
    let store = MemoryStore::new();
    let mut output = AsyncObjectWriter::new(open(&store).await);
    assert!(output.is_write_vectored());
    let slices = [
        IoSlice::new(b"one, "),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    let written = std::future::poll_fn(|cx| Pin::new(&mut output).poll_write_vectored(cx, &slices));
    assert_eq!(written.await.unwrap(), 8);
    output.shutdown().await.unwrap();
    assert_eq!(stored(&store).await, b"one, two");
}

/// The error of a write that nobody waited for is that of the next call, and whole.
#[tokio::test]
async fn an_error_is_not_lost_on_its_way() {
    let store = MemoryStore::new();
    let options = WriterOptions::default().with_expected_size(262_144);
    let writer = store.create_writer(URI, Some(options)).await.unwrap();
    let mut output = AsyncObjectWriter::new(writer);
    let written = output.write_all(&data(262_144 * 2 + 5)).await;
    let error = match written {
        Err(error) => error,
        Ok(()) => output.flush().await.unwrap_err(),
    };
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidInput);
    assert!(output.shutdown().await.is_err());
    assert!(store.stat(URI).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_writes_and_finishes() {
    for len in LENGTHS {
        let store = MemoryStore::new();
        let mut output = BlockingObjectWriter::new(open(&store).await, Handle::current());
        let finished = tokio::task::spawn_blocking(move || {
            for chunk in data(len).chunks(70_001) {
                output.write_all(chunk)?;
            }
            output.flush()?;
            output.finish()
        });
        assert_eq!(finished.await.unwrap().unwrap().size, len as u64);
        assert_eq!(stored(&store).await, data(len));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_cancels_or_drops_stores_nothing() {
    let store = MemoryStore::new();
    for cancel in [true, false] {
        let mut output = BlockingObjectWriter::new(open(&store).await, Handle::current());
        let ended = tokio::task::spawn_blocking(move || {
            output.write_all(b"x")?;
            if cancel { output.cancel() } else { Ok(()) }
        });
        ended.await.unwrap().unwrap();
        store.close().await.unwrap();
        assert!(store.stat(URI).await.is_err());
        assert!(store.staged().is_empty());
    }
}

#[tokio::test]
async fn readers_and_files_are_copied_from() {
    for len in LENGTHS {
        let store = MemoryStore::new();
        let mut writer = open(&store).await;
        let mut seen = Vec::new();
        let bytes = data(len);
        // In pieces, as from a socket.
        let mut input = tokio_chain(&bytes, len / 3);
        let copied = copy_from_with(&mut input, &mut *writer, |n| seen.push(n)).await;
        assert_eq!(copied.unwrap(), len as u64);
        assert_eq!(seen.last().copied().unwrap_or(0), len as u64);
        assert!(seen.is_sorted());
        writer.finish().await.unwrap();
        assert_eq!(stored(&store).await, bytes);

        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let mut writer = open(&store).await;
        let copied = copy_file(file.path(), &mut *writer).await.unwrap();
        assert_eq!(copied, len as u64);
        writer.finish().await.unwrap();
        assert_eq!(stored(&store).await, bytes);
    }
}

fn tokio_chain(bytes: &[u8], at: usize) -> tokio::io::Chain<&[u8], &[u8]> {
    let (first, second) = bytes.split_at(at);
    tokio::io::AsyncReadExt::chain(first, second)
}

#[tokio::test]
async fn what_is_no_file_is_said() {
    let store = MemoryStore::new();
    let mut writer = open(&store).await;
    let error = copy_file("/dev/null", &mut *writer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = copy_file("/nowhere", &mut *writer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.uri()),
        (ErrorKind::NotFound, Some("/nowhere"))
    );
    let mut null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(null.read(&mut [0]).unwrap(), 0);
    assert_eq!(
        copy_from(&mut tokio::io::empty(), &mut *writer)
            .await
            .unwrap(),
        0
    );
    writer.cancel().await.unwrap();
}

#[cfg(feature = "futures")]
#[tokio::test]
async fn the_traits_of_futures() {
    use futures_util::SinkExt;

    let store = MemoryStore::new();
    let mut output = AsyncObjectWriter::new(open(&store).await);
    futures_util::AsyncWriteExt::write_all(&mut output, b"bytes, ")
        .await
        .unwrap();
    output.send(b"items, ".to_vec()).await.unwrap();
    futures_util::AsyncWriteExt::write_all(&mut output, b"bytes")
        .await
        .unwrap();
    SinkExt::<Vec<u8>>::close(&mut output).await.unwrap();
    assert_eq!(stored(&store).await, b"bytes, items, bytes");

    let mut output = AsyncObjectWriter::new(open(&store).await);
    futures_util::AsyncWriteExt::write_all(&mut output, b"again")
        .await
        .unwrap();
    futures_util::AsyncWriteExt::close(&mut output)
        .await
        .unwrap();
    assert_eq!(stored(&store).await, b"again");
}
