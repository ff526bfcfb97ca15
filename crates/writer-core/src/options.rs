//! What a producer may ask of a writer.

mod compression;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::sync::Arc;

use crate::{Codec, Crc64Nvme, Error, ErrorKind, Observer, ObserverHandle, PartSizing, Result};

/// What may happen to an object that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfExists {
    /// The new object takes its place, at `finish` and all at once.
    #[default]
    Replace,
    /// The write fails with [`ErrorKind::AlreadyExists`] and the old object stays.
    Fail,
}

/// How an object is written. Sizes are in bytes.
///
/// Memory: a writer holds at most the part that it fills plus the parts in flight, and all
/// writers of one store together hold no more than the store's memory budget. `max_concurrency`
/// is therefore a ceiling: 64 parts of 8 MiB are not 512 MiB of memory, but fewer parts in flight.
///
/// ```
/// use writer_core::WriterOptions;
///
/// let options = WriterOptions::default()
///     .with_part_size(16 << 20)
///     .with_content_type("video/mp4");
/// assert_eq!(options.max_concurrency, 64);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterOptions {
    /// Size of the first parts, 1 B to 5 GiB (S3: from 5 MiB). Default 8 MiB.
    pub part_size: u64,
    /// Most parts in flight at once, 1 to 1,024. Default 64.
    pub max_concurrency: usize,
    /// Compress what the object's name says is compressed: `.zst` with Zstandard, `.gz` with
    /// gzip, unless the bytes already are in that format. Default true.
    pub enable_compression: bool,
    /// Compress the object in this format, whatever its name is and whatever its bytes are, and
    /// say so in its [`content_encoding`](crate::ObjectMetadata::content_encoding): what undoes
    /// that gives back exactly what was written. Default: the name decides, as
    /// [`enable_compression`](Self::enable_compression) says, and nothing is said, because the
    /// name does.
    pub codec: Option<Codec>,
    /// How hard to compress, within [`Codec::levels`]: -7 to 22 for Zstandard, 0 to 9 for gzip.
    /// Default: [`Codec::default_level`]. Says nothing for an object that is not compressed.
    pub compression_level: Option<i32>,
    /// Threads that compress one object, 0 to 64. With 0 or 1, the task that writes does it. More
    /// take memory of the store's budget, and are for Zstandard only: gzip has one, and refuses
    /// them as [`codec`](Self::codec); an object whose name asks for gzip goes without. Default 0.
    pub compression_threads: u32,
    /// The Content-Encoding of what is written, for bytes that are encoded already. They are not
    /// compressed then, whatever the name. Default: none, or that of [`codec`](Self::codec).
    pub content_encoding: Option<String>,
    /// Check what was stored against CRC64NVME checksums of what was written. Default true.
    pub enable_checksums: bool,
    /// The object's media type. Default: the service's own.
    pub content_type: Option<String>,
    /// Tell the media type by the object's name where [`content_type`](Self::content_type) is not
    /// said: that of what is stored, so `a.json.gz` is `application/gzip`. A name that tells
    /// nothing leaves the service's own, and so does a disk that can keep none. The receipt says
    /// which it is. A build of the backend without its feature `mime` refuses it. Default false.
    pub guess_content_type: bool,
    /// How long readers may keep a copy, as the header `Cache-Control` says it.
    pub cache_control: Option<String>,
    /// What a browser does with the object, as the header `Content-Disposition` says it.
    pub content_disposition: Option<String>,
    /// The language it is in, as the header `Content-Language` says it.
    pub content_language: Option<String>,
    /// Tags, kept beside the object: on S3 they can be changed later, and rules and permissions
    /// may depend on them. S3 takes 10, with keys of 1 to 128 and values of up to 256 characters.
    pub tags: BTreeMap<String, String>,
    /// What the storage is to cost and to promise, by the service's own name (`STANDARD_IA`).
    /// A disk refuses it. Default: the service's own.
    pub storage_class: Option<String>,
    /// Memory that is admitted when the writer is made, 0 to 5 GiB, so that the first bytes find
    /// room whatever the store's other writers hold. Default 0: as it is needed.
    pub buffer_capacity: u64,
    /// How many bytes will be written, if that is known. The first request then leaves with the
    /// first byte, and part sizes fit it. Writing more or less fails and stores nothing.
    pub expected_size: Option<u64>,
    /// How part sizes are chosen.
    pub part_sizing: PartSizing,
    /// The user's own metadata, kept with the object.
    pub metadata: BTreeMap<String, String>,
    /// What may happen to an object that is already there.
    pub if_exists: IfExists,
    /// Replace the object only if its ETag (as receipts and `stat` say it) is still this one;
    /// otherwise the write fails with [`ErrorKind::PreconditionFailed`] and stores nothing.
    pub if_match: Option<String>,
    /// The checksum that the whole object must have, if it is known. With any other, `finish`
    /// fails with [`ErrorKind::ChecksumMismatch`] and nothing is stored. It is that of the bytes
    /// that are stored, so an object that is compressed on its way can't have one: with
    /// [`codec`](Self::codec) it is refused, and where the name asks for compression, the write
    /// fails that shows that the bytes are not in that format already.
    pub expected_checksum: Option<Crc64Nvme>,
    /// Told what happens to the object and to its parts. Default: nobody.
    pub observer: Option<ObserverHandle>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            part_size: 8 << 20,
            max_concurrency: 64,
            enable_compression: true,
            codec: None,
            compression_level: None,
            compression_threads: 0,
            content_encoding: None,
            enable_checksums: true,
            content_type: None,
            guess_content_type: false,
            cache_control: None,
            content_disposition: None,
            content_language: None,
            tags: BTreeMap::new(),
            storage_class: None,
            buffer_capacity: 0,
            expected_size: None,
            part_sizing: PartSizing::default(),
            metadata: BTreeMap::new(),
            if_exists: IfExists::default(),
            if_match: None,
            expected_checksum: None,
            observer: None,
        }
    }
}

