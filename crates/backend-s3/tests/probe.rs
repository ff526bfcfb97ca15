//! What services are found to do.

#![allow(clippy::unwrap_used)]

mod common;

use backend_s3::{Probe, ServiceProfile};
use common::{server, store};
use testkit::server::{Fault, TestServer};

async fn probe(server: &TestServer) -> Probe {
    let probe = store(server)
        .await
        .probe("s3://test/scratch/")
        .await
        .unwrap();
    assert!(server.keys().is_empty() && server.uploads().is_empty());
    probe
}

fn works(probe: &Probe, feature: &str) -> Option<bool> {
    let mut findings = probe.findings.iter();
    findings
        .find(|finding| finding.feature.contains(feature))
        .unwrap()
        .works
}

#[tokio::test]
async fn a_strict_service_does_all() {
    let server = server().start().await.unwrap();
    let probe = probe(&server).await;
    assert_eq!(probe.profile.name, ServiceProfile::AWS.name);
    let all = probe
        .findings
        .iter()
        .all(|finding| finding.works == Some(true));
    assert!(all, "{probe:#?}");
    assert!(probe.findings.len() >= 10);
}

#[tokio::test]
async fn a_service_that_ignores_conditions_is_found_out() {
    let server = server().ignore_conditions(true).start().await.unwrap();
    let probe = probe(&server).await;
    assert_eq!(probe.profile, ServiceProfile::UNKNOWN);
    for feature in [
        "PutObject keeps If-None-Match",
        "keeps If-Match",
        "CompleteMultipartUpload keeps If-Match",
    ] {
        assert_eq!(works(&probe, feature), Some(false), "{feature}");
    }
}

#[tokio::test]
async fn what_is_refused_or_missing_is_found_out() {
    let server = server().deny("ListMultipartUploads").start().await.unwrap();
    server.inject(
        Fault::on("CompleteMultipartUpload")
            .always()
            .respond(400, "InvalidPart"),
    );
    let store = store(&server).await;
    let probe = store.probe("s3://test/scratch/").await.unwrap();
    assert!(probe.profile.equal_parts);
    assert_eq!(works(&probe, "lists uploads"), Some(false));
    assert_eq!(works(&probe, "CompleteMultipartUpload"), None);
    let nowhere = store.probe("s3://nowhere/").await.unwrap_err();
    assert_eq!(nowhere.kind(), writer_core::ErrorKind::NotFound);
}
