//! What is known of each Observation Domain, for who looks after the exporters.

use super::{Convention, SequenceCounts, Version};
use crate::address::Address;

/// What an exporter says of itself in options data (RFC 7011 §4.1, §4.2 and the IANA registry): counts
/// since it began. `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics([Option<u64>; 9]);

impl Statistics {
    /// What there is, by element, as a metric's label value.
    const ALL: [(u16, &'static str); 9] = [
        (40, "exported_octets"),
        (41, "exported_messages"),
        (42, "exported_records"),
        (163, "observed_flows"),
        (164, "ignored_packets"),
        (165, "ignored_octets"),
        (166, "records_not_sent"),
        (167, "packets_not_sent"),
        (168, "octets_not_sent"),
    ];

    pub(super) fn take(&mut self, id: u16, value: u64) {
        for ((element, _), said) in Self::ALL.iter().zip(&mut self.0) {
            if *element == id {
                *said = Some(value);
            }
        }
    }

    /// What a later record said stands.
    pub(super) fn add(&mut self, later: Self) {
        for (said, later) in self.0.iter_mut().zip(later.0) {
            *said = later.or(*said);
        }
    }

    /// What was said: name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Self::ALL.into_iter().zip(self.0);
        all.filter_map(|((_, name), said)| Some((name, said?)))
    }
}

/// One Observation Domain of an exporter, as heard in one Transport Session.
#[derive(Clone, Copy, Debug)]
pub struct DomainReport<'a> {
    /// Where it sends from.
    pub exporter: Address,
    /// Observation Domain ID, Source ID, or engine.
    pub observation_domain_id: u32,
    /// Its protocol.
    pub version: Version,
    /// Its name, if it says one (300).
    pub name: Option<&'a str>,
    /// Data Records of it.
    pub records: u64,
    /// What its sequence numbers count, as far as is known.
    pub convention: Convention,
    /// What they told.
    pub sequence: SequenceCounts,
    /// What it says of itself.
    pub statistics: Statistics,
}
