//! A URI is taken literally: what it looks like to a decoder or a shell means nothing.

use std::collections::BTreeMap;

use super::context::{Checked, Context};
use super::listing::expect_list;

/// Names that something between the caller and the storage may want to change. Some differ from
/// one another only for those who do not.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "with space", "with+space", "with%20space", "with%2Bspace", "100%", "%", "%zz", "%25", "%2e%2e",
    "%2Fslash", "hash#mark", "what?", "what?a=b&c=d", "a&b", "a=b", "semi;colon", "comma,", "at@",
    "dollar$", "colon:colon", "quote\"quote", "apostrophe'", "back\\slash", "<xml>&amp;", "star*",
    "[bracket]", "{brace}", "pipe|", "tilde~", "back`tick", "caret^", "(round)", "bang!",
    "unicode/grüße", "unicode/日本語", "unicode/🦀", "composed/\u{e9}", "decomposed/e\u{301}",
    "noextension", "deep/er/and/deep/er/and/deep/er/object", "a..b", "..two", "two..", "...",
    ".hidden", "ends.", "dir.d/object", " leading space", "trailing space ", "-dash", "--double",
    "file.tmp", "object.part", "UPPER", "lower",
];

pub(crate) async fn names_are_literal(context: &Context<'_>) -> Checked {
    let mut made = BTreeMap::new();
    for (number, name) in NAMES.iter().enumerate() {
        let uri = context.uri(name);
        let data = contents(name, number);
        let made_one = context.make(&uri, &data).await;
        let receipt = made_one.map_err(|stop| stop.within(format_args!("{name:?}")))?;
        context.expect_receipt(&receipt, &uri, &data).await?;
        made.insert(uri, data.len() as u64);
    }
    // Only now, when a later name had its chance to overwrite an earlier one.
    for (number, name) in NAMES.iter().enumerate() {
        let uri = context.uri(name);
        context.expect_object(&uri, &contents(name, number)).await?;
    }
    expect_list(context, &context.prefix(), &made).await?;
    for uri in made.keys() {
        let alone = made.iter().filter(|(other, _)| other.starts_with(uri));
        let alone = alone.map(|(uri, size)| (uri.clone(), *size)).collect();
        expect_list(context, uri, &alone).await?;
    }
    Ok(())
}

fn contents(name: &str, number: usize) -> Vec<u8> {
    format!("{number}: {name}").into_bytes()
}
