//! What must hold after a run, by a look into the server.

use std::time::{Duration, Instant};

use backend_s3::{MultipartUploadConfig, StreamingMultipartSink};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use testkit::server::{Algorithm, StoredObject};
use tokio::time::sleep;
use writer_core::{Error, ErrorKind, ObjectMetadata, Result};
use writer_tokio::MemoryBudget;

use crate::act::Done;
use crate::kind::{Kind, Operation};
use crate::plan::{Expect, Plan};
use crate::run::Outcome;
use crate::setup::{KEY, Setup, URI};

/// What a run left.
pub(crate) struct Evidence<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) plan: &'a Plan,
    pub(crate) done: &'a Done,
    /// What the store said when it was closed.
    pub(crate) closed: &'a Result<()>,
    pub(crate) budget: &'a MemoryBudget,
}

/// Which of the two objects is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Old,
    New,
}

/// How the run ended; an error is a promise that was not kept.
pub(crate) async fn judge(evidence: &Evidence<'_>) -> Result<Outcome, String> {
    let object = evidence.setup.server.object(KEY);
    let object = object.ok_or("there is no object at all")?;
    let content = content(evidence.setup, &object)?;
    let outcome = match evidence.done {
        Done::Finished(Ok(receipt)) => {
            succeeded(evidence, &object, content, receipt)?;
            Outcome::Succeeded
        }
        Done::Finished(Err(error)) => failed(evidence, content, error)?,
        Done::Cancelled(cancelled) => {
            check(content == Content::Old, || "cancelled, yet replaced".into())?;
            check(cancelled.is_ok(), || format!("cancel: {cancelled:?}"))?;
            Outcome::Left
        }
        Done::Dropped => Outcome::Left,
    };
    nothing_is_left(evidence)?;
    memory_is_free(evidence.budget).await?;
    Ok(outcome)
}

fn content(setup: &Setup, object: &StoredObject) -> Result<Content, String> {
    let bytes = object.bytes();
    if bytes == setup.new {
        Ok(Content::New)
    } else if bytes == setup.old {
        Ok(Content::Old)
    } else {
        let (old, new) = (setup.old.len(), setup.new.len());
        Err(format!(
            "the object is neither the old one ({old} bytes) nor the new one ({new} bytes): {} \
             bytes, parts {:?}",
            bytes.len(),
            object.part_sizes
        ))
    }
}

fn succeeded(
    evidence: &Evidence<'_>,
    object: &StoredObject,
    content: Content,
    receipt: &ObjectMetadata,
) -> Result<(), String> {
    let (setup, plan) = (evidence.setup, evidence.plan);
    check(content == Content::New, || {
        format!("success, but the old object is there: {receipt:?}")
    })?;
    check(!matches!(plan.expect, Expect::Failure(_)), || {
        format!("success, where {:?} was due", plan.expect)
    })?;
    let checksum = receipt
        .checksum
        .map(|sum| BASE64.encode(sum.0.to_be_bytes()));
    let same = receipt.size == setup.new.len() as u64
        && checksum == Some(Algorithm::Crc64Nvme.of(&setup.new))
        && (plan.lies || plan.stored_twice || receipt.e_tag.as_ref() == Some(&object.etag));
    check(same, || {
        format!("the receipt is wrong: {receipt:?} for ETag {}", object.etag)
    })?;
    if plan.once {
        let operation = match setup.operation {
            Operation::Put => "PutObject",
            _ => "UploadPart",
        };
        let sent = setup.server.stats().requests_of(operation);
        check(Some(sent) == receipt.parts.map(u64::from), || {
            format!("{sent} bodies sent for {:?} parts", receipt.parts)
        })?;
    }
    Ok(())
}

