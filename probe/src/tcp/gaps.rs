//! The latest gaps in a stream: ranges of sequence numbers that were skipped.

use super::segment::precedes;

/// Gaps that are kept. Reordering fills a gap soon, so that older ones are of losses only, and a
/// segment outside all of them is a retransmission anyway.
const KEPT: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    start: u32,
    /// Equal to the start: no gap.
    end: u32,
    time_ns: u64,
}

/// The latest gaps of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    gaps: [Gap; KEPT],
    /// The one that the next gap replaces.
    next: u8,
}

impl Gaps {
    /// Adds a gap, which replaces the oldest one.
    pub(super) fn open(&mut self, start: u32, end: u32, time_ns: u64) {
        let at = usize::from(self.next) % KEPT;
        if let Some(gap) = self.gaps.get_mut(at) {
            *gap = Gap {
                start,
                end,
                time_ns,
            };
        }
        self.next = self.next.wrapping_add(1);
    }

    /// Fills the gaps between two sequence numbers. Returns the octets in gaps that were opened at
    /// most `age_ns` before `now_ns`.
    pub(super) fn fill(&mut self, start: u32, end: u32, now_ns: u64, age_ns: u64) -> u32 {
        let mut young = 0_u32;
        let mut rest = None;
        for gap in &mut self.gaps {
            let low = if precedes(gap.start, start) {
                start
            } else {
                gap.start
            };
            let high = if precedes(end, gap.end) { end } else { gap.end };
            if gap.start == gap.end || !precedes(low, high) {
                continue;
            }
            if now_ns.saturating_sub(gap.time_ns) < age_ns {
                young = young.saturating_add(high.wrapping_sub(low));
            }
            let after = Gap {
                start: high,
                ..*gap
            };
            gap.end = low;
            if gap.start == gap.end {
                *gap = after;
            } else if after.start != after.end {
                rest = Some(after);
            }
        }
        if let Some(after) = rest
            && let Some(free) = self.gaps.iter_mut().find(|gap| gap.start == gap.end)
        {
            *free = after;
        }
        young
    }
}
