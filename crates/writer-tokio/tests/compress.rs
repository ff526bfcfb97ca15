//! Compression by name: what is stored, what is passed on, and what a dropped call leaves.

#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use writer_core::{
    Error, ErrorKind, ObjectMetadata, ObjectWriter, Page, PartLimits, PartPlan, Result, Segment,
    WriterOptions,
};
use writer_tokio::{
    Account, Codec, Intake, LeavingPart, MemoryBudget, OpenPart, PartSink, open_writer,
};

const CODECS: [(Codec, &str); 2] = [(Codec::Zstd, "a.zst"), (Codec::Gzip, "a.gz")];

/// What the inner writers of one test saw.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    opened: Vec<WriterOptions>,
    bytes: Vec<u8>,
    /// Bytes that came by `write_chunk`.
    copied: u64,
    /// Lengths of file ranges.
    ranges: Vec<u64>,
    finished: bool,
    cancelled: bool,
    /// Fails the write that goes beyond this many bytes.
    most: Option<usize>,
}

impl Log {
    fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        self.see(|seen| seen.bytes.clone())
    }

    fn options(&self) -> Option<WriterOptions> {
        self.see(|seen| seen.opened.last().cloned())
    }

    fn writer(&self, name: &str, options: WriterOptions) -> Box<dyn ObjectWriter> {
        let log = self.clone();
        open_writer(name, options, move |options| {
            log.see(|seen| seen.opened.push(options));
            let account = MemoryBudget::new(1 << 20)?.open_account();
            Ok(Box::new(InMemory { log, account }))
        })
        .unwrap()
    }
}

/// The writer behind: keeps everything, and waits once in every call, after it has taken what it
/// was given.
struct InMemory {
    log: Log,
    account: Account,
}

#[async_trait]
impl ObjectWriter for InMemory {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.log.see(|seen| {
            seen.copied += chunk.len() as u64;
            seen.bytes.extend(chunk);
        });
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        assert!(!segment.is_empty());
        self.log.see(|seen| {
            match &segment {
                Segment::Memory(bytes) => seen.bytes.extend(bytes.as_ref()),
                Segment::File(range) => {
                    use std::os::unix::fs::FileExt;
                    let mut bytes = vec![0; range.len() as usize];
                    range.file().read_exact_at(&mut bytes, range.offset())?;
                    seen.bytes.extend(bytes);
                    seen.ranges.push(range.len());
                }
            }
            match seen.most {
                Some(most) if seen.bytes.len() > most => Err(full()),
                _ => Ok(()),
            }
        })?;
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.account.page(at_least, OPEN).await
    }

    fn bytes_written(&self) -> u64 {
        self.log.see(|seen| seen.bytes.len() as u64)
    }

    async fn finish(self: Box<Self>) -> Result<ObjectMetadata> {
        self.log.see(|seen| seen.finished = true);
        Ok(ObjectMetadata::new("memory:", self.bytes_written()))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.log.see(|seen| seen.cancelled = true);
        Ok(())
    }
}

const OPEN: OpenPart = OpenPart { len: 0, target: 1 };

fn full() -> Error {
    Error::new(ErrorKind::StorageFull, "the memory is full")
}

fn decompress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Zstd => zstd::decode_all(bytes).unwrap(),
        _ => {
            let mut plain = Vec::new();
            // `bufread` tells what follows the member: nothing may.
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            decoder.read_to_end(&mut plain).unwrap();
            assert!(decoder.into_inner().is_empty());
            plain
        }
    }
}

/// What the format's own program makes of `bytes`; `None` if this machine does not have it.
fn decompress_by_program(codec: Codec, bytes: &[u8]) -> Option<Vec<u8>> {
    let program = if codec == Codec::Zstd { "zstd" } else { "gzip" };
    let child = Command::new(program)
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
            {
                eprintln!("skipped: cannot run {program}: {error}");
            }
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// Lines with some repetition, as logs have.
fn text(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 64);
    for (line, noise) in random(len / 24 + 1, 7).into_iter().enumerate() {
        writeln!(text, "{line} GET /item/{} {noise}", u32::from(noise) * 977).unwrap();
    }
    text.truncate(len);
    text
}

