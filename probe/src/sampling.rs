//! Packet sampling: all packets, or one of every N by count (RFC 5475 §5.1, systematic count-based
//! sampling). It precedes the decoder, so that packets that are not selected cost nothing.
//!
//! Octets and packets of the sample stand for N times as many, and receivers are notified of N.
//! Connections are not scaled: a connection is counted if the packet that opens it was selected.
//! UDP has no such packet, so in a sample no UDP connection is counted and no initiator is
//! reported.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use flowproto::record::Sampling;
use kipfix_service::settings::BadSettings;

/// `1:N`: one packet of every N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingRatio(NonZeroU32);

impl SamplingRatio {
    /// Every packet.
    pub const ALL: Self = Self(NonZeroU32::MIN);

    /// N.
    #[must_use]
    pub const fn population(self) -> u32 {
        self.0.get()
    }

    /// The ratio in the terms of RFC 5477.
    #[must_use]
    pub const fn sampling(self) -> Sampling {
        Sampling::one_in(self.0.get())
    }
}

impl FromStr for SamplingRatio {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        text.strip_prefix("1:")
            .and_then(|population| population.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                BadSettings::new(format!(
                    "invalid sampling {text:?}: must be 1:N, one packet of every N, with N 1–{}",
                    u32::MAX
                ))
            })
    }
}

impl fmt::Display for SamplingRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}", self.0)
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
            space: ratio.population() - 1,
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
    fn an_invalid_ratio_is_refused() {
        for text in ["", "4", "1:0", "2:4", "1:x", "1:4294967296"] {
            let message = text.parse::<SamplingRatio>().unwrap_err().to_string();
            assert!(message.contains("must be 1:N"), "{message}");
        }
    }
}
