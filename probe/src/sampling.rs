//! Which packets are metered: all, or one of every N by count (RFC 5475 §5.1, systematic count-based). It stands
//! before the decoder, so that what is not selected costs nothing.
//!
//! Octets and packets of the sample stand for N times as much, and receivers are told so. Connections do not: a
//! connection is counted if the packet that opens it was selected, and nobody scales that. UDP has no such
//! packet, so that of a sample no UDP connection is counted, and nobody is said to have begun it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use flowproto::record::Sampling;
use kipfix_service::settings::BadSettings;
use serde::{Deserialize, Serialize};

/// `1:N`: one packet of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ratio(NonZeroU32);

impl Ratio {
    /// Every packet.
    pub const ALL: Self = Self(NonZeroU32::MIN);

    /// N.
    #[must_use]
    pub const fn population(self) -> u32 {
        self.0.get()
    }

    /// As it is announced.
    #[must_use]
    pub const fn sampling(self) -> Sampling {
        Sampling::one_in(self.0.get())
    }
}

impl FromStr for Ratio {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        text.strip_prefix("1:")
            .and_then(|population| population.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                BadSettings::new(format!(
                    "sampling {text:?}: allowed is 1:N, one packet of N, with N from 1 to {}",
                    u32::MAX
                ))
            })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}", self.0)
    }
}

impl TryFrom<String> for Ratio {
    type Error = BadSettings;

    fn try_from(text: String) -> Result<Self, BadSettings> {
        text.parse()
    }
}

impl From<Ratio> for String {
    fn from(ratio: Ratio) -> Self {
        ratio.to_string()
    }
}

/// Selects packets.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    space: u32,
    /// Packets until the next one that is selected.
    left: u32,
}

impl Sampler {
    /// The first packet is selected.
    #[must_use]
    pub const fn new(ratio: Ratio) -> Self {
        Self {
            space: ratio.population() - 1,
            left: 0,
        }
    }

    /// True if this packet is to be metered.
    #[inline]
    pub const fn selects(&mut self) -> bool {
        if self.left == 0 {
            self.left = self.space;
            return true;
        }
        self.left -= 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_of_n_is_selected_beginning_with_the_first() {
        let selected = |ratio: &str| {
            let mut sampler = Sampler::new(ratio.parse().unwrap());
            (0..10).filter(|_| sampler.selects()).collect::<Vec<_>>()
        };
        assert_eq!(selected("1:4"), [0, 4, 8]);
        assert_eq!(selected("1:1").len(), 10);
    }

    #[test]
    fn what_is_no_ratio_is_refused() {
        for text in ["", "4", "1:0", "2:4", "1:x", "1:4294967296"] {
            let sentence = text.parse::<Ratio>().unwrap_err().to_string();
            assert!(sentence.contains("allowed is 1:N"), "{sentence}");
        }
    }
}
