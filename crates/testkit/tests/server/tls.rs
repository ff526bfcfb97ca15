//! HTTPS: who is trusted, and that all else is as without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use testkit::server::{Fault, TestServer};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{KIB, client, config, http_client, no_answer, pattern, start};

async fn start_tls() -> (TestServer, Client) {
    let server = TestServer::builder().tls().start().await.unwrap();
    let client = client(&server);
    (server, client)
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_puts_and_gets() {
    let (server, client) = start_tls().await;
    assert!(server.endpoint().starts_with("https://127.0.0.1:"));
    let body = pattern(300 * KIB);
    let put = client.put_object().bucket("test").key("k");
    put.body(body.clone().into()).send().await.unwrap();
    let got = client.get_object().bucket("test").key("k");
    let got = got.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(got.to_vec(), body);

    let log = server.log();
    assert_eq!((log[0].received, log[0].connection), (body.len() as u64, 1));
    assert_eq!(log[1].connection, 1, "kept alive");
    assert!(log.iter().all(|record| record.authorized));
}

#[tokio::test]
async fn a_client_that_does_not_trust_it_does_nothing() {
    let (server, _) = start_tls().await;
    let (other, _) = start_tls().await;
    let stranger = config(&server).http_client(http_client(other.ca_pem()));
    let stranger = Client::from_conf(stranger.build());
    no_answer(stranger.list_buckets().send().await);

    let plain = config(&server)
        .endpoint_url(format!("http://{}", server.address()))
        .http_client(http_client(None));
    no_answer(Client::from_conf(plain.build()).list_buckets().send().await);

    assert_eq!(server.stats().connections_opened, 2);
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn without_tls_there_is_no_certificate() {
    let (server, _) = start().await;
    assert!(server.endpoint().starts_with("http://"));
    assert_eq!(server.ca_pem(), None);
}

#[tokio::test]
async fn the_certificate_is_for_this_machine_and_the_protocol_http_1() {
    let (server, _) = start_tls().await;
    for name in ["localhost", "127.0.0.1", "::1"] {
        let protocol = negotiate(&server, name, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]), "{name}");
    }
    negotiate(&server, "localhost", &["h2"]).await.unwrap_err();
    negotiate(&server, "example.com", &["http/1.1"])
        .await
        .unwrap_err();
}

/// Shakes hands with the server under that name; the protocol agreed on.
async fn negotiate(
    server: &TestServer,
    name: &'static str,
    protocols: &[&str],
) -> std::io::Result<Option<Vec<u8>>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(server.ca_pem().unwrap().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(server.address()).await?;
    let name = ServerName::try_from(name).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn holds_and_resets_work_through_tls() {
    let (server, client) = start_tls().await;
    let put = || {
        let put = client.put_object().bucket("test").key("k");
        put.body(pattern(8 << 20).into()).send()
    };
    for fault in [
        Fault::on("PutObject").reset_before_body(),
        Fault::on("PutObject").reset_after_bytes(100_000),
        Fault::on("PutObject").reset_after_body(),
    ] {
        let fault = server.inject(fault);
        no_answer(put().await);
        assert!(fault.is_used_up());
    }
    let hold = server.hold("PutObject");
    let held = tokio::spawn(put());
    hold.wait_for(1).await;
    assert!(!held.is_finished());
    hold.release();
    held.await.unwrap().unwrap();
    assert_eq!(server.stats().connections_opened, 4);
}

#[tokio::test]
async fn the_throttle_paces_what_is_encrypted() {
    let server = TestServer::builder()
        .tls()
        .connection_bandwidth(200 * KIB as u64);
    let server = server.start().await.unwrap();
    let started = Instant::now();
    let put = client(&server).put_object().bucket("test").key("k");
    put.body(pattern(100 * KIB).into()).send().await.unwrap();
    let took = started.elapsed();
    assert!(
        took > Duration::from_millis(450) && took < Duration::from_millis(1500),
        "100 KiB at 200 KiB/s took {took:?}"
    );
}

#[tokio::test]
async fn without_a_body_nothing_waits_but_for_the_latency() {
    let latency = Duration::from_millis(300);
    let server = TestServer::builder().tls().latency(latency);
    let server = server.start().await.unwrap();
    let client = client(&server);
    client.list_buckets().send().await.unwrap();
    let started = Instant::now();
    client.list_buckets().send().await.unwrap();
    let took = started.elapsed();
    assert!(took >= latency && took < 2 * latency, "{took:?}");
}
