//! How large is part *n*? Decided once, before the first byte, from what is known by then.

use crate::{Error, ErrorKind, Result, WriterOptions};

const MIB: u64 = 1 << 20;

/// What a service allows. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Smallest part, except the last of an object.
    pub min_part_size: u64,
    /// Largest part.
    pub max_part_size: u64,
    /// Most parts of one object.
    pub max_parts: u32,
    /// Largest object.
    pub max_object_size: u64,
}

impl PartLimits {
    /// Amazon S3: parts of 5 MiB to 5 GiB, 10,000 of them, 48.8 TiB (50 TB) in all.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
    pub const S3: Self = Self {
        min_part_size: 5 * MIB,
        max_part_size: 5 << 30,
        max_parts: 10_000,
        max_object_size: 10_000 * (5 << 30),
    };

    /// No limit that a plan could run into: a file system.
    pub const NONE: Self = Self {
        min_part_size: 1,
        max_part_size: u64::MAX,
        max_parts: u32::MAX,
        max_object_size: u64::MAX,
    };
}

/// How the sizes of an object's parts are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartSizing {
    /// Known length: equal parts, `part_size` or as much more as the limit on their number needs.
    /// Unknown length: `part_size` at first, then growing in steps as far as memory allows.
    #[default]
    Auto,
    /// Equal parts, for services that insist on them. Known length: as `Auto`. Unknown length:
    /// `part_size` to the end, so the largest object is `part_size` × the number of parts.
    Uniform,
    /// Exactly `part_size`, whatever the length; a known length that does not fit is refused.
    Fixed,
}

/// The size of every part of one object, as a function of the part number.
///
/// ```
/// use writer_core::{PartLimits, PartPlan, WriterOptions};
///
/// // 1 TiB does not fit 10,000 parts of 8 MiB, so the parts are larger.
/// let options = WriterOptions::default().with_expected_size(1 << 40);
/// let plan = PartPlan::new(&options, PartLimits::S3, 128 << 20)?;
/// assert_eq!(plan.part_size(1), 105 << 20);
/// # Ok::<(), writer_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPlan {
    base: u64,
    largest: u64,
    /// Parts per step; sizes double from step to step until `largest`.
    step: u32,
    total: Option<u64>,
    ceiling: u64,
    max_parts: u32,
}

