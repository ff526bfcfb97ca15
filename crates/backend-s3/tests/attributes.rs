//! What is kept with an object besides its bytes, and how the service encrypts it.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use backend_s3::{
    Encryption, KmsKey, MultipartUploadConfig, Resume, S3ObjectStore, StreamingMultipartSink,
};
use common::{PART, open, options, random, server, store};
use testkit::server::{Attributes, Fault, TestServer};
use writer_core::{
    ByteRange, ErrorKind, ObjectMetadata, ObjectStore, Result, Segment, WriterOptions,
};

/// One request, and an upload of several parts.
const SIZES: [u64; 2] = [10, 2 * PART + 5];

async fn write(store: &S3ObjectStore, size: u64, options: WriterOptions) -> Result<ObjectMetadata> {
    let mut writer = store
        .create_writer("s3://test/key.csv", Some(options))
        .await?;
    writer
        .write_owned(random(size, size as usize).into())
        .await?;
    writer.finish().await
}

fn kept(server: &TestServer) -> Attributes {
    server.object("key.csv").unwrap().attributes.clone()
}

#[tokio::test]
async fn everything_goes_with_both_kinds_of_request_and_comes_back() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for size in SIZES {
        let options = options()
            .with_content_type("text/csv")
            .with_cache_control("no-store")
            .with_content_disposition("attachment; filename*=UTF-8''%C3%BC.csv")
            .with_content_language("de")
            .with_storage_class("STANDARD_IA")
            .with_tag("team", "a&b = c")
            .with_tag("Grüße", "")
            .with_metadata("k", "v");
        let tags = options.tags.clone();
        let receipt = write(&store, size, options).await.unwrap();
        let kept = kept(&server);
        assert_eq!(kept.content_type, "text/csv");
        assert_eq!(kept.cache_control.as_deref(), Some("no-store"));
        assert_eq!(kept.content_disposition, receipt.content_disposition);
        assert_eq!(kept.content_language.as_deref(), Some("de"));
        assert_eq!(kept.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(kept.tags, tags);
        assert_eq!(receipt.tags, tags);
        assert_eq!((kept.encryption, kept.acl), (None, None));

        let stat = store.stat("s3://test/key.csv").await.unwrap();
        let reader = store
            .get("s3://test/key.csv", ByteRange::Full)
            .await
            .unwrap();
        for found in [&stat, reader.metadata()] {
            assert_eq!(found.content_type, receipt.content_type);
            assert_eq!(found.cache_control, receipt.cache_control);
            assert_eq!(found.content_disposition, receipt.content_disposition);
            assert_eq!(found.content_language, receipt.content_language);
            assert_eq!(found.storage_class, receipt.storage_class);
            assert_eq!(found.metadata, receipt.metadata);
            assert_eq!(found.tag_count, Some(2));
        }
        let mut listed = store.list("s3://test/key").await.unwrap();
        let listed = listed.next_batch().await.unwrap().unwrap();
        assert_eq!(listed[0].storage_class.as_deref(), Some("STANDARD_IA"));
    }
}

#[tokio::test]
async fn encryption_and_acl_go_with_both_kinds_of_request() {
    let server = server().start().await.unwrap();
    let store = store(&server).await.with_acl("bucket-owner-full-control");
    let key = KmsKey::default()
        .with_id("alias/objects")
        .with_context("team", "a")
        .with_bucket_key(true);
    for size in SIZES {
        for (encryption, name, id) in [
            (Encryption::Aes256, "AES256", None),
            (
                Encryption::Kms(key.clone()),
                "aws:kms",
                Some("alias/objects"),
            ),
            (Encryption::KmsDsse(KmsKey::default()), "aws:kms:dsse", None),
        ] {
            let store = store.with_encryption(encryption);
            let receipt = write(&store, size, options()).await.unwrap();
            assert_eq!(receipt.encryption.as_deref(), Some(name));
            let kept = kept(&server);
            assert_eq!(kept.encryption.as_deref(), Some(name));
            assert_eq!(kept.encryption_key.as_deref(), id);
            assert_eq!(kept.bucket_key, id.map(|_| true));
            // {"team":"a"}
            let context = id.map(|_| "eyJ0ZWFtIjoiYSJ9");
            assert_eq!(kept.encryption_context.as_deref(), context);
            assert_eq!(kept.acl.as_deref(), Some("bucket-owner-full-control"));
            let stat = store.stat("s3://test/key.csv").await.unwrap();
            assert_eq!(stat.encryption.as_deref(), Some(name));
            assert_eq!(stat.encryption_key.as_deref(), id);
        }
    }
}

