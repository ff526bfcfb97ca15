//! The checksums of a part, in one pass over its bytes.

use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use writer_core::{Crc64Nvme, Part, Result, Segment};

use crate::error::shut_down;
use crate::file::read_all;

/// Parts up to this size in bytes are hashed in place: that takes less time than a change of
/// threads and back.
const INLINE: u64 = 256 * 1024;

/// Bytes of a file that are read at once.
const READ: usize = 256 * 1024;

/// What is to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) crc: bool,
    pub(crate) sha256: bool,
    pub(crate) md5: bool,
}

/// What was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartDigest {
    pub(crate) crc: Option<Crc64Nvme>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) md5: Option<[u8; 16]>,
}

/// Hashes parts on the blocking threads, no more of them at once than there are processors.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    permits: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            permits: Arc::new(Semaphore::new(processors)),
        }
    }
}

impl Hasher {
    /// The digest of `part`, whose file ranges are read.
    ///
    /// # Errors
    ///
    /// If a file can't be read, or ends within its range ([`ErrorKind::SourceChanged`]).
    pub(crate) async fn digest(&self, part: &Part, wanted: Wanted) -> Result<PartDigest> {
        if !wanted.crc && !wanted.sha256 && !wanted.md5 {
            return Ok(PartDigest::default());
        }
        if !part.reads_files() && part.len() <= INLINE {
            return digest(part.segments(), wanted);
        }
        // Never closed.
        let _permit = self.permits.acquire().await;
        let segments = part.segments().to_vec();
        tokio::task::spawn_blocking(move || digest(&segments, wanted))
            .await
            .map_err(shut_down)?
    }
}

fn digest(segments: &[Segment], wanted: Wanted) -> Result<PartDigest> {
    let mut crc = wanted.crc.then(|| Digest::new(CrcAlgorithm::Crc64Nvme));
    let mut sha256 = wanted.sha256.then(Sha256::new);
    let mut md5 = wanted.md5.then(Md5::new);
    let mut update = |bytes: &[u8]| {
        if let Some(crc) = &mut crc {
            crc.update(bytes);
        }
        if let Some(sha256) = &mut sha256 {
            sha256.update(bytes);
        }
        if let Some(md5) = &mut md5 {
            md5.update(bytes);
        }
    };
    let mut buffer = Vec::new();
    for segment in segments {
        match segment {
            // In pieces, so that the second hash finds the bytes in the cache.
            Segment::Memory(bytes) => bytes.as_ref().chunks(READ).for_each(&mut update),
            Segment::File(range) => {
                buffer.resize(READ, 0);
                read_all(range, &mut buffer, &mut update)?;
            }
        }
    }
    Ok(PartDigest {
        crc: crc.map(|crc| Crc64Nvme(crc.finalize())),
        sha256: sha256.map(|sha256| sha256.finalize().into()),
        md5: md5.map(|md5| md5.finalize().into()),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use writer_core::{ErrorKind, PartLimits, PartPlan, PartSplitter, WriterOptions};

    pub(crate) fn part_of(segments: Vec<Segment>) -> Part {
        let plan = PartPlan::new(&WriterOptions::default(), PartLimits::NONE, 0).unwrap();
        let mut splitter = PartSplitter::new(plan);
        for segment in segments {
            splitter.push(segment).unwrap();
        }
        splitter.finish().unwrap();
        splitter.next_part().unwrap()
    }

    const ALL: Wanted = Wanted {
        crc: true,
        sha256: true,
        md5: true,
    };

    // The check value of CRC-64/NVME, and the other two of the same nine digits.
    #[tokio::test]
    async fn known_values() {
        let digest = Hasher::default()
            .digest(&part_of(vec!["123456789".into()]), ALL)
            .await
            .unwrap();
        assert_eq!(digest.crc, Some(Crc64Nvme(0xae8b_1486_0a79_9888)));
        let sha256 = digest.sha256.unwrap();
        assert_eq!(sha256[..4], [0x15, 0xe2, 0xb0, 0xd3]);
        assert_eq!(digest.md5.unwrap()[..4], [0x25, 0xf9, 0xe7, 0x94]);
    }

    #[tokio::test]
    async fn a_file_hashes_as_its_bytes_do() {
        let data: Vec<u8> = (0..700_000u32).map(|i| (i * 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &data).unwrap();
        let file = Arc::new(file);
        let hasher = Hasher::default();
        let from_file = part_of(vec![Segment::file(file, 5..600_000)]);
        let from_memory = part_of(vec![data[5..600_000].to_vec().into()]);
        let expected = hasher.digest(&from_memory, ALL).await.unwrap();
        assert_eq!(hasher.digest(&from_file, ALL).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_has_changed() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let part = part_of(vec![Segment::file(file, 0..10)]);
        let error = Hasher::default().digest(&part, ALL).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged);
    }

    #[test]
    fn checksums_combine_as_those_of_another_implementation() {
        let crc = |bytes: &[u8]| Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes));
        let (a, b) = (crc(b"1234"), crc(b"56789"));
        for len in [1, 255, 8 << 20, 5 << 30, u64::MAX] {
            let expected = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, a.0, b.0, len);
            assert_eq!(a.followed_by(b, len).0, expected, "{len}");
        }
    }
}
