//! Sequence numbers: what was lost between the exporter and here.
//!
//! RFC 7011 §3.1 says what the number counts, and exporters differ from it. So every [`Convention`]
//! is followed at once: the one that explained the numbers best so far decides what is missing. A
//! gap is not a loss yet: late Messages may fill it until [`WINDOW_MESSAGES`] or
//! [`WINDOW_MILLISECONDS`] are over.

use crate::wire::Version;

/// A gap is a loss when so many later Messages have come.
const WINDOW_MESSAGES: u8 = 64;
/// … or after so long.
const WINDOW_MILLISECONDS: u64 = 1000;
/// Gaps that may be filled yet; for one more, the oldest is a loss.
const MOST_GAPS: usize = 8;
/// `sysUpTime` is less than before by more than this only after a restart.
const LATE_MILLISECONDS: u32 = 10_000;
/// A number that jumps ahead by more, past its wrap, began anew.
const FAR: u32 = 1 << 24;
/// How sure one can be of a convention.
const SURE: u8 = 16;
/// What a contradiction takes from that.
const CONTRADICTED: u8 = 4;

/// What an exporter's sequence number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Convention {
    /// All Data Records before the Message, options records among them: RFC 7011 §3.1.
    Records,
    /// The same without options records; v5 and v7, which have none.
    DataRecords,
    /// All Data Records up to the end of the Message.
    RecordsInclusive,
    /// The same without options records.
    DataRecordsInclusive,
    /// Messages: NetFlow v9 (RFC 3954 §5.1).
    Messages,
}

impl Convention {
    const ALL: [Self; 5] = [
        Self::Records,
        Self::DataRecords,
        Self::RecordsInclusive,
        Self::DataRecordsInclusive,
        Self::Messages,
    ];

    /// The convention as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::DataRecords => "data_records",
            Self::RecordsInclusive => "records_inclusive",
            Self::DataRecordsInclusive => "data_records_inclusive",
            Self::Messages => "messages",
        }
    }

    /// What the protocol says.
    const fn of(version: Version) -> Self {
        match version {
            Version::V9 => Self::Messages,
            _ => Self::Records,
        }
    }
}

/// What sequence numbers counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounts {
    /// Data Records (where the exporter counts those: Messages) that never came.
    pub lost: u64,
    /// Gaps in the numbers that were not filled.
    pub gaps: u64,
    /// Messages that came late and filled a gap.
    pub late: u64,
    /// Messages older than any gap: repeated, or later than is waited for.
    pub old: u64,
    /// Exporters that began anew.
    pub restarts: u64,
}

impl SequenceCounts {
    /// Adds what another one counts.
    #[expect(clippy::arithmetic_side_effects, reason = "64 bits last for a counter")]
    pub const fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.gaps += more.gaps;
        self.late += more.late;
        self.old += more.old;
        self.restarts += more.restarts;
    }
}

/// Sequence state of one Observation Domain in a Transport Session.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// How well each of [`Convention::ALL`] explained the numbers so far.
    scores: [u8; 5],
    standard: Convention,
    latest: Option<MessageSequence>,
    /// A Message far from what was expected: if the next one follows it, the exporter began anew.
    stray: Option<MessageSequence>,
    gaps: Vec<Gap>,
}

/// A Message's place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageSequence {
    pub(crate) sequence: u32,
    /// `sysUpTime`, milliseconds; 0 in IPFIX.
    pub(crate) sys_up_time: u32,
    /// Data Records and options records of the Message; `None` where a Set could not be read, so
    /// that nobody knows how many records it held.
    pub(crate) records: Option<(u32, u32)>,
}

/// Relation of a Message to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequenceOutcome {
    /// There is no number to compare with.
    First,
    /// It follows by this convention.
    Next(Convention),
    /// This many units are missing from `expected` on.
    Gap { expected: u32, missing: u32 },
    /// Late, repeated, or the first one after a restart.
    Old { expected: u32 },
    /// `sysUpTime` went back from this value.
    UpTimeRestart { before: u32 },
}

