//! Sequence numbers of one series of Messages: what was lost between the exporter and here.
//!
//! Every [`Convention`] is followed at once; the one that has explained the numbers best decides
//! what is missing. A loss is counted only if it is sure:
//!
//! * A gap can be filled by late Messages until 64 Messages or one second have
//!   passed.
//! * A jump is undone if the Messages after it continue from before it: one Message had a wrong
//!   number.
//! * A jump too far to believe counts only if the next Message continues it, and if the exporter's
//!   rate explains it. Otherwise the exporter has restarted.
//! * Nothing is counted while no convention explains the numbers.

mod jumps;
#[cfg(test)]
mod tests;

use enum_map::EnumMap;

use super::convention::{Convention, MessageSequence};
use super::gaps::{Gaps, LATE, OLD, RESTART, Report};
use super::key::ExporterId;
use crate::wire::Version;
use jumps::Jump;

/// Maximum score of a convention.
const MAX_SCORE: u8 = 16;
/// Maximum of the confidence that a convention explains the numbers, and of that none does.
const MAX_CONFIDENCE: i8 = 8;
/// What a contradiction takes from a score.
const CONTRADICTION: u8 = 4;
/// Who sent a Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageSender {
    /// Number of the session.
    pub(super) session: u64,
    pub(super) exporter: ExporterId,
}

/// Relation of a Message to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequenceOutcome {
    /// There is no number to compare with.
    First,
    /// It follows by this convention.
    Next(Convention),
    /// This many units are missing from `expected` on.
    Gap { expected: u32, missing: u32 },
    /// Late or repeated.
    Old { expected: u32 },
    /// Too far ahead to be believed without another Message.
    Stray { expected: u32 },
    /// The exporter has restarted. `up_time`: `sysUpTime` before, 0 if not known.
    Restarted { up_time: u32 },
}

/// Numbers of one series of Messages: of one or more sessions.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    standard: Convention,
    /// How well each has explained the numbers.
    scores: EnumMap<Convention, u8>,
    /// Whether any convention explains them: grows with each Message that follows, falls with each
    /// that does not.
    confidence: i8,
    latest: Option<MessageSequence>,
    /// Session of `latest`, and time of its reception.
    latest_session: u64,
    latest_milliseconds: u64,
    /// The latest Message before the last jump, while that is not confirmed.
    jump: Option<Jump>,
    /// A Message with a number that is not believed.
    stray: Option<MessageSequence>,
    gaps: Gaps,
    /// Largest advance by one Message.
    max_advance: u32,
    /// Sum of advances, and time of the first Message: the rate.
    advanced: u64,
    began_milliseconds: u64,
    received_milliseconds: u64,
}

/// A series as kept over a restart of the collector.
#[derive(Clone, Copy, Debug)]
pub(super) struct SequenceState {
    pub(super) scores: EnumMap<Convention, u8>,
    pub(super) confidence: i8,
    pub(super) latest: Option<MessageSequence>,
    pub(super) max_advance: u32,
    pub(super) advanced: u64,
    pub(super) began_milliseconds: u64,
    pub(super) latest_milliseconds: u64,
}

impl SequenceState {
    /// The same with the times of reception changed.
    pub(super) fn map_times(self, change: &impl Fn(u64) -> u64) -> Self {
        Self {
            began_milliseconds: change(self.began_milliseconds),
            latest_milliseconds: change(self.latest_milliseconds),
            ..self
        }
    }
}

impl Sequence {
    pub(super) fn new(version: Version) -> Self {
        Self {
            standard: Convention::of(version),
            scores: EnumMap::default(),
            confidence: 0,
            latest: None,
            latest_session: 0,
            latest_milliseconds: 0,
            jump: None,
            stray: None,
            gaps: Gaps::default(),
            max_advance: 0,
            advanced: 0,
            began_milliseconds: 0,
            received_milliseconds: 0,
        }
    }

    /// A series that continues one session's own numbers with the convention learned here.
    pub(super) fn split_off(&self, latest: MessageSequence, session: u64) -> Self {
        Self {
            latest: Some(latest),
            latest_session: session,
            jump: None,
            stray: None,
            gaps: Gaps::default(),
            ..self.clone()
        }
    }

    /// The convention that has explained the numbers best.
    pub(super) fn convention(&self) -> Convention {
        let mut best = (self.standard, self.score(self.standard));
        for (convention, score) in self.scores {
            if score > best.1 {
                best = (convention, score);
            }
        }
        best.0
    }

