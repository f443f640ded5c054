//! Options records: name and address of a domain, boot time, sampling, statistics, metadata.

use super::report::Statistics;
use crate::address::Address;
use crate::options_data::{MetadataEntry, MetadataFields, text};
use crate::plan::announced_sampling;
use crate::record::Sampling;
use crate::template::Template;
use crate::value::{low_u32, unsigned};

/// The content of the options records of a Set.
#[derive(Debug, Default)]
pub(crate) struct Announcements {
    pub(super) name: Option<Box<str>>,
    pub(super) address: Option<Address>,
    pub(super) system_init_milliseconds: Option<u64>,
    pub(super) statistics: Statistics,
    /// By selector, in the order of the records.
    pub(super) sampling: Vec<(Option<u64>, Sampling)>,
    pub(super) metadata: Vec<MetadataEntry>,
}

impl Announcements {
    /// Adds an options record in a Message of the domain `observation_domain_id`.
    pub(crate) fn add(&mut self, template: &Template, octets: &[u8], observation_domain_id: u32) {
        let (mut name, mut address, mut init) = (None, None, None);
        let mut statistics = Statistics::default();
        let mut metadata = MetadataFields::default();
        for (field, value) in template.values(octets) {
            metadata.add(field.specifier, value);
            if field.specifier.enterprise != 0 {
                continue;
            }
            match (field.specifier.id, value.len()) {
                // The scope is another domain.
                (149, 1..=4) if unsigned(value) != u64::from(observation_domain_id) => return,
                (300, _) => name = text(value),
                (130, 4) => {
                    let bits = low_u32(value);
                    address = Some(Address::from_v4_bits(bits)).filter(|_| bits != 0);
                }
                (131, 16) => {
                    let bits = value.try_into().map_or(0, u128::from_be_bytes);
                    address = Some(Address::from_v6_bits(bits))
                        .filter(|_| bits != 0)
                        .or(address);
                }
                (160, 1..=8) => init = Some(unsigned(value)),
                (id, 1..=8) => statistics.set(id, unsigned(value)),
                _ => {}
            }
        }
        self.name = name.or_else(|| self.name.take());
        self.address = address.or(self.address);
        self.system_init_milliseconds = init.or(self.system_init_milliseconds);
        self.statistics.update(statistics);
        let values = template.values(octets);
        self.sampling.extend(announced_sampling(
            values.map(|(field, value)| (field.specifier, value)),
        ));
        metadata.into_entries(|entry| self.metadata.push(entry));
    }
}
