//! A codec, a level and threads that the options ask for, and what excludes them.

use super::*;

const NAMES: [&str; 3] = ["a", "a.zst", "a.gz"];

async fn store(name: &str, options: &WriterOptions, data: &[u8]) -> (Log, ObjectMetadata) {
    let log = Log::default();
    let mut writer = log.writer(name, options.clone());
    for piece in data.chunks(300_000) {
        writer.write_chunk(piece).await.unwrap();
    }
    assert_eq!(writer.bytes_written(), data.len() as u64);
    let receipt = writer.finish().await.unwrap();
    (log, receipt)
}

#[tokio::test]
async fn a_codec_compresses_whatever_the_name_and_says_so() {
    let data = text(700_000);
    for (codec, _) in CODECS {
        for name in NAMES {
            for expected in [None, Some(data.len() as u64)] {
                let mut options = WriterOptions::default().with_codec(codec);
                options.expected_size = expected;
                let (log, receipt) = store(name, &options, &data).await;
                assert!(decompress(codec, &log.bytes()) == data);
                let inner = log.options().unwrap();
                assert_eq!(inner.content_encoding.as_deref(), Some(codec.name()));
                assert_eq!(inner.expected_size, None);
                assert_eq!(receipt.compressed, Some(codec));
                assert_eq!(receipt.size_written, Some(700_000));
                assert!(receipt.size < 700_000);
            }
        }
    }
}

/// What undoes the encoding must give what was written, so a codec does not look at the bytes.
#[tokio::test]
async fn what_is_compressed_already_is_compressed_once_more() {
    for (codec, name) in CODECS {
        let (log, _) = store(name, &WriterOptions::default(), &text(9_000)).await;
        let once = log.bytes();
        let asked = WriterOptions::default().with_codec(codec);
        let (log, receipt) = store(name, &asked, &once).await;
        assert!(decompress(codec, &log.bytes()) == once);
        assert_eq!(receipt.compressed, Some(codec));
    }
}

#[tokio::test]
async fn a_name_says_by_itself_what_it_is() {
    for (codec, name) in CODECS {
        let data = text(9_000);
        let (log, receipt) = store(name, &WriterOptions::default(), &data).await;
        assert_eq!(log.options().unwrap().content_encoding, None);
        assert_eq!(receipt.compressed, Some(codec));
        assert_eq!(receipt.size_written, Some(data.len() as u64));

        let (_, receipt) = store(name, &WriterOptions::default(), &log.bytes()).await;
        assert_eq!((receipt.compressed, receipt.size_written), (None, None));
    }
}

#[tokio::test]
async fn bytes_that_are_said_to_be_encoded_pass_as_they_are() {
    let options = WriterOptions::default().with_content_encoding("br");
    for name in NAMES {
        let (log, receipt) = store(name, &options, b"not br, but who knows").await;
        assert_eq!(log.bytes(), b"not br, but who knows");
        assert_eq!(log.options(), Some(options.clone()));
        assert_eq!(receipt.compressed, None);
    }
}

#[tokio::test]
async fn every_level_comes_back_and_higher_ones_are_smaller() {
    let data = text(200_000);
    for (codec, name) in CODECS {
        let mut sizes = Vec::new();
        for level in codec.levels() {
            // Those above take half a GiB.
            if codec == Codec::Zstd && level > 12 {
                break;
            }
            let options = WriterOptions::default().with_compression_level(level);
            let log = Log::default();
            let budget = MemoryBudget::new(256 << 20).unwrap();
            let mut writer = log.writer_within(name, options, &budget);
            writer.write_chunk(&data).await.unwrap();
            writer.finish().await.unwrap();
            assert!(decompress(codec, &log.bytes()) == data, "{codec} {level}");
            assert_eq!(budget.used(), 0);
            sizes.push(log.bytes().len());
        }
        assert!(sizes.first() > sizes.last(), "{codec}: {sizes:?}");
    }
}

#[tokio::test]
async fn a_level_that_the_name_s_codec_does_not_have_is_refused() {
    let options = WriterOptions::default().with_compression_level(15);
    let open = |_| -> Result<Box<dyn ObjectWriter>> { panic!("opened") };
    let error = open_writer("a.gz", options, &budget(), open).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("0 to 9") && text.contains("a.gz"), "{text}");
}

