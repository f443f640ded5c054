//! What series of sequence numbers show.
#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use super::*;
use crate::sessions::convention::RecordNumbers;
use crate::sessions::gaps::{SequenceCounts, WINDOW_MESSAGES, WINDOW_MILLISECONDS};
use strum::VariantArray as _;

/// A series, and what it has counted.
struct Receiver {
    sequence: Sequence,
    counts: SequenceCounts,
    now: u64,
}

impl Receiver {
    fn new(version: Version) -> Self {
        Self {
            sequence: Sequence::new(version),
            counts: SequenceCounts::default(),
            now: 0,
        }
    }

    fn receive_of(&mut self, session: u64, message: MessageSequence) -> SequenceOutcome {
        let sender = MessageSender {
            session,
            exporter: 0,
        };
        let counts = &mut self.counts;
        let mut report = |_, more| counts.add(more);
        let taken = (sender, false);
        self.sequence
            .on_message(message, taken, self.now, &mut report)
    }

    /// A Message of these data and options records.
    fn receive(&mut self, sequence: u32, records: Option<(u32, u32)>) -> SequenceOutcome {
        self.receive_of(1, message(sequence, records))
    }

    fn expire(&mut self, now: u64) {
        let counts = &mut self.counts;
        self.sequence.expire(now, &mut |_, more| counts.add(more));
    }

    /// What is known at the end.
    fn counts(mut self) -> SequenceCounts {
        let counts = &mut self.counts;
        self.sequence.finish(&mut |_, more| counts.add(more));
        self.counts
    }
}

fn message(sequence: u32, records: Option<(u32, u32)>) -> MessageSequence {
    MessageSequence {
        sequence,
        records: records.map(|(data, options)| RecordNumbers {
            data,
            options,
            templates: 0,
        }),
    }
}

fn counts_of(version: Version, messages: &[(u32, (u32, u32))]) -> SequenceCounts {
    let mut receiver = Receiver::new(version);
    for (sequence, records) in messages {
        receiver.receive(*sequence, Some(*records));
    }
    receiver.counts()
}

/// Messages of ten records with these numbers.
fn tens(numbers: &[u32]) -> SequenceCounts {
    let messages: Vec<_> = numbers.iter().map(|n| (*n, (10, 0))).collect();
    counts_of(Version::Ipfix, &messages)
}

