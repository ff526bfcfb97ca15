//! What a file system knows of an object: tag, time, and extended attributes.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use writer_core::{
    Error, ErrorKind, ObjectMetadata, Result, WriterOptions, decode_tags, encode_tags,
};
use writer_tokio::guess_content_type;

use crate::error::{self, invalid};

/// The attribute that freedesktop.org's shared MIME-info specification names for the media type.
const MIME_TYPE: &str = "mime_type";

/// What begins the names of attributes that are ours, and can't be metadata.
const OURS: &str = "s3dlio.";
const CACHE_CONTROL: &str = "s3dlio.cache-control";
const CONTENT_DISPOSITION: &str = "s3dlio.content-disposition";
const CONTENT_ENCODING: &str = "s3dlio.content-encoding";
const CONTENT_LANGUAGE: &str = "s3dlio.content-language";
/// All of them in one value: a tag's key may be longer than an attribute's name.
const TAGS: &str = "s3dlio.tags";

/// Where users may have attributes; see `xattr(7)`.
const NAMESPACE: &str = "user.";

/// The largest value and the longest list of names, in bytes; see `xattr(7)`.
const XATTR_MAX: usize = 64 << 10;

/// What the file's own metadata say of the object at `uri`.
pub(crate) fn describe(uri: impl Into<String>, metadata: &Metadata) -> ObjectMetadata {
    let mut object = ObjectMetadata::new(uri, metadata.size());
    object.e_tag = Some(e_tag(metadata));
    object.last_modified = metadata.modified().ok();
    object
}

/// The tag of the object that is this file.
pub(crate) fn e_tag(metadata: &Metadata) -> String {
    let nanoseconds =
        i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    format!("{:x}-{:x}-{nanoseconds:x}", metadata.ino(), metadata.size())
}

/// What is kept in extended attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    content_type: Option<String>,
    /// Nobody has said the content type, so that it need not be kept.
    is_guess: bool,
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    tags: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

/// An object whose attributes are read: by its path, or open.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    Path(&'a Path),
    File(&'a File),
}

impl Attributes {
    /// What `options` ask to keep with the object at `uri`. Keys are in lower case, as S3 keeps
    /// them.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a key that could not be a header's name, `Unsupported` for what no disk
    /// has.
    pub(crate) fn new(uri: &str, options: &WriterOptions) -> Result<Self> {
        if let Some(class) = &options.storage_class {
            let text = format!("storage_class {class:?}: a disk has no storage classes");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let mut metadata = BTreeMap::new();
        for (key, value) in &options.metadata {
            if !is_token(key) {
                return Err(invalid(format!(
                    "metadata key {key:?}: expected letters, digits and any of !#$%&'*+-.^_`|~"
                )));
            }
            let lower = key.to_ascii_lowercase();
            if lower == MIME_TYPE {
                return Err(invalid(format!(
                    "metadata key {key:?} is where the content type is kept: set content_type"
                )));
            }
            if lower.starts_with(OURS) {
                return Err(invalid(format!(
                    "metadata key {key:?}: keys that begin with {OURS} are where other attributes \
                     are kept"
                )));
            }
            if metadata.insert(lower, value.clone()).is_some() {
                return Err(invalid(format!(
                    "metadata key {key:?} is there twice, in different case"
                )));
            }
        }
        let mut typed = options.clone();
        let is_guess = guess_content_type(uri, &mut typed)?;
        Ok(Self {
            content_type: typed.content_type,
            is_guess,
            cache_control: typed.cache_control,
            content_disposition: typed.content_disposition,
            content_encoding: typed.content_encoding,
            content_language: typed.content_language,
            tags: typed.tags,
            metadata,
        })
    }

    /// Keeps them with `file`.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system has no attributes, `LimitExceeded` where they don't
    /// fit; the text names the option.
    pub(crate) fn store(&mut self, file: &File) -> Result<()> {
        if let Some(value) = &self.content_type {
            match set(file, MIME_TYPE, value, "content_type") {
                Err(error) if self.is_guess && is_no_room(&error) => self.content_type = None,
                stored => stored?,
            }
        }
        for (name, value, option) in [
            (CACHE_CONTROL, &self.cache_control, "cache_control"),
            (
                CONTENT_DISPOSITION,
                &self.content_disposition,
                "content_disposition",
            ),
            (CONTENT_ENCODING, &self.content_encoding, "content_encoding"),
            (CONTENT_LANGUAGE, &self.content_language, "content_language"),
        ] {
            if let Some(value) = value {
                set(file, name, value, option)?;
            }
        }
        if !self.tags.is_empty() {
            set(file, TAGS, &encode_tags(&self.tags), "tags")?;
        }
        for (key, value) in &self.metadata {
            set(file, key, value, &format!("metadata {key:?}"))?;
        }
        Ok(())
    }

    /// What is kept with an object. Where that can't be read, nothing is.
    pub(crate) fn load(of: Of<'_>) -> Self {
        let mut attributes = Self::default();
        for name in of.names().unwrap_or_default() {
            let Some(key) = name.to_str().ok().and_then(|s| s.strip_prefix(NAMESPACE)) else {
                continue;
            };
            let value = of.value(&name).ok();
            let Some(value) = value.and_then(|value| String::from_utf8(value).ok()) else {
                continue;
            };
            match key {
                MIME_TYPE => attributes.content_type = Some(value),
                CACHE_CONTROL => attributes.cache_control = Some(value),
                CONTENT_DISPOSITION => attributes.content_disposition = Some(value),
                CONTENT_ENCODING => attributes.content_encoding = Some(value),
                CONTENT_LANGUAGE => attributes.content_language = Some(value),
                TAGS => attributes.tags = decode_tags(&value).unwrap_or_default(),
                _ if key.starts_with(OURS) => {}
                _ => {
                    attributes.metadata.insert(key.to_owned(), value);
                }
            }
        }
        attributes
    }

    /// Tells of them in `object`.
    pub(crate) fn tell(self, object: &mut ObjectMetadata) {
        object.content_type = self.content_type;
        object.cache_control = self.cache_control;
        object.content_disposition = self.content_disposition;
        object.content_encoding = self.content_encoding;
        object.content_language = self.content_language;
        object.tag_count = u32::try_from(self.tags.len())
            .ok()
            .filter(|count| *count > 0);
        object.tags = self.tags;
        object.metadata = self.metadata;
    }
}

impl Of<'_> {
    fn names(self) -> rustix::io::Result<Vec<CString>> {
        let mut list: Vec<u8> = Vec::with_capacity(XATTR_MAX);
        let buffer = spare_capacity(&mut list);
        match self {
            Of::Path(path) => rustix::fs::listxattr(path, buffer)?,
            Of::File(file) => rustix::fs::flistxattr(file, buffer)?,
        };
        let names = list.split_inclusive(|byte| *byte == 0);
        Ok(names
            .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
            .map(CStr::to_owned)
            .collect())
    }

