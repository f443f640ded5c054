//! The sampling by which the counts of a record are scaled.

/// Sampling in force for a record (RFC 5477): `interval` packets are selected, then `space` packets
/// are not. A count stands for `(interval + space) / interval` times as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sampling {
    /// 305 `samplingPacketInterval`, ≥ 1.
    pub interval: u32,
    /// 306 `samplingPacketSpace`.
    pub space: u32,
}

impl Sampling {
    /// Every packet was metered.
    pub const NONE: Self = Self {
        interval: 1,
        space: 0,
    };

    /// One packet out of `population` was metered; 0 and 1 mean all.
    #[must_use]
    pub const fn one_in(population: u32) -> Self {
        Self {
            interval: 1,
            space: population.saturating_sub(1),
        }
    }

    /// `interval` selected, then `space` not. Both are scaled down where they exceed 32 bits.
    /// `None` if nothing is selected.
    pub(crate) fn of(interval: u64, space: u64) -> Option<Self> {
        if interval == 0 {
            return None;
        }
        let bits = u64::BITS.saturating_sub((interval | space).leading_zeros());
        let shift = bits.saturating_sub(u32::BITS);
        let scale = |number: u64| u32::try_from(number >> shift).unwrap_or(u32::MAX);
        Some(Self {
            interval: scale(interval).max(1),
            space: scale(space),
        })
    }

    /// This sampling, and another one of what it selects.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        if other == Self::NONE {
            return self;
        }
        if self == Self::NONE {
            return other;
        }
        let population =
            |sampling: Self| u64::from(sampling.interval).saturating_add(u64::from(sampling.space));
        let interval = u64::from(self.interval).saturating_mul(u64::from(other.interval));
        let all = population(self).saturating_mul(population(other));
        Self::of(interval, all.saturating_sub(interval)).unwrap_or(Self::NONE)
    }

    /// The factor by which counts are scaled, ≥ 1.
    #[must_use]
    pub fn factor(self) -> f64 {
        let interval = f64::from(self.interval.max(1));
        (interval + f64::from(self.space)) / interval
    }

    /// The N of "one packet of N is metered", rounded down; 1 without sampling.
    #[must_use]
    pub fn population(self) -> u32 {
        let interval = u64::from(self.interval.max(1));
        let all = interval.saturating_add(self.space.into());
        // `hash:4` selects 2³⁰ of 2³² hashes: the sum needs more than 32 bits.
        let population = all.checked_div(interval).unwrap_or(1);
        u32::try_from(population).unwrap_or(u32::MAX)
    }

    /// Each packet is metered with this probability, > 0 and ≤ 1 (311 `samplingProbability`).
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from a float only a cast leads to an integer, and it saturates"
    )]
    pub fn by_chance(probability: f64) -> Self {
        /// Precision: finer than that of any sampler.
        const INTERVAL: u32 = 65_536;
        let population = (f64::from(INTERVAL) / probability).round() as u64;
        let space = population.saturating_sub(INTERVAL.into());
        Self::of(INTERVAL.into(), space).unwrap_or(Self::NONE)
    }

    /// Scales a count of sampled packets or octets, rounded to the nearest number. Saturates at
    /// `u64::MAX`.
    #[must_use]
    pub fn scale(self, count: u64) -> u64 {
        if self.space == 0 {
            return count;
        }
        let interval = u128::from(self.interval.max(1));
        let population = interval.saturating_add(self.space.into());
        // 64 and 33 bits: the product fits.
        let scaled = u128::from(count)
            .saturating_mul(population)
            .saturating_add(interval / 2)
            .checked_div(interval);
        scaled
            .and_then(|scaled| u64::try_from(scaled).ok())
            .unwrap_or(u64::MAX)
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_scales_by_population_over_interval() {
        assert_eq!(Sampling::NONE.scale(7), 7);
        assert_eq!(Sampling::one_in(100).scale(7), 700);
        assert_eq!(
            Sampling {
                interval: 2,
                space: 6
            }
            .scale(5),
            20
        );
        assert_eq!(Sampling::one_in(0), Sampling::NONE);
        assert_eq!(Sampling::one_in(u32::MAX).scale(u64::MAX), u64::MAX);
        assert_eq!(Sampling::one_in(u32::MAX).population(), u32::MAX);
    }

    #[test]
    fn a_fractional_factor_does_not_round_all_counts_down() {
        let five_of_eight = Sampling {
            interval: 5,
            space: 3,
        };
        assert_eq!([1, 2, 3, 5].map(|n| five_of_eight.scale(n)), [2, 3, 5, 8]);
        // 0.001 in four octets is slightly more.
        let probability = f64::from(0.001_f32);
        assert_eq!(Sampling::by_chance(probability).scale(1000), 1_000_000);
    }

    #[test]
    fn any_probability_of_a_sampler_has_its_factor() {
        for population in [
            1.0,
            1.5,
            100.0,
            65_536.0,
            65_537.0,
            100_000.0,
            1e6,
            16_777_215.0,
        ] {
            let factor = Sampling::by_chance(1.0 / population).factor();
            assert!(
                (factor / population - 1.0).abs() < 1e-4,
                "{population} {factor}"
            );
        }
    }
}
