//! Takes a body in, frame by frame: counts, hashes, verifies, keeps or forgets.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::body::flipped;
use super::builder::{ETags, Options, Unasked};
use super::checksum::{Algorithm, invalid_request, only};

/// What a request says about its body.
pub(super) struct Announced {
    /// After the aws-chunked framing is taken off.
    pub(super) length: Option<i64>,
    pub(super) content_md5: Option<String>,
    pub(super) claim: Claim,
    pub(super) trailers: Option<TrailingHeaders>,
    /// A fault: damage this byte of the body.
    pub(super) flip_bit_at: Option<u64>,
}

/// The checksum that a client sends along, in a header or after the body.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) algorithm: Option<Algorithm>,
    value: Option<String>,
}

/// A body that arrived whole and is what the client meant to send.
pub(super) struct Received {
    /// `None` if the server discards bodies.
    pub(super) data: Option<Bytes>,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    /// `None` only if hashing is off and the client sent none.
    pub(super) checksum: Option<String>,
}

impl Claim {
    pub(super) fn of(headers: &HeaderMap) -> S3Result<Self> {
        let (algorithm, value) = claimed_in(headers)?.unzip();
        if let (Some(algorithm), Some(value)) = (algorithm, &value) {
            let algorithm: Algorithm = algorithm;
            algorithm.check_form(value)?;
        }
        let trailing = trailing_algorithm(headers);
        if algorithm.is_none()
            && trailing.is_none()
            && headers.contains_key("x-amz-sdk-checksum-algorithm")
        {
            return Err(invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* \
                 or x-amz-trailer headers were found.",
            ));
        }
        Ok(Self {
            algorithm: algorithm.or(trailing),
            value,
        })
    }

    fn take_trailer(&mut self, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        let Some(trailers) = trailers.and_then(TrailingHeaders::take) else {
            return Ok(());
        };
        if let Some((algorithm, value)) = claimed_in(&trailers)? {
            algorithm.check_form(&value)?;
            if self.algorithm != Some(algorithm) {
                return Err(invalid_request(
                    "The trailer was not announced by x-amz-trailer.",
                ));
            }
            self.value = Some(value);
        }
        Ok(())
    }
}

fn claimed_in(headers: &HeaderMap) -> S3Result<Option<(Algorithm, String)>> {
    only(Algorithm::ALL.map(|a| {
        headers
            .get(a.header())
            .and_then(|value| value.to_str().ok())
    }))
}

fn trailing_algorithm(headers: &HeaderMap) -> Option<Algorithm> {
    let names = headers.get("x-amz-trailer")?.to_str().ok()?;
    names.split(',').find_map(|name| {
        Algorithm::ALL
            .into_iter()
            .find(|a| a.header() == name.trim().to_ascii_lowercase())
    })
}

/// Reads `body` to its end and verifies it against all that was announced.
///
/// `algorithm` is the one to compute and keep.
pub(super) async fn receive(
    options: &Options,
    body: Option<StreamingBlob>,
    mut announced: Announced,
    algorithm: Algorithm,
) -> S3Result<Received> {
    let expected = u64::try_from(announced.length.unwrap_or(0)).unwrap_or(0);
    if expected > options.max_part_size {
        return Err(too_large());
    }
    let mut intake = Intake::new(options, &announced, algorithm, expected);
    if let Some(mut body) = body {
        while let Some(frame) = body.next().await {
            intake.take(frame.map_err(|error| broken_body(&error))?)?;
        }
    }
    if announced.length.is_some() && intake.size != expected {
        return Err(incomplete());
    }
    announced.claim.take_trailer(announced.trailers.as_ref())?;
    intake.finish(&announced, algorithm)
}

/// A body on its way in.
struct Intake<'a> {
    options: &'a Options,
    size: u64,
    kept: Option<Vec<u8>>,
    md5: Option<Md5>,
    digest: Option<super::checksum::Digest>,
    bytes_until_flip: Option<u64>,
}