#[tokio::test]
async fn a_level_that_takes_more_than_half_of_the_budget_is_refused() {
    let open = |_| -> Result<Box<dyn ObjectWriter>> { panic!("opened") };
    for (level, threads) in [(19, 0), (3, 8)] {
        let options = WriterOptions::default()
            .with_compression_level(level)
            .with_compression_threads(threads);
        let refused = open_writer("a.zst", options, &budget(), open);
        let error = refused.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let text = error.message();
        assert!(text.contains(&format!("zstd level {level}")), "{text}");
        assert!(text.contains("67108864"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_make_the_same_object_whatever_the_calls() {
    let data = text(5 << 20);
    let options = WriterOptions::default().with_compression_threads(2);
    for expected in [None, Some(data.len() as u64)] {
        let mut options = options.clone();
        options.expected_size = expected;
        let (log, receipt) = store("a.zst", &options, &data).await;
        assert!(decompress(Codec::Zstd, &log.bytes()) == data);
        assert_eq!(receipt.size_written, Some(data.len() as u64));
        assert!(receipt.size < data.len() as u64);

        let other = Log::default();
        let mut writer = other.writer("a.zst", options);
        let range = Segment::file(file_with(&data), 0..data.len() as u64);
        writer.write_owned(range).await.unwrap();
        writer.finish().await.unwrap();
        assert!(other.bytes() == log.bytes());
    }
    for size in [0, 3, 4, 1 << 20] {
        let (log, _) = store("a.zst", &options, &data[..size]).await;
        assert!(decompress(Codec::Zstd, &log.bytes()) == data[..size]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_threads_that_is_dropped_keeps_its_word() {
    let data = text(3 << 20);
    for waits in [0, 1, 2, 3, 5] {
        let log = Log::default();
        let options = WriterOptions::default().with_compression_threads(2);
        let mut writer = log.writer("a.zst", options);
        let owned = Segment::from(data.clone());
        let _done = dropped_after(waits, writer.write_owned(owned)).await;
        assert_eq!(writer.bytes_written(), data.len() as u64);
        writer.write_chunk(b"end").await.unwrap();
        writer.finish().await.unwrap();
        assert!(decompress(Codec::Zstd, &log.bytes()) == [&data[..], b"end"].concat());
    }
}

#[tokio::test]
async fn an_expected_checksum_is_for_bytes_that_are_not_compressed_here() {
    let options = |size: Option<u64>| {
        let mut options = WriterOptions::default();
        options.expected_size = size;
        options.with_expected_checksum(writer_core::Crc64Nvme(7))
    };
    for (_, name) in CODECS {
        let (log, _) = store(name, &WriterOptions::default(), &text(9_000)).await;
        let compressed = log.bytes();
        for (data, passes) in [(compressed, true), (text(9_000), false), (vec![], false)] {
            for size in [None, Some(data.len() as u64)] {
                let log = Log::default();
                let mut writer = log.writer(name, options(size));
                let written = writer.write_chunk(&data).await;
                assert_eq!(written.is_ok(), passes || data.is_empty());
                let finished = writer.finish().await;
                assert_eq!(finished.is_ok(), passes, "{finished:?}");
                if let Err(error) = finished {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    assert!(error.message().contains("expected_checksum"), "{error}");
                    assert!(!log.see(|seen| seen.finished));
                }
            }
        }
    }
}

/// Three writers, of which the budget holds two: the third waits for the first to end.
#[tokio::test(flavor = "multi_thread")]
async fn codecs_share_half_of_the_budget() {
    let budget = MemoryBudget::new(64 << 20).unwrap();
    let options = WriterOptions::default().with_compression_level(8);
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (budget, options) = (budget.clone(), options.clone());
            tokio::spawn(async move {
                let log = Log::default();
                let mut writer = log.writer_within("a.zst", options, &budget);
                for _ in 0..10 {
                    writer.write_chunk(&text(100_000)).await.unwrap();
                    tokio::task::yield_now().await;
                }
                writer.finish().await.unwrap();
                log.bytes().len()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    assert!(budget.peak() > 8 << 20, "{budget:?}");
    assert!(budget.peak() <= 32 << 20, "{budget:?}");
    assert_eq!(budget.used(), 0);
}

/// A task that feeds several could wait for itself for ever.
#[tokio::test]
async fn one_task_gets_as_many_codecs_as_it_feeds() {
    let budget = MemoryBudget::new(32 << 20).unwrap();
    let options = WriterOptions::default().with_compression_level(8);
    let log = Log::default();
    let mut writers: Vec<_> = (0..6)
        .map(|_| log.writer_within("a.zst", options.clone(), &budget))
        .collect();
    let start = std::time::Instant::now();
    for writer in &mut writers {
        writer.write_chunk(&text(10_000)).await.unwrap();
    }
    // Each that had to be found stuck would have taken a second.
    assert!(start.elapsed() < std::time::Duration::from_secs(3));
    assert!(budget.used() > budget.capacity());
    drop(writers);
    assert_eq!(budget.used(), 0);
}
