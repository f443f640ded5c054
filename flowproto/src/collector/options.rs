//! What options records say of their Observation Domain: its name and address, when it started, how it
//! samples, how it fares, what its interfaces and applications are called, what its elements are.

use super::Statistics;
use crate::address::Address;
use crate::json::unsigned;
use crate::plan::announced_sampling;
use crate::record::Sampling;
use crate::template::Template;
use crate::vocabulary::{Word, Words, text};

/// What the options records of a Set said.
#[derive(Debug, Default)]
pub(super) struct Announced {
    pub(super) name: Option<Box<str>>,
    pub(super) address: Option<Address>,
    pub(super) system_init_milliseconds: Option<u64>,
    pub(super) statistics: Statistics,
    /// By selector, in the order of the records.
    pub(super) sampling: Vec<(Option<u64>, Sampling)>,
    pub(super) words: Vec<Word>,
}

impl Announced {
    /// Reads an options record of a Message of the domain `observation_domain_id`.
    pub(super) fn read(&mut self, template: &Template, octets: &[u8], observation_domain_id: u32) {
        let (mut name, mut address, mut init) = (None, None, None);
        let mut statistics = Statistics::default();
        let mut words = Words::default();
        for (specifier, value) in template.values(octets) {
            words.take(specifier, value);
            if specifier.enterprise != 0 {
                continue;
            }
            match (specifier.id, value.len()) {
                // The scope: what is said of another domain does not concern this one.
                (149, 1..=4) if unsigned(value) != u64::from(observation_domain_id) => return,
                (300, _) => name = text(value),
                (130, 4) => {
                    let bits = u32::try_from(unsigned(value)).unwrap_or_default();
                    address = Some(Address::from_v4_bits(bits)).filter(|_| bits != 0);
                }
                (131, 16) => {
                    let bits = value.try_into().map_or(0, u128::from_be_bytes);
                    address = Some(Address::from_v6_bits(bits))
                        .filter(|_| bits != 0)
                        .or(address);
                }
                (160, 1..=8) => init = Some(unsigned(value)),
                (id, 1..=8) => statistics.take(id, unsigned(value)),
                _ => {}
            }
        }
        self.name = name.or_else(|| self.name.take());
        self.address = address.or(self.address);
        self.system_init_milliseconds = init.or(self.system_init_milliseconds);
        self.statistics.add(statistics);
        self.sampling
            .extend(announced_sampling(template.values(octets)));
        words.say(|word| self.words.push(word));
    }
}
