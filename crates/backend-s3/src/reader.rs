//! An object's bytes, as GetObject sends them.

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use writer_core::{ByteRange, Error, ErrorKind, ObjectMetadata, ObjectReader, Result, Segment};

use crate::api::attributes::tell;
use crate::api::{Api, decode, unquoted, unsigned};
use crate::context::TOKEN;
use crate::error::from_sdk;

#[derive(Debug)]
pub(crate) struct S3Reader {
    api: Api,
    metadata: ObjectMetadata,
    body: ByteStream,
    left: u64,
}

impl S3Reader {
    pub(crate) async fn open(api: &Api, range: ByteRange) -> Result<Self> {
        let request = api
            .client
            .get_object()
            .bucket(&api.location.bucket)
            .key(&api.location.key)
            .checksum_mode(ChecksumMode::Enabled)
            .set_range(range_header(range)?);
        let output = api
            .answered(request.send())
            .await?
            .map_err(|error| from_sdk("GetObject", error))?;
        let left = unsigned(output.content_length().unwrap_or_default())?;
        // `bytes 0-9/100`: the size of the whole stands behind the slash.
        let whole = output
            .content_range()
            .and_then(|range| range.rsplit_once('/'))
            .and_then(|(_, size)| size.parse().ok());
        let mut metadata = ObjectMetadata::new(api.location.uri(), whole.unwrap_or(left));
        metadata.e_tag = output.e_tag().map(unquoted);
        metadata.version_id = output.version_id().map(str::to_owned);
        metadata.checksum = decode(output.checksum_crc64_nvme())?;
        metadata.last_modified = output.last_modified().and_then(|at| (*at).try_into().ok());
        tell!(metadata, output);
        metadata.metadata = output.metadata.into_iter().flatten().collect();
        metadata.metadata.remove(TOKEN);
        Ok(Self {
            api: api.clone(),
            metadata,
            body: output.body,
            left,
        })
    }
}

#[async_trait]
impl ObjectReader for S3Reader {
    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    async fn next_chunk(&mut self) -> Result<Option<Segment>> {
        let uri = &self.metadata.uri;
        loop {
            let chunk = self.api.answered(self.body.next()).await?;
            match chunk {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    return Ok(Some(bytes.into()));
                }
                None if self.left == 0 => return Ok(None),
                None => {
                    let text = format!("the answer ended {} bytes early", self.left);
                    let error = Error::new(ErrorKind::Unavailable, text);
                    return Err(error.with_uri(uri).with_retryable(true));
                }
                Some(Err(error)) if is_damaged(&error) => {
                    let text = "the bytes do not have the checksum that the service says";
                    let error = Error::new(ErrorKind::ChecksumMismatch, text).with_source(error);
                    return Err(error.with_uri(uri));
                }
                Some(Err(error)) => {
                    let text = format!("GetObject: the answer broke off: {error}");
                    let error = Error::new(ErrorKind::Unavailable, text).with_source(error);
                    return Err(error.with_uri(uri).with_retryable(true));
                }
            }
        }
    }
}

/// True if the SDK has compared what it has read, and found another checksum.
fn is_damaged(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|error| error.is::<aws_smithy_checksums::body::validate::Error>())
}

/// <https://www.rfc-editor.org/rfc/rfc9110#name-range>: both ends are included. Services count
/// in 63 bits, and no object is that large.
fn range_header(range: ByteRange) -> Result<Option<String>> {
    const MAX: u64 = i64::MAX as u64;
    Ok(match range {
        ByteRange::Full => None,
        ByteRange::Bounded { start, end } if start < end && start <= MAX => {
            Some(format!("bytes={start}-{}", (end - 1).min(MAX)))
        }
        ByteRange::From(start) if start <= MAX => Some(format!("bytes={start}-")),
        ByteRange::Last(n) if n > 0 => Some(format!("bytes=-{}", n.min(MAX))),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the range {range} holds no byte"),
            ));
        }
    })
}
