//! Sequence numbers: what was lost between the exporter and here.

use super::Version;

/// Sequence state of one Transport Session.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: Option<Heard>,
    /// The Message before was older than expected.
    was_back: bool,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    sequence: u32,
    /// Data Records and options records of the Message; `None` where a Set could not be read, so that
    /// nobody knows how many records it held.
    records: Option<(u32, u32)>,
}

/// What a Message's sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As expected, or nothing to compare with.
    InOrder,
    /// So many records (v9: Messages) are missing before this Message.
    Lost(u32),
    /// Older than expected: reordered, repeated, or the exporter began anew.
    Back,
}

impl Sequence {
    /// Takes note of a Message.
    ///
    /// IPFIX counts Data Records sent before this Message, options records among them (RFC 7011 §3.1);
    /// v5 and v7 count flow records, v9 counts Messages (RFC 3954 §5.1). Exporters differ from that: some
    /// leave options records out, some include the Message's own records. Both readings pass as in order.
    pub(super) fn heard(
        &mut self,
        version: Version,
        sequence: u32,
        records: Option<(u32, u32)>,
    ) -> Verdict {
        let heard = Heard { sequence, records };
        let verdict = self
            .last
            .map_or(Verdict::InOrder, |last| last.before(version, heard));
        let is_back = verdict == Verdict::Back;
        // One old Message was late: what follows is compared with the latest as before. Two in a row are an
        // exporter that began anew.
        if !is_back || self.was_back {
            self.last = Some(heard);
        }
        self.was_back = is_back && !self.was_back;
        verdict
    }
}

impl Heard {
    /// What `next` says, coming after this one.
    fn before(self, version: Version, next: Self) -> Verdict {
        let (last, sequence, records) = (self, next.sequence, next.records);
        let advance = sequence.wrapping_sub(last.sequence);
        let expected = match (version, last.records) {
            (Version::V9, _) => 1,
            (_, Some((data, options))) => {
                let own = records.map(|(data, options)| data.saturating_add(options));
                if advance == data || Some(advance) == own || records.map(|r| r.0) == Some(advance)
                {
                    return Verdict::InOrder;
                }
                data.saturating_add(options)
            }
            (_, None) => return Verdict::InOrder,
        };
        match advance.wrapping_sub(expected) {
            0 => Verdict::InOrder,
            missing if missing < 1 << 31 => Verdict::Lost(missing),
            _ => Verdict::Back,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_counted_in_records() {
        let mut sequence = Sequence::default();
        assert_eq!(
            sequence.heard(Version::Ipfix, 100, Some((20, 0))),
            Verdict::InOrder
        );
        assert_eq!(
            sequence.heard(Version::Ipfix, 120, Some((20, 1))),
            Verdict::InOrder
        );
        assert_eq!(
            sequence.heard(Version::Ipfix, 171, Some((7, 0))),
            Verdict::Lost(30)
        );
        assert_eq!(
            sequence.heard(Version::Ipfix, 120, Some((20, 0))),
            Verdict::Back
        );
    }

    #[test]
    fn a_late_message_is_not_counted_as_a_loss_of_the_next() {
        let mut sequence = Sequence::default();
        let verdicts =
            [0, 20, 10, 30, 40].map(|n| sequence.heard(Version::Ipfix, n, Some((10, 0))));
        use Verdict::{Back, InOrder, Lost};
        assert_eq!(verdicts, [InOrder, Lost(10), Back, InOrder, InOrder]);
    }

    #[test]
    fn an_exporter_that_began_anew_is_followed_from_its_second_message() {
        let mut sequence = Sequence::default();
        let verdicts =
            [500, 0, 10, 20, 40].map(|n| sequence.heard(Version::Ipfix, n, Some((10, 0))));
        use Verdict::{Back, InOrder, Lost};
        assert_eq!(verdicts, [InOrder, Back, Back, InOrder, Lost(10)]);
    }

    #[test]
    fn a_number_that_wraps_is_in_order() {
        let mut sequence = Sequence::default();
        sequence.heard(Version::Ipfix, u32::MAX - 4, Some((10, 0)));
        assert_eq!(
            sequence.heard(Version::Ipfix, 5, Some((10, 0))),
            Verdict::InOrder
        );
    }

    #[test]
    fn exporters_that_count_otherwise_pass() {
        let mut without_options = Sequence::default();
        without_options.heard(Version::Ipfix, 0, Some((10, 1)));
        assert_eq!(
            without_options.heard(Version::Ipfix, 10, Some((5, 0))),
            Verdict::InOrder
        );
        let mut own_included = Sequence::default();
        own_included.heard(Version::Ipfix, 10, Some((10, 0)));
        assert_eq!(
            own_included.heard(Version::Ipfix, 17, Some((7, 0))),
            Verdict::InOrder
        );
    }

    #[test]
    fn v9_counts_messages() {
        let mut sequence = Sequence::default();
        sequence.heard(Version::V9, 1, Some((30, 0)));
        assert_eq!(
            sequence.heard(Version::V9, 2, Some((30, 0))),
            Verdict::InOrder
        );
        assert_eq!(
            sequence.heard(Version::V9, 5, Some((30, 0))),
            Verdict::Lost(2)
        );
    }

    #[test]
    fn a_message_that_could_not_be_read_hides_no_loss_and_makes_none_up() {
        let mut sequence = Sequence::default();
        sequence.heard(Version::Ipfix, 0, None);
        assert_eq!(
            sequence.heard(Version::Ipfix, 1000, Some((1, 0))),
            Verdict::InOrder
        );
    }
}
