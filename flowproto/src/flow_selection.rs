//! Selection of flows by a hash of their key (RFC 7014 §5.2, hash-based filtering).

use std::num::NonZeroU32;

use crate::record::Sampling;

/// Flows are selected whose 32-bit hash is in the lowest of N parts of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHashSelection(NonZeroU32);

impl FlowHashSelection {
    /// Selects one flow of `population`, on average.
    #[must_use]
    pub const fn one_in(population: NonZeroU32) -> Self {
        Self(population)
    }

    /// 332 `hashSelectedRangeMax`: the highest hash that is selected. The lowest one is 0.
    #[must_use]
    pub const fn selected_maximum(self) -> u32 {
        // 2³² / N − 1, rounded down, without the overflow of 2³².
        let population = self.0.get();
        let all_but_one = u32::MAX.wrapping_div(population);
        if u32::MAX.wrapping_rem(population) == population.wrapping_sub(1) {
            all_but_one
        } else {
            all_but_one.wrapping_sub(1)
        }
    }

    /// True if a flow with this hash is selected.
    #[inline]
    #[must_use]
    pub const fn selects(self, hash: u32) -> bool {
        hash <= self.selected_maximum()
    }

    /// What a selected flow stands for.
    #[must_use]
    pub fn sampling(self) -> Sampling {
        let selected = u64::from(self.selected_maximum()).saturating_add(1);
        let all = 1_u64 << 32;
        Sampling::of(selected, all.saturating_sub(selected)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_range_is_one_nth_of_all_hashes() {
        for population in [1, 2, 3, 4, 7, 10, 64, 1000, 16_384, 65_536] {
            let selection = FlowHashSelection::one_in(NonZeroU32::new(population).unwrap());
            let factor = selection.sampling().factor();
            let error = (factor / f64::from(population) - 1.0).abs();
            assert!(error < 0.001, "{population}: {factor}");
            // What NetFlow announces.
            assert_eq!(selection.sampling().population(), population);
            assert!(selection.selects(0));
            assert!(selection.selects(selection.selected_maximum()));
            assert_eq!(selection.selects(u32::MAX), population == 1);
        }
        assert_eq!(
            FlowHashSelection::one_in(NonZeroU32::MAX).selected_maximum(),
            0
        );
    }
}
