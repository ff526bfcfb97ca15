//! Any calls in any order.

use super::*;

/// One call of a producer, on the next so many bytes.
#[derive(Clone, Debug)]
enum Step {
    Chunk(usize),
    Owned(usize),
    Range(usize),
    Lent(usize),
    Dropped(usize, usize),
    ByteByByte(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..200_000usize).prop_map(Step::Chunk),
        (0..200_000usize).prop_map(Step::Owned),
        (0..300_000usize).prop_map(Step::Range),
        (1..200_000usize).prop_map(Step::Lent),
        (0..300_000usize, 0..4usize).prop_map(|(len, waits)| Step::Dropped(len, waits)),
        (0..500usize).prop_map(Step::ByteByByte),
    ]
}

async fn take_steps(writer: &mut dyn ObjectWriter, steps: &[Step], data: &[u8]) -> usize {
    let file = file_with(data);
    let mut at = 0;
    for step in steps {
        let next = |len: usize| at..(at + len).min(data.len());
        let range = match *step {
            Step::Chunk(len) => {
                writer.write_chunk(&data[next(len)]).await.unwrap();
                next(len)
            }
            Step::Owned(len) => {
                let owned = Segment::from(data[next(len)].to_vec());
                writer.write_owned(owned).await.unwrap();
                next(len)
            }
            Step::Range(len) => {
                let range = next(len).start as u64..next(len).end as u64;
                let range = Segment::file(Arc::clone(&file), range);
                writer.write_owned(range).await.unwrap();
                next(len)
            }
            Step::Lent(len) => {
                let bytes = &data[next(len)];
                let mut page = writer.reserve(len).await.unwrap();
                page.spare_mut()[..bytes.len()].copy_from_slice(bytes);
                let head = page.split(bytes.len() / 2);
                writer.write_owned(head).await.unwrap();
                let tail = page.split(bytes.len() - bytes.len() / 2);
                writer.write_owned(tail).await.unwrap();
                next(len)
            }
            Step::Dropped(len, waits) => {
                let owned = Segment::from(data[next(len)].to_vec());
                let _done = dropped_after(waits, writer.write_owned(owned)).await;
                next(len)
            }
            Step::ByteByByte(len) => {
                for byte in &data[next(len)] {
                    writer.write_chunk(&[*byte]).await.unwrap();
                }
                next(len)
            }
        };
        at = range.end;
        assert_eq!(writer.bytes_written(), at as u64);
    }
    at
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_calls_store_the_same_object(
        steps in prop::collection::vec(step(), 0..8),
        compressible: bool,
        zstd: bool,
        expected: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (codec, name) = CODECS[usize::from(!zstd)];
        let data = if compressible { text(1 << 20) } else { random(1 << 20, 11) };
        runtime.block_on(async {
            let total = |step: &Step| match *step {
                Step::Chunk(len) | Step::Owned(len) | Step::Range(len) => len,
                Step::Lent(len) | Step::Dropped(len, _) | Step::ByteByByte(len) => len,
            };
            let size = steps.iter().map(total).sum::<usize>().min(data.len());
            let mut options = WriterOptions::default();
            options.expected_size = expected.then_some(size as u64);

            let log = Log::default();
            let mut writer = log.writer(name, options.clone());
            assert_eq!(take_steps(&mut *writer, &steps, &data).await, size);
            writer.finish().await.unwrap();
            assert!(decompress(codec, &log.bytes()) == data[..size]);

            // The window of gzip's encoder slides at places that depend on the calls.
            if codec == Codec::Zstd {
                let whole = Log::default();
                let mut writer = whole.writer(name, options);
                writer.write_chunk(&data[..size]).await.unwrap();
                writer.finish().await.unwrap();
                assert!(whole.bytes() == log.bytes());
            }
        });
    }

    #[test]
    fn what_is_compressed_passes_through_any_calls(
        steps in prop::collection::vec(step(), 0..8),
        zstd: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (magic, name) = if zstd {
            (&b"\x28\xB5\x2F\xFD"[..], "a.zst")
        } else {
            (&b"\x1F\x8B\x08"[..], "a.gz")
        };
        let data = [magic, &random(1 << 20, 13)].concat();
        runtime.block_on(async {
            let log = Log::default();
            let mut writer = log.writer(name, WriterOptions::default());
            let taken = take_steps(&mut *writer, &steps, &data).await;
            writer.finish().await.unwrap();
            if taken >= magic.len() {
                assert!(log.bytes() == data[..taken]);
            }
        });
    }
}