    /// Whether a convention explains the numbers, so that a gap is a loss.
    const fn is_sure(&self) -> bool {
        self.confidence > 0
    }

    fn score(&self, wanted: Convention) -> u8 {
        self.scores[wanted]
    }

    pub(super) const fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// The session of the latest Message.
    pub(super) const fn latest_session(&self) -> u64 {
        self.latest_session
    }

    /// What is kept over a restart of the collector.
    pub(super) const fn state(&self) -> SequenceState {
        SequenceState {
            scores: self.scores,
            confidence: self.confidence,
            latest: self.latest,
            max_advance: self.max_advance,
            advanced: self.advanced,
            began_milliseconds: self.began_milliseconds,
            latest_milliseconds: self.latest_milliseconds,
        }
    }

    /// The series of a state.
    pub(super) fn restore(version: Version, state: SequenceState) -> Self {
        Self {
            scores: state.scores.map(|_, score| score.min(MAX_SCORE)),
            confidence: state.confidence.clamp(-MAX_CONFIDENCE, MAX_CONFIDENCE),
            latest: state.latest,
            max_advance: state.max_advance,
            advanced: state.advanced,
            began_milliseconds: state.began_milliseconds,
            latest_milliseconds: state.latest_milliseconds,
            received_milliseconds: state.latest_milliseconds,
            ..Self::new(version)
        }
    }

    /// Sets the session of the latest Message.
    pub(super) const fn set_latest_session(&mut self, session: u64) {
        self.latest_session = session;
    }

    /// The number that the next Message must have.
    pub(super) fn expected(&self) -> Option<u32> {
        self.latest?.end(self.convention())
    }

    /// Whether a Message of this number can be the next one, by a convention that is as good as the
    /// best. The records in it are not known yet.
    pub(super) fn is_next_number(&self, sequence: u32) -> bool {
        self.latest
            .is_some_and(|latest| self.continues(latest, sequence))
    }

    /// Whether a Message of this number can follow `before`.
    pub(super) fn continues(&self, before: MessageSequence, sequence: u32) -> bool {
        let best = self.score(self.convention());
        self.scores.into_iter().any(|(convention, score)| {
            (score >= best || convention == self.standard && best < CONTRADICTION)
                && before.end(convention) == Some(sequence)
        })
    }

    /// How far a number is ahead of the expected one; negative if it is behind.
    pub(super) fn distance(&self, sequence: u32) -> Option<i64> {
        let ahead = sequence.wrapping_sub(self.expected()?);
        let behind = self.expected()?.wrapping_sub(sequence);
        Some(if ahead < 1 << 31 {
            ahead.into()
        } else {
            i64::from(behind).saturating_neg()
        })
    }

    /// Takes the next Message. `is_new`: the session has not sent a Message of this series before.
    pub(super) fn on_message(
        &mut self,
        message: MessageSequence,
        (sender, is_new): (MessageSender, bool),
        now_milliseconds: u64,
        report: Report<'_>,
    ) -> SequenceOutcome {
        self.received_milliseconds = now_milliseconds;
        let Some(latest) = self.latest else {
            self.began_milliseconds = now_milliseconds;
            self.set_latest(message, sender);
            return SequenceOutcome::First;
        };
        let convention = self.convention();
        let is_neutral = message.is_neutral(convention);
        if is_neutral && message.sequence == latest.sequence {
            // Before or after it: which one is not known.
            return SequenceOutcome::Next(convention);
        }
        if let Some(convention) = self.follows(latest, message) {
            self.next(message, sender, report);
            return SequenceOutcome::Next(convention);
        }
        let convention = self.convention();
        let (begin, end) = message.span(convention);
        let Some(expected) = latest.end(convention) else {
            self.set_latest(message, sender);
            return SequenceOutcome::First;
        };
        if let Some(stray) = self.stray
            && self.follows(stray, message).is_some()
        {
            let ahead = stray.span(convention).0.wrapping_sub(expected);
            return self.on_stray_continued(message, sender, (expected, ahead), report);
        }
        let ahead = begin.wrapping_sub(expected);
        if ahead < 1 << 31 {
            return self.on_jump(message, (sender, is_new), (expected, ahead), report);
        }
        let continues_line = self
            .jump
            .is_some_and(|jump| self.follows(jump.line, message).is_some());
        if continues_line {
            self.gaps.fill((begin, end), self.is_sure(), report);
            self.continue_line(message, sender, report);
        } else if !self.on_late(message, sender, report) && !is_neutral {
            self.stray = Some(message);
        }
        SequenceOutcome::Old { expected }
    }

