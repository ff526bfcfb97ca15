//! What is kept with an object besides its bytes: headers, tags, the class of storage.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Error, ErrorKind, ObjectMetadata, Result, WriterOptions};

impl WriterOptions {
    /// Sets [`guess_content_type`](Self::guess_content_type).
    #[must_use]
    pub fn with_guessed_content_type(mut self, guess: bool) -> Self {
        self.guess_content_type = guess;
        self
    }

    /// Sets [`cache_control`](Self::cache_control).
    #[must_use]
    pub fn with_cache_control(mut self, value: impl Into<String>) -> Self {
        self.cache_control = Some(value.into());
        self
    }

    /// Sets [`content_disposition`](Self::content_disposition).
    #[must_use]
    pub fn with_content_disposition(mut self, value: impl Into<String>) -> Self {
        self.content_disposition = Some(value.into());
        self
    }

    /// Sets [`content_language`](Self::content_language).
    #[must_use]
    pub fn with_content_language(mut self, value: impl Into<String>) -> Self {
        self.content_language = Some(value.into());
        self
    }

    /// Adds one of [`tags`](Self::tags).
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Sets [`storage_class`](Self::storage_class).
    #[must_use]
    pub fn with_storage_class(mut self, class: impl Into<String>) -> Self {
        self.storage_class = Some(class.into());
        self
    }

    /// Names the attributes that are said, by the names of their options.
    #[must_use]
    pub fn attributes(&self) -> Vec<&'static str> {
        let texts = self.texts().into_iter();
        let mut named: Vec<&str> = texts
            .filter_map(|(name, value)| value.is_some().then_some(name))
            .collect();
        if !self.metadata.is_empty() {
            named.push("metadata");
        }
        if !self.tags.is_empty() {
            named.push("tags");
        }
        named
    }

    fn texts(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("content_type", self.content_type.as_deref()),
            ("cache_control", self.cache_control.as_deref()),
            ("content_disposition", self.content_disposition.as_deref()),
            ("content_encoding", self.content_encoding.as_deref()),
            ("content_language", self.content_language.as_deref()),
            ("storage_class", self.storage_class.as_deref()),
        ]
    }

    /// Refuses what could not be a header: RFC 9110, section 5.5, leaves other bytes than those of
    /// ASCII to chance.
    pub(crate) fn validate_attributes(&self) -> Result<()> {
        for (name, value) in self.texts() {
            let Some(value) = value else { continue };
            let is_printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if value.trim().is_empty() || !is_printable {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("{name} is {value:?}: expected printable ASCII, and not nothing"),
                ));
            }
        }
        if self.tags.contains_key("") {
            let text = "a tag has an empty key: expected at least one character";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(())
    }
}

impl ObjectMetadata {
    /// Takes over what `options` say is kept with the object besides its bytes: for a backend that
    /// keeps all of it as it was said.
    ///
    /// ```
    /// use writer_core::{ObjectMetadata, WriterOptions};
    ///
    /// let options = WriterOptions::default().with_content_type("text/csv");
    /// let mut object = ObjectMetadata::new("s3://bucket/key", 7);
    /// object.take_attributes(&options);
    /// assert_eq!(object.content_type.as_deref(), Some("text/csv"));
    /// ```
    pub fn take_attributes(&mut self, options: &WriterOptions) {
        self.content_type.clone_from(&options.content_type);
        self.cache_control.clone_from(&options.cache_control);
        self.content_disposition
            .clone_from(&options.content_disposition);
        self.content_encoding.clone_from(&options.content_encoding);
        self.content_language.clone_from(&options.content_language);
        self.storage_class.clone_from(&options.storage_class);
        self.tags.clone_from(&options.tags);
        self.metadata.clone_from(&options.metadata);
    }
}

/// `tags` in one line, as S3 takes them in a header: the query of a URL, of which all but letters,
/// digits and `-._~` is percent-encoded.
///
/// ```
/// use writer_core::{decode_tags, encode_tags};
///
/// let tags = [("team".to_owned(), "R&D".to_owned())].into();
/// assert_eq!(encode_tags(&tags), "team=R%26D");
/// assert_eq!(decode_tags("team=R%26D"), Some(tags));
/// ```
#[must_use]
pub fn encode_tags(tags: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in tags {
        if !text.is_empty() {
            text.push('&');
        }
        encode(&mut text, key);
        text.push('=');
        encode(&mut text, value);
    }
    text
}

/// The tags that [`encode_tags`] has written; `None` if `text` is none of that.
#[must_use]
pub fn decode_tags(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((decode(key)?, decode(value)?))
        })
        .collect()
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'%' {
            let digits = others.get(..2)?;
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            let byte = digit(0)? * 16 + digit(1)?;
            bytes.push(u8::try_from(byte).ok()?);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_a_header_is_refused_by_name() {
        let options = WriterOptions::default;
        for (name, wrong) in [
            ("content_type", options().with_content_type("a\nb")),
            ("cache_control", options().with_cache_control("")),
            ("cache_control", options().with_cache_control(" ")),
            (
                "content_disposition",
                options().with_content_disposition("ü"),
            ),
            ("content_language", options().with_content_language("de\0")),
            ("storage_class", options().with_storage_class("\u{7f}")),
            ("tag", options().with_tag("", "x")),
        ] {
            let error = wrong.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn attributes_are_named_if_they_are_said() {
        assert!(WriterOptions::default().attributes().is_empty());
        let options = WriterOptions::default()
            .with_tag("a", "b")
            .with_storage_class("COLD")
            .with_content_language("de")
            .with_metadata("k", "v");
        assert!(options.validate().is_ok());
        assert_eq!(
            options.attributes(),
            ["content_language", "storage_class", "metadata", "tags"]
        );
    }

    #[test]
    fn tags_are_read_as_they_are_written() {
        for (pairs, expected) in [
            (&[][..], ""),
            (&[("a", "")], "a="),
            (
                &[("a b", "c+d/e=f&g"), ("ü", "%41")],
                "a%20b=c%2Bd%2Fe%3Df%26g&%C3%BC=%2541",
            ),
        ] {
            let tags: BTreeMap<String, String> = pairs
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            assert_eq!(encode_tags(&tags), expected);
            assert_eq!(decode_tags(expected), Some(tags));
        }
        for wrong in ["a", "a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(decode_tags(wrong), None, "{wrong}");
        }
    }
}
