//! The object store for a URI.
//!
//! [`store_for`] is all that a program needs which takes URIs from its users:
//!
//! ```no_run
//! # async fn example(uri: &str) -> writer_core::Result<()> {
//! let store = writer_stores::store_for(uri).await?; // s3://…, file://… or a path
//! let mut writer = store.create_writer(uri, None).await?;
//! writer.write_chunk(b"as it comes").await?;
//! writer.finish().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A program that opens more than one object keeps a [`Stores`]: each of its stores is opened once,
//! and shares its memory budget and its connections. Backends of one's own are added to it by their
//! scheme.
//!
//! The features `s3` and `fs` (both on by default) compile the backends in.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;
use writer_core::{BoxFuture, Error, ErrorKind, ObjectStore, Result, split_scheme};

/// The store for `uri`, with the defaults and the environment's settings.
///
/// # Errors
///
/// As [`Stores::get`].
///
/// # Cancellation
///
/// Safe.
pub async fn store_for(uri: &str) -> Result<Arc<dyn ObjectStore>> {
    Stores::new().get(uri).await
}

/// Stores by their schemes, each opened when a URI first asks for it.
///
/// ```
/// use std::sync::Arc;
/// use testkit::MemoryStore; // a backend of somebody else
/// use writer_stores::Stores;
///
/// # async fn example() -> writer_core::Result<()> {
/// let stores = Stores::new().with("memory", Arc::new(MemoryStore::new()));
/// let store = stores.get("memory://greeting").await?;
/// store.put("memory://greeting", "hello".into()).await?;
/// stores.close().await
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stores {
    /// Later ones come first.
    backends: Vec<Backend>,
}

/// Opens a store.
type Open = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn ObjectStore>>> + Send + Sync>;

struct Backend {
    scheme: String,
    open: Open,
    store: OnceCell<Arc<dyn ObjectStore>>,
}

/// The scheme of paths that have none.
const FILE: &str = "file";

impl Default for Stores {
    fn default() -> Self {
        Self::new()
    }
}

impl Stores {
    /// The backends that are compiled in, with their defaults.
    #[must_use]
    pub fn new() -> Self {
        let stores = Self {
            backends: Vec::new(),
        };
        #[cfg(feature = "fs")]
        let stores = stores.with_open(FILE, || {
            Box::pin(async {
                let store = backend_fs::FileSystemObjectStore::new()?;
                Ok(Arc::new(store) as Arc<dyn ObjectStore>)
            })
        });
        #[cfg(feature = "s3")]
        let stores = stores.with_s3(backend_s3::S3Config::default());
        stores
    }

    /// Opens the store of `s3://` with `config`.
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn with_s3(self, config: backend_s3::S3Config) -> Self {
        self.with_open("s3", move || {
            let config = config.clone();
            Box::pin(async move {
                let store = backend_s3::S3ObjectStore::connect(config).await?;
                Ok(Arc::new(store) as Arc<dyn ObjectStore>)
            })
        })
    }

    /// Uses `store` for URIs with `scheme` (`s3` for `s3://…`; `file` also stands for plain paths),
    /// instead of any that was used for it.
    #[must_use]
    pub fn with(self, scheme: &str, store: Arc<dyn ObjectStore>) -> Self {
        self.with_open(scheme, move || {
            let store = Arc::clone(&store);
            Box::pin(async move { Ok(store) })
        })
    }

    /// As [`with`](Self::with), with a store that `open` opens when a URI first asks for it. If that
    /// fails, it is tried again the next time.
    #[must_use]
    pub fn with_open(
        mut self,
        scheme: &str,
        open: impl Fn() -> BoxFuture<'static, Result<Arc<dyn ObjectStore>>> + Send + Sync + 'static,
    ) -> Self {
        let scheme = scheme.to_ascii_lowercase();
        self.backends.retain(|backend| backend.scheme != scheme);
        self.backends.push(Backend {
            scheme,
            open: Box::new(open),
            store: OnceCell::new(),
        });
        self
    }

    /// The store for `uri`; the same one for all URIs of a scheme.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an unknown scheme, or a path that looks like a
    /// URI (`s3:/bucket/key`); [`Unsupported`](ErrorKind::Unsupported) for a backend that is not
    /// compiled in; what opening it gives.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn get(&self, uri: &str) -> Result<Arc<dyn ObjectStore>> {
        let backend = self.backend(uri).map_err(|error| error.with_uri(uri))?;
        let store = backend.store.get_or_try_init(|| (backend.open)()).await?;
        Ok(Arc::clone(store))
    }

    /// Waits until all stores that were opened have removed what dropped writers left.
    ///
    /// # Errors
    ///
    /// What could not be removed; with several, the first, and the others as notes.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub async fn close(&self) -> Result<()> {
        let mut failed: Option<Error> = None;
        for store in self.backends.iter().filter_map(|one| one.store.get()) {
            if let Err(error) = store.close().await {
                failed = Some(match failed {
                    Some(first) => first.with_note(error),
                    None => error,
                });
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn backend(&self, uri: &str) -> Result<&Backend> {
        let scheme = match split_scheme(uri) {
            Some((scheme, _)) => scheme.to_ascii_lowercase(),
            None => {
                self.refuse_mistyped(uri)?;
                FILE.to_owned()
            }
        };
        let mut backends = self.backends.iter();
        let found = backends.find(|backend| backend.scheme == scheme);
        found.ok_or_else(|| self.missing(&scheme))
    }

    /// Refuses what looks like a URI and, taken literally, would be a file: `s3:/bucket/key`,
    /// `s3//bucket/key`.
    fn refuse_mistyped(&self, path: &str) -> Result<()> {
        let mistyped = path.split_once(':').or_else(|| path.split_once("//"));
        let Some((scheme, _)) = mistyped else {
            return Ok(());
        };
        let scheme = scheme.to_ascii_lowercase();
        let known = ["s3", FILE].contains(&&*scheme);
        if known || self.backends.iter().any(|backend| backend.scheme == scheme) {
            let text = format!("write {scheme}://… for a URI, or ./{path} for a file of that name");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(())
    }

    fn missing(&self, scheme: &str) -> Error {
        let feature = match scheme {
            "s3" => "s3",
            FILE => "fs",
            _ => {
                let known = self.known();
                let text = format!("unknown scheme {scheme}://: this build knows {known}");
                return Error::new(ErrorKind::InvalidInput, text);
            }
        };
        let text =
            format!("this build has no backend for {scheme}://: rebuild with --features {feature}");
        Error::new(ErrorKind::Unsupported, text)
    }

    fn known(&self) -> String {
        let mut names = Vec::new();
        for backend in &self.backends {
            names.push(format!("{}://", backend.scheme));
            if backend.scheme == FILE {
                names.push("plain paths".to_owned());
            }
        }
        if names.is_empty() {
            return "none".to_owned();
        }
        names.sort();
        names.join(", ")
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("scheme", &self.scheme)
            .field("is_open", &self.store.initialized())
            .finish_non_exhaustive()
    }
}