fn file_with(bytes: &[u8]) -> Arc<File> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("writer-tokio-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let open = options.read(true).write(true).create_new(true).open(&path);
    let mut file = open.unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

/// Runs `call` until it has waited `waits` times, then drops it; true if it was done before.
async fn dropped_after(waits: usize, call: impl Future<Output = Result<()>>) -> bool {
    let patience = async {
        for _ in 0..waits {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        result = call => { result.unwrap(); true }
        () = patience => false,
    }
}

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
        let error = open_writer(name, options, open).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn what_open_refuses_is_known_at_once_or_at_the_first_write() {
    let refuse = |_| Err(full());
    let error = open_writer("a.gz", WriterOptions::default(), refuse).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::StorageFull);

    let sized = WriterOptions::default().with_expected_size(9);
    let mut writer = open_writer("a.gz", sized.clone(), refuse).unwrap();
    for _ in 0..2 {
        let error = writer.write_chunk(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);

    let writer = open_writer("a.gz", sized, refuse).unwrap();
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

/// An inner writer with a real intake, whose storage is as fast as can be.
struct Discarding {
    intake: Intake,
    sink: Discard,
}

#[derive(Default)]
struct Discard {
    stored: u64,
}

impl PartSink for Discard {
    fn accept(&mut self, part: LeavingPart) {
        self.stored += part.part().len();
    }

    fn failure(&self) -> Option<Error> {
        None
    }

    fn failed(&self) -> impl Future<Output = Error> + Send {
        std::future::pending()
    }

    fn fail(&mut self, _error: &Error) {}
}

impl Discarding {
    fn open(budget: &MemoryBudget, options: &WriterOptions) -> Result<Box<dyn ObjectWriter>> {
        let plan = PartPlan::new(options, PartLimits::NONE, budget.capacity())?;
        let intake = Intake::new(plan, budget, 0);
        let sink = Discard::default();
        Ok(Box::new(Self { intake, sink }))
    }
}

#[async_trait]
impl ObjectWriter for Discarding {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.intake.write_chunk(&mut self.sink, chunk).await
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.intake.write_owned(&mut self.sink, segment).await
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.intake.reserve(&mut self.sink, at_least).await
    }

    fn bytes_written(&self) -> u64 {
        self.intake.bytes_written()
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMetadata> {
        self.intake.finish(&mut self.sink)?;
        Ok(ObjectMetadata::new("nowhere:", self.sink.stored))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn discarding(name: &str, budget: &MemoryBudget) -> Box<dyn ObjectWriter> {
    let options = WriterOptions::default().with_part_size(256 << 10);
    let budget = budget.clone();
    open_writer(name, options, move |options| {
        Discarding::open(&budget, &options)
    })
    .unwrap()
}

#[tokio::test]
async fn sixty_four_mebibytes_go_through_one() {
    for (codec, name) in CODECS {
        // gzip without optimisation takes its time.
        let size = if codec == Codec::Zstd {
            64 << 20
        } else {
            8 << 20
        };
        for data in [text(size / 8), random(size / 8, 17)] {
            let budget = MemoryBudget::new(1 << 20).unwrap();
            let mut writer = discarding(name, &budget);
            for round in 0..8 {
                if round % 2 == 0 {
                    writer.write_chunk(&data).await.unwrap();
                    continue;
                }
                for bytes in data.chunks(100_000) {
                    let mut page = writer.reserve(bytes.len()).await.unwrap();
                    page.spare_mut()[..bytes.len()].copy_from_slice(bytes);
                    writer.write_owned(page.split(bytes.len())).await.unwrap();
                }
            }
            assert_eq!(writer.bytes_written(), size as u64);
            let receipt = writer.finish().await.unwrap();
            assert!(receipt.size > 0);
            assert!(budget.peak() <= budget.capacity(), "{codec:?}: {budget:?}");
            assert_eq!(budget.used(), 0);
        }
    }
}

#[tokio::test]
async fn one_task_can_feed_more_writers_than_the_budget_has_pages() {
    let budget = MemoryBudget::new(1 << 20).unwrap();
    let mut writers: Vec<_> = (0..12).map(|_| discarding("a.zst", &budget)).collect();
    let data = random(600_000, 19);
    for bytes in data.chunks(100_000) {
        for writer in &mut writers {
            writer.write_chunk(bytes).await.unwrap();
        }
    }
    for writer in writers {
        assert!(writer.finish().await.unwrap().size > 600_000);
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn other_tasks_have_their_turn_while_one_compresses() {
    let log = Log::default();
    let mut writer = log.writer("a.zst", WriterOptions::default());
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    writer.write_chunk(&text(4 << 20)).await.unwrap();
    other.abort();
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    assert!(turns >= 30, "{turns} turns in 32 slices");
}
