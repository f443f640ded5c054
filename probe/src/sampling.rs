//! Sampling: all packets, one of every N by count (RFC 5475 §5.1, systematic count-based sampling),
//! or all packets of one conversation of N by hash (RFC 7014, hash-based flow selection).
//!
//! Sampling of packets precedes the decoder, so that packets that are not selected cost nothing.
//! Octets and packets of the sample stand for N times as many, and receivers are notified of N.
//! Connections are not scaled: a connection is counted if the packet that opens it was selected.
//! UDP has no such packet, so in a sample no UDP connection is counted and no initiator is
//! reported.
//!
//! The selection of conversations comes after the decoder. It keeps everything about a
//! conversation: connections, initiators, TCP health. Receivers scale all of it by N. The hash has
//! no secret, so that all nodes select the same conversations.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use flowproto::flow_selection::FlowHashSelection;
use flowproto::record::Sampling;
use kipfix_service::settings::BadSettings;

/// `1:N`: one packet of every N. `hash:N`: one conversation of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingRatio {
    population: NonZeroU32,
    by_hash: bool,
}

impl SamplingRatio {
    /// Every packet.
    pub const ALL: Self = Self {
        population: NonZeroU32::MIN,
        by_hash: false,
    };

    /// N.
    #[must_use]
    pub const fn population(self) -> u32 {
        self.population.get()
    }

    /// True if packets are selected, not conversations.
    #[must_use]
    pub const fn selects_packets(self) -> bool {
        !self.by_hash && self.population() > 1
    }

    /// What octets and packets of a record stand for.
    #[must_use]
    pub fn scale(self) -> Sampling {
        if self.by_hash {
            self.flow_sampling()
        } else {
            self.sampling()
        }
    }

    /// What a selected conversation stands for.
    #[must_use]
    pub fn flow_sampling(self) -> Sampling {
        self.flow_selection()
            .map_or(Sampling::NONE, FlowHashSelection::sampling)
    }

    /// The sampling of packets in the terms of RFC 5477.
    #[must_use]
    pub const fn sampling(self) -> Sampling {
        if self.by_hash {
            Sampling::NONE
        } else {
            Sampling::one_in(self.population())
        }
    }

    /// The selection of conversations.
    #[must_use]
    pub const fn flow_selection(self) -> Option<FlowHashSelection> {
        if self.by_hash && self.population() > 1 {
            Some(FlowHashSelection::one_in(self.population))
        } else {
            None
        }
    }
}

impl FromStr for SamplingRatio {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let prefixes = [("1:", false), ("hash:", true)];
        prefixes
            .into_iter()
            .find_map(|(prefix, by_hash)| {
                let population = text.strip_prefix(prefix)?.parse().ok()?;
                Some(Self {
                    population,
                    by_hash,
                })
            })
            .ok_or_else(|| {
                BadSettings::new(format!(
                    "invalid sampling {text:?}: must be 1:N, one packet of every N, or hash:N, one \
                     conversation of N, with N 1–{}",
                    u32::MAX
                ))
            })
    }
}

impl fmt::Display for SamplingRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.by_hash { "hash" } else { "1" };
        write!(f, "{prefix}:{}", self.population)
    }
}

kipfix_service::text_setting!(SamplingRatio);

/// Selects packets.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    space: u32,
    /// Packets to skip before the next one that is selected.
    skip: u32,
}

impl Sampler {
    /// Creates a sampler that selects the first packet.
    #[must_use]
    pub const fn new(ratio: SamplingRatio) -> Self {
        Self {
            space: ratio.sampling().space,
            skip: 0,
        }
    }

    /// True if this packet is selected.
    #[inline]
    pub const fn selects(&mut self) -> bool {
        if self.skip == 0 {
            self.skip = self.space;
            return true;
        }
        self.skip -= 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_of_n_is_selected_starting_with_the_first() {
        let selected = |ratio: &str| {
            let mut sampler = Sampler::new(ratio.parse().unwrap());
            (0..10).filter(|_| sampler.selects()).collect::<Vec<_>>()
        };
        assert_eq!(selected("1:4"), [0, 4, 8]);
        assert_eq!(selected("1:1").len(), 10);
    }

    #[test]
    fn a_selection_by_hash_samples_no_packets() {
        let ratio: SamplingRatio = "hash:10".parse().unwrap();
        assert_eq!(ratio.sampling(), Sampling::NONE);
        assert_eq!(ratio.to_string(), "hash:10");
        let sampling = ratio.flow_selection().unwrap().sampling();
        assert_eq!(sampling.population(), 10);
        let all: SamplingRatio = "hash:1".parse().unwrap();
        assert_eq!(all.flow_selection(), None);
    }

    #[test]
    fn an_invalid_ratio_is_refused() {
        for text in [
            "",
            "4",
            "1:0",
            "2:4",
            "1:x",
            "1:4294967296",
            "hash:0",
            "hash:",
            "hash:x",
            "hash",
        ] {
            let message = text.parse::<SamplingRatio>().unwrap_err().to_string();
            assert!(message.contains("must be 1:N"), "{message}");
        }
    }
}
