//! What an observer is told of uploads, and what receipts count.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_s3::S3ObjectStore;
use common::{PART, open, options, random, server, store};
use testkit::server::Fault;
use writer_core::{
    ErrorKind, Event, EventKind, ObjectStore as _, ObjectWriter, Observer, Segment, Step,
    WriterOptions,
};

/// Keeps events as text, and what matters of progress.
#[derive(Default)]
struct Log(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    events: Vec<String>,
    /// Of each part and attempt, the bytes so far.
    sent: BTreeMap<(u32, u32), (u64, u64)>,
}

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        let mut lines = self.0.lock().unwrap();
        let text = match event.kind {
            EventKind::Sent {
                part,
                attempt,
                sent,
                of,
            } => {
                let before = lines.sent.insert((part, attempt), (sent, of));
                assert!(before.is_none_or(|(before, _)| before < sent) && sent <= of);
                return;
            }
            EventKind::Opened { size } => format!("opened {size:?}"),
            EventKind::Queued {
                part,
                bytes,
                memory,
            } => format!("queued {part}: {bytes}, {memory} in memory"),
            EventKind::Began { step, attempt } => format!("began {step} {attempt}"),
            EventKind::Repeated { part } => format!("repeated {part}"),
            EventKind::Retried {
                step,
                attempt,
                error,
            } => format!("retried {step} {attempt}: {}", error.kind()),
            EventKind::Done {
                step,
                bytes,
                reused,
            } => format!("done {step}: {bytes} {reused}"),
            EventKind::Failed { step, error } => format!("failed {step}: {}", error.kind()),
            EventKind::Finished { bytes } => format!("finished {bytes}"),
            EventKind::GivenUp { error } => format!("given up: {:?}", error.map(|e| e.kind())),
            other => panic!("unexpected {other:?}"),
        };
        lines.events.push(text);
    }
}

impl Log {
    /// What was told of `step`, and of the whole.
    fn of(&self, step: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let events = lines.events.iter();
        events.filter(|text| text.contains(step)).cloned().collect()
    }

    fn last(&self) -> String {
        self.0.lock().unwrap().events.last().unwrap().clone()
    }

    /// The length of each attempt's body, and how much of it was sent.
    fn sent(&self, part: u32, attempt: u32) -> Option<(u64, u64)> {
        self.0.lock().unwrap().sent.get(&(part, attempt)).copied()
    }
}

async fn watched(
    store: &S3ObjectStore,
    options: WriterOptions,
) -> (Arc<Log>, Box<dyn ObjectWriter>) {
    let log = Arc::new(Log::default());
    let options = options.with_observer(log.clone());
    (log, open(store, "key", options).await)
}

#[tokio::test]
async fn every_part_is_told_from_its_beginning_to_its_end() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    server.inject(Fault::on("UploadPart").part(2).respond(503, "SlowDown"));
    let size = 3 * PART + 1;
    let (log, mut writer) = watched(&store, options().with_expected_size(size)).await;
    let data = random(1, size as usize);
    writer.write_chunk(&data).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(
        log.of("part 1"),
        ["began part 1 1", "done part 1: 65536 false"]
    );
    assert_eq!(
        log.of("part 2"),
        [
            "began part 2 1",
            "retried part 2 1: unavailable",
            "began part 2 2",
            "done part 2: 65536 false"
        ]
    );
    assert_eq!(log.of("queued 4"), ["queued 4: 1, 1 in memory"]);
    assert_eq!(log.of("create"), ["began create 1", "done create: 0 false"]);
    assert_eq!(
        log.of("complete"),
        ["began complete 1", "done complete: 0 false"]
    );
    assert_eq!(log.of("opened"), ["opened Some(196609)"]);
    assert_eq!(log.last(), "finished 196609");
    assert_eq!(log.sent(1, 1), Some((PART, PART)));
    assert_eq!(log.sent(2, 2), Some((PART, PART)));
    assert_eq!(log.sent(4, 1), Some((1, 1)));

    assert_eq!(receipt.retries, Some(1));
    let in_vain = log.sent(2, 1).map_or(0, |(sent, _)| sent);
    assert_eq!(receipt.bytes_resent, Some(in_vain));
    assert!(receipt.elapsed.unwrap() > Duration::ZERO);
    let held = receipt.peak_buffered.unwrap();
    assert!((size..64 * PART).contains(&held), "{held}");
}