/// What an exporter that counts by `convention` sends: Messages of many sizes, some with options
/// records and templates.
fn stream(convention: Convention, messages: u32) -> Vec<MessageSequence> {
    let mut number = 100_u32;
    let mut out = Vec::new();
    for at in 0..messages {
        let records = RecordNumbers {
            data: 1 + at * 7 % 30,
            options: u32::from(at % 5 == 0),
            templates: 2 * u32::from(at % 7 == 0),
        };
        let advance = convention.advance(records);
        let is_inclusive = <&str>::from(convention).ends_with("inclusive");
        let sequence = if is_inclusive {
            number + advance
        } else {
            number
        };
        number += advance;
        out.push(MessageSequence {
            sequence,
            records: Some(records),
        });
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
fn a_late_message_fills_its_gap_and_does_not_count_as_lost() {
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
    receiver.expire(WINDOW_MILLISECONDS - 1);
    assert_eq!(receiver.counts.lost, 0);
    for at in 0..u32::from(WINDOW_MESSAGES) {
        receiver.receive(40 + at * 10, Some((10, 0)));
    }
    assert_eq!(receiver.counts.lost, 10);
    assert!(!receiver.sequence.has_gaps());
}

#[test]
fn a_gap_is_a_loss_when_its_time_is_over_and_the_jump_is_confirmed() {
    let mut receiver = Receiver::new(Version::Ipfix);
    for sequence in [0, 10, 30] {
        receiver.receive(sequence, Some((10, 0)));
    }
    // The last Message may have a wrong number.
    receiver.expire(WINDOW_MILLISECONDS);
    assert_eq!(receiver.counts.lost, 0);
    receiver.receive(40, Some((10, 0)));
    receiver.expire(WINDOW_MILLISECONDS);
    assert_eq!(receiver.counts.lost, 10);
}

#[test]
fn open_gaps_are_bounded() {
    let pairs = (0..1000).flat_map(|n| [n * 30, n * 30 + 10]);
    let counts = tens(&pairs.collect::<Vec<_>>());
    assert_eq!((counts.lost, counts.gaps), (9990, 999));
}

#[test]
fn no_loss_is_counted_while_no_convention_explains_the_numbers() {
    // Two for each record, as far as can be seen.
    let counts = tens(&(0..1000).map(|n| n * 20).collect::<Vec<_>>());
    assert_eq!((counts.lost, counts.gaps), (0, 0));
}

#[test]
fn a_repeated_message_is_counted_and_changes_nothing() {
    let counts = tens(&[0, 10, 20, 10, 30, 40]);
    assert_eq!((counts.old, counts.lost, counts.restarts), (1, 0, 0));
}

#[test]
fn one_wrong_number_adds_no_loss() {
    let right: Vec<u32> = (0..40).map(|n| 1000 + n * 10).collect();
    for wrong in [
        0,
        5,
        990,
        1400,
        1500,
        3000,
        60_000,
        0x7fff_ff00,
        0xffff_0000,
    ] {
        for at in [2, 3, 20, 39, 40] {
            let mut numbers = right.clone();
            numbers.insert(at, wrong);
            let counts = tens(&numbers);
            let is_last = at >= 39;
            // The last one is believed if it is near.
            let allowed = if is_last && wrong < 3000 { 200 } else { 0 };
            assert!(counts.lost <= allowed, "{wrong} at {at}: {counts:?}");
            assert_eq!(counts.restarts, 0, "{wrong} at {at}");
        }
    }
}

#[test]
fn a_wrong_number_that_the_right_ones_reach_is_part_of_them() {
    let counts = tens(&[0, 10, 50, 20, 30, 40, 60, 70]);
    assert_eq!((counts.lost, counts.restarts), (0, 0));
}

#[test]
fn a_far_jump_is_a_loss_if_the_next_message_continues_it_and_the_rate_explains_it() {
    let mut receiver = Receiver::new(Version::Ipfix);
    for n in 0..100 {
        receiver.now = u64::from(n) * 100;
        receiver.receive(n * 1000, Some((1000, 0)));
    }
    // 10,000 records a second, and an outage of ten minutes.
    receiver.now += 600_000;
    receiver.receive(6_100_000, Some((1000, 0)));
    assert_eq!(receiver.counts.lost, 0);
    receiver.receive(6_101_000, Some((1000, 0)));
    assert_eq!(receiver.counts().lost, 6_000_000);
}

#[test]
fn a_far_jump_that_no_rate_explains_is_a_restart() {
    let far = 0x7fff_ff00;
    let counts = tens(&[0, 10, 20, far, far + 10, far + 20]);
    assert_eq!((counts.lost, counts.restarts), (0, 1));
}

#[test]
fn an_exporter_that_has_restarted_is_followed_from_its_second_message() {
    for first in [500, 4_000_000_000] {
        let counts = tens(&[first, first + 10, 0, 10, 20, 40]);
        assert_eq!((counts.restarts, counts.lost, counts.old), (1, 10, 1));
    }
}

#[test]
fn a_number_that_wraps_is_in_order() {
    let counts = tens(&[u32::MAX - 14, u32::MAX - 4, 5, 25]);
    assert_eq!((counts.lost, counts.restarts), (10, 0));
}

#[test]
fn the_unit_of_an_exporter_is_learned_and_losses_are_counted_in_it() {
    for version in [Version::Ipfix, Version::V9] {
        for &convention in Convention::VARIANTS {
            let mut messages = stream(convention, 200);
            let mut all = Receiver::new(version);
            for message in &messages {
                all.receive_of(1, *message);
            }
            assert_eq!(all.sequence.convention(), convention);
            let counts = all.counts();
            let expected = SequenceCounts::default();
            assert_eq!(counts, expected, "{version:?} {convention:?}");
            let lost = messages.remove(150);
            let missing = convention.advance(lost.records.unwrap());
            let mut some = Receiver::new(version);
            for message in &messages {
                some.receive_of(1, *message);
            }
            let counts = some.counts();
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

/// An exporter that repeats templates and options data between its records, in this order.
fn mixed(order: impl Fn(u32) -> Vec<usize>) -> SequenceCounts {
    let mut receiver = Receiver::new(Version::Ipfix);
    let mut sequence = 40_000;
    for round in 0..60 {
        // Templates, options data, templates, data of two Messages.
        let mut messages = Vec::new();
        for records in [(0, 0), (0, 1), (0, 0), (3, 0), (2, 0)] {
            messages.push((sequence, records));
            sequence += records.0 + records.1;
        }
        for place in order(round) {
            // Options data before their template cannot be read yet.
            let (number, records) = messages[place];
            let is_readable = place != 1 || order(round)[0] != 1;
            receiver.receive(number, is_readable.then_some(records));
            receiver.now += 5;
        }
    }
    receiver.counts()
}

#[test]
fn messages_without_records_add_no_loss_whatever_their_place() {
    let orders: [&[usize]; 5] = [
        &[1, 0, 2, 3, 4],
        &[0, 2, 1, 3, 4],
        &[0, 1, 3, 2, 4],
        &[0, 1, 4, 3, 2],
        &[3, 4, 0, 1, 2],
    ];
    for order in orders {
        let counts = mixed(|round| {
            if round % 3 == 2 {
                order.to_vec()
            } else {
                vec![0, 1, 2, 3, 4]
            }
        });
        assert_eq!((counts.lost, counts.restarts), (0, 0), "{order:?}");
    }
}
