//! From an encoder into the pages of the writer behind it.

use std::mem;

use tokio::task;
use writer_core::{ObjectWriter, Page, Result};

use super::encoder::{Encoder, Settings};
use super::threaded::Threaded;
use super::workspace::{Wanted, Workspace};
use crate::MemoryBudget;

/// Compresses into `inner`.
///
/// Waiting and working are apart: [`ready`](Self::ready) does all that waits and takes nothing,
/// [`push`](Self::push) takes input and never waits. So whoever records what `push` took before
/// the next await loses nothing when its future is dropped.
pub(super) struct Compressor {
    inner: Box<dyn ObjectWriter>,
    engine: Engine,
    /// Memory to wait for before anything is compressed.
    wanted: Option<Wanted>,
    workspace: Option<Workspace>,
}

enum Engine {
    Here(Here),
    Threaded(Threaded),
}

/// Memory that `settings` take, if it is to be waited for.
///
/// # Errors
///
/// `LimitExceeded` if it does not fit `budget`.
pub(super) fn wanted(settings: &Settings, budget: &MemoryBudget) -> Result<Option<Wanted>> {
    let (level, threads) = (settings.level, settings.threads);
    let what = match threads {
        0 => format!("{} level {level}", settings.codec),
        _ => format!("{} level {level} with {threads} threads", settings.codec),
    };
    let buffers = if threads > 0 { Threaded::MEMORY } else { 0 };
    Wanted::new(budget, settings.memory() + buffers, &what)
}

impl Compressor {
    pub(super) fn new(
        settings: &Settings,
        wanted: Option<Wanted>,
        inner: Box<dyn ObjectWriter>,
    ) -> Result<Self> {
        let engine = match settings.threads {
            0 => Engine::Here(Here::new(settings)?),
            _ => Engine::Threaded(Threaded::new(settings)?),
        };
        Ok(Self {
            inner,
            engine,
            wanted,
            workspace: None,
        })
    }

    /// Waits until there is room for output, and it is this task's turn.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn ready(&mut self) -> Result<()> {
        if let Some(wanted) = &self.wanted {
            self.workspace = Some(wanted.get().await);
            self.wanted = None;
        }
        match &mut self.engine {
            Engine::Here(here) => here.ready(&mut *self.inner).await,
            Engine::Threaded(threaded) => threaded.ready(&mut *self.inner).await,
        }
    }

    /// Compresses the beginning of `input`, and says how much of it: none, if it is not
    /// [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// The codec's.
    pub(super) fn push(&mut self, input: &[u8]) -> Result<usize> {
        if let Some(workspace) = &self.workspace {
            workspace.worked();
        }
        match &mut self.engine {
            Engine::Here(here) => here.push(input),
            Engine::Threaded(threaded) => Ok(threaded.push(input)),
        }
    }

    /// Writes what is compressed to the inner writer, as far as it is there.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    ///
    /// # Cancellation
    ///
    /// Safe: the inner writer takes a segment before it waits.
    pub(super) async fn hand_over(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Here(here) => here.hand_over(&mut *self.inner).await,
            Engine::Threaded(_) => Ok(()),
        }
    }

    /// Ends the frame, all of which the inner writer has then.
    ///
    /// # Errors
    ///
    /// The codec's, and the inner writer's.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.ready().await?;
        match &mut self.engine {
            Engine::Here(here) => here.end(&mut *self.inner).await,
            Engine::Threaded(threaded) => threaded.end(&mut *self.inner).await,
        }
    }

    /// Gives back memory: nothing more will be compressed.
    pub(super) fn give_up(&mut self) {
        match &mut self.engine {
            Engine::Here(here) => here.give_up(),
            Engine::Threaded(threaded) => threaded.give_up(),
        }
        self.workspace = None;
    }

    /// Lends memory of the inner writer.
    ///
    /// # Errors
    ///
    /// The inner writer's.
    pub(super) async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.inner.reserve(at_least).await
    }

    pub(super) fn into_inner(self) -> Box<dyn ObjectWriter> {
        self.inner
    }
}

/// Compression by the task that writes, straight into pages of the inner writer.
struct Here {
    encoder: Encoder,
    page: Option<Box<dyn Page>>,
    /// Bytes at the front of the page's spare room that `inner` does not have yet.
    filled: usize,
    /// Bytes of input since other tasks had a turn.
    worked: usize,
}

impl Here {
    fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            encoder: Encoder::new(settings)?,
            page: None,
            filled: 0,
            worked: 0,
        })
    }

    async fn ready(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        self.hand_over(inner).await?;
        if self.worked >= self.encoder.slice() {
            self.worked = 0;
            task::yield_now().await;
        }
        if self.page.is_none() {
            self.page = Some(inner.reserve(1).await?);
        }
        Ok(())
    }

    fn push(&mut self, input: &[u8]) -> Result<usize> {
        let Some(page) = &mut self.page else {
            return Ok(0);
        };
        let most = input.len().min(self.encoder.slice());
        let output = &mut page.spare_mut()[self.filled..];
        let step = self.encoder.push(&input[..most], output)?;
        self.filled += step.produced;
        self.worked += step.consumed;
        Ok(step.consumed)
    }

    /// A page whose room is used up is given up.
    async fn hand_over(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        let filled = mem::take(&mut self.filled);
        if filled > 0
            && let Some(page) = &mut self.page
        {
            let segment = page.split(filled);
            if page.spare_len() == 0 {
                self.page = None;
            }
            inner.write_owned(segment).await?;
        }
        Ok(())
    }

    async fn end(&mut self, inner: &mut dyn ObjectWriter) -> Result<()> {
        let mut ended = false;
        while !ended {
            self.ready(inner).await?;
            if let Some(page) = &mut self.page {
                let (produced, done) = self.encoder.end(&mut page.spare_mut()[self.filled..])?;
                self.filled += produced;
                ended = done;
            }
        }
        self.hand_over(inner).await
    }

    fn give_up(&mut self) {
        self.filled = 0;
        self.page = None;
    }
}
