//! Messages that are ahead of the expected number.

use super::{MAX_CONFIDENCE, MessageSender, Sequence, SequenceOutcome};
use crate::sessions::convention::MessageSequence;
use crate::sessions::gaps::{Gap, OLD, Report, SequenceCounts};
use crate::sessions::key::ExporterId;

/// A jump ahead by this number of Messages, or units, is believed at once.
const BELIEVABLE_MESSAGES: u32 = 64;
const BELIEVABLE_UNITS: u32 = 1024;
/// A confirmed jump by this number is a loss at any rate.
const PLAUSIBLE_UNITS: u64 = 1 << 20;
/// Messages that continue from before a jump until it is undone.
const UNDO_MESSAGES: u8 = 2;

/// A jump that is not confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    /// The latest Message that continues from before the jump.
    pub(super) line: MessageSequence,
    /// Number of Messages after the jump that continue from before it.
    followers: u8,
}

impl Sequence {
    /// A Message that is `ahead` of the number `expected`.
    pub(super) fn on_jump(
        &mut self,
        message: MessageSequence,
        (sender, is_new): (MessageSender, bool),
        (expected, ahead): (u32, u32),
        report: Report<'_>,
    ) -> SequenceOutcome {
        if ahead > self.believable() {
            self.stray = Some(message);
            report(sender.exporter, OLD);
            return SequenceOutcome::Stray { expected };
        }
        self.confirm_jump(sender.exporter, report);
        self.confidence = self.confidence.saturating_sub(1).max(-MAX_CONFIDENCE);
        self.gaps.age(self.is_sure(), report);
        let gap = Gap {
            is_unconfirmed: true,
            tentative: is_new.then_some(sender.session),
            ..Gap::new(expected, ahead, self.received_milliseconds, sender.exporter)
        };
        self.gaps.open(gap, self.is_sure(), report);
        self.jump = self.latest.map(|line| Jump { line, followers: 0 });
        self.stray = None;
        self.set_latest(message, sender);
        SequenceOutcome::Gap {
            expected,
            missing: ahead,
        }
    }

    /// A Message that continues the stray one, which was `ahead` of the number `expected`: numbers
    /// are missing, or the exporter has restarted.
    pub(super) fn on_stray_continued(
        &mut self,
        message: MessageSequence,
        sender: MessageSender,
        (expected, ahead): (u32, u32),
        report: Report<'_>,
    ) -> SequenceOutcome {
        self.confirm_jump(sender.exporter, report);
        if ahead >= 1 << 31 || u64::from(ahead) > self.plausible() {
            self.restart(message, sender, report);
            return SequenceOutcome::Restarted { up_time: 0 };
        }
        let gap = Gap::new(expected, ahead, self.received_milliseconds, sender.exporter);
        self.gaps.open(gap, self.is_sure(), report);
        self.next(message, sender, report);
        SequenceOutcome::Gap {
            expected,
            missing: ahead,
        }
    }

    /// The jump before the latest Message is real.
    pub(super) fn confirm_jump(&mut self, exporter: ExporterId, report: Report<'_>) {
        let Some(jump) = self.jump.take() else {
            return;
        };
        self.gaps.confirm();
        if jump.followers > 0 {
            let late = SequenceCounts {
                late: jump.followers.into(),
                ..SequenceCounts::default()
            };
            report(exporter, late);
        }
    }

    /// A Message that continues from before the latest jump.
    pub(super) fn continue_line(
        &mut self,
        message: MessageSequence,
        sender: MessageSender,
        report: Report<'_>,
    ) {
        let Some(jump) = &mut self.jump else {
            return;
        };
        jump.line = message;
        jump.followers = jump.followers.saturating_add(1);
        let is_undone = jump.followers >= UNDO_MESSAGES;
        if !self.gaps.has_unconfirmed() {
            // Reordered: the gap is filled.
            self.confirm_jump(sender.exporter, report);
        } else if is_undone {
            self.gaps.drop_unconfirmed();
            self.jump = None;
            self.stray = self.latest;
            self.set_latest(message, sender);
        }
    }

    fn believable(&self) -> u32 {
        let messages = self.max_advance.saturating_mul(BELIEVABLE_MESSAGES);
        messages.max(BELIEVABLE_UNITS)
    }

    /// The largest jump since the latest Message that the exporter's rate explains.
    fn plausible(&self) -> u64 {
        let elapsed = self
            .received_milliseconds
            .saturating_sub(self.latest_milliseconds);
        let lifetime = self
            .latest_milliseconds
            .saturating_sub(self.began_milliseconds)
            .max(1000);
        let usual = self.advanced.saturating_mul(elapsed).checked_div(lifetime);
        let usual = usual.unwrap_or_default().saturating_mul(16);
        usual.saturating_add(PLAUSIBLE_UNITS)
    }
}
