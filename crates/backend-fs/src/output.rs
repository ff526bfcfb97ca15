//! The object in the making: what has been written to the staging file so far.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crc_fast::{CrcAlgorithm, Digest};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use writer_core::{
    Crc64Nvme, Error, ErrorKind, EventKind, ObjectMetadata, Reporter, Result, Segment,
    WriterOptions,
};
use writer_tokio::{LeavingPart, MemoryBudget};

use crate::copy::{Copier, Copy, Snapshot};
use crate::directory::Directories;
use crate::error;
use crate::metadata::{Attributes, describe};
use crate::staging::Staging;

/// Most segments of one `pwritev`; see `IOV_MAX` in `limits.h`.
const IOV_MAX: usize = 1_024;

/// A staging file, and what is known of the bytes in it.
pub(crate) struct Output {
    staging: Staging,
    attributes: Attributes,
    options: WriterOptions,
    copier: Copier,
    digest: Option<Digest>,
    written: u64,
    reporter: Reporter,
}

impl Output {
    /// What will be the object in place of `staging`, with buffers of `budget`.
    pub(crate) fn new(
        staging: Staging,
        attributes: Attributes,
        budget: MemoryBudget,
        options: WriterOptions,
        reporter: Reporter,
    ) -> Self {
        let checksum = options.enable_checksums;
        Self {
            staging,
            attributes,
            options,
            copier: Copier::new(budget),
            digest: checksum.then(|| Digest::new(CrcAlgorithm::Crc64Nvme)),
            written: 0,
            reporter,
        }
    }

    /// The directory that the object will be in.
    pub(crate) fn directory(&self) -> &Path {
        self.staging.directory()
    }

    fn file(&self) -> &File {
        &self.staging.file
    }

    /// Makes sure that the disk has room for `len` bytes.
    ///
    /// # Errors
    ///
    /// If it has not.
    pub(crate) fn preallocate(&mut self, len: u64) -> Result<()> {
        loop {
            // The length stays as it is: a staging file never looks complete when it is not.
            match rustix::fs::fallocate(self.file(), FallocateFlags::KEEP_SIZE, 0, len) {
                Err(Errno::INTR) => {}
                Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                    let what = format!("the disk has no room for {len} bytes");
                    return Err(error::io(what, errno));
                }
                // It is only a precaution, and not every file system knows it.
                Ok(()) | Err(_) => return Ok(()),
            }
        }
    }

    /// Writes `part`, with a snapshot for each file range in it.
    ///
    /// # Errors
    ///
    /// What keeps it from being written or copied.
    pub(crate) fn write(
        &mut self,
        part: &LeavingPart,
        snapshots: &[Snapshot],
        stop: &AtomicBool,
    ) -> Result<()> {
        let mut snapshots = snapshots.iter();
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        for segment in part.part().segments() {
            match segment {
                Segment::Memory(bytes) => slices.push(IoSlice::new(bytes.as_ref())),
                Segment::File(range) => {
                    self.write_memory(&mut slices)?;
                    let Some(snapshot) = snapshots.next() else {
                        return Err(Error::new(
                            ErrorKind::Other,
                            "a file range without snapshot",
                        ));
                    };
                    let copy = Copy {
                        file: Arc::clone(range.file()),
                        snapshot: *snapshot,
                        from: range.offset(),
                        len: range.len(),
                        to: self.written,
                    };
                    self.copy(&copy, stop)?;
                }
            }
        }
        self.write_memory(&mut slices)?;
        let bytes = self.written;
        self.reporter.tell(EventKind::Written { bytes });
        Ok(())
    }

    /// Writes `slices` and empties them.
    fn write_memory(&mut self, slices: &mut Vec<IoSlice<'_>>) -> Result<()> {
        if let Some(digest) = &mut self.digest {
            slices.iter().for_each(|slice| digest.update(slice));
        }
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(IOV_MAX)];
            match rustix::io::pwritev(&self.staging.file, batch, self.written) {
                Ok(0) => {
                    let cause = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(error::io("can't write to the staging file", cause));
                }
                Ok(written) => {
                    self.written += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error::io("can't write to the staging file", errno)),
            }
        }
        slices.clear();
        Ok(())
    }

    /// Copies a range of another file.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::copy`].
    pub(crate) fn copy(&mut self, copy: &Copy, stop: &AtomicBool) -> Result<()> {
        let (file, before) = (&self.staging.file, self.written);
        let progress = |copied: u64| {
            let bytes = before + copied;
            self.reporter.tell(EventKind::Written { bytes });
        };
        let digest = self.digest.as_mut();
        self.copier.copy(copy, file, digest, stop, progress)?;
        self.written += copy.len;
        Ok(())
    }

    /// Makes what was written durable, and puts it in its place; see [`Staging::publish`].
    ///
    /// # Errors
    ///
    /// Those of [`Staging::publish`]; `ChecksumMismatch` if another checksum was expected.
    pub(crate) fn put_in_place(
        self,
        uri: &str,
        directories: &Directories,
    ) -> Result<ObjectMetadata> {
        let checksum = self
            .digest
            .as_ref()
            .map(|digest| Crc64Nvme(digest.finalize()));
        self.options.check_whole(checksum)?;
        // A hole at the end was skipped and not written.
        let end = self
            .file()
            .metadata()
            .map_err(|source| error::io("can't look at the staging file", source))?
            .len();
        if end < self.written {
            self.file()
                .set_len(self.written)
                .map_err(|source| error::io("can't set the staging file's length", source))?;
        }
        let metadata = self.staging.publish(directories, &self.reporter)?;
        let mut receipt = describe(uri, &metadata);
        self.attributes.tell(&mut receipt);
        receipt.checksum = checksum;
        receipt.condition = self.staging.condition();
        Ok(receipt)
    }
}