/// A service that takes no notice of the headers would store in clear what was not to be.
#[tokio::test]
async fn encryption_that_is_not_confirmed_is_an_error() {
    let server = server().ignore_encryption(true).start().await.unwrap();
    let store = store(&server).await.with_encryption(Encryption::Aes256);
    let error = write(&store, SIZES[1], options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("AES256"), "{error}");
    assert!(server.object("key.csv").is_none());
    assert!(server.uploads().is_empty());

    let error = write(&store, SIZES[0], options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    assert!(error.message().contains("is stored, but"), "{error}");
}

/// The upload that is refused is there, and removed as any other: not at the first try only.
#[tokio::test]
async fn an_upload_that_is_not_encrypted_is_removed_in_spite_of_faults() {
    let server = server().ignore_encryption(true).start().await.unwrap();
    let store = store(&server).await.with_encryption(Encryption::Aes256);
    let abort = Fault::on("AbortMultipartUpload");
    let fault = server.inject(abort.times(3).respond(500, "InternalError"));
    let error = write(&store, SIZES[1], options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!error.to_string().contains("is left"), "{error}");
    assert!(fault.is_used_up());
    assert!(server.uploads().is_empty());
    assert!(server.log_of("UploadPart").is_empty());

    // One that stays is named, by the writer and by nobody else.
    server.inject(
        Fault::on("AbortMultipartUpload")
            .always()
            .respond(403, "AccessDenied"),
    );
    let error = write(&store, SIZES[1], options()).await.unwrap_err();
    let id = server.uploads()[0].upload_id.clone();
    assert!(
        error.to_string().contains(&format!("{id} is left")),
        "{error}"
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_s3_would_not_take_is_refused_before_anything_is_sent() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let tags = (0..11).map(|n| (format!("k{n}"), String::new()));
    let mut many = options();
    many.tags = tags.collect::<BTreeMap<_, _>>();
    let long = options().with_tag("k", "v".repeat(257));
    for wrong in [
        many.clone(),
        long,
        options().with_cache_control("a\r\nb: c"),
    ] {
        let error = write(&store, 1, wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let config = MultipartUploadConfig::from(many);
    let error = StreamingMultipartSink::new(&store, "test", "key", config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(server.log().is_empty());
    // What only the service knows, it refuses.
    let class = options().with_storage_class("SOMEWHERE");
    let error = write(&store, 1, class).await.unwrap_err();
    assert!(error.to_string().contains("InvalidStorageClass"), "{error}");
}

#[tokio::test]
async fn the_type_that_a_name_tells_is_that_of_what_is_stored() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    for (key, expected) in [
        ("a.csv", Some("text/csv")),
        ("a.csv.zst", Some("application/zstd")),
        ("a", None),
    ] {
        let asked = options().with_guessed_content_type(true);
        let mut writer = open(&store, key, asked.clone()).await;
        writer.write_chunk(b"a,b\n").await.unwrap();
        let receipt = writer.finish().await.unwrap();
        assert_eq!(receipt.content_type.as_deref(), expected, "{key}");
        let kept = server.object(key).unwrap().attributes.content_type.clone();
        assert_eq!(
            kept,
            expected.unwrap_or("application/octet-stream"),
            "{key}"
        );

        let config = MultipartUploadConfig::from(asked);
        let sink = StreamingMultipartSink::new(&store, "test", key, config).unwrap();
        sink.finish().await.unwrap();
        let kept = server.object(key).unwrap().attributes.content_type.clone();
        assert_eq!(
            kept,
            expected.unwrap_or("application/octet-stream"),
            "{key}"
        );
    }
    let receipt = write(&store, 1, options()).await.unwrap();
    assert_eq!(receipt.content_type, None, "nobody asked");
}

/// What an upload was begun with can't change; its encryption must be the one that is asked for.
#[tokio::test]
async fn a_resumed_upload_is_not_taken_for_encrypted() {
    let server = server().start().await.unwrap();
    let plain = store(&server).await;
    let data = random(1, 8 * PART as usize);
    let sealed = plain.with_encryption(Encryption::Aes256);
    for (begun, expected) in [(&sealed, None), (&plain, Some(ErrorKind::Ambiguous))] {
        let fault = server.inject(
            Fault::on("UploadPart")
                .part(6)
                .always()
                .respond(403, "AccessDenied"),
        );
        let keeping = begun.keeping_parts();
        let mut writer = open(&keeping, "key", options().with_max_concurrency(1)).await;
        let written = writer.write_owned(data.clone().into()).await;
        let failed = match written {
            Ok(()) => writer.finish().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(failed.is_err());
        keeping.close().await.unwrap();
        fault.remove();

        let how = Resume::default().with_min_idle(Duration::ZERO);
        let mut writer = sealed
            .resume("s3://test/key", options(), how)
            .await
            .unwrap();
        writer
            .write_owned(Segment::from(data.clone()))
            .await
            .unwrap();
        match (writer.finish().await, expected) {
            (Ok(receipt), None) => {
                assert_eq!(receipt.encryption.as_deref(), Some("AES256"));
                assert!(receipt.bytes_reused.unwrap() > 0);
            }
            (Err(error), Some(kind)) => assert_eq!(error.kind(), kind, "{error}"),
            (other, _) => panic!("{other:?}"),
        }
    }
}
