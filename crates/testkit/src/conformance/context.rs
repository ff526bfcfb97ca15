//! What every check needs: the subject, random bytes, and comparisons that say what differs.

use std::fmt::{Debug, Display};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crc_fast::CrcAlgorithm;
use writer_core::{
    ByteRange, Crc64Nvme, Error, ErrorKind, ObjectMetadata, ObjectStore, ObjectWriter, Segment,
    WriterOptions,
};

use super::feed::Feeder;
use super::subject::{Profile, Subject};

/// What a check returns.
pub(crate) type Checked<T = ()> = Result<T, Stop>;

/// Why a check ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Skip(String),
    Fail(String),
}

impl Stop {
    /// Says in which case it happened.
    pub(crate) fn within(self, case: impl Display) -> Self {
        match self {
            Self::Skip(reason) => Self::Skip(format!("{case}: {reason}")),
            Self::Fail(reason) => Self::Fail(format!("{case}: {reason}")),
        }
    }
}

macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::conformance::context::Stop::Fail(format!($($text)*))) };
}

macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => { if !$holds { $crate::conformance::context::fail!($($text)*) } };
}

macro_rules! skip {
    ($($text:tt)*) => { return Err($crate::conformance::context::Stop::Skip(format!($($text)*))) };
}

pub(crate) use {ensure, fail, skip};

/// Turns an error that the contract has no room for into a failure that names the step.
pub(crate) trait During<T> {
    fn during(self, step: impl Display) -> Checked<T>;
}

impl<T, E: Debug> During<T> for Result<T, E> {
    fn during(self, step: impl Display) -> Checked<T> {
        self.map_err(|error| Stop::Fail(format!("{step}: {error:?}")))
    }
}

/// The surroundings of one check.
pub(crate) struct Context<'a> {
    subject: &'a Subject,
    check: &'static str,
    seed: u64,
    rng: Mutex<fastrand::Rng>,
    made: Mutex<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(subject: &'a Subject, check: &'static str) -> Self {
        let seed = subject.seed.unwrap_or_else(|| fastrand::u64(..));
        Self {
            subject,
            check,
            seed,
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            made: Mutex::default(),
        }
    }

    pub(crate) fn subject(&self) -> &'a Subject {
        self.subject
    }

    pub(crate) fn store(&self) -> &'a Arc<dyn ObjectStore> {
        &self.subject.store
    }

    pub(crate) fn profile(&self) -> Profile {
        self.subject.profile
    }

    pub(crate) fn part_size(&self) -> usize {
        usize::try_from(self.subject.part_size).unwrap_or(usize::MAX)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A random number below `end`, which is not 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.rng().usize(..end)
    }

    /// Random bytes.
    pub(crate) fn bytes(&self, len: usize) -> Arc<[u8]> {
        let mut bytes = vec![0; len];
        self.rng().fill(&mut bytes);
        bytes.into()
    }

    /// The URI that begins with the prefix of this check; no object is there yet.
    pub(crate) fn prefix(&self) -> String {
        format!("{}{}/", self.subject.prefix, self.check)
    }

    /// The URI of an object of this check.
    pub(crate) fn uri(&self, name: impl Display) -> String {
        let uri = format!("{}{name}", self.prefix());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(uri.clone());
        uri
    }

    /// The options that a check starts from. Compression is off: names are only names here.
    pub(crate) fn options(&self) -> WriterOptions {
        WriterOptions::default()
            .with_part_size(self.subject.part_size)
            .with_compression(false)
    }

    /// A writer of the check's options.
    pub(crate) async fn writer(&self, uri: &str) -> Checked<Box<dyn ObjectWriter>> {
        let made = self.store().create_writer(uri, Some(self.options()));
        made.await.during("create_writer")
    }

    /// A writer whose count of bytes is checked at every step.
    pub(crate) async fn feeder(&self, uri: &str, options: WriterOptions) -> Checked<Feeder> {
        let made = self.store().create_writer(uri, Some(options)).await;
        Ok(Feeder::new(made.during("create_writer")?))
    }

    /// Writes an object that the check starts from.
    pub(crate) async fn make(&self, uri: &str, data: &[u8]) -> Checked<ObjectMetadata> {
        let mut writer = self.writer(uri).await?;
        writer.write_chunk(data).await.during("write_chunk")?;
        writer.finish().await.during("finish")
    }

    /// A file of these bytes, which has no name and goes with its last handle.
    pub(crate) fn file(&self, data: &[u8]) -> Checked<Arc<File>> {
        let mut file = tempfile::tempfile().during("a temporary file of the suite")?;
        file.write_all(data)
            .during("a temporary file of the suite")?;
        Ok(Arc::new(file))
    }

    /// Reads a range to its end.
    pub(crate) async fn read(&self, uri: &str, range: ByteRange) -> Checked<Vec<u8>> {
        let mut reader = self.store().get(uri, range).await.during("get")?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next_chunk().await.during("next_chunk")? {
            match chunk {
                Segment::Memory(chunk) if !chunk.as_ref().is_empty() => {
                    bytes.extend_from_slice(chunk.as_ref());
                }
                Segment::Memory(_) => fail!("{uri}: next_chunk gave an empty segment"),
                Segment::File(_) => fail!("{uri}: next_chunk gave a file range"),
            }
        }
        Ok(bytes)
    }

    /// The object is there, and is `data`, by `get` and by `stat`.
    pub(crate) async fn expect_object(&self, uri: &str, data: &[u8]) -> Checked<ObjectMetadata> {
        let found = self.read(uri, ByteRange::Full).await?;
        same(uri, &found, data)?;
        let stat = self.store().stat(uri).await.during("stat")?;
        expect_metadata("stat", &stat, uri, data)?;
        Ok(stat)
    }

    /// The object is there, is `data`, and `receipt` says the same of it as `stat`.
    pub(crate) async fn expect_receipt(
        &self,
        receipt: &ObjectMetadata,
        uri: &str,
        data: &[u8],
    ) -> Checked {
        expect_metadata("the receipt", receipt, uri, data)?;
        ensure!(
            receipt.checksum.is_some() || !self.profile().checksum,
            "the receipt of {uri} has no checksum"
        );
        let stat = self.expect_object(uri, data).await?;
        ensure!(
            receipt.e_tag.is_none() || stat.e_tag.is_none() || receipt.e_tag == stat.e_tag,
            "{uri}: the receipt has the ETag {:?}, stat {:?}",
            receipt.e_tag,
            stat.e_tag
        );
        Ok(())
    }

    /// The object is `old`, or not there where there was no old one.
    pub(crate) async fn expect_old(&self, uri: &str, old: Option<&[u8]>) -> Checked {
        match old {
            Some(old) => self.expect_object(uri, old).await.map(drop),
            None => self.expect_missing(uri).await,
        }
        .map_err(|stop| stop.within("the object from before"))
    }

    /// There is no object, neither by `stat` nor by `get`.
    pub(crate) async fn expect_missing(&self, uri: &str) -> Checked {
        let stat = self.store().stat(uri).await;
        expect_kind(stat, ErrorKind::NotFound, format!("stat of missing {uri}"))?;
        let got = self.store().get(uri, ByteRange::Full).await.map(drop);
        expect_kind(got, ErrorKind::NotFound, format!("get of missing {uri}"))
    }

    /// No unfinished write left anything; passes where nobody can look.
    pub(crate) async fn expect_no_leftovers(&self, when: impl Display) -> Checked {
        let Some(look) = &self.subject.leftovers else {
            return Ok(());
        };
        let left = look().await;
        ensure!(left.is_empty(), "left over {when}: {left:?}");
        Ok(())
    }

    /// Waits for the clean-up of dropped writers.
    pub(crate) async fn close(&self) -> Checked {
        self.store().close().await.during("close")
    }

    /// Removes every object of the check, as far as that works.
    pub(crate) async fn remove_objects(&self) {
        let made = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *made)
        };
        for uri in made {
            let _outcome = self.store().delete(&uri).await;
        }
    }

    fn rng(&self) -> std::sync::MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CRC-64/NVME, computed apart from the backend.
