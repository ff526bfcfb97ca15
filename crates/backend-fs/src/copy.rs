//! Ranges of other files: copied by the kernel where it can, and checked to have stayed the same.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crc_fast::Digest;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use writer_core::{Error, ErrorKind, Page, Result};
use writer_tokio::{MemoryBudget, OpenPart, PAGE_SIZE};

use crate::config::COPY_STEP;
use crate::error;

/// Size in bytes of the buffer where the budget has no page to lend.
const SMALL_BUFFER: usize = 64 << 10;

/// A file that is copied, as it was when its first segment was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    size: u64,
    modified: (i64, i64),
    /// It has holes.
    sparse: bool,
}

impl Snapshot {
    /// # Errors
    ///
    /// If the kernel can't tell.
    pub(crate) fn of(file: &File) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|source| error::io("can't look at the file that is copied", source))?;
        Ok(Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            // stat(2): blocks of 512 bytes, whatever the file system's are.
            sparse: metadata.blocks().saturating_mul(512) < metadata.size(),
        })
    }

    fn check(&self, file: &File) -> Result<()> {
        let now = Self::of(file)?;
        if now.size != self.size {
            return Err(source_changed(format!(
                "the file that is copied had {} bytes when it was handed over, and now has {}",
                self.size, now.size
            )));
        }
        if now.modified != self.modified {
            return Err(source_changed(
                "the file that is copied was modified after it was handed over",
            ));
        }
        Ok(())
    }
}

/// A range of a file, and where in the object it goes.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) file: Arc<File>,
    pub(crate) snapshot: Snapshot,
    pub(crate) from: u64,
    pub(crate) len: u64,
    pub(crate) to: u64,
}

impl Copy {
    /// Grows by `next` if that is its continuation; gives it back otherwise.
    pub(crate) fn try_join(&mut self, next: Self) -> Option<Self> {
        let continues = Arc::ptr_eq(&self.file, &next.file)
            && self.from + self.len == next.from
            && self.to + self.len == next.to;
        if !continues {
            return Some(next);
        }
        self.len += next.len;
        None
    }
}

/// Copies ranges into one staging file.
#[derive(Debug)]
pub(crate) struct Copier {
    budget: MemoryBudget,
    /// False once the kernel has said that it can't copy between these files.
    in_kernel: bool,
}

impl Copier {
    /// A copier that borrows its buffer from `budget`.
    pub(crate) fn new(budget: MemoryBudget) -> Self {
        Self {
            budget,
            in_kernel: true,
        }
    }

    /// Copies all of `range` into `out`, but leaves its holes out, and adds it to `digest`. Says in
    /// between how many bytes of it are there.
    ///
    /// # Errors
    ///
    /// `SourceChanged` if the source is not what it was; `Closed` if `stop` is set under way.
    pub(crate) fn copy(
        &mut self,
        range: &Copy,
        out: &File,
        mut digest: Option<&mut Digest>,
        stop: &AtomicBool,
        progress: impl Fn(u64),
    ) -> Result<()> {
        let mut step = Step {
            source: &range.file,
            out,
            buffer: Buffer::new(&self.budget),
            in_kernel: &mut self.in_kernel,
        };
        let holes = if range.snapshot.sparse {
            Holes::open(&range.file)
        } else {
            None
        };
        let end = range.from + range.len;
        let mut from = range.from;
        while from < end {
            if stop.load(Ordering::Relaxed) {
                return Err(error::abandoned());
            }
            let (is_hole, until) = match &holes {
                Some(holes) if from < range.snapshot.size => {
                    holes.at(from, end.min(range.snapshot.size))
                }
                // Past the end of the file there is no hole: a read finds out.
                _ => (false, end),
            };
            let len = (until - from).min(COPY_STEP);
            let to = range.to + (from - range.from);
            if is_hole {
                if let Some(digest) = digest.as_deref_mut() {
                    add_zeros(digest, len);
                }
            } else {
                step.copy(from, to, len, digest.as_deref_mut())?;
            }
            from += len;
            progress(from - range.from);
        }
        range.snapshot.check(&range.file)
    }
}

/// One step of a copy, and what it works with.
struct Step<'a> {
    source: &'a File,
    out: &'a File,
    buffer: Buffer,
    in_kernel: &'a mut bool,
}