#[tokio::test]
async fn an_object_of_one_request_is_part_1_and_a_file_takes_no_memory() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let (log, mut writer) = watched(&store, options()).await;
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &random(2, 1_000)).unwrap();
    let segment = Segment::file(Arc::new(file), 0..1_000);
    writer.write_owned(segment).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    let events = log.0.lock().unwrap().events.clone();
    assert_eq!(
        events,
        [
            "opened None",
            "queued 1: 1000, 0 in memory",
            "began part 1 1",
            "done part 1: 1000 false",
            "finished 1000"
        ]
    );
    assert_eq!((receipt.retries, receipt.bytes_resent), (Some(0), Some(0)));
    assert_eq!(receipt.peak_buffered, Some(0));
}

#[tokio::test]
async fn a_failure_ends_with_its_reason_and_a_dropped_writer_with_none() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let denied = server.inject(
        Fault::on("UploadPart")
            .part(2)
            .always()
            .respond(403, "AccessDenied"),
    );
    let (log, mut writer) = watched(&store, options()).await;
    let _ = writer.write_chunk(&random(3, 4 * PART as usize)).await;
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(log.of("failed"), ["failed part 2: access denied"]);
    assert_eq!(log.of("abort"), ["began abort 1", "done abort: 0 false"]);
    assert_eq!(log.last(), "given up: Some(AccessDenied)");
    denied.remove();

    let (log, mut writer) = watched(&store, options()).await;
    writer
        .write_chunk(&random(4, 4 * PART as usize))
        .await
        .unwrap();
    drop(writer);
    store.close().await.unwrap();
    assert_eq!(log.last(), "given up: None");

    let (log, writer) = watched(&store, options()).await;
    drop(writer);
    assert_eq!(log.last(), "given up: None", "nothing had to be done");
    let (log, writer) = watched(&store, options()).await;
    writer.cancel().await.unwrap();
    assert_eq!(log.last(), "given up: None");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_late_is_told_twice_and_done_once() {
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    server.inject(
        Fault::on("UploadPart")
            .part(7)
            .late_work(Duration::from_secs(5)),
    );
    let (log, mut writer) = watched(&store, options()).await;
    let size = 8 * PART;
    writer.write_chunk(&random(5, size as usize)).await.unwrap();
    let receipt = writer.finish().await.unwrap();
    assert_eq!(
        log.of("part 7"),
        [
            "began part 7 1",
            "began part 7 2",
            "done part 7: 65536 false"
        ]
    );
    assert_eq!(log.of("repeated"), ["repeated 7"]);
    assert_eq!(receipt.retries, Some(0), "nothing had failed");
    assert_eq!(receipt.bytes_resent, Some(PART));
}

/// What the observer does is no concern of the upload.
#[tokio::test]
async fn an_observer_that_panics_harms_nobody() {
    struct Panics;
    impl Observer for Panics {
        fn on_event(&self, event: &Event<'_>) {
            if let EventKind::Began {
                step: Step::Part(_),
                ..
            } = event.kind
            {
                panic!("an observer's own mistake");
            }
        }
    }
    let server = server().start().await.unwrap();
    let store = store(&server).await;
    let options = options().with_observer(Arc::new(Panics));
    let mut writer = open(&store, "key", options).await;
    let data = random(6, 3 * PART as usize);
    writer.write_chunk(&data).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.object("key").unwrap().bytes(), data);
}
