//! Bytes to send: made once, cut differently for each object.

use std::hash::{BuildHasher as _, RandomState};

use writer_core::{ObjectWriter, Result, Segment};

/// Bytes that are made. A compressor that finds a repetition 16 MiB ago would be a rare one.
const BLOCK: u64 = 16 << 20;

/// Bytes of one write.
const PIECE: u64 = 1 << 20;

/// How far the beginnings of two objects are apart in the block; odd times a cache line, so that all
/// differ.
const STEP: u64 = 64 * 16_381;

/// A number that nobody else has.
pub(super) fn unique() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// What all objects are cut from.
#[derive(Clone, Debug)]
pub(super) struct Data {
    block: Segment,
    seed: u64,
}

impl Data {
    /// Bytes that no compressor can shrink, others each time.
    pub(super) fn new() -> Self {
        let seed = unique();
        // xorshift64*, which must not begin with 0.
        let mut state = seed | 1;
        let mut bytes = Vec::with_capacity(usize::try_from(BLOCK).unwrap_or(0));
        while (bytes.len() as u64) < BLOCK {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let block = bytes.into();
        Self { block, seed }
    }

    /// The pieces of the object with this number, `size` bytes in all. It begins with bytes of its
    /// own, as far as it has room for them.
    fn pieces(&self, number: u64, size: u64) -> impl Iterator<Item = Segment> + use<> {
        let mut own = [0; 16];
        own[..8].copy_from_slice(&number.to_le_bytes());
        own[8..].copy_from_slice(&self.seed.to_le_bytes());
        let own = Segment::from(own).split_to(size);
        let (mut left, mut at) = (size - own.len(), number.wrapping_mul(STEP) % BLOCK);
        let block = self.block.clone();
        let others = std::iter::from_fn(move || {
            let mut rest = block.clone();
            drop(rest.split_to(at));
            let piece = rest.split_to(PIECE.min(left));
            left -= piece.len();
            at = (at + piece.len()) % BLOCK;
            (!piece.is_empty()).then_some(piece)
        });
        std::iter::once(own).chain(others)
    }

    /// Writes the object with this number.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub(super) async fn write(
        &self,
        number: u64,
        size: u64,
        writer: &mut dyn ObjectWriter,
    ) -> Result<()> {
        for piece in self.pieces(number, size) {
            writer.write_owned(piece).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(data: &Data, number: u64, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in data.pieces(number, size) {
            let Segment::Memory(piece) = piece else {
                panic!("not in memory")
            };
            bytes.extend_from_slice(piece.as_ref());
        }
        bytes
    }

    #[test]
    fn objects_have_their_size_and_no_two_are_the_same() {
        let data = Data::new();
        for size in [
            0,
            1,
            15,
            16,
            17,
            PIECE,
            PIECE + 17,
            BLOCK,
            BLOCK + PIECE + 3,
        ] {
            assert_eq!(bytes(&data, 5, size).len() as u64, size);
        }
        assert_ne!(bytes(&data, 1, 16), bytes(&data, 2, 16));
        let (one, other) = (bytes(&data, 1, 4096), bytes(&data, 2, 4096));
        assert_ne!(one[16..], other[16..]);
    }

    #[test]
    fn every_byte_is_about_as_frequent_as_any_other() {
        let mut counts = [0_u64; 256];
        for byte in bytes(&Data::new(), 3, PIECE) {
            counts[usize::from(byte)] += 1;
        }
        let mean = PIECE / 256;
        assert!(counts.iter().all(|count| count.abs_diff(mean) < mean / 8));
    }
}