impl PartPlan {
    /// The plan for `options` within `limits`, on a memory budget of `memory` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if `options` are out of their bounds or `part_size` is outside
    /// of `limits`; [`ErrorKind::LimitExceeded`] if the expected size does not fit.
    pub fn new(options: &WriterOptions, limits: PartLimits, memory: u64) -> Result<Self> {
        options.validate()?;
        if limits.max_parts == 0 {
            let text = "a service that takes no part at all can't store anything";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let part_size = options.part_size;
        if part_size < limits.min_part_size || part_size > limits.max_part_size {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "part size of {part_size} bytes is outside of what the service takes: \
                     {} to {} bytes",
                    limits.min_part_size, limits.max_part_size
                ),
            ));
        }
        match (options.expected_size, options.part_sizing) {
            (Some(total), sizing) => Self::known(total, part_size, sizing, limits),
            (None, PartSizing::Auto) => Ok(Self::growing(part_size, limits, memory)),
            (None, PartSizing::Uniform | PartSizing::Fixed) => {
                Ok(Self::equal(part_size, limits, None))
            }
        }
    }

    /// Size in bytes that part `number` (from 1) has, unless the object ends in it.
    #[must_use]
    pub fn part_size(&self, number: u32) -> u64 {
        let doublings = number.saturating_sub(1) / self.step;
        let size = 1u64
            .checked_shl(doublings)
            .and_then(|factor| self.base.checked_mul(factor));
        size.unwrap_or(u64::MAX).min(self.largest)
    }

    /// The largest object, in bytes, that this plan can hold.
    #[must_use]
    pub fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// The object's size in bytes, if it was said beforehand.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// How many parts an object of `len` bytes has. An empty object has one, empty part.
    ///
    /// `None` if `len` is over the [`ceiling`](Self::ceiling).
    #[must_use]
    pub fn part_count(&self, len: u64) -> Option<u32> {
        if len > self.ceiling {
            return None;
        }
        let (mut rest, mut count) = (len, 0u64);
        // One round per step, not per part: at most as many as a u64 has bits.
        loop {
            let number = u32::try_from(count + 1).unwrap_or(u32::MAX);
            let size = self.part_size(number);
            let in_step = if size == self.largest {
                u64::MAX
            } else {
                u64::from(self.step)
            };
            let needed = rest.div_ceil(size);
            if needed <= in_step {
                return u32::try_from((count + needed).max(1)).ok();
            }
            rest -= size * in_step;
            count += in_step;
        }
    }

    fn known(total: u64, part_size: u64, sizing: PartSizing, limits: PartLimits) -> Result<Self> {
        let parts = u64::from(limits.max_parts);
        let largest = limits
            .max_object_size
            .min(limits.max_part_size.saturating_mul(parts));
        if total > largest {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "an object of {total} bytes is larger than the service takes: {largest} bytes"
                ),
            ));
        }
        let least = total.div_ceil(parts);
        if sizing == PartSizing::Fixed && least > part_size {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "an object of {total} bytes does not fit {} parts of {part_size} bytes: \
                     it needs a part size of at least {least} bytes",
                    limits.max_parts
                ),
            ));
        }
        let size = if least > part_size {
            // Whole mebibytes, so that parts begin on page boundaries of file and memory.
            let whole = least.checked_next_multiple_of(MIB).unwrap_or(u64::MAX);
            whole.min(limits.max_part_size)
        } else {
            part_size
        };
        Ok(Self::equal(size, limits, Some(total)))
    }

    fn equal(size: u64, limits: PartLimits, total: Option<u64>) -> Self {
        Self {
            base: size,
            largest: size,
            step: u32::MAX,
            total,
            ceiling: size
                .saturating_mul(u64::from(limits.max_parts))
                .min(limits.max_object_size),
            max_parts: limits.max_parts,
        }
    }

    /// Sizes double until two parts fill the memory budget: one fills while the other is sent.
    /// The steps share out the first half of the part numbers, so that growth comes late (many
    /// parts in flight for as long as possible) and the second half has the largest size.
    fn growing(part_size: u64, limits: PartLimits, memory: u64) -> Self {
        let largest = (memory / 2).min(limits.max_part_size).max(part_size);
        let largest = if largest > MIB && largest > part_size {
            (largest / MIB * MIB).max(part_size)
        } else {
            largest
        };
        let doublings = u64::from((largest.div_ceil(part_size) as f64).log2().ceil() as u32);
        if doublings == 0 {
            return Self::equal(part_size, limits, None);
        }
        let max_parts = u64::from(limits.max_parts);
        let step = (max_parts / (2 * doublings)).max(1);
        let mut plan = Self {
            base: part_size,
            largest,
            step: u32::try_from(step).unwrap_or(u32::MAX),
            total: None,
            ceiling: 0,
            max_parts: limits.max_parts,
        };
        let mut ceiling = 0u64;
        let mut left = max_parts;
        for doubling in 0..doublings {
            let parts = step.min(left);
            let first = u32::try_from(doubling * step + 1).unwrap_or(u32::MAX);
            ceiling = ceiling.saturating_add(plan.part_size(first).saturating_mul(parts));
            left -= parts;
        }
        ceiling = ceiling.saturating_add(largest.saturating_mul(left));
        plan.ceiling = ceiling.min(limits.max_object_size);
        plan
    }

    /// Why `size` bytes are too many for this object; what the write that crosses says.
    pub(crate) fn too_large(&self, size: u64) -> Error {
        match self.total {
            Some(total) => Error::new(
                ErrorKind::InvalidInput,
                format!("{size} bytes were written to an object whose size was said to be {total}"),
            ),
            None => Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{size} bytes do not fit: an object of unknown size holds at most {} bytes \
                     with parts that begin at {} and grow to {} bytes ({} parts); say the \
                     expected size, or raise the part size or the memory budget",
                    self.ceiling, self.base, self.largest, self.max_parts
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    fn plan(options: WriterOptions, memory: u64) -> Result<PartPlan> {
        PartPlan::new(&options, PartLimits::S3, memory)
    }

    #[test]
    fn the_largest_object_of_s3_is_10000_parts_of_5_gib() {
        let largest = PartLimits::S3.max_object_size;
        assert_eq!(largest, 53_687_091_200_000);
        let options = WriterOptions::default().with_expected_size(largest);
        let plan = plan(options, 128 * MIB).unwrap();
        assert_eq!(plan.part_size(1), 5 * GIB);
        assert_eq!(plan.part_count(largest), Some(10_000));
    }

    #[test]
    fn one_byte_more_than_s3_takes_is_refused() {
        let options =
            WriterOptions::default().with_expected_size(PartLimits::S3.max_object_size + 1);
        let error = plan(options, 128 * MIB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(error.message().contains("53687091200001"), "{error}");
    }

    #[test]
    fn what_the_largest_parts_can_not_hold_is_refused() {
        let limits = PartLimits {
            min_part_size: 1,
            max_part_size: 100,
            max_parts: 3,
            max_object_size: u64::MAX,
        };
        let options = WriterOptions::default().with_part_size(10);
        let plan = |total| PartPlan::new(&options.clone().with_expected_size(total), limits, 0);
        assert_eq!(plan(300).unwrap().part_size(1), 100);
        for total in [301, u64::MAX] {
            let error = plan(total).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
            assert!(error.message().contains("300 bytes"), "{error}");
        }
    }

    #[test]
    fn parts_stay_as_asked_while_their_number_fits() {
        let fits = plan(
            WriterOptions::default().with_expected_size(10_000 * 8 * MIB),
            0,
        );
        assert_eq!(fits.unwrap().part_size(1), 8 * MIB);
        let over = plan(
            WriterOptions::default().with_expected_size(10_000 * 8 * MIB + 1),
            0,
        );
        assert_eq!(over.unwrap().part_size(1), 9 * MIB);
    }

    #[test]
    fn a_fixed_size_is_never_raised() {
        let options = WriterOptions::default()
            .with_part_sizing(PartSizing::Fixed)
            .with_expected_size(TIB);
        let error = plan(options, 128 * MIB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(error.message().contains("109951163"), "{error}");
    }

    // The table of docs/tuning.md.
    #[test]
    fn the_ceiling_of_an_unknown_length_follows_the_memory() {
        for (memory, largest, ceiling_gib) in [
            (16 * MIB, 8 * MIB, 78),
            (32 * MIB, 16 * MIB, 117),
            (64 * MIB, 32 * MIB, 214),
            (128 * MIB, 64 * MIB, 403),
            (512 * MIB, 256 * MIB, 1_492),
            (1024 * MIB, 512 * MIB, 2_910),
        ] {
            let plan = plan(WriterOptions::default(), memory).unwrap();
            assert_eq!(plan.part_size(10_000), largest, "memory {memory}");
            assert_eq!(plan.ceiling() / GIB, ceiling_gib, "memory {memory}");
        }
    }

    #[test]
    fn uniform_parts_do_not_grow() {
        let options = WriterOptions::default().with_part_sizing(PartSizing::Uniform);
        let plan = plan(options, GIB).unwrap();
        assert_eq!(plan.part_size(10_000), 8 * MIB);
        assert_eq!(plan.ceiling(), 10_000 * 8 * MIB);
    }

    #[test]
    fn a_part_size_outside_of_the_limits_says_which() {
        for size in [MIB, 6 * GIB] {
            let error = plan(WriterOptions::default().with_part_size(size), GIB).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(&size.to_string()), "{error}");
        }
    }

    proptest! {
        /// The closed forms agree with adding up part by part.
        #[test]
        fn sizes_grow_within_memory_and_add_up_to_the_ceiling(
            part_size in 5 * MIB..200 * MIB,
            memory in MIB..4 * GIB,
        ) {
            let plan = plan(WriterOptions::default().with_part_size(part_size), memory).unwrap();
            let mut sum = 0u64;
            for number in 1..=10_000u32 {
                let size = plan.part_size(number);
                prop_assert!(size >= part_size);
                prop_assert!(size <= part_size.max(memory / 2));
                prop_assert!(number == 1 || size >= plan.part_size(number - 1));
                sum += size;
                if number % 997 == 0 {
                    prop_assert_eq!(plan.part_count(sum), Some(number));
                    prop_assert_eq!(plan.part_count(sum - size + 1), Some(number));
                }
            }
            prop_assert_eq!(plan.ceiling(), sum.min(PartLimits::S3.max_object_size));
            prop_assert_eq!(plan.part_count(plan.ceiling() + 1), None);
        }

        /// Simulates whole objects by their lengths alone.
        #[test]
        fn a_known_length_always_fits(total in 0..=PartLimits::S3.max_object_size) {
            let plan = plan(WriterOptions::default().with_expected_size(total), 128 * MIB).unwrap();
            let count = plan.part_count(total).unwrap();
            prop_assert!(count <= 10_000);
            let size = plan.part_size(1);
            prop_assert!((8 * MIB..=5 * GIB).contains(&size));
            prop_assert!(size * u64::from(count) >= total);
            prop_assert!(size * u64::from(count - 1) < total.max(1));
        }
    }
}