    fn value(self, name: &CStr) -> rustix::io::Result<Vec<u8>> {
        let mut value: Vec<u8> = Vec::with_capacity(XATTR_MAX);
        let buffer = spare_capacity(&mut value);
        match self {
            Of::Path(path) => rustix::fs::getxattr(path, name, buffer)?,
            Of::File(file) => rustix::fs::fgetxattr(file, name, buffer)?,
        };
        Ok(value)
    }
}

fn set(file: &File, key: &str, value: &str, option: &str) -> Result<()> {
    let name = format!("{NAMESPACE}{key}");
    match rustix::fs::fsetxattr(file, name, value.as_bytes(), XattrFlags::empty()) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::OPNOTSUPP | Errno::NOSYS)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{option} can't be kept: the file system has no extended attributes"),
        )
        .with_source(std::io::Error::from(errno))),
        // setxattr(2): ENOSPC is about the room for attributes as often as about the disk.
        Err(errno @ (Errno::TOOBIG | Errno::RANGE | Errno::NOSPC | Errno::DQUOT)) => {
            Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{option} of {} bytes does not fit the file system's extended attributes",
                    value.len()
                ),
            )
            .with_source(std::io::Error::from(errno)))
        }
        Err(errno) => Err(error::io(format!("can't keep {option}"), errno)),
    }
}

/// True if there are no extended attributes, or no room for one.
fn is_no_room(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::LimitExceeded
    )
}

/// True for what may be the name of a header: a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let other = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || other.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_tokens() {
        let options = WriterOptions::default()
            .with_content_type("text/csv")
            .with_metadata("Owner-Id", "7");
        let attributes = Attributes::new("x", &options).unwrap();
        assert_eq!(attributes.metadata["owner-id"], "7");
        for key in ["", "a b", "ü", "a:b", "a\0", "MIME_Type", "S3DLIO.tags"] {
            let options = WriterOptions::default().with_metadata(key, "x");
            let error = Attributes::new("x", &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{key:?}");
            assert!(error.message().contains(&format!("{key:?}")), "{error}");
        }
        let twice = options.with_metadata("owner-id", "8");
        assert!(Attributes::new("x", &twice).is_err());
    }

    #[test]
    fn what_no_disk_has_is_refused() {
        let options = WriterOptions::default().with_storage_class("STANDARD_IA");
        let error = Attributes::new("x", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("storage_class"), "{error}");
    }
}
