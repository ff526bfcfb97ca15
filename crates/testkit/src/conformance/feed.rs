//! The ways in which bytes are handed to a writer.

use std::sync::Arc;

use writer_core::{ObjectMetadata, ObjectWriter, Segment};

use super::context::{Checked, Context, During, ensure};

/// A writer, and the count of bytes that it must have: checked after every call.
pub(crate) struct Feeder {
    writer: Box<dyn ObjectWriter>,
    fed: u64,
}

impl Feeder {
    pub(crate) fn new(writer: Box<dyn ObjectWriter>) -> Self {
        Self { writer, fed: 0 }
    }

    pub(crate) async fn chunk(&mut self, chunk: &[u8]) -> Checked {
        let written = self.writer.write_chunk(chunk).await;
        written.during(format_args!("write_chunk at {}", self.fed))?;
        self.count(chunk.len() as u64)
    }

    pub(crate) async fn owned(&mut self, segment: impl Into<Segment>) -> Checked {
        let segment = segment.into();
        let len = segment.len();
        let written = self.writer.write_owned(segment).await;
        written.during(format_args!("write_owned at {}", self.fed))?;
        self.count(len)
    }

    /// Writes through reserved pages, `at_most` bytes at a time, keeping each page for as long as
    /// it has room: what reading from a socket looks like.
    pub(crate) async fn paged(&mut self, mut data: &[u8], at_most: usize) -> Checked {
        while !data.is_empty() {
            let page = self.writer.reserve(at_most.min(data.len())).await;
            let mut page = page.during(format_args!("reserve at {}", self.fed))?;
            self.count(0)?;
            while page.spare_len() > 0 && !data.is_empty() {
                let len = at_most.min(page.spare_len()).min(data.len());
                let (head, rest) = data.split_at(len);
                page.spare_mut()[..len].copy_from_slice(head);
                self.owned(page.split(len)).await?;
                data = rest;
            }
        }
        Ok(())
    }

    pub(crate) async fn finish(self) -> Checked<ObjectMetadata> {
        self.writer.finish().await.during("finish")
    }

    pub(crate) fn into_inner(self) -> Box<dyn ObjectWriter> {
        self.writer
    }

    fn count(&mut self, more: u64) -> Checked {
        self.fed += more;
        let counted = self.writer.bytes_written();
        ensure!(
            counted == self.fed,
            "bytes_written is {counted} after {} bytes",
            self.fed
        );
        Ok(())
    }
}

/// One way of handing over all bytes of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    ChunkWhole,
    ChunkRandom,
    ChunkBytewise,
    OwnedWhole,
    OwnedPartByPart,
    OwnedUnaligned,
    OwnedTiny,
    OwnersOfAnyKind,
    Pages,
    FileWhole,
    FileRangesOutOfOrder,
    Mixed,
}

impl Way {
    pub(crate) async fn feed(
        self,
        context: &Context<'_>,
        feeder: &mut Feeder,
        data: &Arc<[u8]>,
    ) -> Checked {
        let part = context.part_size();
        match self {
            Self::ChunkWhole => feeder.chunk(data).await,
            Self::ChunkRandom => {
                for (start, end) in random_cuts(context, data.len()) {
                    feeder.chunk(&data[start..end]).await?;
                }
                Ok(())
            }
            Self::ChunkBytewise => {
                for byte in data.chunks(1) {
                    feeder.chunk(byte).await?;
                }
                Ok(())
            }
            Self::OwnedWhole => feeder.owned(Arc::clone(data)).await,
            Self::OwnedPartByPart => owned_pieces(feeder, data, || part).await,
            Self::OwnedUnaligned => {
                let piece = part / 2 + 3;
                owned_pieces(feeder, data, || piece).await
            }
            Self::OwnedTiny => {
                // Half of them a few bytes, where a copy is cheaper than a link.
                let most = [20, 5_000];
                owned_pieces(feeder, data, || context.below(most[context.below(2)]) + 1).await
            }
            Self::OwnersOfAnyKind => owners_of_any_kind(feeder, data).await,
            Self::Pages => {
                for (start, end) in random_cuts(context, data.len()) {
                    let at_most = context.below(16 * 1024) + 1;
                    feeder.paged(&data[start..end], at_most).await?;
                }
                Ok(())
            }
            Self::FileWhole => {
                let file = context.file(data)?;
                feeder
                    .owned(Segment::file(file, 0..data.len() as u64))
                    .await
            }
            Self::FileRangesOutOfOrder => {
                // The file has the second part of the object first, and a stranger before both.
                let cut = data.len() / 3;
                let stranger = context.bytes(100);
                let file = context.file(&[&stranger, &data[cut..], &data[..cut]].concat())?;
                let (cut, len) = (cut as u64, data.len() as u64);
                let middle = 100 + len - cut;
                let first = Segment::file(Arc::clone(&file), middle..100 + len);
                feeder.owned(first).await?;
                feeder.owned(Segment::file(file, 100..middle)).await
            }
            Self::Mixed => mixed(context, feeder, data).await,
        }
    }
}

/// Cuts `len` bytes into pieces: some of a few bytes, some of several parts.
fn random_cuts(context: &Context<'_>, len: usize) -> Vec<(usize, usize)> {
    let largest = [17, 4_097, context.part_size() + 1, 3 * context.part_size()];
    let mut cuts = Vec::new();
    let mut start = 0;
    while start < len {
        let most = largest[context.below(largest.len())];
        let end = (start + context.below(most) + 1).min(len);
        cuts.push((start, end));
        start = end;
    }
    cuts
}

/// Cuts the one owner of `data` into pieces of the given sizes.
async fn owned_pieces(
    feeder: &mut Feeder,
    data: &Arc<[u8]>,
    mut size: impl FnMut() -> usize,
) -> Checked {
    let mut rest = Segment::from(Arc::clone(data));
    while !rest.is_empty() {
        feeder.owned(rest.split_to(size() as u64)).await?;
    }
    Ok(())
}

/// An owner that only this suite knows, as `Bytes` or a memory map would be.
struct Window {
    owner: Arc<[u8]>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        &self.owner[self.start..self.end]
    }
}

async fn owners_of_any_kind(feeder: &mut Feeder, data: &Arc<[u8]>) -> Checked {
    let piece = (data.len() / 4).max(1);
    for (number, start) in (0..data.len()).step_by(piece).enumerate() {
        let end = (start + piece).min(data.len());
        let bytes = &data[start..end];
        match number % 4 {
            0 => feeder.owned(bytes.to_vec()).await?,
            1 => {
                let owner = Arc::clone(data);
                feeder.owned(Window { owner, start, end }).await?;
            }
            2 => feeder.owned(Box::<[u8]>::from(bytes)).await?,
            _ => feeder.owned(Arc::<[u8]>::from(bytes)).await?,
        }
    }
    Ok(())
}

/// Every source in turn, none of them aligned with the parts or with each other.
async fn mixed(context: &Context<'_>, feeder: &mut Feeder, data: &Arc<[u8]>) -> Checked {
    let file = context.file(data)?;
    let cuts = random_cuts(context, data.len());
    for (number, (start, end)) in cuts.into_iter().enumerate() {
        match (number + context.below(2)) % 4 {
            0 => feeder.chunk(&data[start..end]).await?,
            1 => {
                let range = start as u64..end as u64;
                feeder
                    .owned(Segment::file(Arc::clone(&file), range))
                    .await?;
            }
            2 => feeder.owned(data[start..end].to_vec()).await?,
            _ => feeder.paged(&data[start..end], 8 * 1024).await?,
        }
    }
    Ok(())
}
