//! The store: opens writers and readers, and looks at what is there.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use rustix::fs::OFlags;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Span;
use writer_core::{
    ByteRange, Error, ErrorKind, ObjectLister, ObjectMetadata, ObjectReader, ObjectStore,
    ObjectWriter, Reporter, Result, Segment, WriterOptions,
};
use writer_tokio::{MemoryBudget, open_writer};

use crate::condition::{self, Expected};
use crate::config::Config;
use crate::directory::{self, Directories};
use crate::error;
use crate::lister::Lister;
use crate::metadata::{Attributes, Of, describe};
use crate::path;
use crate::reader::Reader;
use crate::staging::Staging;
use crate::target::{self, Target};
use crate::worker::{Task, Worker};
use crate::writer::FileSystemStreamingWriter;
use writer_tokio::CleanUps;

/// A store whose objects are the regular files of the machine.
///
/// Cheap to clone; clones share one memory budget. Needs a tokio runtime with its timer enabled.
///
/// # Names
///
/// `file:///data/a b%20c#d`, `file://localhost/data/a b%20c#d` and `/data/a b%20c#d` name the same
/// file, exactly that: nothing is decoded. `file://a/b` and `a/b` are relative to the current
/// directory, as it is when the call is made. Names that are not UTF-8 have the methods that take a
/// [`Path`].
///
/// # Writing
///
/// - **Visible when finished, durable then.** The bytes go to a staging file in the same
///   directory; `finish` syncs it, renames it over the target and syncs the directory. Writers
///   of one directory that finish together share its sync, which begins after all of their
///   renames. Directories that are missing are made, each synced into its parent.
/// - **Create-only** ([`IfExists::Fail`](writer_core::IfExists::Fail)) is enforced by the kernel:
///   the file has no name until it is linked into its place, which fails if there is one. (Where
///   the file system can't make such files, it is renamed with `RENAME_NOREPLACE`, or linked.)
/// - **Replacing what is unchanged** (`if_match`) is atomic among the writers of this crate, of
///   all processes of the machine: the tag is compared, and the file renamed, under a lock
///   (`flock`) of the directory. Other programs may come in between, so the receipt says
///   [`Advisory`](writer_core::Condition::Advisory). A directory that can't be locked (on NFS, or
///   without the right to read it) refuses such writes. While another program holds the
///   directory's lock, such a write waits for 10 s and then fails; any other waits for 1 s.
/// - **Mode.** A new file has `0666` without the umask's bits. One that replaces another has its
///   permission bits, and its owner and group where that is permitted; not its set-user-ID and
///   set-group-ID bits, ACLs and attributes. As rename(2) has it, replacing takes the right to
///   write to the directory, not to the file.
/// - **Symbolic links.** A write to a link goes to the file that it points to, and makes it if it
///   does not exist; the link stays. `delete` removes the link.
/// - **Only regular files** are replaced: a write to a directory, a named pipe or a device is
///   refused.
/// - **Clean-up.** A write that failed, was cancelled or dropped leaves no file. Directories that
///   it has made are removed as far as they are empty.
/// - **After a crash.** Create-only writes leave nothing. A replacing one leaves its staging
///   file, `.<name>.<16 hex digits>.s3dlio-staging`; the next store that writes to that directory
///   removes it with its first write there. Such a file is locked (`flock`) while its writer
///   lives, and is removed only if the lock can be taken, so other programs' writes are safe.
///   This reads the directory, once per store and directory: some 0.3 s for a million files.
///   Directories that were made stay.
/// - **File ranges** are copied by the kernel (`copy_file_range`, which shares blocks where the
///   file system can); holes stay holes. A file that is copied and has another size or
///   modification time at the end of the copy fails the write.
/// - **Content type, metadata, tags** and what is said to caches, browsers and readers of a
///   language are kept as extended attributes: `user.mime_type`, `user.<key>` with the key of
///   metadata in lower case, `user.s3dlio.cache-control`, `…content-disposition`,
///   `…content-encoding`, `…content-language` and `…tags` (as [`writer_core::encode_tags`] writes them). Where there are
///   none, such a write is refused; only a content type that was told by the name is left out.
/// - **Storage classes** are refused, because a disk has none.
/// - **Parts** can't be seen on a disk: they are of at most 256 KiB, whatever `part_size` says.
///
/// # Tags
///
/// An object's `e_tag` is its inode, size and modification time in nanoseconds, in hexadecimal. It
/// changes with every write: one that would get a time no later than that of the object it
/// replaces, within a second, gets the next nanosecond.
#[derive(Clone, Debug)]
pub struct FileSystemObjectStore {
    budget: MemoryBudget,
    directories: Arc<Directories>,
    cleanups: Arc<CleanUps>,
}

impl FileSystemObjectStore {
    /// A store with the memory budget that the environment says ([`MemoryBudget::VAR`]), or
    /// [`MemoryBudget::DEFAULT`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the variable is no number or out of bounds.
    pub fn new() -> Result<Self> {
        Ok(Self::with_budget(MemoryBudget::from_env()?))
    }

