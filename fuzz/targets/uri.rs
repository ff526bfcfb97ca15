//! URIs: what is read of one is all of it, literally, and makes the same URI again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use writer_core::{ErrorKind, split_scheme};

#[path = "../../crates/backend-s3/src/location.rs"]
mod location;

use location::Location;

fuzz_target!(|uri: &str| {
    if let Some((scheme, rest)) = split_scheme(uri) {
        assert_eq!(format!("{scheme}://{rest}"), uri);
        assert!(scheme.starts_with(|first: char| first.is_ascii_alphabetic()));
    }
    match Location::object(uri) {
        Ok(location) => {
            assert_eq!(location.uri(), uri);
            let bucket = &location.bucket;
            assert!(!bucket.is_empty() && (bucket.starts_with("arn:") || !bucket.contains('/')));
            assert_eq!(location::key_len(uri), location.key.len());
            assert!((1..=1024).contains(&location.key.len()));
            assert_eq!(Location::prefix(uri).ok(), Some(location));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
    }
    match Location::prefix(uri) {
        Ok(prefix) => {
            let again = prefix.uri();
            assert!(again == uri || again == format!("{uri}/"), "{again}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
    }
});