impl Step<'_> {
    fn copy(
        &mut self,
        mut from: u64,
        mut to: u64,
        len: u64,
        mut digest: Option<&mut Digest>,
    ) -> Result<()> {
        let end = from + len;
        while from < end {
            let copied = if *self.in_kernel {
                self.copy_in_kernel(from, to, end - from, digest.as_deref_mut())?
            } else {
                0
            };
            let copied = match copied {
                0 => self.copy_by_hand(from, to, end - from, digest.as_deref_mut())?,
                copied => copied,
            };
            from += copied;
            to += copied;
        }
        Ok(())
    }

    /// Has the kernel copy up to `len` bytes (which may just share their blocks), and reads what
    /// was stored for the digest, while it still is in the cache. 0 if the kernel can't.
    fn copy_in_kernel(
        &mut self,
        from: u64,
        to: u64,
        len: u64,
        digest: Option<&mut Digest>,
    ) -> Result<u64> {
        let (mut source_offset, mut out_offset) = (from, to);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let result = rustix::fs::copy_file_range(
            self.source,
            Some(&mut source_offset),
            self.out,
            Some(&mut out_offset),
            len,
        );
        let copied = match result {
            Ok(copied) => copied as u64,
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => {
                return Err(error::io("can't copy to the staging file", errno));
            }
            Err(Errno::INTR | Errno::AGAIN) => return Ok(0),
            Err(error) => {
                // Other file systems (EXDEV), one that can't (EOPNOTSUPP), a kernel that won't
                // (ENOSYS), a source that is no regular file (EINVAL) …
                tracing::debug!(%error, "no copy_file_range here: reading and writing instead");
                *self.in_kernel = false;
                return Ok(0);
            }
        };
        if let Some(digest) = digest {
            self.add_stored(digest, to, copied)?;
        }
        Ok(copied)
    }

    fn add_stored(&mut self, digest: &mut Digest, mut at: u64, len: u64) -> Result<()> {
        let end = at + len;
        while at < end {
            let buffer = self.buffer.up_to(end - at);
            let read = self.out.read_at(buffer, at);
            match read {
                Ok(0) => {
                    let cause = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(error::io("the staging file was truncated", cause));
                }
                Ok(read) => {
                    digest.update(&buffer[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(error::io("can't read the staging file back", source));
                }
            }
        }
        Ok(())
    }

    /// Reads up to `len` bytes, and writes what was read.
    fn copy_by_hand(
        &mut self,
        from: u64,
        to: u64,
        len: u64,
        digest: Option<&mut Digest>,
    ) -> Result<u64> {
        let buffer = self.buffer.up_to(len);
        let read = loop {
            match self.source.read_at(buffer, from) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let read =
            read.map_err(|source| error::io("can't read the file that is copied", source))?;
        if read == 0 {
            return Err(source_changed(format!(
                "the file that is copied ends at byte {from}, but {len} bytes more were handed over"
            )));
        }
        self.out
            .write_all_at(&buffer[..read], to)
            .map_err(|source| error::io("can't write to the staging file", source))?;
        if let Some(digest) = digest {
            digest.update(&buffer[..read]);
        }
        Ok(read as u64)
    }
}

/// A page of the budget, or a little memory of its own where that is used up.
enum Buffer {
    Page(Box<dyn Page>),
    Own(Vec<u8>),
}

impl Buffer {
    fn new(budget: &MemoryBudget) -> Self {
        let open = OpenPart {
            len: 0,
            target: PAGE_SIZE as u64,
        };
        match budget.open_account().try_page(open) {
            Some(page) => Self::Page(page),
            None => Self::Own(vec![0; SMALL_BUFFER]),
        }
    }

    fn up_to(&mut self, len: u64) -> &mut [u8] {
        let all = match self {
            Self::Page(page) => page.spare_mut(),
            Self::Own(bytes) => bytes.as_mut_slice(),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(all.len());
        &mut all[..len]
    }
}

/// Finds holes through a descriptor of its own, because lseek(2) moves the cursor.
struct Holes(File);

impl Holes {
    fn open(file: &File) -> Option<Self> {
        let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        Some(Self(own))
    }

    /// Whether there is a hole at `from`, and where that changes, which is after `from`; `end` if
    /// it does not before.
    fn at(&self, from: u64, end: u64) -> (bool, u64) {
        match rustix::fs::seek(&self.0, SeekFrom::Data(from)) {
            Ok(data) if data > from => (true, data.min(end)),
            Ok(_) => match rustix::fs::seek(&self.0, SeekFrom::Hole(from)) {
                Ok(hole) if hole > from => (false, hole.min(end)),
                _ => (false, end),
            },
            // lseek(2): ENXIO, there is no data any more.
            Err(Errno::NXIO) => (true, end),
            Err(_) => (false, end),
        }
    }
}

fn add_zeros(digest: &mut Digest, mut len: u64) {
    const ZEROS: &[u8] = &[0; 64 << 10];
    while len > 0 {
        let run = len.min(ZEROS.len() as u64);
        digest.update(&ZEROS[..usize::try_from(run).unwrap_or(ZEROS.len())]);
        len -= run;
    }
}

fn source_changed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::SourceChanged, message)
}
