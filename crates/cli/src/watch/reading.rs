//! Progress of an object that is read.

use std::fmt;
use std::sync::Arc;

use writer_core::{BoxFuture, ObjectMetadata, ObjectReader, Result, Segment};

use super::bar::{Bar, Goal, is_wanted};
use super::numbers::Numbers;
use crate::args::watch::ProgressArgs;

/// A reader of which the progress is shown until it is dropped.
struct Watched {
    reader: Box<dyn ObjectReader>,
    numbers: Arc<Numbers>,
    _bar: Bar,
}

/// `reader`, which will give `size` bytes, with its progress if that is wanted.
///
/// # Errors
///
/// If it can't be shown.
pub(crate) fn watched(
    reader: Box<dyn ObjectReader>,
    size: u64,
    args: ProgressArgs,
    quiet: bool,
) -> Result<Box<dyn ObjectReader>> {
    if !is_wanted(args.progress, quiet) {
        return Ok(reader);
    }
    let numbers = Arc::new(Numbers::default());
    let goal = Goal {
        objects: 1,
        bytes: Some(size),
    };
    let bar = Bar::show(Arc::clone(&numbers), goal)?;
    Ok(Box::new(Watched {
        reader,
        numbers,
        _bar: bar,
    }))
}

impl ObjectReader for Watched {
    fn metadata(&self) -> &ObjectMetadata {
        self.reader.metadata()
    }

    fn next_chunk<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> BoxFuture<'async_trait, Result<Option<Segment>>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let chunk = self.reader.next_chunk().await?;
            self.numbers.add(chunk.as_ref().map_or(0, Segment::len));
            Ok(chunk)
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
