//! Gaps in a series of sequence numbers, and the counts that they become.

use super::key::ExporterId;

/// A gap is a loss after this number of later Messages.
pub(super) const WINDOW_MESSAGES: u8 = 64;
/// A gap is a loss after this time.
pub(super) const WINDOW_MILLISECONDS: u64 = 1000;
/// Maximum number of open gaps; for one more, the oldest is closed. Late Messages cut gaps in
/// pieces.
const MAX_GAPS: usize = 16;

/// Losses and reordering by the sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounts {
    /// Data Records (or Messages, if the exporter counts those) that did not arrive.
    pub lost: u64,
    /// Gaps in the numbers that were not filled.
    pub gaps: u64,
    /// Messages that arrived late and filled a gap.
    pub late: u64,
    /// Messages out of order that filled no gap: repeated, too late, or with a wrong number.
    pub old: u64,
    /// Restarts of exporters.
    pub restarts: u64,
}

impl SequenceCounts {
    /// Adds other counts.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "counters of 64 bits do not overflow"
    )]
    pub const fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.gaps += more.gaps;
        self.late += more.late;
        self.old += more.old;
        self.restarts += more.restarts;
    }
}

const NONE: SequenceCounts = SequenceCounts {
    lost: 0,
    gaps: 0,
    late: 0,
    old: 0,
    restarts: 0,
};
pub(super) const OLD: SequenceCounts = SequenceCounts { old: 1, ..NONE };
pub(super) const LATE: SequenceCounts = SequenceCounts { late: 1, ..NONE };
pub(super) const RESTART: SequenceCounts = SequenceCounts {
    restarts: 1,
    ..NONE
};

/// Receives counts of an exporter.
pub(super) type Report<'a> = &'a mut dyn FnMut(ExporterId, SequenceCounts);

/// A gap that late Messages can fill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) begin: u32,
    pub(super) missing: u32,
    /// Messages since it was opened.
    pub(super) messages: u8,
    pub(super) since_milliseconds: u64,
    pub(super) exporter: ExporterId,
    /// It is that of a jump that is not confirmed.
    pub(super) is_unconfirmed: bool,
    /// It was opened by the first Message of this session, and no other session has confirmed it.
    pub(super) tentative: Option<u64>,
}

/// The open gaps of a series.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

impl Gaps {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens a gap.
    pub(super) fn open(&mut self, gap: Gap, is_sure: bool, report: Report<'_>) {
        self.0.push(gap);
        self.bound(is_sure, report);
    }

    /// Takes a late Message out of its gap. False if it was not missing.
    pub(super) fn fill(
        &mut self,
        (begin, end): (u32, u32),
        is_sure: bool,
        report: Report<'_>,
    ) -> bool {
        let length = end.wrapping_sub(begin);
        let has = |gap: &Gap| {
            let offset = begin.wrapping_sub(gap.begin);
            offset < gap.missing && length <= gap.missing.wrapping_sub(offset)
        };
        let Some(at) = self.0.iter().position(has) else {
            return false;
        };
        let gap = self.0.remove(at);
        let before = begin.wrapping_sub(gap.begin);
        let after = gap.missing.wrapping_sub(before).wrapping_sub(length);
        for (begin, missing) in [(gap.begin, before), (end, after)] {
            if missing > 0 {
                self.0.push(Gap {
                    begin,
                    missing,
                    ..gap
                });
            }
        }
        self.bound(is_sure, report);
        true
    }

    fn bound(&mut self, is_sure: bool, report: Report<'_>) {
        while self.0.len() > MAX_GAPS {
            self.0.remove(0).close(is_sure, report);
        }
    }

    /// One more Message has arrived in order: closes gaps that are too old by now.
    pub(super) fn age(&mut self, is_sure: bool, report: Report<'_>) {
        self.0.retain_mut(|gap| {
            gap.messages = gap.messages.saturating_add(1);
            let is_over = gap.messages >= WINDOW_MESSAGES;
            if is_over {
                gap.close(is_sure, report);
            }
            !is_over
        });
    }

    /// Closes gaps that are too old by now.
    pub(super) fn expire(&mut self, now_milliseconds: u64, is_sure: bool, report: Report<'_>) {
        self.0.retain(|gap| {
            let age = now_milliseconds.saturating_sub(gap.since_milliseconds);
            let is_over = age >= WINDOW_MILLISECONDS && !gap.is_unconfirmed;
            if is_over {
                gap.close(is_sure, report);
            }
            !is_over
        });
    }

    /// Closes all gaps.
    pub(super) fn close(&mut self, is_sure: bool, report: Report<'_>) {
        for gap in self.0.drain(..) {
            gap.close(is_sure, report);
        }
    }

    pub(super) fn has_unconfirmed(&self) -> bool {
        self.0.iter().any(|gap| gap.is_unconfirmed)
    }

    /// The latest jump is real.
    pub(super) fn confirm(&mut self) {
        for gap in &mut self.0 {
            gap.is_unconfirmed = false;
        }
    }

    /// The latest jump was none.
    pub(super) fn drop_unconfirmed(&mut self) {
        self.0.retain(|gap| !gap.is_unconfirmed);
    }

    /// This session continues the numbers: gaps that another one has opened are real.
    pub(super) fn confirm_tentative(&mut self, session: u64) {
        for gap in &mut self.0 {
            gap.tentative = gap.tentative.filter(|opener| *opener == session);
        }
    }

    /// Drops gaps that only the first Message of this session has opened.
    pub(super) fn drop_tentative(&mut self, session: u64) {
        self.0.retain(|gap| gap.tentative != Some(session));
    }
}

impl Gap {
    /// A gap of `missing` units from `begin` on.
    pub(super) const fn new(
        begin: u32,
        missing: u32,
        since_milliseconds: u64,
        exporter: ExporterId,
    ) -> Self {
        Self {
            begin,
            missing,
            messages: 0,
            since_milliseconds,
            exporter,
            is_unconfirmed: false,
            tentative: None,
        }
    }

    fn close(self, is_sure: bool, report: Report<'_>) {
        if is_sure && self.tentative.is_none() {
            let lost = SequenceCounts {
                lost: self.missing.into(),
                gaps: 1,
                ..SequenceCounts::default()
            };
            report(self.exporter, lost);
        }
    }
}
