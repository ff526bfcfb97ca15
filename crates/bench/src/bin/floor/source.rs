//! Where bytes come from: a file or a pipe, by bare system calls.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Something to read from, at once and without a buffer in between.
pub(crate) trait Source {
    /// Reads some bytes; 0 is the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A file, from its beginning, by `pread`.
pub(crate) struct FileSource<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> FileSource<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }
}

impl Source for FileSource<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read =
            rustix::io::retry_on_intr(|| rustix::io::pread(self.file, &mut *buffer, self.offset))?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// A pipe, by `read`.
pub(crate) struct PipeSource<'a, Fd> {
    pipe: &'a Fd,
    /// Reads until the buffer is full, or the pipe ends.
    gather: bool,
}

impl<'a, Fd: AsFd> PipeSource<'a, Fd> {
    pub(crate) fn new(pipe: &'a Fd, gather: bool) -> Self {
        Self { pipe, gather }
    }
}

impl<Fd: AsFd> Source for PipeSource<'_, Fd> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let rest = &mut buffer[filled..];
            let read = rustix::io::retry_on_intr(|| rustix::io::read(self.pipe, &mut *rest))?;
            filled += read;
            if read == 0 || !self.gather || filled == buffer.len() {
                return Ok(filled);
            }
        }
    }
}