/// A gap that late Messages can fill.
#[derive(Clone, Copy, Debug)]
struct Gap {
    begin: u32,
    missing: u32,
    messages: u8,
    since_milliseconds: u64,
}

impl Sequence {
    pub(crate) const fn new(version: Version) -> Self {
        Self {
            scores: [0; 5],
            standard: Convention::of(version),
            latest: None,
            stray: None,
            gaps: Vec::new(),
        }
    }

    /// What the exporter's numbers count, as far as it is known.
    pub(crate) fn convention(&self) -> Convention {
        let mut best = (self.standard, self.score(self.standard));
        for (convention, score) in Convention::ALL.into_iter().zip(self.scores) {
            if score > best.1 {
                best = (convention, score);
            }
        }
        best.0
    }

    fn score(&self, wanted: Convention) -> u8 {
        let mut all = Convention::ALL.into_iter().zip(self.scores);
        all.find_map(|(convention, score)| (convention == wanted).then_some(score))
            .unwrap_or_default()
    }

    /// True while a late Message may still fill a gap.
    pub(crate) const fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Takes the next Message.
    pub(crate) fn on_message(
        &mut self,
        message: MessageSequence,
        now_milliseconds: u64,
    ) -> (SequenceCounts, SequenceOutcome) {
        let mut counts = SequenceCounts::default();
        let Some(latest) = self.latest else {
            self.latest = Some(message);
            return (counts, SequenceOutcome::First);
        };
        if latest.restarted_before(message) {
            self.restart(message, &mut counts);
            let before = latest.sys_up_time;
            return (counts, SequenceOutcome::UpTimeRestart { before });
        }
        if self.is_next(latest, message) {
            self.stray = None;
            self.latest = Some(message);
            self.age(&mut counts);
            return (
                counts,
                SequenceOutcome::Next(self.explains(latest, message)),
            );
        }
        let convention = self.convention();
        let (begin, end) = message.span(convention);
        let Some(expected) = latest.end(convention) else {
            self.latest = Some(message);
            return (counts, SequenceOutcome::First);
        };
        let outcome;
        let ahead = begin.wrapping_sub(expected);
        if ahead < 1 << 31 && (ahead < FAR || begin > expected) {
            self.stray = None;
            self.latest = Some(message);
            self.age(&mut counts);
            self.open_gap(expected, ahead, now_milliseconds, &mut counts);
            outcome = SequenceOutcome::Gap {
                expected,
                missing: ahead,
            };
        } else if self.fill(begin, end) {
            counts.late = 1;
            outcome = SequenceOutcome::Old { expected };
        } else if let Some(stray) = self.stray
            && self.is_next(stray, message)
        {
            self.restart(message, &mut counts);
            outcome = SequenceOutcome::First;
        } else {
            counts.old = 1;
            self.stray = Some(message);
            outcome = SequenceOutcome::Old { expected };
        }
        (counts, outcome)
    }

    /// The convention by which `next` follows `before`.
    fn explains(&self, before: MessageSequence, next: MessageSequence) -> Convention {
        let follows = |convention: &Convention| {
            before
                .end(*convention)
                .is_some_and(|expected| expected == next.span(*convention).0)
        };
        let by_preference = [self.standard, self.convention()];
        let mut all = by_preference.into_iter().chain(Convention::ALL);
        all.find(follows).unwrap_or(self.standard)
    }

    /// Gaps that nobody waits for any longer are losses.
    pub(crate) fn expire(&mut self, now_milliseconds: u64) -> SequenceCounts {
        let mut counts = SequenceCounts::default();
        self.gaps.retain(|gap| {
            let over =
                now_milliseconds.saturating_sub(gap.since_milliseconds) >= WINDOW_MILLISECONDS;
            if over {
                gap.lose(&mut counts);
            }
            !over
        });
        counts
    }

