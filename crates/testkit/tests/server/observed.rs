//! The log, the counters, and the ways a server runs and stops.

use std::time::Duration;

use testkit::server::TestServer;

use crate::support::{KIB, Multipart, client, crc64, no_answer, pattern, start};

#[tokio::test]
async fn the_log_tells_what_when_and_how() {
    let (server, client) = start().await;
    let upload = Multipart::create(&client).await;
    let body = pattern(70 * KIB);
    upload.part(3, body.clone()).send().await.unwrap();
    client
        .head_object()
        .bucket("test")
        .key("none")
        .send()
        .await
        .unwrap_err();

    let log = server.log();
    let operations: Vec<_> = log.iter().map(|record| record.operation).collect();
    assert_eq!(
        operations,
        ["CreateMultipartUpload", "UploadPart", "HeadObject"]
    );
    let part = &log[1];
    assert_eq!(
        (part.bucket.as_str(), part.key.as_str(), part.part_number),
        ("test", "k", Some(3))
    );
    assert_eq!(
        (part.received, part.status, part.authorized),
        (70 * KIB as u64, 200, true)
    );
    let first_byte = part.first_body_byte_at.unwrap();
    assert!(part.at <= first_byte && first_byte <= part.finished_at.unwrap());
    assert_eq!(
        part.header("x-amz-content-sha256").unwrap().len(),
        64,
        "a signed payload"
    );
    assert_eq!(log[2].status, 404);
    assert_eq!(log[2].first_body_byte_at, None);

    server.clear_log();
    let put = client
        .put_object()
        .bucket("test")
        .key("k")
        .body(b"x".to_vec().into());
    put.checksum_crc64_nvme(crc64(b"x")).send().await.unwrap();
    let put = &server.log()[0];
    assert_eq!(
        put.header("x-amz-checksum-crc64nvme"),
        Some(crc64(b"x").as_str())
    );
    assert_eq!(put.connection, 1, "kept alive");

    let stats = server.stats();
    assert_eq!(stats.requests_of("UploadPart"), 1);
    assert_eq!(
        stats.requests.values().sum::<u64>(),
        4,
        "the counters outlive the log"
    );
    assert_eq!(stats.bytes_received, 70 * KIB as u64 + 1);
    assert_eq!((stats.connections_opened, stats.connections_open), (1, 1));
}

#[tokio::test]
async fn the_counters_see_what_runs_side_by_side() {
    let (server, client) = start().await;
    let hold = server.hold("PutObject");
    let puts: Vec<_> = (0..5)
        .map(|i| tokio::spawn(client.put_object().bucket("test").key(i.to_string()).send()))
        .collect();
    hold.wait_for(5).await;
    assert_eq!(hold.held(), 5);
    assert_eq!(server.stats().requests_in_flight, 5);
    drop(hold);
    for put in puts {
        put.await.unwrap().unwrap();
    }
    let stats = server.stats();
    assert_eq!(
        (stats.requests_in_flight, stats.max_concurrent_requests),
        (0, 5)
    );
    assert_eq!(stats.max_concurrent_parts, 5);
    client.list_buckets().send().await.unwrap();
    assert_eq!(server.stats().max_concurrent_parts, 5);
}

#[tokio::test]
async fn a_log_may_be_switched_off() {
    let server = TestServer::builder().keep_log(false).start().await.unwrap();
    client(&server).list_buckets().send().await.unwrap();
    assert!(server.log().is_empty());
    assert_eq!(server.stats().requests_of("ListBuckets"), 1);
}

#[tokio::test]
async fn a_server_that_is_shut_down_or_dropped_is_gone() {
    let (server, client) = start().await;
    let held = server.hold("PutObject");
    let put = tokio::spawn(client.put_object().bucket("test").key("k").send());
    held.wait_for(1).await;
    let address = server.address();
    server.shutdown().await;
    no_answer(put.await.unwrap());
    tokio::net::TcpStream::connect(address).await.unwrap_err();

    let (server, _) = start().await;
    let address = server.address();
    drop(server);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_server_may_run_on_threads_of_its_own() {
    let server = TestServer::builder().start_on_threads(1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        client(&server)
            .put_object()
            .bucket("test")
            .key("k")
            .send()
            .await
            .unwrap();
        drop(server);
    });
}
