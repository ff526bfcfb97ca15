//! What the user can do about an error.

use writer_core::{Error, ErrorKind};

use crate::exit::{find, kind};

/// What can be done about `error`, of which `text` is all that is known, in lower case.
pub(crate) fn hint(error: &anyhow::Error, text: &str) -> Option<&'static str> {
    let code = find::<Error>(error).and_then(Error::code);
    let hint = code.and_then(by_code).or_else(|| by_text(text));
    hint.or_else(|| by_kind(kind(error)?, text))
}

/// By the service's own code
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
fn by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "SignatureDoesNotMatch" | "InvalidAccessKeyId" => {
            "the service does not know these credentials: check the key and the secret"
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            "the session has ended: get new credentials, and set AWS_SESSION_TOKEN with them"
        }
        "AuthorizationHeaderMalformed" => {
            "the service is in another region: set it with --region or AWS_REGION"
        }
        "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            "the bucket is in another region: set it with --region or AWS_REGION"
        }
        "RequestTimeTooSkewed" => {
            "the clock of this machine is wrong, or the service's: `timedatectl` shows whether it \
             is kept in time"
        }
        "SlowDown" | "TooManyRequests" | "ThrottlingException" => {
            "the service has too much to do: try again later, or send less at once with \
             --max-concurrency"
        }
        "InternalError" | "ServiceUnavailable" => {
            "the service has failed: the same command may succeed later"
        }
        "NoSuchBucket" => {
            "check the name of the bucket, --region and --endpoint-url, or create the bucket"
        }
        "QuotaExceeded" | "XMinioStorageFull" => "the service has no room: remove something",
        _ => return None,
    })
}

/// By what backends say in words of their own.
fn by_text(text: &str) -> Option<&'static str> {
    let says = |words| text.contains(words);
    Some(if says("there are no credentials") {
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile that has credentials with \
         --profile, or send requests without any with --no-sign-request"
    } else if says("aws_ca_bundle") {
        "--ca-bundle names such a file, too"
    } else if says("there is no region") {
        "--region sets it, too"
    } else if says("may be somebody's") {
        "`--resume --upload-id ID` takes it up all the same"
    } else if says("expected_checksum is that of") {
        "--compress=none stores it as it is, and --expect-checksum is that of the file"
    } else if says("may take half of the memory budget") {
        "raise --memory, or lower --compress-level or --compress-threads"
    } else if says("was replaced while it was read") {
        "what was printed is of the old one: read it again"
    } else if says("there are objects below") {
        "`s3-cli rm -r` removes them, and with --dry-run says which they are"
    } else if says("is not known to keep the condition") {
        "--service names what it is; --conditions=check-first looks first, which is no protection \
         against others; --conditions=trust if you know that it keeps them"
    } else {
        return None;
    })
}

fn by_kind(kind: ErrorKind, text: &str) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound if text.contains(['*', '?']) => {
            "names are taken as they are: * and ? stand for themselves"
        }
        ErrorKind::NotFound if text.contains("bucket") => by_code("NoSuchBucket")?,
        ErrorKind::AccessDenied if text.contains("s3://") => {
            "writing needs s3:PutObject and s3:AbortMultipartUpload, reading s3:GetObject, listing \
             s3:ListBucket; --profile chooses other credentials"
        }
        ErrorKind::AlreadyExists => "leave out --if-none-match to replace it",
        ErrorKind::PreconditionFailed => {
            "`s3-cli stat` shows the ETag that it has now, for --if-match"
        }
        ErrorKind::LimitExceeded if text.contains("memory") => {
            "raise --memory (S3DLIO_PUT_MEMORY) or lower --part-size (S3DLIO_PUT_PART_SIZE)"
        }
        ErrorKind::LimitExceeded if text.contains("expected size") => {
            "--expected-size says how many bytes will come"
        }
        ErrorKind::StorageFull => {
            "nothing was stored, and what was there is as it was: make room and try again"
        }
        ErrorKind::SourceChanged => "nothing was stored; try again when nobody writes to it",
        ErrorKind::Ambiguous => "`s3-cli stat` shows which object is there now",
        ErrorKind::Unavailable => {
            "check the network, --endpoint-url and --region; the same command may succeed later"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(error: Error) -> Option<&'static str> {
        let text = error.to_string().to_lowercase();
        hint(&error.into(), &text)
    }

    #[test]
    fn what_can_be_helped_has_a_hint() {
        for (kind, text, expected) in [
            (
                ErrorKind::AccessDenied,
                "there are no credentials",
                "AWS_ACCESS_KEY_ID",
            ),
            (
                ErrorKind::NotFound,
                "there is no such bucket",
                "create the bucket",
            ),
            (ErrorKind::AccessDenied, "access denied", "s3:PutObject"),
            (ErrorKind::AlreadyExists, "there is one", "--if-none-match"),
            (ErrorKind::PreconditionFailed, "another one", "--if-match"),
            (ErrorKind::LimitExceeded, "the memory budget", "--memory"),
            (ErrorKind::StorageFull, "full", "make room"),
        ] {
            let hint = hint_of(Error::new(kind, text).with_uri("s3://b/k"));
            assert!(hint.is_some_and(|hint| hint.contains(expected)), "{text}");
        }
        let missing = Error::new(ErrorKind::NotFound, "no such object");
        assert_eq!(hint_of(missing.with_uri("s3://b/k")), None);
    }

    #[test]
    fn a_code_comes_before_its_kind() {
        let denied = Error::new(ErrorKind::AccessDenied, "no").with_uri("s3://b/k");
        let skewed = denied.clone().with_code("RequestTimeTooSkewed");
        assert!(hint_of(skewed).is_some_and(|hint| hint.contains("clock")));
        assert_eq!(hint_of(denied.clone().with_code("New")), hint_of(denied));
    }
}
