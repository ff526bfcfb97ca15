//! Compression that is asked for: what is stored, and what is said of it.

#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{PART, options, random, server, store};
use writer_core::{ByteRange, Codec, ErrorKind, ObjectReader, ObjectStore, Segment};
use writer_tokio::decompress;

async fn read(mut reader: Box<dyn ObjectReader>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Segment::Memory(chunk)) = reader.next_chunk().await.unwrap() {
        bytes.extend(chunk.as_ref());
    }
    bytes
}

#[tokio::test]
async fn the_encoding_goes_with_an_object_of_one_part_and_of_several() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for codec in [Codec::Zstd, Codec::Gzip] {
        for len in [10, 3 * PART as usize] {
            let data = random(7, len);
            let uri = format!("s3://test/{codec}-{len}");
            let options = options().with_codec(codec).with_expected_size(len as u64);
            let mut writer = store.create_writer(&uri, Some(options)).await.unwrap();
            writer.write_chunk(&data).await.unwrap();
            let receipt = writer.finish().await.unwrap();
            assert_eq!(receipt.size_written, Some(len as u64));
            assert_eq!(receipt.compressed, Some(codec));
            assert_eq!(receipt.content_encoding.as_deref(), Some(codec.name()));
            assert_eq!(receipt.parts, Some(if len == 10 { 1 } else { 4 }));

            let stored = server.object(&format!("{codec}-{len}")).unwrap();
            let said = stored.attributes.content_encoding.as_deref();
            assert_eq!(said, Some(codec.name()));
            assert_eq!(receipt.size, stored.size);
            let stat = store.stat(&uri).await.unwrap();
            assert_eq!(stat.content_encoding, receipt.content_encoding);
            assert_eq!(stat.checksum, receipt.checksum, "of the stored bytes");
            let reader = store.get(&uri, ByteRange::Full).await.unwrap();
            assert_eq!(reader.metadata().content_encoding, stat.content_encoding);
            assert!(read(decompress(reader, codec).unwrap()).await == data);
        }
    }
}

#[tokio::test]
async fn parts_of_what_is_compressed_are_not_kept_to_be_resumed() {
    let server = server().start().await.unwrap();
    let keeping = store(&server).await.keeping_parts();
    let resuming = store(&server).await.resuming(backend_s3::Resume::default());
    for store in [keeping, resuming] {
        let options = options().with_codec(Codec::Gzip);
        let refused = store.create_writer("s3://test/key", Some(options)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("resumed"), "{error}");
    }
}
