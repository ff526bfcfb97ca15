//! A runtime that ends while an upload is under way.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use backend_s3::S3ObjectStore;
use fastrand::Rng;
use testkit::server::TestServer;
use tokio::runtime::Runtime;
use tokio::time::sleep;
use writer_core::{ObjectWriter, Result};

use crate::act::{Done, feed, open};
use crate::setup::Setup;

/// Begins a write on a runtime of its own, which ends; what is left is done on the caller's.
pub(crate) async fn write(setup: Setup) -> (Setup, S3ObjectStore, Done) {
    let setup = Arc::new(setup);
    let begun = Arc::clone(&setup);
    let begin = tokio::task::spawn_blocking(move || begin(&begun));
    let (store, orphan, mut rng) = begin.await.unwrap();
    let done = match orphan {
        Orphan::Finishing(done) => done,
        Orphan::Open(writer, pieces) => {
            Done::Finished(go_on(&setup, writer, pieces, &mut rng).await)
        }
    };
    let setup = Arc::into_inner(setup).unwrap();
    (setup, store, done)
}

/// What outlives the runtime.
#[allow(clippy::large_enum_variant, reason = "there is one of them at a time")]
enum Orphan {
    /// A writer that took so many pieces.
    Open(Box<dyn ObjectWriter>, usize),
    Finishing(Done),
}

fn begin(setup: &Setup) -> (S3ObjectStore, Orphan, Rng) {
    let mut rng = setup.rng.clone();
    setup
        .server
        .set_latency(Duration::from_micros(rng.u64(..3_000)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let pieces = rng.usize(0..=setup.pieces.len());
    let finishes = pieces == setup.pieces.len();
    let lifetime = Duration::from_micros(rng.u64(..15_000));
    let (store, mut writer) = runtime.block_on(async {
        let store = setup.store().await;
        let writer = open(setup, &store).await.unwrap();
        (store, writer)
    });
    runtime.block_on(async {
        feed(&mut *writer, setup, &mut rng, pieces).await.unwrap();
    });
    let orphan = if finishes {
        let finishing = runtime.spawn(writer.finish());
        runtime.block_on(sleep(lifetime));
        let done = runtime.block_on(async {
            if finishing.is_finished() {
                Done::Finished(finishing.await.unwrap())
            } else {
                Done::Dropped
            }
        });
        Orphan::Finishing(done)
    } else {
        runtime.block_on(sleep(lifetime));
        Orphan::Open(writer, pieces)
    };
    end(runtime, &mut rng);
    (store, orphan, rng)
}

fn end(runtime: Runtime, rng: &mut Rng) {
    if rng.bool() {
        runtime.shutdown_background();
    } else {
        drop(runtime);
    }
}

/// Goes on as if nothing were: some call must say that it is in vain.
async fn go_on(
    setup: &Setup,
    mut writer: Box<dyn ObjectWriter>,
    pieces: usize,
    rng: &mut Rng,
) -> Result<writer_core::ObjectMetadata> {
    for piece in &setup.pieces[pieces..] {
        match setup.owned(piece, rng.bool()) {
            Some(segment) => writer.write_owned(segment).await?,
            None => writer.write_chunk(&setup.new[piece.clone()]).await?,
        }
    }
    writer.finish().await
}

/// Aborts what the end of the runtime left on the service, as an operator would, once all that was
/// sent has arrived.
pub(crate) async fn sweep(server: &TestServer) {
    while server.stats().connections_open > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(server.endpoint())
        .region(Region::new(server.region().to_owned()))
        .credentials_provider(Credentials::new(
            server.access_key(),
            server.secret_key(),
            None,
            None,
            "sweep",
        ))
        .force_path_style(true)
        .build();
    let client = Client::from_conf(config);
    let listed = client.list_multipart_uploads().bucket("test").send().await;
    for upload in listed.unwrap().uploads() {
        client
            .abort_multipart_upload()
            .bucket("test")
            .key(upload.key().unwrap())
            .upload_id(upload.upload_id().unwrap())
            .send()
            .await
            .unwrap();
    }
}