    /// Takes a Message from before the latest one. Returns whether it was missing.
    pub(super) fn on_late(
        &mut self,
        message: MessageSequence,
        sender: MessageSender,
        report: Report<'_>,
    ) -> bool {
        let span = message.span(self.convention());
        let is_missing = self.gaps.fill(span, self.is_sure(), report);
        report(sender.exporter, if is_missing { LATE } else { OLD });
        is_missing
    }

    /// The exporter has restarted with this Message: gaps are losses, and nothing is expected.
    pub(super) fn restart(
        &mut self,
        message: MessageSequence,
        sender: MessageSender,
        report: Report<'_>,
    ) {
        self.finish(report);
        report(sender.exporter, RESTART);
        self.stray = None;
        self.set_latest(message, sender);
    }

    /// Closes gaps that are not waited for any longer.
    pub(super) fn expire(&mut self, now_milliseconds: u64, report: Report<'_>) {
        self.gaps.expire(now_milliseconds, self.is_sure(), report);
    }

    /// Closes all gaps.
    pub(super) fn finish(&mut self, report: Report<'_>) {
        self.gaps.close(self.is_sure(), report);
        self.jump = None;
    }

    /// Drops gaps that only the first Message of this session has opened: its numbers are others.
    pub(super) fn drop_tentative(&mut self, session: u64) {
        self.gaps.drop_tentative(session);
        if !self.gaps.has_unconfirmed() {
            self.jump = None;
        }
    }

    //------------ Messages in order -------------------------------------------------------------

    fn set_latest(&mut self, message: MessageSequence, sender: MessageSender) {
        self.latest = Some(message);
        self.latest_session = sender.session;
        self.latest_milliseconds = self.received_milliseconds;
    }

    /// A Message that follows the latest one.
    fn next(&mut self, message: MessageSequence, sender: MessageSender, report: Report<'_>) {
        let convention = self.convention();
        self.confidence = self.confidence.saturating_add(2).min(MAX_CONFIDENCE);
        self.confirm_jump(sender.exporter, report);
        self.gaps.confirm_tentative(sender.session);
        let advance = convention.advance(message.records.unwrap_or_default());
        self.max_advance = self.max_advance.max(advance);
        self.advanced = self.advanced.saturating_add(advance.into());
        self.set_latest(message, sender);
        if let Some(stray) = self.stray {
            let ahead = stray.sequence.wrapping_sub(message.sequence);
            let is_reached = message.end(convention) == Some(stray.span(convention).0);
            if is_reached {
                self.set_latest(stray, sender);
            }
            self.stray = self.stray.filter(|_| !is_reached && ahead < 1 << 31);
        }
        self.gaps.age(self.is_sure(), report);
    }

    /// The convention by which `next` follows `before`: the one in force, or one that is as good.
    /// Learns which conventions hold.
    fn follows(&mut self, before: MessageSequence, next: MessageSequence) -> Option<Convention> {
        let current = self.convention();
        let best = self.score(current);
        let follows = EnumMap::from_fn(|convention| {
            let expected = before.end(convention);
            expected.map(|expected| expected == next.span(convention).0)
        });
        if before.records.is_none() || next.records.is_none() {
            // Only Messages can be counted.
            let is_next = match current {
                Convention::Messages => follows[Convention::Messages].unwrap_or(true),
                Convention::Records | Convention::DataRecords | Convention::AllRecords
                    if before.records.is_some() =>
                {
                    follows.values().any(|follows| *follows == Some(true))
                }
                _ => true,
            };
            return is_next.then_some(current);
        }
        let mut explained = None;
        for (convention, score) in self.scores {
            let is_standard = convention == self.standard;
            let is_as_good = score >= best || is_standard && best < CONTRADICTION;
            if follows[convention] == Some(true) && is_as_good {
                let is_preferred = is_standard || convention == current;
                explained = explained.filter(|_| !is_preferred).or(Some(convention));
            }
        }
        // A loss contradicts all of them, and proves nothing.
        if follows.values().any(|follows| *follows == Some(true)) {
            for (convention, score) in &mut self.scores {
                *score = if follows[convention] == Some(true) {
                    score.saturating_add(1).min(MAX_SCORE)
                } else {
                    score.saturating_sub(CONTRADICTION)
                };
            }
        }
        explained
    }
}