pub(crate) fn crc(data: &[u8]) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, data))
}

/// Two runs of bytes are equal; says where they are not.
pub(crate) fn same(what: &str, found: &[u8], expected: &[u8]) -> Checked {
    if found == expected {
        return Ok(());
    }
    let common = found.iter().zip(expected).take_while(|(a, b)| a == b);
    fail!(
        "{what}: {} bytes instead of {}, equal up to offset {}",
        found.len(),
        expected.len(),
        common.count()
    );
}

/// What `said` says of the object is true.
fn expect_metadata(said: &str, metadata: &ObjectMetadata, uri: &str, data: &[u8]) -> Checked {
    let ObjectMetadata {
        uri: found, size, ..
    } = metadata;
    ensure!(found == uri, "{said} of {uri} names {found}");
    ensure!(
        *size == data.len() as u64,
        "{said} of {uri} has the size {size} instead of {}",
        data.len()
    );
    let expected = crc(data);
    ensure!(
        metadata.checksum.is_none_or(|found| found == expected),
        "{said} of {uri} has the checksum {:?} instead of {expected:?}",
        metadata.checksum
    );
    Ok(())
}

/// The call failed, with this kind of error.
pub(crate) fn expect_kind<T>(
    result: Result<T, Error>,
    kind: ErrorKind,
    call: impl Display,
) -> Checked {
    match result {
        Ok(_) => fail!("{call} succeeded; expected an error of kind {kind:?}"),
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => fail!("{call} failed with {error:?}; expected kind {kind:?}"),
    }
}

/// When a call is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Drops {
    /// At this await, from 1: after so many polls.
    AtPoll(u32),
    After(Duration),
}

impl Drops {
    /// Runs `future` until it is dropped here; its output, if it came before that.
    pub(crate) async fn run<F: Future + ?Sized>(
        self,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        match self {
            Self::AtPoll(at) => {
                let mut polls = 0;
                poll_fn(|task| {
                    polls += 1;
                    match future.as_mut().poll(task) {
                        Poll::Ready(output) => Poll::Ready(Some(output)),
                        Poll::Pending if polls >= at => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            }
            Self::After(time) => tokio::time::timeout(time, future).await.ok(),
        }
    }
}

/// Polls `future` one time; its output, if that was enough.
pub(crate) async fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    Drops::AtPoll(1).run(future).await
}