    /// Whether `next` follows on `before` by the convention in force, or by one that is as good;
    /// learns which conventions hold.
    fn is_next(&mut self, before: MessageSequence, next: MessageSequence) -> bool {
        // Where a Set could not be read, nobody can say; only Messages can be counted.
        let best = self.score(self.convention());
        let follows = Convention::ALL.map(|convention| {
            before
                .end(convention)
                .map(|expected| expected == next.span(convention).0)
        });
        if before.records.is_none() || next.records.is_none() {
            return match self.convention() {
                Convention::Messages => follows.last().copied().flatten().unwrap_or(true),
                Convention::Records | Convention::DataRecords if before.records.is_some() => {
                    follows.contains(&Some(true))
                }
                _ => true,
            };
        }
        let standard = self.standard;
        let mut explained = false;
        for ((convention, score), follows) in
            Convention::ALL.into_iter().zip(self.scores).zip(follows)
        {
            let is_as_good = score >= best || (convention == standard && best < CONTRADICTED);
            explained |= follows == Some(true) && is_as_good;
        }
        // A loss contradicts all of them, and says nothing.
        if follows.contains(&Some(true)) {
            for (score, follows) in self.scores.iter_mut().zip(follows) {
                *score = if follows == Some(true) {
                    score.saturating_add(1).min(SURE)
                } else {
                    score.saturating_sub(CONTRADICTED)
                };
            }
        }
        explained
    }

    fn restart(&mut self, message: MessageSequence, counts: &mut SequenceCounts) {
        for gap in self.gaps.drain(..) {
            gap.lose(counts);
        }
        counts.restarts = 1;
        self.stray = None;
        self.latest = Some(message);
    }

    fn age(&mut self, counts: &mut SequenceCounts) {
        self.gaps.retain_mut(|gap| {
            gap.messages = gap.messages.saturating_add(1);
            let over = gap.messages >= WINDOW_MESSAGES;
            if over {
                gap.lose(counts);
            }
            !over
        });
    }

    fn open_gap(
        &mut self,
        begin: u32,
        missing: u32,
        since_milliseconds: u64,
        counts: &mut SequenceCounts,
    ) {
        if self.gaps.len() >= MOST_GAPS {
            self.gaps.remove(0).lose(counts);
        }
        self.gaps.push(Gap {
            begin,
            missing,
            messages: 0,
            since_milliseconds,
        });
    }

    /// Takes what came late out of its gap. False where it was not missing.
    fn fill(&mut self, begin: u32, end: u32) -> bool {
        let length = end.wrapping_sub(begin);
        let within = |gap: &Gap| {
            let offset = begin.wrapping_sub(gap.begin);
            offset < gap.missing && length <= gap.missing.wrapping_sub(offset)
        };
        let Some(at) = self.gaps.iter().position(within) else {
            return false;
        };
        let gap = self.gaps.remove(at);
        let before = begin.wrapping_sub(gap.begin);
        let after = gap.missing.wrapping_sub(before).wrapping_sub(length);
        for (begin, missing) in [(gap.begin, before), (end, after)] {
            if missing > 0 {
                self.gaps.push(Gap {
                    begin,
                    missing,
                    ..gap
                });
            }
        }
        true
    }
}

impl Gap {
    fn lose(self, counts: &mut SequenceCounts) {
        counts.lost = counts.lost.saturating_add(self.missing.into());
        counts.gaps = counts.gaps.saturating_add(1);
    }
}

impl MessageSequence {
    /// The first number of the Message, and that of the Message after it.
    fn span(self, convention: Convention) -> (u32, u32) {
        let (data, options) = self.records.unwrap_or_default();
        let all = data.saturating_add(options);
        let sequence = self.sequence;
        match convention {
            Convention::Records => (sequence, sequence.wrapping_add(all)),
            Convention::DataRecords => (sequence, sequence.wrapping_add(data)),
            Convention::RecordsInclusive => (sequence.wrapping_sub(all), sequence),
            Convention::DataRecordsInclusive => (sequence.wrapping_sub(data), sequence),
            Convention::Messages => (sequence, sequence.wrapping_add(1)),
        }
    }

