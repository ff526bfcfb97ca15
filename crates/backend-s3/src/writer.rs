//! The S3 side of the trait that producers write to.

use async_trait::async_trait;
use writer_core::{ObjectMetadata, ObjectWriter, Page, Result, Segment};

use crate::context::TOKEN;
use crate::sink::StreamingMultipartSink;

/// Writes one S3 object: a [`StreamingMultipartSink`] behind
/// [`ObjectWriter`](writer_core::ObjectWriter). Made by
/// [`create_writer`](writer_core::ObjectStore::create_writer).
#[derive(Debug)]
pub struct S3StreamingWriter {
    uri: String,
    receipt: ObjectMetadata,
    sink: StreamingMultipartSink,
}

impl S3StreamingWriter {
    pub(crate) fn new(uri: String, sink: StreamingMultipartSink) -> Self {
        let options = sink.options();
        let mut receipt = ObjectMetadata::new(uri.clone(), 0);
        // Those of an upload that is taken up again were said when it was begun.
        if !sink.is_resumed() {
            receipt.take_attributes(options);
            receipt.metadata.remove(TOKEN);
        }
        receipt.condition = sink.condition();
        Self { uri, receipt, sink }
    }

    /// The object's URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

#[async_trait]
impl ObjectWriter for S3StreamingWriter {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.sink.write(chunk).await
    }

    async fn write_owned(&mut self, segment: Segment) -> Result<()> {
        self.sink.write_owned(segment).await
    }

    async fn reserve(&mut self, at_least: usize) -> Result<Box<dyn Page>> {
        self.sink.reserve(at_least).await
    }

    fn bytes_written(&self) -> u64 {
        self.sink.bytes_written()
    }

    async fn finish(self: Box<Self>) -> Result<ObjectMetadata> {
        let is_resumed = self.sink.is_resumed();
        let info = self.sink.finish().await?;
        let mut receipt = self.receipt;
        receipt.size = info.total_bytes;
        receipt.e_tag = info.e_tag;
        receipt.version_id = info.version_id;
        receipt.checksum = info.checksum;
        receipt.encryption = info.encryption;
        receipt.parts = Some(info.parts);
        receipt.retries = Some(info.retries);
        receipt.bytes_resent = Some(info.bytes_resent);
        receipt.elapsed = Some(info.elapsed);
        receipt.peak_buffered = Some(info.peak_buffered);
        receipt.bytes_reused = is_resumed.then_some(info.bytes_reused);
        Ok(receipt)
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.sink.abort().await
    }
}