    /// A store with a memory budget of `bytes`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is less than [`MemoryBudget::MIN`].
    pub fn with_memory(bytes: u64) -> Result<Self> {
        Ok(Self::with_budget(MemoryBudget::new(bytes)?))
    }

    fn with_budget(budget: MemoryBudget) -> Self {
        Self {
            budget,
            directories: Arc::default(),
            cleanups: Arc::default(),
        }
    }

    /// The memory that all writers of this store share.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// [`create_writer`](ObjectStore::create_writer), by path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `path` can't be an object's or an option is out of bounds;
    /// `AlreadyExists` where only a new object may be made; `PreconditionFailed` where only
    /// another may be replaced; `Unsupported` if the file system can't keep what an option asks for; and what keeps the staging file from being made.
    ///
    /// # Cancellation
    ///
    /// Safe: nothing stays.
    pub async fn create_writer_at(
        &self,
        path: &Path,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        self.open_writer(path::to_uri(path), path.to_owned(), options)
            .await
    }

    /// [`put`](ObjectStore::put), by path.
    ///
    /// # Errors
    ///
    /// As [`create_writer_at`](Self::create_writer_at) and [`ObjectWriter::finish`].
    ///
    /// # Cancellation
    ///
    /// As [`ObjectWriter::finish`].
    pub async fn put_at(&self, path: &Path, data: Segment) -> Result<ObjectMetadata> {
        self.put_as(path::to_uri(path), path.to_owned(), data).await
    }

    /// [`stat`](ObjectStore::stat), by path.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no regular file.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn stat_at(&self, path: &Path) -> Result<ObjectMetadata> {
        stat(path::to_uri(path), path.to_owned()).await
    }

    /// [`get`](ObjectStore::get), by path.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no regular file, `InvalidInput` for a range that begins after its
    /// end.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn get_at(&self, path: &Path, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        get(path::to_uri(path), path.to_owned(), range).await
    }

    /// [`delete`](ObjectStore::delete), by path.
    ///
    /// # Errors
    ///
    /// If it is there and can't be removed, or is not a file.
    ///
    /// # Cancellation
    ///
    /// The object may be removed or not.
    pub async fn delete_at(&self, path: &Path) -> Result<()> {
        delete(path::to_uri(path), path.to_owned()).await
    }

    async fn open_writer(
        &self,
        uri: String,
        path: PathBuf,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        let runtime = ambient_runtime().map_err(|error| error.with_uri(&uri))?;
        let (reply, answer) = oneshot::channel();
        let (store, named, handle) = (self.clone(), uri.clone(), runtime.clone());
        let cleanup = self.cleanups.begin();
        let caller = Span::current();
        runtime.spawn_blocking(move || {
            let _caller = caller.enter();
            let writer = store.open_on_disk(handle, named, path, options);
            // If nobody waits any more, it is dropped here, and `close` knows of it.
            drop(reply.send(writer));
            drop(cleanup);
        });
        let writer = answer.await.unwrap_or_else(|_| Err(error::shut_down()));
        writer.map_err(|error| error.with_uri(uri))
    }

    fn open_on_disk(
        self,
        runtime: Handle,
        uri: String,
        path: PathBuf,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        let options = options.map_or_else(WriterOptions::from_env, Ok)?;
        path::check_object(&path)?;
        // Where compression and a known size come together, the file is opened with the first
        // bytes: it must be the same file if the working directory has changed by then.
        let absolute = std::path::absolute(&path)
            .map_err(|source| error::io("can't tell the working directory", source))?;
        let named = uri.clone();
        let budget = self.budget.clone();
        open_writer(&uri, options, &budget, move |options| {
            let writer = self.open_uncompressed(runtime, &named, &absolute, &options)?;
            Ok(Box::new(writer))
        })
    }

    fn open_uncompressed(
        &self,
        runtime: Handle,
        uri: &str,
        path: &Path,
        options: &WriterOptions,
    ) -> Result<FileSystemStreamingWriter> {
        let started = Instant::now();
        let config = Config::new(options, self.budget.capacity())?;
        let mut attributes = Attributes::new(uri, options)?;
        let target = Target::resolve(path)?;
        path::check_object(&target.path)?;
        let staging = Staging::create(&self.directories, target, Expected::new(options))?;
        attributes.store(&staging.file)?;
        let reporter = Reporter::open(uri, options);
        let worker = Worker::new(Task {
            uri: uri.to_owned(),
            staging,
            attributes,
            options: options.clone(),
            budget: self.budget.clone(),
            directories: Arc::clone(&self.directories),
            cleanups: Arc::clone(&self.cleanups),
            runtime,
            reporter,
        });
        Ok(FileSystemStreamingWriter::new(
            worker,
            config,
            options,
            &self.budget,
            Arc::clone(&self.cleanups),
            started,
        ))
    }

    async fn put_as(&self, uri: String, path: PathBuf, data: Segment) -> Result<ObjectMetadata> {
        let options = WriterOptions::from_env()?.with_expected_size(data.len());
        let mut writer = self.open_writer(uri, path, Some(options)).await?;
        writer.write_owned(data).await?;
        writer.finish().await
    }
}

