//! Object writers and readers in the shapes that other code writes to and reads from, and the other
//! way round.

mod async_read;
mod async_write;
mod blocking;
mod copy;
mod filling;
#[cfg(feature = "futures")]
mod futures;

pub use async_read::AsyncObjectReader;
pub use async_write::AsyncObjectWriter;
pub use blocking::BlockingObjectWriter;
pub use copy::{copy_file, copy_from, copy_from_with};
