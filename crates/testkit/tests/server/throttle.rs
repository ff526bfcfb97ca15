//! Bandwidth and latency.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use testkit::server::TestServer;

use crate::support::{KIB, client, pattern, start};

/// How long it takes to put so many objects of 100 KiB side by side.
async fn put_together(client: &Client, count: usize) -> Duration {
    let started = Instant::now();
    let puts: Vec<_> = (0..count)
        .map(|i| {
            let put = client.put_object().bucket("test").key(i.to_string());
            tokio::spawn(put.body(pattern(100 * KIB).into()).send())
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    started.elapsed()
}

#[tokio::test]
async fn all_connections_share_one_bandwidth() {
    let server = TestServer::builder()
        .bandwidth(1000 * KIB as u64)
        .start()
        .await
        .unwrap();
    let took = put_together(&client(&server), 4).await;
    assert!(
        took > Duration::from_millis(370),
        "400 KiB at 1000 KiB/s took {took:?}"
    );
    assert!(
        took < Duration::from_secs(3),
        "400 KiB at 1000 KiB/s took {took:?}"
    );
}

#[tokio::test]
async fn each_connection_has_its_own_bandwidth() {
    let server = TestServer::builder()
        .connection_bandwidth(200 * KIB as u64)
        .start()
        .await
        .unwrap();
    let took = put_together(&client(&server), 4).await;
    assert!(
        took > Duration::from_millis(450),
        "100 KiB each at 200 KiB/s took {took:?}"
    );
    assert!(
        took < Duration::from_millis(1500),
        "side by side they took {took:?}"
    );
    assert_eq!(server.stats().max_connections, 4);
}

/// A pace of which a read of the kernel's is more than a millisecond's worth.
#[tokio::test]
async fn a_fast_pace_is_kept_too() {
    let server = TestServer::builder()
        .connection_bandwidth(40_000_000)
        .discard(true)
        .hashing(false)
        .start()
        .await
        .unwrap();
    let body = vec![0; 20_000_000];
    let put = client(&server).put_object().bucket("test").key("k");
    put.body(body.into()).send().await.unwrap();
    let record = &server.log()[0];
    let took = record.finished_at.unwrap() - record.at;
    assert!(
        took > Duration::from_millis(480) && took < Duration::from_millis(800),
        "20 MB at 40 MB/s took {took:?}"
    );
}

#[tokio::test]
async fn a_pause_is_not_saved_up_for_the_next_body() {
    let server = TestServer::builder()
        .connection_bandwidth(20_000_000)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    for _ in 0..3 {
        let put = client.put_object().bucket("test").key("k");
        put.body(vec![0; 1_000_000].into()).send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for record in server.log() {
        let took = record.finished_at.unwrap() - record.at;
        // 50 ms, less what a reader that is late may catch up (10 ms) and be ahead (2 ms).
        assert!(
            took > Duration::from_millis(30),
            "1 MB at 20 MB/s took {took:?}"
        );
    }
    assert_eq!(server.stats().connections_opened, 1);
}

#[tokio::test]
async fn the_bandwidth_may_change_while_it_runs() {
    let (server, client) = start().await;
    let free = put_together(&client, 2).await;
    server.set_bandwidth(500 * KIB as u64);
    let slow = put_together(&client, 2).await;
    assert!(slow > Duration::from_millis(350), "{slow:?}");
    assert!(free < slow);
    server.set_bandwidth(0);
    assert!(put_together(&client, 2).await < slow);
}

#[tokio::test]
async fn a_slow_server_is_felt_by_the_client() {
    use tokio::io::AsyncWriteExt as _;

    let server = TestServer::builder()
        .bandwidth(10 * KIB as u64)
        .start()
        .await
        .unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 * KIB as u32).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    stream
        .write_all(b"PUT /test/k HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        .await
        .unwrap();
    let mut sent = 0;
    let chunk = [0; 4096];
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(200), stream.write(&chunk)).await
    {
        sent += written.unwrap();
    }
    assert!(
        sent < 512 * KIB,
        "the kernel and the server swallowed {sent} bytes"
    );
}

#[tokio::test]
async fn latency_keeps_every_answer_back() {
    let latency = Duration::from_millis(300);
    let server = TestServer::builder()
        .latency(latency)
        .start()
        .await
        .unwrap();
    let client = client(&server);
    client.head_bucket().bucket("test").send().await.unwrap();
    let started = Instant::now();
    client.head_bucket().bucket("test").send().await.unwrap();
    let took = started.elapsed();
    assert!(took >= latency && took < 2 * latency, "{took:?}");
    server.set_latency(Duration::ZERO);
    let started = Instant::now();
    client.head_bucket().bucket("test").send().await.unwrap();
    assert!(started.elapsed() < latency);
}
