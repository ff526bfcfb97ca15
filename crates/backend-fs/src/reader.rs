//! Reads one object, a chunk ahead of whoever takes them.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::task::{self, JoinHandle};
use writer_core::{Error, ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};

use crate::config::READ_SIZE;
use crate::error;

pub(crate) struct Reader {
    file: Arc<File>,
    metadata: ObjectMetadata,
    /// What is not being read yet.
    next: u64,
    end: u64,
    ahead: Option<JoinHandle<Result<Vec<u8>>>>,
    failed: Option<Error>,
}

impl Reader {
    /// Reads `len` bytes from `start` on.
    pub(crate) fn new(file: File, metadata: ObjectMetadata, start: u64, len: u64) -> Self {
        let mut reader = Self {
            file: Arc::new(file),
            metadata,
            next: start,
            end: start + len,
            ahead: None,
            failed: None,
        };
        reader.read_ahead();
        reader
    }

    fn read_ahead(&mut self) {
        let len = (self.end - self.next).min(READ_SIZE);
        if len == 0 {
            return;
        }
        let (file, at) = (Arc::clone(&self.file), self.next);
        self.next += len;
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        self.ahead = Some(task::spawn_blocking(move || read(&file, at, size)));
    }
}

#[async_trait]
impl ObjectReader for Reader {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(ahead) = &mut self.ahead else {
            return Ok(None);
        };
        // The handle stays in `self` while this waits, so a call that is dropped loses nothing.
        let result = ahead.await.unwrap_or_else(|lost| Err(error::lost(lost)));
        self.ahead = None;
        match result {
            Ok(bytes) => {
                self.read_ahead();
                Ok(Some(bytes.into()))
            }
            Err(error) => {
                let error = error.with_uri(&self.metadata.uri);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

fn read(file: &File, at: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::with_capacity(len);
    while bytes.len() < len {
        let offset = at + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), offset) {
            Ok(0) => {
                let text = format!("the file was truncated to {offset} bytes while it was read");
                return Err(Error::new(ErrorKind::SourceChanged, text));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(error::io(format!("can't read at byte {offset}"), errno)),
        }
    }
    // The allocator may have given more than was asked for.
    bytes.truncate(len);
    Ok(bytes)
}