#[async_trait]
impl ObjectStore for FileSystemObjectStore {
    async fn create_writer(
        &self,
        uri: &str,
        options: Option<WriterOptions>,
    ) -> Result<Box<dyn ObjectWriter>> {
        let path = path::object_from_uri(uri)?;
        self.open_writer(uri.to_owned(), path, options).await
    }

    async fn put(&self, uri: &str, data: Segment) -> Result<ObjectMetadata> {
        let path = path::object_from_uri(uri)?;
        self.put_as(uri.to_owned(), path, data).await
    }

    async fn stat(&self, uri: &str) -> Result<ObjectMetadata> {
        stat(uri.to_owned(), path::object_from_uri(uri)?).await
    }

    async fn get(&self, uri: &str, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
        get(uri.to_owned(), path::object_from_uri(uri)?, range).await
    }

    /// Walks the directories below `prefix`: `file:///d/ab` lists `/d/abc` and `/d/ab/x`. Links
    /// to files are listed, links to directories are not followed; staging files and names that
    /// are not UTF-8 are left out. Each URI begins as `prefix` does, and they come in the order of
    /// their bytes; for that, the names of each directory are held while it is gone through.
    /// Content type, metadata and other attributes are not read; [`stat`](ObjectStore::stat) gives
    /// them.
    async fn list(&self, prefix: &str) -> Result<Box<dyn ObjectLister>> {
        let uri = prefix.to_owned();
        let lister = on_disk(uri.clone(), move || Lister::open(&uri)).await?;
        Ok(Box::new(lister))
    }

    async fn delete(&self, uri: &str) -> Result<()> {
        delete(uri.to_owned(), path::object_from_uri(uri)?).await
    }

    async fn close(&self) -> Result<()> {
        self.cleanups.wait().await
    }
}

async fn stat(uri: String, path: PathBuf) -> Result<ObjectMetadata> {
    on_disk(uri.clone(), move || {
        path::check_object(&path)?;
        let metadata = target::stat(&path)?;
        let mut object = describe(uri, &metadata);
        Attributes::load(Of::Path(&path)).tell(&mut object);
        Ok(object)
    })
    .await
}

async fn get(uri: String, path: PathBuf, range: ByteRange) -> Result<Box<dyn ObjectReader>> {
    let (file, object) = on_disk(uri.clone(), move || {
        path::check_object(&path)?;
        // To open a device may do something, so it is looked at first; and a pipe that comes in
        // between must not keep `open` waiting.
        target::stat(&path)?;
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path)
            .map_err(|error| target::missing_or("can't open it", error))?;
        let metadata = file
            .metadata()
            .map_err(|error| error::io("can't look at it", error))?;
        target::check_regular(&metadata)?;
        let mut object = describe(uri, &metadata);
        Attributes::load(Of::File(&file)).tell(&mut object);
        Ok((file, object))
    })
    .await?;
    let Some((start, len)) = range.resolve(object.size) else {
        let size = object.size;
        let text = format!("the range {range} holds no byte: the object has {size} bytes");
        return Err(error::invalid(text).with_uri(object.uri));
    };
    Ok(Box::new(Reader::new(file, object, start, len)))
}

async fn delete(uri: String, path: PathBuf) -> Result<()> {
    on_disk(uri, move || {
        path::check_object(&path)?;
        let missing = |error: &io::Error| {
            let kind = error.kind();
            kind == io::ErrorKind::NotFound || kind == io::ErrorKind::NotADirectory
        };
        let file_type = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if missing(&error) => return Ok(()),
            Err(error) => return Err(error::io("can't look at it", error)),
        };
        if !file_type.is_file() && !file_type.is_symlink() {
            let what = target::kind_of(file_type);
            return Err(error::invalid(format!(
                "there is {what}, which is not an object"
            )));
        }
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let locked = condition::share(directory);
        match fs::remove_file(&path) {
            Ok(()) => drop(locked),
            Err(error) if missing(&error) => return Ok(()),
            Err(error) => return Err(error::io("can't remove it", error)),
        }
        directory::sync(directory)
    })
    .await
}

/// Runs `work` on a thread for blocking work.
async fn on_disk<T, F>(uri: String, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let runtime = ambient_runtime().map_err(|error| error.with_uri(&uri))?;
    let result = runtime.spawn_blocking(work).await;
    result
        .unwrap_or_else(|lost| Err(error::lost(lost)))
        .map_err(|error| error.with_uri(uri))
}

fn ambient_runtime() -> Result<Handle> {
    Handle::try_current().map_err(|source| {
        let text = "there is no tokio runtime here: call it from within one";
        Error::new(ErrorKind::Unsupported, text).with_source(source)
    })
}
