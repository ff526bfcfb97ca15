//! One part on its way.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tracing::debug;
use writer_core::{Error, ErrorKind, EventKind, Result};
use writer_tokio::LeavingPart;

use crate::api::{Stored, StoredPart};
use crate::checks::Hashing;
use crate::context::{Context, Verdict, damaged, unverified};
use crate::digest::PartDigest;
use crate::watch::Attempts;

/// The upload id, or why there is none, once the service has answered.
pub(crate) type Created = watch::Receiver<Option<Result<Arc<str>>>>;

/// Sends one part until it is stored.
pub(crate) struct PartTask {
    pub(crate) context: Context,
    pub(crate) created: Created,
    pub(crate) part: LeavingPart,
    pub(crate) attempts: Attempts,
    /// Says that everything waits for this part, which is to be sent a second time.
    pub(crate) late: Arc<Notify>,
}

impl PartTask {
    pub(crate) fn number(&self) -> u32 {
        self.part.part().number()
    }

    pub(crate) fn len(&self) -> u64 {
        self.part.part().len()
    }

    pub(crate) async fn run(self) -> Result<StoredPart> {
        let sent = self.race().await;
        let sent = sent.map_err(|error| error.with_part(self.number()));
        match &sent {
            Ok(stored) => self.attempts.done(stored.len, stored.is_reused),
            Err(error) => self.attempts.failed(error),
        }
        sent
    }

    /// Sends the part, and once more if it is late: what is stored first counts.
    async fn race(&self) -> Result<StoredPart> {
        let mut first = pin!(self.send());
        tokio::select! {
            biased;
            sent = &mut first => return sent,
            () = self.late.notified() => debug!("late, sent a second time"),
        }
        let part = self.number();
        self.context.watch.tell(EventKind::Repeated { part });
        // Boxed, so that the parts that are not late do not have room for it.
        let mut second = Box::pin(self.send());
        tokio::select! {
            biased;
            sent = &mut first => match sent {
                Ok(stored) => Ok(stored),
                Err(_) => second.await,
            },
            sent = &mut second => match sent {
                Ok(stored) => Ok(stored),
                Err(_) => first.await,
            },
        }
    }

    async fn send(&self) -> Result<StoredPart> {
        let attempts = self.attempts.beside();
        if let Some(resumed) = &self.context.resumed
            && let Some(stored) = resumed.recognise(&self.context, self.part.part()).await?
        {
            debug!("was there already");
            return Ok(stored);
        }
        let ahead = match self.context.hashing() {
            // Hashed while Create is on its way.
            Hashing::Ahead => Some(self.digest().await?),
            Hashing::AsSent | Hashing::Unknown => None,
        };
        let upload_id = upload_id(&self.created).await?;
        match ahead {
            Some(digest) => self.send_hashed(&upload_id, digest, &attempts).await,
            None if self.context.hashing() == Hashing::AsSent => {
                self.send_hashing(&upload_id, &attempts).await
            }
            None => {
                let digest = self.digest().await?;
                self.send_hashed(&upload_id, digest, &attempts).await
            }
        }
    }

    /// Hashes the part while it is sent, and compares what the service says.
    async fn send_hashing(&self, upload_id: &str, attempts: &Attempts) -> Result<StoredPart> {
        let service = &self.context.service;
        let attempt = |attempt| async move {
            let (api, part) = (&self.context.api, self.part.part());
            let (stored, sent) = api.upload_part(upload_id, part, None, attempt).await?;
            match (sent.crc, stored.crc) {
                (Some(sent), Some(stored)) if sent != stored => {
                    Err(damaged(sent, stored).with_retryable(true))
                }
                (Some(_), Some(_)) => Ok(Some((stored, sent))),
                _ => Ok(None),
            }
        };
        let sent = attempts.run(&self.context.retry, attempt).await;
        match sent {
            Ok(Some((stored, sent))) => {
                service.proved_itself();
                return self.stored(stored, sent);
            }
            Ok(None) => {
                service.wants_checksums();
                attempts.in_vain(&unverified());
            }
            Err(error) if service.may_have_refused(&error) => attempts.in_vain(&error),
            Err(error) => return Err(error),
        }
        debug!("the service wants checksums with the parts");
        let digest = self.digest().await?;
        self.send_hashed(upload_id, digest, attempts).await
    }

    async fn send_hashed(
        &self,
        upload_id: &str,
        mut digest: PartDigest,
        attempts: &Attempts,
    ) -> Result<StoredPart> {
        let context = &self.context;
        loop {
            let tells = !context.takes_no_checksums();
            let attempt = |attempt| async move {
                let part = self.part.part();
                let told = PartDigest {
                    crc: digest.crc.filter(|_| tells),
                    ..digest
                };
                let api = &context.api;
                let sent = api.upload_part(upload_id, part, Some(told), attempt).await;
                let stored = sent.map(|(stored, _)| stored);
                self.blame_source(stored, digest).await
            };
            let stored = match attempts.run(&context.retry, attempt).await {
                Ok(stored) => stored,
                Err(error) if tells && self.may_go_without(digest, &error) => {
                    attempts.in_vain(&error);
                    digest = self.digest_with(true).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match context.verify(&stored, &digest) {
                Verdict::Stored => return self.stored(stored, digest),
                Verdict::Unverified => {
                    context.service.set_silent();
                    attempts.in_vain(&unverified());
                    digest = self.digest().await?;
                }
                Verdict::Damaged(error) => return Err(error),
            }
        }
    }

    /// True if a part of an upload that is taken up again was refused for its checksum.
    fn may_go_without(&self, sent: PartDigest, error: &Error) -> bool {
        let resumed = self.context.resumed.as_ref();
        let resumed = resumed.filter(|_| sent.crc.is_some());
        resumed.is_some_and(|resumed| resumed.refused_checksum(error))
    }

    fn stored(&self, stored: Stored, sent: PartDigest) -> Result<StoredPart> {
        let Some(e_tag) = stored.e_tag else {
            return Err(Error::new(
                ErrorKind::Other,
                "the service stored the part but gave no ETag for it",
            ));
        };
        debug!("stored");
        Ok(StoredPart {
            number: self.number(),
            len: self.len(),
            e_tag,
            crc: sent.crc,
            is_known: true,
            is_reused: false,
        })
    }

    async fn digest(&self) -> Result<PartDigest> {
        self.digest_with(self.context.signs()).await
    }

    async fn digest_with(&self, sign: bool) -> Result<PartDigest> {
        let wanted = self.context.wanted(sign);
        self.context.hasher.digest(self.part.part(), wanted).await
    }

    /// A body that did not arrive as it was hashed was damaged on its way, and is sent again; or
    /// its file has changed in between, and then another try is in vain.
    async fn blame_source(&self, stored: Result<Stored>, sent: PartDigest) -> Result<Stored> {
        let reads_files = self.part.part().reads_files();
        match stored {
            Err(error) if error.kind() == ErrorKind::ChecksumMismatch && reads_files => {
                // Hashed as it was then, whatever is known of the service by now.
                if self.digest_with(sent.sha256.is_some()).await? == sent {
                    return Err(error);
                }
                let text = "the file changed while it was sent";
                Err(Error::new(ErrorKind::SourceChanged, text).with_source(error))
            }
            other => other,
        }
    }
}

/// Waits for the answer to Create.
pub(crate) async fn upload_id(created: &Created) -> Result<Arc<str>> {
    match created.clone().wait_for(Option::is_some).await.as_deref() {
        Ok(Some(id)) => id.clone(),
        _ => Err(Error::new(ErrorKind::Interrupted, "the runtime shuts down")),
    }
}
