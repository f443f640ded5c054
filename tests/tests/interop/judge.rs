//! Compares the result of a peer with the records that were sent.

use kipfix_tests::flows::Flows;
use kipfix_tests::peers::{Reading, Sequence};

use crate::page::{Cell, Difference, IPV4_ALONE, NO_SEQUENCE, OPTIONS_UNCOUNTED, UNTOLD};
use crate::{IPFIX, NETFLOW_1, NETFLOW_5};

/// The records that were sent.
pub(crate) struct Sent {
    pub(crate) all: Reading,
    /// Those that a version without IPv6 can carry.
    pub(crate) ipv4: Option<Reading>,
}

impl Sent {
    /// The verdicts on a reading: records, octets, packets, sequence.
    pub(crate) fn judge(&self, read: &Reading, version: &str) -> [Cell; 4] {
        let ipv4 = self.ipv4.as_ref().filter(|_| version == NETFLOW_5);
        let quantity = |of: fn(&Reading) -> u64, of_flow: fn(&(u64, u64)) -> u64| {
            let is = |sent: &Reading| {
                let flows = read.flows.as_ref().zip(sent.flows.as_ref());
                let each = flows.is_none_or(|(read, sent)| is_same(read, sent, of_flow));
                of(read) == of(sent) && each
            };
            if is(&self.all) {
                Cell::Equal
            } else if ipv4.is_some_and(is) {
                Cell::Differs(&IPV4_ALONE)
            } else {
                let sent = ipv4.unwrap_or(&self.all);
                let flows = read.flows.as_ref().zip(sent.flows.as_ref());
                let which = flows.map(|(read, sent)| read.differences(sent));
                Cell::Wrong(format!(
                    "{} instead of {} {}",
                    of(read),
                    of(sent),
                    which.unwrap_or_default()
                ))
            }
        };
        [
            quantity(|reading| reading.records, |_| 0),
            quantity(|reading| reading.totals.1, |sums| sums.1),
            quantity(|reading| reading.totals.0, |sums| sums.0),
            self.sequence(read, version),
        ]
    }

    fn sequence(&self, read: &Reading, version: &str) -> Cell {
        /// Options data is sent at the start and with new templates.
        const OPTIONS: std::ops::RangeInclusive<u64> = 1..=12;
        let differs = |difference: &'static Difference| Cell::Differs(difference);
        match (&read.sequence, &self.all.sequence) {
            (Sequence::Failures(0), _) if version == NETFLOW_1 => differs(&NO_SEQUENCE),
            (Sequence::Untold, _) => differs(&UNTOLD),
            (Sequence::Failures(0), _) => Cell::Equal,
            (Sequence::Failures(count), _) if version == IPFIX && OPTIONS.contains(count) => {
                differs(&OPTIONS_UNCOUNTED)
            }
            (Sequence::Failures(count), _) => Cell::Wrong(format!("{count} failures")),
            (Sequence::Numbers(read), Sequence::Numbers(sent)) if read.is_subset(sent) => {
                Cell::Equal
            }
            (Sequence::Numbers(read), sent) => Cell::Wrong(format!("{read:?} instead of {sent:?}")),
        }
    }
}

/// Whether both have the same flows, with the same of a sum.
fn is_same(read: &Flows, sent: &Flows, of_flow: fn(&(u64, u64)) -> u64) -> bool {
    let sums = |flows: &Flows| -> Vec<_> {
        let sums = flows.0.iter().map(|(key, sums)| (*key, of_flow(sums)));
        sums.collect()
    };
    sums(read) == sums(sent)
}
