//! What a file system knows of an object: tag, time, and extended attributes.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use writer_core::{Error, ErrorKind, ObjectMetadata, Result, WriterOptions};

use crate::error::{self, invalid};

/// The attribute that freedesktop.org's shared MIME-info specification names for the media type.
const MIME_TYPE: &str = "mime_type";

/// The attribute for the content encoding, for which there is no convention.
const CONTENT_ENCODING: &str = "content_encoding";

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
    content_encoding: Option<String>,
    metadata: BTreeMap<String, String>,
}

/// An object whose attributes are read: by its path, or open.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    Path(&'a Path),
    File(&'a File),
}

impl Attributes {
    /// What `options` ask to keep. Keys are in lower case, as S3 keeps them.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a key that could not be a header's name.
    pub(crate) fn new(options: &WriterOptions) -> Result<Self> {
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
            if lower == CONTENT_ENCODING {
                return Err(invalid(format!(
                    "metadata key {key:?} is where the content encoding is kept: set \
                     content_encoding"
                )));
            }
            if metadata.insert(lower, value.clone()).is_some() {
                return Err(invalid(format!(
                    "metadata key {key:?} is there twice, in different case"
                )));
            }
        }
        Ok(Self {
            content_type: options.content_type.clone(),
            content_encoding: options.content_encoding.clone(),
            metadata,
        })
    }

    /// Keeps them with `file`.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system has no attributes, `LimitExceeded` where they don't
    /// fit; the text names the option.
    pub(crate) fn store(&self, file: &File) -> Result<()> {
        if let Some(value) = &self.content_type {
            set(file, MIME_TYPE, value, "content_type")?;
        }
        if let Some(value) = &self.content_encoding {
            set(file, CONTENT_ENCODING, value, "content_encoding")?;
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
            if key == MIME_TYPE {
                attributes.content_type = Some(value);
            } else if key == CONTENT_ENCODING {
                attributes.content_encoding = Some(value);
            } else {
                attributes.metadata.insert(key.to_owned(), value);
            }
        }
        attributes
    }

    /// Tells of them in `object`.
    pub(crate) fn tell(self, object: &mut ObjectMetadata) {
        object.content_type = self.content_type;
        object.content_encoding = self.content_encoding;
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
        let attributes = Attributes::new(&options).unwrap();
        assert_eq!(attributes.metadata["owner-id"], "7");
        for key in [
            "",
            "a b",
            "ü",
            "a:b",
            "a\0",
            "MIME_Type",
            "content_encoding",
        ] {
            let options = WriterOptions::default().with_metadata(key, "x");
            let error = Attributes::new(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{key:?}");
            assert!(error.message().contains(&format!("{key:?}")), "{error}");
        }
        let twice = options.with_metadata("owner-id", "8");
        assert!(Attributes::new(&twice).is_err());
    }
}
