//! What is known of an object, field by field, for whoever writes it down.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::{Condition, Crc64Nvme, ObjectMetadata};

/// The value of one field of [`ObjectMetadata`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field<'a> {
    /// Words.
    Text(&'a str),
    /// A number: of bytes, if the name says nothing else.
    Number(u64),
    /// A moment.
    Time(SystemTime),
    /// A length of time.
    Duration(Duration),
    /// A checksum.
    Checksum(Crc64Nvme),
    /// How a condition was kept.
    Condition(Condition),
    /// Keys and values, at least one of them.
    Map(&'a BTreeMap<String, String>),
}

impl ObjectMetadata {
    /// The fields that are known, by their names, in the order in which they stand in this type.
    ///
    /// ```
    /// use writer_core::{Field, ObjectMetadata};
    ///
    /// let object = ObjectMetadata::new("s3://bucket/key", 7);
    /// assert_eq!(
    ///     object.fields(),
    ///     [("uri", Field::Text("s3://bucket/key")), ("size", Field::Number(7))]
    /// );
    /// ```
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        // Every field is named, so that none can be forgotten.
        let Self {
            uri,
            size,
            e_tag,
            version_id,
            checksum,
            last_modified,
            content_type,
            cache_control,
            content_disposition,
            content_language,
            content_encoding,
            storage_class,
            encryption,
            encryption_key,
            tags,
            tag_count,
            metadata,
            compressed,
            size_written,
            parts,
            bytes_reused,
            condition,
            retries,
            bytes_resent,
            elapsed,
            peak_buffered,
        } = self;
        let fields = [
            ("uri", Some(Field::Text(uri))),
            ("size", Some(Field::Number(*size))),
            ("e_tag", text(e_tag)),
            ("version_id", text(version_id)),
            ("checksum", checksum.map(Field::Checksum)),
            ("last_modified", last_modified.map(Field::Time)),
            ("content_type", text(content_type)),
            ("cache_control", text(cache_control)),
            ("content_disposition", text(content_disposition)),
            ("content_language", text(content_language)),
            ("content_encoding", text(content_encoding)),
            ("storage_class", text(storage_class)),
            ("encryption", text(encryption)),
            ("encryption_key", text(encryption_key)),
            ("tags", map(tags)),
            ("tag_count", number(*tag_count)),
            ("metadata", map(metadata)),
            (
                "compressed",
                compressed.map(|codec| Field::Text(codec.name())),
            ),
            ("size_written", number(*size_written)),
            ("parts", number(*parts)),
            ("bytes_reused", number(*bytes_reused)),
            ("condition", condition.map(Field::Condition)),
            ("retries", number(*retries)),
            ("bytes_resent", number(*bytes_resent)),
            ("elapsed", elapsed.map(Field::Duration)),
            ("peak_buffered", number(*peak_buffered)),
        ];
        let known = fields.into_iter();
        known
            .filter_map(|(name, field)| Some((name, field?)))
            .collect()
    }
}

fn text(value: &Option<String>) -> Option<Field<'_>> {
    value.as_deref().map(Field::Text)
}

fn number(value: Option<impl Into<u64>>) -> Option<Field<'static>> {
    value.map(|value| Field::Number(value.into()))
}

fn map(value: &BTreeMap<String, String>) -> Option<Field<'_>> {
    (!value.is_empty()).then_some(Field::Map(value))
}
