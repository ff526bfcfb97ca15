//! Compression by name: what is stored, what is passed on, and what a dropped call leaves.

#![cfg(feature = "compression")]
#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod asked;
mod calls;
mod room;
mod steps;
mod stored;

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
        self.writer_within(name, options, &budget())
    }

    /// A writer whose codec takes its memory from `budget`.
    fn writer_within(
        &self,
        name: &str,
        options: WriterOptions,
        budget: &MemoryBudget,
    ) -> Box<dyn ObjectWriter> {
        let log = self.clone();
        open_writer(name, options, budget, move |options| {
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

fn budget() -> MemoryBudget {
    MemoryBudget::new(64 << 20).unwrap()
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
