//! Sizes that were said, first errors, and calls that are dropped.

use super::*;

#[tokio::test]
async fn more_than_expected_fails_the_write_and_less_fails_finish() {
    for (_, name) in CODECS {
        for first in [2, 10] {
            let options = WriterOptions::default().with_expected_size(10);
            let log = Log::default();
            let mut writer = log.writer(name, options.clone());
            writer.write_chunk(&text(first)).await.unwrap();
            let more = Segment::from(text(9));
            let error = writer.write_owned(more).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(writer.bytes_written(), first as u64);
            let error = writer.finish().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!log.see(|seen| seen.finished));
            assert!(log.see(|seen| seen.cancelled));
        }
        for first in [0, 2, 9] {
            let log = Log::default();
            let mut writer = log.writer(name, WriterOptions::default().with_expected_size(10));
            writer.write_chunk(&text(first)).await.unwrap();
            let error = writer.finish().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(text.contains("10") && text.contains(&first.to_string()));
            assert!(!log.see(|seen| seen.finished));
        }
    }
}

#[tokio::test]
async fn the_first_error_stays() {
    let log = Log::default();
    log.see(|seen| seen.most = Some(200_000));
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let data = random(1 << 20, 5);
    let error = writer.write_chunk(&data).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let error = writer.reserve(1).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let error = writer.write_owned("abc".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(log.see(|seen| seen.cancelled));
}

#[tokio::test]
async fn cancel_reaches_the_inner_writer() {
    for first in [0, 2, 1000] {
        let log = Log::default();
        let mut writer = log.writer("a.gz", WriterOptions::default());
        writer.write_chunk(&text(first)).await.unwrap();
        writer.cancel().await.unwrap();
        assert!(log.see(|seen| seen.cancelled && !seen.finished));
    }
}

#[tokio::test]
async fn a_write_owned_that_is_dropped_has_written_its_segment() {
    for (codec, name) in CODECS {
        for expected in [false, true] {
            let data = text(500_000);
            let size = data.len() as u64;
            for waits in [0, 1, 2, 4] {
                let log = Log::default();
                let mut options = WriterOptions::default();
                options.expected_size = expected.then_some(2 * size);
                let mut writer = log.writer(name, options);
                let owned = Segment::from(data.clone());
                let done = dropped_after(waits, writer.write_owned(owned)).await;
                assert!(!done, "it waits more often than that");
                assert_eq!(writer.bytes_written(), size);
                let range = Segment::file(file_with(&data), 0..size);
                let _dropped = dropped_after(waits, writer.write_owned(range)).await;
                writer.finish().await.unwrap();
                assert!(decompress(codec, &log.bytes()) == [&data[..], &data[..]].concat());
            }
        }
    }
}

#[tokio::test]
async fn a_write_chunk_that_is_dropped_half_way_latches() {
    for (_, name) in CODECS {
        let log = Log::default();
        let mut writer = log.writer(name, WriterOptions::default());
        let data = text(2 << 20);
        assert!(!dropped_after(5, writer.write_chunk(&data)).await);
        let taken = writer.bytes_written();
        assert!(0 < taken && taken < data.len() as u64);
        let error = writer.write_owned("abc".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        assert!(log.see(|seen| seen.cancelled && !seen.finished));
    }
}

#[tokio::test]
async fn a_write_chunk_that_is_dropped_before_it_took_anything_does_no_harm() {
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let data = text(2 << 20);
    let owned = Segment::from(data.clone());
    assert!(!dropped_after(2, writer.write_owned(owned)).await);
    // It has the rest of the segment to work off first.
    assert!(!dropped_after(2, writer.write_chunk(b"lost")).await);
    writer.write_chunk(b"kept").await.unwrap();
    writer.finish().await.unwrap();
    assert!(decompress(Codec::Zstd, &log.bytes()) == [&data[..], b"kept"].concat());
}

#[tokio::test]
async fn a_file_that_is_too_short_or_changes_is_noticed() {
    let data = text(1 << 20);
    let size = data.len() as u64;
    // Shorter than its range from the beginning.
    let log = Log::default();
    let mut writer = log.writer("a.gz", WriterOptions::default());
    let range = Segment::file(file_with(&data), 0..size + 1);
    let error = writer.write_owned(range).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);

    // Cut while it is read.
    let log = Log::default();
    let mut writer = log.writer("a.gz", WriterOptions::default());
    let file = file_with(&data);
    let range = Segment::file(Arc::clone(&file), 0..size);
    assert!(!dropped_after(3, writer.write_owned(range)).await);
    file.set_len(1_000).unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert!(!log.see(|seen| seen.finished));

    // Grown after it was read.
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let file = file_with(&data);
    let range = Segment::file(Arc::clone(&file), 0..size);
    writer.write_owned(range).await.unwrap();
    file.set_len(size + 1).unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceChanged);
    assert!(log.see(|seen| seen.cancelled));
}