impl<'a> Intake<'a> {
    fn new(
        options: &'a Options,
        announced: &Announced,
        algorithm: Algorithm,
        expected: u64,
    ) -> Self {
        let wants_md5 = options.etags == ETags::Md5 || announced.content_md5.is_some();
        // A length is only a claim: no more than this is set aside for it.
        let capacity = expected.min(64 << 20) as usize;
        Self {
            options,
            size: 0,
            kept: (!options.discard).then(|| Vec::with_capacity(capacity)),
            md5: (options.hashing && wants_md5).then(Md5::new),
            digest: computes(options, announced).then(|| algorithm.digest()),
            bytes_until_flip: announced.flip_bit_at,
        }
    }

    fn take(&mut self, frame: Bytes) -> S3Result<()> {
        let frame = flipped(&mut self.bytes_until_flip, frame);
        self.size += frame.len() as u64;
        if self.size > self.options.max_part_size {
            return Err(too_large());
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(&frame);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&frame);
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&frame);
        }
        Ok(())
    }

    fn finish(self, announced: &Announced, algorithm: Algorithm) -> S3Result<Received> {
        let md5 = self.md5.map(Md5::finalize);
        if let (Some(claimed), Some(actual)) = (&announced.content_md5, md5) {
            check_md5(claimed, &actual)?;
        }
        let computed = self.digest.map(super::checksum::Digest::finish);
        let claimed = announced.claim.value.as_ref();
        if let (Some(claimed), Some(computed)) = (claimed, &computed)
            && claimed != computed
        {
            return Err(S3Error::with_message(
                S3ErrorCode::BadDigest,
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ),
            ));
        }
        let etag = match (self.options.etags, md5) {
            (ETags::Md5, Some(md5)) => hex(&md5),
            _ => random_etag(),
        };
        Ok(Received {
            data: self.kept.map(Bytes::from),
            size: self.size,
            etag,
            checksum: computed.or_else(|| claimed.cloned()),
        })
    }
}

/// Without hashing, what a client claims is believed; but what none claims must be computed.
fn computes(options: &Options, announced: &Announced) -> bool {
    options.hashing || (announced.claim.algorithm.is_none() && options.unasked == Unasked::Computed)
}

fn check_md5(claimed: &str, actual: &[u8]) -> S3Result<()> {
    match BASE64.decode(claimed) {
        Ok(raw) if raw == actual => Ok(()),
        Ok(raw) if raw.len() == actual.len() => Err(S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        )),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified was invalid.",
        )),
    }
}

pub(super) fn random_etag() -> String {
    format!("{:032x}", fastrand::u128(..))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn too_large() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size",
    )
}

fn incomplete() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

/// What a failure of the body's stream means to S3. The error types of s3s are
/// private; their texts name the variant.
fn broken_body(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    } else if text.contains("SignatureMismatch") {
        S3ErrorCode::SignatureDoesNotMatch.into()
    } else {
        incomplete()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Builder;

    /// Over a socket hyper notices first that a plain body is cut short; this is
    /// about bodies whose framing (aws-chunked) is whole and whose length is not
    /// the declared one.
    #[tokio::test]
    async fn a_body_must_have_the_declared_length() {
        let options = Builder::default().options;
        for declared in [4, 5, 6] {
            let announced = Announced {
                length: Some(declared),
                content_md5: None,
                claim: Claim {
                    algorithm: None,
                    value: None,
                },
                trailers: None,
                flip_bit_at: None,
            };
            let body = StreamingBlob::from(s3s::Body::from(Bytes::from("hello")));
            let received = receive(&options, Some(body), announced, Algorithm::Crc64Nvme).await;
            match received {
                Ok(received) => assert_eq!((declared, received.size), (5, 5)),
                Err(error) => {
                    assert_ne!(declared, 5);
                    assert_eq!(error.code(), &S3ErrorCode::IncompleteBody);
                }
            }
        }
    }
}
