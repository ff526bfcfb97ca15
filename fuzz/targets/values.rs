//! Values that a user gives: environment variables, sizes, ranges, entries and checksums.

#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use writer_core::{ByteRange, Crc64Nvme, ErrorKind, WriterOptions};

#[path = "../../crates/cli/src/values.rs"]
mod values;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    part_size: Option<Vec<u8>>,
    inflight: Option<Vec<u8>>,
    buffer_capacity: Option<Vec<u8>>,
    size: u64,
    text: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    environment(&input);
    checksum(input.text);
    let _any_number_is_fine = values::parse_size(input.text);
    let _any_time_is_fine = values::parse_age(input.text);
    if let Ok((key, value)) = values::parse_entry(input.text) {
        assert_eq!(format!("{key}={value}"), input.text);
        assert!(!key.is_empty());
    }
    if let Ok(range) = values::parse_range(input.text) {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'-';
        assert!(input.text.bytes().all(plain), "{range:?}");
        in_bounds(range, input.size);
    }
});

/// What the environment may say, `validate` takes.
fn environment(input: &Input<'_>) {
    let options = WriterOptions::from_vars(|name| {
        let value = match name {
            WriterOptions::PART_SIZE_VAR => &input.part_size,
            WriterOptions::INFLIGHT_VAR => &input.inflight,
            _ => &input.buffer_capacity,
        };
        value.clone().map(OsString::from_vec)
    });
    match options {
        Ok(options) => assert!(options.validate().is_ok()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
    }
}

fn checksum(text: &str) {
    if let Ok(checksum) = text.parse::<Crc64Nvme>() {
        assert!(checksum.to_string().eq_ignore_ascii_case(text));
    }
}

fn in_bounds(range: ByteRange, size: u64) {
    if let Some((start, len)) = range.resolve(size) {
        let end = start.checked_add(len);
        assert!(
            len > 0 && end.is_some_and(|end| end <= size),
            "{range:?} of {size}"
        );
    }
}