fn failed(evidence: &Evidence<'_>, content: Content, error: &Error) -> Result<Outcome, String> {
    let plan = evidence.plan;
    check(
        error.uri() == Some(URI) && !error.message().is_empty(),
        || format!("an error that does not say of what: {error:?}"),
    )?;
    match plan.expect {
        Expect::Success => return Err(format!("it did not survive: {error:?}")),
        Expect::Failure(kind) | Expect::SuccessOr(kind) => check(error.kind() == kind, || {
            format!("{kind:?} was due: {error:?}")
        })?,
        Expect::Unsure => {
            let kinds = [ErrorKind::Unavailable, ErrorKind::Ambiguous];
            check(kinds.contains(&error.kind()), || {
                format!("one of {kinds:?} was due: {error:?}")
            })?;
        }
    }
    if error.kind() == ErrorKind::Ambiguous {
        return Ok(Outcome::Ambiguous);
    }
    // What is there is not what the service says it is.
    let is_published = plan.lies && error.kind() == ErrorKind::ChecksumMismatch;
    check(content == Content::Old || is_published, || {
        format!("it failed, but the new object is there: {error:?}")
    })?;
    Ok(Outcome::Failed)
}

/// No upload is left, but those that an error names; and those whose ids were never heard of,
/// which have no parts.
fn nothing_is_left(evidence: &Evidence<'_>) -> Result<(), String> {
    let setup = evidence.setup;
    let said = format!("{:?} {:?}", evidence.done, evidence.closed);
    let mut unheard_of = 0;
    for upload in setup.server.uploads() {
        if said.contains(&upload.upload_id) {
            continue;
        }
        let is_empty = upload.parts.is_empty();
        check(is_empty && setup.kind.may_lose_create(), || {
            format!("an upload is left: {upload:?}; {said}")
        })?;
        unheard_of += 1;
    }
    let stats = setup.server.stats();
    let created = stats.requests_of("CreateMultipartUpload");
    // Who sends a part knows an id.
    let heard_of = u64::from(stats.requests_of("UploadPart") > 0);
    check(unheard_of + heard_of <= created, || {
        format!("{unheard_of} uploads are left of {created}")
    })
}

/// Memory of the budget comes back; from a runtime that was torn down, soon.
async fn memory_is_free(budget: &MemoryBudget) -> Result<(), String> {
    let start = Instant::now();
    while budget.used() > 0 {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(format!("{} bytes of memory are lost", budget.used()));
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn check(holds: bool, violation: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(violation()) }
}

/// What breaks a promise is found.
#[tokio::test]
async fn violations_are_found() {
    let mut setup = Setup::draw(Kind::Latency, Operation::Memory, 1).await;
    let plan = Plan::arm(&mut setup);
    let store = setup.store().await;
    let rng = setup.rng.clone();
    let done = Done::Finished(crate::act::write(&setup, &store, rng).await);
    let verdict = async |done: &Done| {
        let evidence = Evidence {
            setup: &setup,
            plan: &plan,
            done,
            closed: &Ok(()),
            budget: store.budget(),
        };
        judge(&evidence).await
    };
    assert_eq!(verdict(&done).await, Ok(Outcome::Succeeded));

    let found = async |done: &Done, text: &str| {
        let violation = verdict(done).await.unwrap_err();
        assert!(violation.contains(text), "{violation}");
    };
    let failed = Error::new(ErrorKind::Unavailable, "x").with_uri(URI);
    found(&Done::Finished(Err(failed)), "it did not survive").await;
    found(&Done::Cancelled(Ok(())), "cancelled, yet replaced").await;
    let mut other = setup.new.clone();
    other[0] ^= 1;
    setup.server.insert(KEY, other);
    found(&done, "neither the old one").await;
    setup.server.insert(KEY, setup.new.clone());
    found(&done, "the receipt is wrong").await;
    setup.server.insert(KEY, setup.old.clone());
    found(&done, "the old object is there").await;

    let config = MultipartUploadConfig::from(setup.options.clone()).with_abort_on_drop(false);
    let mut sink = StreamingMultipartSink::new(&store, "test", "left", config).unwrap();
    sink.write(&setup.new).await.unwrap();
    while setup
        .server
        .uploads()
        .iter()
        .all(|upload| upload.parts.is_empty())
    {
        sleep(Duration::from_millis(1)).await;
    }
    found(&Done::Dropped, "an upload is left").await;
}