    /// The number of the next Message, if that is known.
    fn end(self, convention: Convention) -> Option<u32> {
        use Convention::{DataRecordsInclusive, Messages, RecordsInclusive};
        let needs_records = !matches!(
            convention,
            Messages | RecordsInclusive | DataRecordsInclusive
        );
        (self.records.is_some() || !needs_records).then(|| self.span(convention).1)
    }

    /// Whether the exporter's clock says that it started between this Message and a later one.
    const fn restarted_before(self, later: Self) -> bool {
        let back = self.sys_up_time.wrapping_sub(later.sys_up_time);
        self.sys_up_time != 0
            && later.sys_up_time != 0
            && back > LATE_MILLISECONDS
            && back < 1 << 31
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;

    /// A sequence and what it counts.
    struct Receiver {
        sequence: Sequence,
        counts: SequenceCounts,
    }

    impl Receiver {
        fn new(version: Version) -> Self {
            Self {
                sequence: Sequence::new(version),
                counts: SequenceCounts::default(),
            }
        }

        fn receive(&mut self, sequence: u32, records: Option<(u32, u32)>) {
            let message = MessageSequence {
                sequence,
                sys_up_time: 0,
                records,
            };
            self.counts.add(self.sequence.on_message(message, 0).0);
        }

        /// What is known after all waits.
        fn counts(mut self) -> SequenceCounts {
            self.counts.add(self.sequence.expire(u64::MAX));
            self.counts
        }
    }

    fn counts_of(version: Version, messages: &[(u32, (u32, u32))]) -> SequenceCounts {
        let mut receiver = Receiver::new(version);
        for (sequence, records) in messages {
            receiver.receive(*sequence, Some(*records));
        }
        receiver.counts()
    }

    fn tens(numbers: &[u32]) -> SequenceCounts {
        let messages: Vec<_> = numbers.iter().map(|n| (*n, (10, 0))).collect();
        counts_of(Version::Ipfix, &messages)
    }

    /// What an exporter that counts by `convention` sends: messages of many sizes, some with
    /// options.
    fn stream(convention: Convention, messages: u32) -> Vec<(u32, (u32, u32))> {
        let mut number = 100_u32;
        let mut out = Vec::new();
        for at in 0..messages {
            let (data, options) = (1 + at * 7 % 30, u32::from(at % 5 == 0));
            let advance = match convention {
                Convention::Records | Convention::RecordsInclusive => data + options,
                Convention::DataRecords | Convention::DataRecordsInclusive => data,
                Convention::Messages => 1,
            };
            let inclusive = matches!(
                convention,
                Convention::RecordsInclusive | Convention::DataRecordsInclusive
            );
            let sequence = if inclusive { number + advance } else { number };
            number += advance;
            out.push((sequence, (data, options)));
        }
        out
    }

    #[test]
    fn a_gap_is_counted_in_records() {
        let messages = [
            (100, (20, 0)),
            (120, (20, 1)),
            (141, (20, 0)),
            (191, (7, 0)),
            (198, (7, 0)),
        ];
        let counts = counts_of(Version::Ipfix, &messages);
        assert_eq!((counts.lost, counts.gaps), (30, 1));
    }

    #[test]
    fn a_late_message_fills_its_gap_and_is_no_loss() {
        let counts = tens(&[0, 10, 30, 50, 20, 60, 40, 70]);
        let expected = SequenceCounts {
            late: 2,
            ..SequenceCounts::default()
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_late_message_splits_a_gap() {
        let counts = tens(&[0, 10, 50, 30, 60]);
        assert_eq!((counts.lost, counts.gaps, counts.late), (20, 2, 1));
    }

    #[test]
    fn a_gap_is_a_loss_only_after_the_window() {
        let mut receiver = Receiver::new(Version::Ipfix);
        for sequence in [0, 10, 30] {
            receiver.receive(sequence, Some((10, 0)));
        }
        receiver
            .counts
            .add(receiver.sequence.expire(WINDOW_MILLISECONDS - 1));
        assert_eq!(receiver.counts.lost, 0);
        for at in 0..u32::from(WINDOW_MESSAGES) {
            receiver.receive(40 + at * 10, Some((10, 0)));
        }
        assert_eq!(receiver.counts.lost, 10);
        assert!(!receiver.sequence.has_gaps());
    }

    #[test]
    fn gaps_that_are_remembered_are_bounded() {
        let counts = tens(&(0..1000).map(|n| n * 20).collect::<Vec<_>>());
        assert_eq!((counts.lost, counts.gaps), (9990, 999));
    }

    #[test]
    fn a_repeated_message_is_told_and_changes_nothing() {
        let counts = tens(&[0, 10, 20, 10, 30, 40]);
        assert_eq!((counts.old, counts.lost, counts.restarts), (1, 0, 0));
    }

    #[test]
    fn an_exporter_that_began_anew_is_followed_from_its_second_message() {
        for first in [500, 4_000_000_000] {
            let counts = tens(&[first, first + 10, 0, 10, 20, 40]);
            assert_eq!((counts.restarts, counts.lost, counts.old), (1, 10, 1));
        }
    }

    #[test]
    fn an_exporter_whose_up_time_is_less_began_anew() {
        let message = |sequence, sys_up_time| MessageSequence {
            sequence,
            sys_up_time,
            records: Some((10, 0)),
        };
        let mut sequence = Sequence::new(Version::V5);
        sequence.on_message(message(0, 900_000), 0);
        // Late by a moment, which is none.
        let late = sequence.on_message(message(10, 899_990), 0).0;
        assert_eq!(late, SequenceCounts::default());
        assert_eq!(sequence.on_message(message(0, 5000), 0).0.restarts, 1);
        assert_eq!(
            sequence.on_message(message(10, 6000), 0).0,
            SequenceCounts::default()
        );
        // The counter of milliseconds wraps after 49.7 days.
        let mut sequence = Sequence::new(Version::V5);
        sequence.on_message(message(0, u32::MAX - 10), 0);
        assert_eq!(sequence.on_message(message(10, 100), 0).0.restarts, 0);
    }

    #[test]
    fn a_number_that_wraps_is_in_order() {
        let counts = tens(&[u32::MAX - 14, u32::MAX - 4, 5, 25]);
        assert_eq!((counts.lost, counts.restarts), (10, 0));
    }

    #[test]
    fn what_an_exporter_counts_is_learnt_and_a_loss_is_seen_in_its_units() {
        for version in [Version::Ipfix, Version::V9] {
            for convention in Convention::ALL {
                let mut messages = stream(convention, 200);
                let mut all = Receiver::new(version);
                for (sequence, records) in &messages {
                    all.receive(*sequence, Some(*records));
                }
                assert_eq!(all.sequence.convention(), convention);
                let counts = all.counts();
                assert_eq!(
                    counts,
                    SequenceCounts::default(),
                    "{version:?} {convention:?}"
                );
                let (_, (data, options)) = messages.remove(150);
                let missing = match convention {
                    Convention::Records | Convention::RecordsInclusive => data + options,
                    Convention::DataRecords | Convention::DataRecordsInclusive => data,
                    Convention::Messages => 1,
                };
                let counts = counts_of(version, &messages);
                assert_eq!(
                    counts.lost,
                    u64::from(missing),
                    "{version:?} {convention:?}"
                );
                assert_eq!((counts.gaps, counts.late, counts.old), (1, 0, 0));
            }
        }
    }

    #[test]
    fn a_message_that_could_not_be_read_hides_no_loss_and_makes_none_up() {
        let mut receiver = Receiver::new(Version::Ipfix);
        receiver.receive(0, None);
        receiver.receive(1000, Some((1, 0)));
        receiver.receive(1001, Some((1, 0)));
        receiver.receive(1012, Some((1, 0)));
        assert_eq!(receiver.counts().lost, 10);
    }

    #[test]
    fn messages_are_counted_even_where_they_could_not_be_read() {
        let mut receiver = Receiver::new(Version::V9);
        for sequence in [1, 2, 3, 5, 6] {
            receiver.receive(sequence, None);
        }
        assert_eq!(receiver.counts().lost, 1);
    }
}
