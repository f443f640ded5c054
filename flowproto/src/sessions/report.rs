//! Summary of an Observation Domain, for metrics.

use super::convention::Convention;
use super::gaps::SequenceCounts;
use crate::address::Address;
use crate::record::Sampling;
use crate::wire::Version;

/// Counts that an exporter reports of itself in options data, since its start (RFC 7011 §4.1, §4.2
/// and the IANA registry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics([Option<u64>; 9]);

impl Statistics {
    /// Elements, and their names as a metric's label value.
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

    /// Keeps the value of an element, if it is one of the reported ones.
    pub(crate) fn set(&mut self, id: u16, value: u64) {
        for ((element, _), reported) in Self::ALL.iter().zip(&mut self.0) {
            if *element == id {
                *reported = Some(value);
            }
        }
    }

    /// Name and value of each reported count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Self::ALL.into_iter().zip(self.0);
        all.filter_map(|((_, name), reported)| Some((name, reported?)))
    }
}

/// One Observation Domain of an exporter, over all its Transport Sessions.
#[derive(Clone, Copy, Debug)]
pub struct DomainReport<'a> {
    /// Source address.
    pub exporter: Address,
    /// Observation Domain ID, Source ID, or engine.
    pub observation_domain_id: u32,
    /// Protocol.
    pub version: Version,
    /// 300 `observationDomainName`, if announced.
    pub name: Option<&'a str>,
    /// Data Records received.
    pub records: u64,
    /// What the sequence numbers count, as far as observed.
    pub convention: Convention,
    /// Losses and reordering by the sequence numbers.
    pub sequence: SequenceCounts,
    /// Counts that the exporter reports of itself.
    pub statistics: Statistics,
    /// Sampling in force for its latest record.
    pub sampling: Sampling,
    /// Data Records whose sampling is not known: they name a selector that was not announced, or
    /// announcements contradict each other. They count as if not sampled.
    pub records_of_unknown_sampling: u64,
    /// Options records that announce sampling in a way that is not understood.
    pub announcements_ignored: u64,
    /// Data Sets read with the template of another Transport Session.
    pub sets_of_shared_templates: u64,
}
