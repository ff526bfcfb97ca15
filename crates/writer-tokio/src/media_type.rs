//! Media types, by the names of objects.

#[cfg(feature = "mime")]
use writer_core::Codec;
use writer_core::{Result, WriterOptions};

/// The media type of what is stored under `name`, a URI or a path, by its ending: that of the
/// compressed form for `a.tar.gz` and `a.json.zst`. `None` for an ending that tells nothing.
///
/// ```
/// use writer_tokio::content_type_of;
///
/// assert_eq!(content_type_of("s3://bucket/table.csv"), Some("text/csv"));
/// assert_eq!(content_type_of("s3://bucket/table.csv.zst"), Some("application/zstd"));
/// assert_eq!(content_type_of("s3://bucket/table"), None);
/// ```
#[cfg(feature = "mime")]
#[must_use]
pub fn content_type_of(name: &str) -> Option<&'static str> {
    let file_name = name.rsplit('/').next().unwrap_or(name);
    let (stem, ending) = file_name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    // What the list of `mime_guess` does not have, or says otherwise than RFC 6713.
    match ending.to_ascii_lowercase().as_str() {
        "zst" => Some("application/zstd"),
        "tgz" => Some("application/gzip"),
        ending => mime_guess::from_ext(ending).first_raw(),
    }
}

/// Sets the media type by the name of the object at `uri`, if `options` ask for that and say none;
/// true if it was set. Backends call it when a writer is made.
///
/// # Errors
///
/// [`Unsupported`](writer_core::ErrorKind::Unsupported) if it is asked for, and this build does not
/// have the feature `mime`.
#[cfg(feature = "mime")]
pub fn guess_content_type(uri: &str, options: &mut WriterOptions) -> Result<bool> {
    if !options.guess_content_type || options.content_type.is_some() {
        return Ok(false);
    }
    options.content_type = content_type_of(decoded(uri, options)).map(str::to_owned);
    Ok(options.content_type.is_some())
}

/// The name of what a reader finds who undoes the Content-Encoding, if there is one: `a.csv` of
/// `a.csv.zst`.
#[cfg(feature = "mime")]
fn decoded<'a>(name: &'a str, options: &WriterOptions) -> &'a str {
    let is_encoded = options.codec.is_some() || options.content_encoding.is_some();
    match name.rsplit_once('.') {
        Some((stem, _)) if is_encoded && Codec::of_name(name).is_some() => stem,
        _ => name,
    }
}

/// Refuses to tell the media type of an object by its name, if `options` ask for that.
///
/// # Errors
///
/// [`Unsupported`](writer_core::ErrorKind::Unsupported) if it is asked for: this build does not have
/// the feature `mime`.
#[cfg(not(feature = "mime"))]
pub fn guess_content_type(uri: &str, options: &mut WriterOptions) -> Result<bool> {
    use writer_core::{Error, ErrorKind};

    if !options.guess_content_type || options.content_type.is_some() {
        return Ok(false);
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "guess_content_type: this build does not tell types by names: say content_type, or build \
         with the feature `mime`",
    )
    .with_uri(uri))
}

#[cfg(all(test, feature = "mime"))]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_that_of_what_is_stored() {
        for (name, expected) in [
            ("a.json", Some("application/json")),
            ("a.json.zst", Some("application/zstd")),
            ("a.tar.gz", Some("application/gzip")),
            ("a.tgz", Some("application/gzip")),
            ("a.PNG", Some("image/png")),
            ("s3://b.html/key", None),
            ("d.html/", None),
            (".json", None),
            ("a.", None),
            ("a.neverheard", None),
        ] {
            assert_eq!(content_type_of(name), expected, "{name}");
        }
    }

    /// What is typed as a format is what names ask to be compressed with.
    #[test]
    fn types_and_compression_are_told_by_the_same_names() {
        for ending in [
            "zst", "ZST", "Zst", "gz", "GZ", "gZ", "csv", "zs", "zstd", "g",
        ] {
            let name = format!("d/a.{ending}");
            let typed = match content_type_of(&name) {
                Some("application/zstd") => Some(Codec::Zstd),
                Some("application/gzip") => Some(Codec::Gzip),
                _ => None,
            };
            assert_eq!(typed, Codec::of_name(&name), "{name}");
        }
    }

    #[test]
    fn where_an_encoding_is_said_the_type_is_that_of_what_it_holds() {
        let typed = |name: &str, mut options: WriterOptions| {
            options.guess_content_type = true;
            guess_content_type(name, &mut options).unwrap();
            options.content_type
        };
        let plain = WriterOptions::default();
        let encoded = plain.clone().with_codec(Codec::Zstd);
        let said = plain.clone().with_content_encoding("gzip");
        assert_eq!(
            typed("a.csv.zst", plain).as_deref(),
            Some("application/zstd")
        );
        assert_eq!(
            typed("a.csv.zst", encoded.clone()).as_deref(),
            Some("text/csv")
        );
        assert_eq!(typed("a.csv", encoded).as_deref(), Some("text/csv"));
        assert_eq!(typed("a.csv.gz", said).as_deref(), Some("text/csv"));
    }

    #[test]
    fn only_what_is_not_said_is_told_by_the_name_and_only_if_asked_for() {
        let guessed = |mut options: WriterOptions| {
            let told = guess_content_type("s3://b/a.csv", &mut options).unwrap();
            (told, options.content_type)
        };
        let options = WriterOptions::default;
        assert_eq!(guessed(options()), (false, None));
        let asked = options().with_guessed_content_type(true);
        assert_eq!(guessed(asked.clone()), (true, Some("text/csv".into())));
        let said = asked.with_content_type("x/y");
        assert_eq!(guessed(said), (false, Some("x/y".into())));
    }
}

#[cfg(all(test, not(feature = "mime")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_names_of_types_refuses_only_what_needs_them() {
        let mut options = WriterOptions::default();
        assert!(guess_content_type("a.csv", &mut options).is_ok());
        options.guess_content_type = true;
        let error = guess_content_type("a.csv", &mut options).unwrap_err();
        assert_eq!(error.kind(), writer_core::ErrorKind::Unsupported);
        options.content_type = Some("text/csv".into());
        assert!(guess_content_type("a.csv", &mut options).is_ok());
    }
}
