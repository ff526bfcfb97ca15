//! The conformance suite on the in-process server.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use backend_s3::{PayloadSigning, S3ObjectStore};
use common::{PART, config, server};
use testkit::conformance::Subject;
use testkit::server::Builder;

const MEMORY: u64 = 8 << 20;

async fn subject(server: Builder, signing: PayloadSigning) -> Subject {
    let server = Arc::new(server.start().await.unwrap());
    let config = config(&server)
        .with_payload_signing(signing)
        .with_memory(MEMORY);
    let store = S3ObjectStore::connect(config).await.unwrap();
    let (leftovers, arrived) = (Arc::clone(&server), Arc::clone(&server));
    Subject::new(Arc::new(store), "s3://test/suite/", PART)
        .with_memory_budget(MEMORY)
        .with_list_page(1_000)
        .with_leftovers(move || {
            let server = Arc::clone(&leftovers);
            async move {
                let uploads = server.uploads();
                uploads.iter().map(|upload| upload.key.clone()).collect()
            }
        })
        .with_arrived(move |uri: &str| {
            let server = Arc::clone(&arrived);
            let key = uri.strip_prefix("s3://test/").unwrap_or(uri).to_owned();
            async move {
                let uploads = server.uploads();
                let upload = uploads.iter().find(|upload| upload.key == key);
                upload.map_or(0, |upload| upload.parts.iter().map(|part| part.size).sum())
            }
        })
        .with_keep(server)
}

mod signed {
    use super::*;

    async fn signed() -> Subject {
        subject(server(), PayloadSigning::Always).await
    }

    testkit::conformance_tests!(signed);
}

mod unsigned {
    use super::*;

    async fn unsigned() -> Subject {
        subject(server(), PayloadSigning::Never).await
    }

    testkit::conformance_tests!(unsigned);
}

mod tls {
    use super::*;

    async fn tls() -> Subject {
        subject(server().tls(), PayloadSigning::Auto).await
    }

    testkit::conformance_tests!(tls);
}
