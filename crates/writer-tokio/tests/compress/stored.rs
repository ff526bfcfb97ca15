//! What is stored, and what passes as it is.

use super::*;

#[tokio::test]
async fn every_size_and_content_comes_back_also_through_the_formats_own_program() {
    for (codec, name) in CODECS {
        for size in [0, 1, 3, 4, 5, 100_000, (1 << 20) + 1] {
            for data in [text(size), random(size, 3), vec![0; size]] {
                let log = Log::default();
                let mut writer = log.writer(name, WriterOptions::default());
                writer.write_chunk(&data).await.unwrap();
                assert_eq!(writer.bytes_written(), size as u64);
                let receipt = writer.finish().await.unwrap();
                let stored = log.bytes();
                assert_eq!(receipt.size, stored.len() as u64);
                assert!(codec.is_magic(&stored));
                assert!(decompress(codec, &stored) == data, "{codec:?} {size}");
                if let Some(plain) = decompress_by_program(codec, &stored) {
                    assert!(plain == data, "{codec:?} {size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_object_without_a_write_is_a_valid_empty_one() {
    for expected in [None, Some(0)] {
        for (codec, name) in CODECS {
            let log = Log::default();
            let mut options = WriterOptions::default();
            options.expected_size = expected;
            log.writer(name, options).finish().await.unwrap();
            assert_eq!(decompress(codec, &log.bytes()), b"");
        }
    }
}

#[tokio::test]
async fn the_stored_bytes_carry_a_checksum_and_no_time() {
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default().with_expected_size(3));
    writer.write_chunk(b"abc").await.unwrap();
    writer.finish().await.unwrap();
    // RFC 8878, 3.1.1.1.1: bit 2 of the descriptor is the checksum's; bit 5, a single segment,
    // comes with the content's size, here in one byte.
    assert_eq!(log.bytes()[4] & 0x24, 0x24);
    assert_eq!(log.bytes()[5], 3);

    let log = Log::default();
    log.writer("a.gz", WriterOptions::default())
        .finish()
        .await
        .unwrap();
    // RFC 1952, 2.3: no flags, no time.
    assert_eq!(log.bytes()[3..8], [0; 5]);
}

#[tokio::test]
async fn a_name_or_an_option_that_does_not_ask_gets_the_inner_writer_itself() {
    let off = WriterOptions::default().with_compression(false);
    for (name, options) in [("a.txt", WriterOptions::default()), ("a.gz", off)] {
        let log = Log::default();
        let mut writer = log.writer(name, options);
        writer.write_owned(Segment::from("abc")).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(log.bytes(), b"abc");
    }
}

#[tokio::test]
async fn an_option_out_of_bounds_is_refused_before_anything_is_opened() {
    for name in ["a.gz", "a.txt"] {
        let options = WriterOptions::default().with_part_size(0);
        let open = |_| -> Result<Box<dyn ObjectWriter>> { panic!("opened") };
        let error = open_writer(name, options, &budget(), open).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn what_open_refuses_is_known_at_once_or_at_the_first_write() {
    let refuse = |_| Err(full());
    let error = open_writer("a.gz", WriterOptions::default(), &budget(), refuse).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::StorageFull);

    let sized = WriterOptions::default().with_expected_size(9);
    let mut writer = open_writer("a.gz", sized.clone(), &budget(), refuse).unwrap();
    for _ in 0..2 {
        let error = writer.write_chunk(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);

    let writer = open_writer("a.gz", sized, &budget(), refuse).unwrap();
    writer.cancel().await.unwrap();
}

#[tokio::test]
async fn what_is_compressed_already_passes_bit_for_bit_and_uncopied() {
    for (_, name) in CODECS {
        let whole = {
            let log = Log::default();
            let mut writer = log.writer(name, WriterOptions::default());
            writer.write_chunk(&text(300_000)).await.unwrap();
            writer.finish().await.unwrap();
            log.bytes()
        };
        let size = whole.len() as u64;
        let options = WriterOptions::default().with_expected_size(size);

        let log = Log::default();
        let mut writer = log.writer(name, options.clone());
        let owned = Segment::from(whole.clone());
        writer.write_owned(owned).await.unwrap();
        assert_eq!(writer.bytes_written(), size);
        assert_eq!(writer.finish().await.unwrap().size, size);
        assert!(log.bytes() == whole);
        assert_eq!(log.see(|seen| seen.copied), 0);
        assert_eq!(log.options(), Some(options.clone()));

        let log = Log::default();
        let mut writer = log.writer(name, options.clone());
        let range = Segment::file(file_with(&whole), 0..size);
        writer.write_owned(range).await.unwrap();
        writer.finish().await.unwrap();
        assert!(log.bytes() == whole);
        assert_eq!(log.see(|seen| seen.ranges.clone()), [size]);

        // Two bytes at first: they wait for the next, which is not copied for it.
        let log = Log::default();
        let mut writer = log.writer(name, options.clone());
        writer.write_chunk(&whole[..1]).await.unwrap();
        writer.write_chunk(&whole[1..2]).await.unwrap();
        assert_eq!(writer.bytes_written(), 2);
        assert_eq!(log.options(), None);
        let rest = Segment::from(whole[2..].to_vec());
        writer.write_owned(rest).await.unwrap();
        writer.finish().await.unwrap();
        assert!(log.bytes() == whole);
        assert_eq!(log.see(|seen| seen.copied), 0);
    }
}

#[tokio::test]
async fn a_skippable_frame_counts_as_zstandard() {
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let frame = b"\x5E\x2A\x4D\x18\0\0\0\0";
    for byte in frame {
        writer.write_chunk(&[*byte]).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert_eq!(log.bytes(), frame);
}

#[tokio::test]
async fn a_beginning_like_the_magic_number_is_compressed_with_the_rest() {
    for (codec, name) in CODECS {
        for data in [&b"\x28\xB5"[..], b"\x1F\x8B", b"\x28\xB5\x2F\x00", b"\x1F"] {
            let log = Log::default();
            let size = data.len() as u64;
            let mut writer = log.writer(name, WriterOptions::default().with_expected_size(size));
            for byte in data {
                writer.write_chunk(&[*byte]).await.unwrap();
            }
            assert_eq!(writer.bytes_written(), size);
            writer.finish().await.unwrap();
            assert_eq!(decompress(codec, &log.bytes()), data);
            assert_eq!(log.options().unwrap().expected_size, None);
        }
    }
}