impl WriterOptions {
    /// The environment variable for [`part_size`](Self::part_size).
    pub const PART_SIZE_VAR: &'static str = "S3DLIO_PUT_PART_SIZE";
    /// The environment variable for [`max_concurrency`](Self::max_concurrency).
    pub const INFLIGHT_VAR: &'static str = "S3DLIO_PUT_INFLIGHT";
    /// The environment variable for [`buffer_capacity`](Self::buffer_capacity).
    pub const BUFFER_CAPACITY_VAR: &'static str = "S3DLIO_PUT_BUFFER_CAPACITY";

    const MAX_PART_SIZE: u64 = 5 << 30;
    const MAX_CONCURRENCY: u64 = 1_024;

    /// The defaults, changed by the environment: `S3DLIO_PUT_PART_SIZE` (bytes),
    /// `S3DLIO_PUT_INFLIGHT` (parts) and `S3DLIO_PUT_BUFFER_CAPACITY` (bytes), each a decimal
    /// number. An empty variable counts as not set. This is what `create_writer(uri, None)` uses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the variable, its value and the bounds, if a value is
    /// not a number or out of bounds.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with the variables looked up by `var`.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut options = Self::default();
        if let Some(n) = number_from(&var, Self::PART_SIZE_VAR, 1, Self::MAX_PART_SIZE)? {
            options.part_size = n;
        }
        if let Some(n) = number_from(&var, Self::INFLIGHT_VAR, 1, Self::MAX_CONCURRENCY)? {
            options.max_concurrency = usize::try_from(n).unwrap_or(usize::MAX);
        }
        if let Some(n) = number_from(&var, Self::BUFFER_CAPACITY_VAR, 0, Self::MAX_PART_SIZE)? {
            options.buffer_capacity = n;
        }
        Ok(options)
    }

    /// Checks every bound. Writers do it when they are made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the option, its value and its bounds.
    pub fn validate(&self) -> Result<()> {
        check("part_size", self.part_size, 1, Self::MAX_PART_SIZE)?;
        let concurrency = self.max_concurrency as u64;
        check("max_concurrency", concurrency, 1, Self::MAX_CONCURRENCY)?;
        self.validate_compression()?;
        self.validate_attributes()?;
        if self.if_match.is_some() && self.if_exists == IfExists::Fail {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "if_match and IfExists::Fail exclude each other: there must be an object, and none",
            ));
        }
        if self
            .if_match
            .as_deref()
            .is_some_and(|tag| tag.is_empty() || tag == "*")
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "if_match is empty or *: expected the ETag of the object to replace",
            ));
        }
        if self.expected_checksum.is_some() && !self.enable_checksums {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "expected_checksum needs enable_checksums: nothing is compared without",
            ));
        }
        check(
            "buffer_capacity",
            self.buffer_capacity,
            0,
            Self::MAX_PART_SIZE,
        )
    }

    /// Sets [`part_size`](Self::part_size), in bytes.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = bytes;
        self
    }

    /// Sets [`max_concurrency`](Self::max_concurrency), in parts.
    #[must_use]
    pub fn with_max_concurrency(mut self, parts: usize) -> Self {
        self.max_concurrency = parts;
        self
    }

    /// Sets [`enable_compression`](Self::enable_compression).
    #[must_use]
    pub fn with_compression(mut self, enable: bool) -> Self {
        self.enable_compression = enable;
        self
    }

    /// Sets [`enable_checksums`](Self::enable_checksums).
    #[must_use]
    pub fn with_checksums(mut self, enable: bool) -> Self {
        self.enable_checksums = enable;
        self
    }

    /// Sets [`content_type`](Self::content_type).
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets [`buffer_capacity`](Self::buffer_capacity), in bytes.
    #[must_use]
    pub fn with_buffer_capacity(mut self, bytes: u64) -> Self {
        self.buffer_capacity = bytes;
        self
    }

    /// Sets [`expected_size`](Self::expected_size), in bytes.
    #[must_use]
    pub fn with_expected_size(mut self, bytes: u64) -> Self {
        self.expected_size = Some(bytes);
        self
    }

    /// Sets [`part_sizing`](Self::part_sizing).
    #[must_use]
    pub fn with_part_sizing(mut self, sizing: PartSizing) -> Self {
        self.part_sizing = sizing;
        self
    }

    /// Adds one entry of [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets [`if_exists`](Self::if_exists).
    #[must_use]
    pub fn with_if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }

    /// Sets [`if_match`](Self::if_match); quotes around the ETag are left out.
    #[must_use]
    pub fn with_if_match(mut self, e_tag: impl AsRef<str>) -> Self {
        self.if_match = Some(e_tag.as_ref().trim_matches('"').to_owned());
        self
    }

    /// Sets [`expected_checksum`](Self::expected_checksum).
    #[must_use]
    pub fn with_expected_checksum(mut self, checksum: Crc64Nvme) -> Self {
        self.expected_checksum = Some(checksum);
        self
    }

    /// Sets [`observer`](Self::observer).
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(ObserverHandle::new(observer));
        self
    }

    /// True if the write has a condition: [`IfExists::Fail`] or [`if_match`](Self::if_match).
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.if_exists == IfExists::Fail || self.if_match.is_some()
    }

    /// Checks the whole object's checksum against the expected one, before it is published.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ChecksumMismatch`] if another was expected, or if none is known.
    pub fn check_whole(&self, checksum: Option<Crc64Nvme>) -> Result<()> {
        match self.expected_checksum {
            Some(expected) if checksum != Some(expected) => {
                let found = match checksum {
                    Some(checksum) => format!("CRC64NVME {checksum} was written"),
                    None => "no checksum is known".to_owned(),
                };
                Err(Error::new(
                    ErrorKind::ChecksumMismatch,
                    format!("{found}, but {expected} was expected; nothing was stored"),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Reads the environment variable `name` as a decimal number of `min` to `max`; `None` if it is
/// not set or empty. Shared with the backends, for the variables that a store has.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`], naming the variable, its value and the bounds.
pub fn number_from_env(name: &str, min: u64, max: u64) -> Result<Option<u64>> {
    number_from(&|name: &str| env::var_os(name), name, min, max)
}

fn number_from(
    var: &impl Fn(&str) -> Option<OsString>,
    name: &str,
    min: u64,
    max: u64,
) -> Result<Option<u64>> {
    let Some(value) = var(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value
        .to_str()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .filter(|number| (min..=max).contains(number));
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "environment variable {name} is {:?}: expected a whole number from {min} to {max}",
                value.to_string_lossy()
            ),
        )),
    }
}

fn check(name: &str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("{name} is {value}: expected {min} to {max}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<WriterOptions> {
        WriterOptions::from_vars(|name| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        })
    }

    #[test]
    fn no_variable_means_the_defaults() {
        let options = from(&[]).unwrap();
        assert_eq!(options, WriterOptions::default());
        assert_eq!(options.part_size, 8 * 1024 * 1024);
        assert_eq!(options.max_concurrency, 64);
        assert!(options.enable_compression && options.enable_checksums);
        assert_eq!(
            from(&[("S3DLIO_PUT_PART_SIZE", "")]).unwrap().part_size,
            8 << 20
        );
    }

    #[test]
    fn each_variable_sets_its_option() {
        let options = from(&[
            ("S3DLIO_PUT_PART_SIZE", "16777216"),
            ("S3DLIO_PUT_INFLIGHT", "7"),
            ("S3DLIO_PUT_BUFFER_CAPACITY", "1048576"),
        ])
        .unwrap();
        assert_eq!(options.part_size, 16 << 20);
        assert_eq!(options.max_concurrency, 7);
        assert_eq!(options.buffer_capacity, 1 << 20);
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_value_and_its_bounds() {
        for (name, value) in [
            ("S3DLIO_PUT_PART_SIZE", "8MB"),
            ("S3DLIO_PUT_PART_SIZE", "0"),
            ("S3DLIO_PUT_PART_SIZE", "5368709121"),
            ("S3DLIO_PUT_INFLIGHT", "-1"),
            ("S3DLIO_PUT_INFLIGHT", "1025"),
            (
                "S3DLIO_PUT_BUFFER_CAPACITY",
                "99999999999999999999999999999",
            ),
        ] {
            let error = from(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(
                text.contains(name) && text.contains(value) && text.contains("from"),
                "{text}"
            );
        }
    }

    #[test]
    fn options_out_of_bounds_are_named() {
        let error = WriterOptions::default()
            .with_max_concurrency(0)
            .validate()
            .unwrap_err();
        assert!(error.message().contains("max_concurrency is 0"), "{error}");
        assert!(WriterOptions::default().validate().is_ok());
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let both = WriterOptions::default()
            .with_if_match("\"a\"")
            .with_if_exists(IfExists::Fail);
        assert_eq!(both.if_match.as_deref(), Some("a"));
        let unchecked = WriterOptions::default()
            .with_expected_checksum(Crc64Nvme(1))
            .with_checksums(false);
        let any = WriterOptions::default().with_if_match("*");
        for options in [both, unchecked, any] {
            assert_eq!(
                options.validate().unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
        }
    }

    #[test]
    fn only_the_expected_checksum_is_good_enough() {
        let any = WriterOptions::default();
        assert!(any.check_whole(None).is_ok());
        let options = any.with_expected_checksum(Crc64Nvme(1));
        assert!(options.check_whole(Some(Crc64Nvme(1))).is_ok());
        for found in [None, Some(Crc64Nvme(2))] {
            let error = options.check_whole(found).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ChecksumMismatch);
        }
    }
}
