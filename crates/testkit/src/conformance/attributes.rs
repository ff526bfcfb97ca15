//! What is kept with an object besides its bytes: kept, or refused.

use writer_core::{ErrorKind, ObjectMetadata, WriterOptions};

use super::conditions::write;
use super::context::{Checked, Context, During, ensure, fail, skip};

pub(crate) async fn content_type_is_kept(context: &Context<'_>) -> Checked {
    if !context.profile().content_type {
        skip!("the service keeps no media type");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context
            .options()
            .with_content_type("text/csv; charset=utf-8");
        let written = write(context.store(), &uri, options, &data).await;
        written.during("writing with a media type")?;
        let found = context.expect_object(&uri, &data).await?.content_type;
        ensure!(
            found.as_deref() == Some("text/csv; charset=utf-8"),
            "the media type of {size} bytes is {found:?}"
        );
    }
    Ok(())
}

/// What is said of the bytes is kept, and does not change them.
pub(crate) async fn content_encoding_is_kept(context: &Context<'_>) -> Checked {
    if !context.profile().content_type {
        skip!("the service keeps no media type, and so no encoding");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context.options().with_content_encoding("gzip");
        let written = write(context.store(), &uri, options, &data).await;
        written.during("writing with a content encoding")?;
        let found = context.expect_object(&uri, &data).await?.content_encoding;
        ensure!(
            found.as_deref() == Some("gzip"),
            "the content encoding of {size} bytes is {found:?}"
        );
    }
    Ok(())
}

pub(crate) async fn user_metadata_is_kept(context: &Context<'_>) -> Checked {
    if !context.profile().user_metadata {
        skip!("the service keeps no user metadata");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context
            .options()
            .with_metadata("origin", "line 7, shift b")
            .with_metadata("run-id", "0042");
        let expected = options.metadata.clone();
        let written = write(context.store(), &uri, options, &data).await;
        written.during("writing with metadata")?;
        let found = context.expect_object(&uri, &data).await?.metadata;
        ensure!(
            found == expected,
            "the metadata of {size} bytes are {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}

pub(crate) async fn headers_are_kept(context: &Context<'_>) -> Checked {
    if !context.profile().headers {
        skip!("the service keeps no headers");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let options = context
            .options()
            .with_cache_control("public, max-age=31536000")
            .with_content_disposition("attachment; filename=\"a b.csv\"")
            .with_content_language("de-CH");
        let (receipt, found) = written(context, size, options).await?;
        for (said, object) in [("the receipt", receipt), ("stat", found)] {
            let headers = [
                object.cache_control.as_deref(),
                object.content_disposition.as_deref(),
                object.content_language.as_deref(),
            ];
            let expected = [
                Some("public, max-age=31536000"),
                Some("attachment; filename=\"a b.csv\""),
                Some("de-CH"),
            ];
            ensure!(
                headers == expected,
                "{said} of {size} bytes has the headers {headers:?}"
            );
        }
    }
    Ok(())
}

/// Those who can't look at tags may at least count them. A store that knows that its service ignores
/// them may refuse.
pub(crate) async fn tags_are_kept_or_refused(context: &Context<'_>) -> Checked {
    if !context.profile().tags {
        skip!("the service keeps no tags");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let options = context
            .options()
            .with_tag("team", "a/b + c=d")
            .with_tag("empty", "")
            .with_tag("Grüße", "日本");
        let expected = options.tags.clone();
        let uri = context.uri(size);
        let data = context.bytes(size);
        let receipt = match write(context.store(), &uri, options, &data).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                refused(context, &uri).await?;
                continue;
            }
            receipt => receipt.during("writing with tags")?,
        };
        let found = context.expect_object(&uri, &data).await?;
        ensure!(
            receipt.tags == expected,
            "the receipt of {size} bytes has the tags {:?}",
            receipt.tags
        );
        match found.tag_count.filter(|_| found.tags.is_empty()) {
            Some(count) => ensure!(count == 3, "{size} bytes have {count} tags instead of 3"),
            None => ensure!(
                found.tags == expected,
                "the tags of {size} bytes are {:?} instead of {expected:?}",
                found.tags
            ),
        }
    }
    Ok(())
}

/// Where there is no such thing as a class of storage, a write that asks for one is refused.
pub(crate) async fn storage_class_is_kept_or_refused(context: &Context<'_>) -> Checked {
    if !context.profile().storage_class {
        skip!("the service ignores storage classes");
    }
    for size in [10, 2 * context.part_size() + 5] {
        let uri = context.uri(size);
        let data = context.bytes(size);
        let options = context.options().with_storage_class("STANDARD_IA");
        match write(context.store(), &uri, options, &data).await {
            Ok(receipt) => {
                let found = context.expect_object(&uri, &data).await?;
                for object in [receipt, found] {
                    ensure!(
                        object.storage_class.as_deref() == Some("STANDARD_IA"),
                        "the class of {size} bytes is {:?}",
                        object.storage_class
                    );
                }
            }
            // The second is what a service says that does not know the class.
            Err(error)
                if [ErrorKind::Unsupported, ErrorKind::InvalidInput].contains(&error.kind()) =>
            {
                refused(context, &uri).await?;
            }
            Err(error) => fail!("writing with a storage class: {error:?}"),
        }
    }
    Ok(())
}

/// A write that was refused has left nothing.
async fn refused(context: &Context<'_>, uri: &str) -> Checked {
    context.expect_missing(uri).await?;
    let left = "after an attribute that was refused";
    context.expect_no_leftovers(left).await
}

/// The receipt of an object of `size` bytes that was written with `options`, and what `stat` says.
async fn written(
    context: &Context<'_>,
    size: usize,
    options: WriterOptions,
) -> Checked<(ObjectMetadata, ObjectMetadata)> {
    let uri = context.uri(size);
    let data = context.bytes(size);
    let receipt = write(context.store(), &uri, options, &data).await;
    let receipt = receipt.during("writing with attributes")?;
    let found = context.expect_object(&uri, &data).await?;
    Ok((receipt, found))
}
