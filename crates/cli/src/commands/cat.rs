//! `cat`: an object's bytes, on standard output.

use std::io::{self, IsTerminal as _};

use writer_core::{Codec, Error, ErrorKind, ObjectMetadata, Result};
use writer_tokio::read_in_parts;

use super::Context;
use crate::args::CatArgs;
use crate::decode;
use crate::names::is_s3;
use crate::watch::watched;

pub(super) async fn run(context: &Context, args: CatArgs) -> anyhow::Result<()> {
    let store = context.stores.get(&args.uri).await?;
    let range = args.range.unwrap_or_default();
    let reader = match is_s3(&args.uri) {
        true => read_in_parts(store, &args.uri, range, args.reading.options()).await?,
        // A disk's reader has the file open, which stays whole if another takes its place.
        false => store.get(&args.uri, range).await?,
    };
    let codecs = codecs(&args, reader.metadata())?;
    if !codecs.is_empty() && args.range.is_some() {
        return Err(decode::no_range(reader.metadata()).into());
    }
    let size = range.resolve(reader.metadata().size);
    let size = size.map_or(0, |(_start, len)| len);
    // Where the bytes appear, nothing else is to.
    let quiet = context.quiet || io::stdout().is_terminal();
    let reader = watched(reader, size, args.progress, quiet)?;
    let mut reader = decode::undo(reader, &codecs)?;
    // Not of what keeps the bytes from being read at all.
    let is_about_decoding = |error: &Error| {
        let kind = error.kind();
        !codecs.is_empty() && matches!(kind, ErrorKind::Other | ErrorKind::LimitExceeded)
    };
    let hint = |error: Error| match is_about_decoding(&error) {
        true => error.with_note("--raw gives the stored bytes"),
        false => error,
    };
    let mut chunk = reader.next_chunk().await.map_err(hint)?;
    while let Some(bytes) = chunk {
        // The next bytes are fetched while these are printed.
        let (printed, next) = tokio::join!(context.printer.bytes(bytes), reader.next_chunk());
        if printed?.is_break() {
            return Ok(());
        }
        chunk = next.map_err(hint)?;
    }
    Ok(())
}

/// What is to be undone, the first first.
fn codecs(args: &CatArgs, object: &ObjectMetadata) -> Result<Vec<Codec>> {
    if args.decoding.raw {
        return Ok(Vec::new());
    }
    let said = decode::said(object).map_err(|error| error.with_note("--raw gives it as it is"))?;
    if !said.is_empty() || !args.decoding.decompress {
        return Ok(said);
    }
    match Codec::of_name(&object.uri) {
        Some(codec) => Ok(vec![codec]),
        None => {
            let text = "nothing says what it is compressed with: it has no Content-Encoding, and \
                        its name ends neither in .zst nor in .gz";
            Err(Error::new(ErrorKind::InvalidInput, text).with_uri(&object.uri))
        }
    }
}
