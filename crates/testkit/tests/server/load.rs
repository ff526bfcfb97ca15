//! Stragglers, slow connections, and refused load.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use testkit::server::TestServer;

use crate::support::{KIB, Multipart, client, pattern, refusal, start};

const STALL: Duration = Duration::from_millis(400);

async fn time_to_put(client: &Client, bytes: usize) -> Duration {
    let started = Instant::now();
    let put = client.put_object().bucket("test").key("k");
    put.body(pattern(bytes).into()).send().await.unwrap();
    started.elapsed()
}

#[tokio::test]
async fn every_third_body_stalls() {
    let server = TestServer::builder().stall_every(3, STALL);
    let server = server.start().await.unwrap();
    let client = client(&server);
    let upload = Multipart::create(&client).await;
    let mut times = vec![time_to_put(&client, 0).await];
    for number in 1..=3 {
        let started = Instant::now();
        upload.sent(number, b"hello").await;
        times.push(started.elapsed());
    }
    for bytes in [1, KIB, 100 * KIB] {
        times.push(time_to_put(&client, bytes).await);
    }
    let stalled: Vec<_> = times.iter().map(|time| *time >= STALL).collect();
    assert_eq!(
        stalled,
        [false, false, false, true, false, false, true],
        "an object without a body does not count: {times:?}"
    );
}

#[tokio::test]
async fn a_stall_is_in_the_middle() {
    const SIZE: u64 = 8 << 20;
    let server = TestServer::builder().stall_every(1, STALL);
    let server = server.start().await.unwrap();
    let put = client(&server).put_object().bucket("test").key("k");
    let put = tokio::spawn(put.body(pattern(SIZE as usize).into()).send());
    let received = || server.log().first().map_or(0, |record| record.received);
    while received() < SIZE / 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let at_first = received();
    tokio::time::sleep(STALL / 4).await;
    assert_eq!(received(), at_first, "nothing is read meanwhile");
    assert!(at_first < SIZE * 3 / 4, "{at_first}");
    put.await.unwrap().unwrap();
    assert_eq!(received(), SIZE);
    assert_eq!(
        server.object("k").unwrap().bytes(),
        pattern(SIZE as usize),
        "nothing is lost"
    );
}

#[tokio::test]
async fn every_other_connection_is_slow() {
    let server = TestServer::builder().slow_every(2, 200 * KIB as u64);
    let server = server.start().await.unwrap();
    let clients = [(); 4].map(|()| client(&server));
    let mut slow = Vec::new();
    for client in clients.iter().chain(&clients) {
        slow.push(time_to_put(client, 100 * KIB).await > Duration::from_millis(400));
    }
    let expected = [false, true, false, true];
    assert_eq!(slow, [expected, expected].concat());
    assert_eq!(server.stats().connections_opened, 4);
}

#[tokio::test]
async fn a_request_too_many_is_slowed_down() {
    let server = TestServer::builder()
        .slow_down_above(2)
        .stall_every(1, STALL);
    let server = server.start().await.unwrap();
    let client = client(&server);
    let put = |size| {
        let put = client.put_object().bucket("test").key("k");
        put.body(pattern(size).into()).send()
    };
    let first = [tokio::spawn(put(KIB)), tokio::spawn(put(KIB))];
    while server.stats().bytes_received < 2 * KIB as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Others are not counted, nor refused.
    client.head_bucket().bucket("test").send().await.unwrap();
    let before = server.stats().connections_opened;
    assert_eq!(refusal(put(500 * KIB).await), (503, "SlowDown".into()));
    for put in first {
        put.await.unwrap().unwrap();
    }
    assert_eq!(server.stats().slow_downs, 1);
    assert_eq!(server.stats().connections_opened, before);
    let refused = server.log().into_iter().find(|record| record.status == 503);
    let refused = refused.unwrap();
    assert_eq!(refused.received, 500 * KIB as u64, "read to its end");

    server.clear_log();
    for put in [tokio::spawn(put(KIB)), tokio::spawn(put(KIB))] {
        put.await.unwrap().unwrap();
    }
    let same = |record: &testkit::server::RequestRecord| record.connection == refused.connection;
    assert!(!server.log().iter().any(same), "that connection is closed");
}

#[tokio::test]
async fn what_waits_for_its_answer_is_not_received_any_more() {
    let server = TestServer::builder().slow_down_above(1);
    let server = server.start().await.unwrap();
    let client = client(&server);
    let hold = server.hold("PutObject");
    let puts = [(); 2].map(|()| {
        let put = client.put_object().bucket("test").key("k");
        put.body(pattern(KIB).into()).send()
    });
    let mut running = Vec::new();
    for (number, put) in puts.into_iter().enumerate() {
        running.push(tokio::spawn(put));
        hold.wait_for(number + 1).await;
    }
    hold.release();
    for put in running {
        put.await.unwrap().unwrap();
    }
    assert_eq!(server.stats().slow_downs, 0);
}

#[tokio::test]
async fn nobody_is_treated_unevenly_unasked() {
    let (server, client) = start().await;
    for _ in 0..3 {
        assert!(time_to_put(&client, KIB).await < STALL);
    }
    assert_eq!(server.stats().slow_downs, 0);
}
