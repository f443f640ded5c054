//! Sampling in records and in options data (RFC 5477).

use crate::field::FieldSpecifier;
use crate::record::Sampling;
use crate::value::{float, low_u32, unsigned};

/// Sampling that an Observation Domain announced in options data: by selector (302, 48), and the
/// last one said, which stands for records that name no selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samplers {
    pub(crate) default: Option<Sampling>,
    pub(crate) by_selector: Vec<(u64, Sampling)>,
}

impl Samplers {
    /// Selectors that one domain may announce; more are not kept.
    const MOST: usize = 256;

    /// Takes note of an announcement. False where there is no room for one more selector.
    pub(crate) fn announce(&mut self, selector: Option<u64>, sampling: Sampling) -> bool {
        self.default = Some(sampling);
        let Some(selector) = selector else {
            return true;
        };
        if let Some(entry) = self.by_selector.iter_mut().find(|(id, _)| *id == selector) {
            entry.1 = sampling;
            return true;
        }
        let has_room = self.by_selector.len() < Self::MOST;
        if has_room {
            self.by_selector.push((selector, sampling));
        }
        has_room
    }

    pub(super) fn of(&self, selector: Option<u64>) -> Option<Sampling> {
        match selector {
            Some(selector) => self
                .by_selector
                .iter()
                .find(|(id, _)| *id == selector)
                .map(|(_, s)| *s),
            None => self.default,
        }
    }
}

/// What the elements of one record say of sampling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// 34 or 50: one packet in so many.
    pub(super) interval: Option<u32>,
    /// 305 and 306: so many packets of so many and these.
    pub(super) packet_interval: Option<u32>,
    pub(super) packet_space: u32,
    /// 309 and 310: so many packets of so many.
    pub(super) size: u32,
    pub(super) population: Option<u32>,
    /// 311: each packet with this chance.
    pub(super) probability: Option<f64>,
}

impl Rate {
    /// `None` where they do not say.
    pub(super) fn sampling(self) -> Option<Sampling> {
        if let Some(interval) = self.packet_interval {
            return Some(Sampling {
                interval: interval.max(1),
                space: self.packet_space,
            });
        }
        if let Some(population) = self.population {
            let size = self.size.max(1);
            return Some(Sampling {
                interval: size,
                space: population.saturating_sub(size),
            });
        }
        if let Some(probability) = self.probability
            && probability > 0.0
            && probability <= 1.0
        {
            return Some(Sampling::by_chance(probability));
        }
        let interval = self.interval.filter(|interval| *interval > 0)?;
        Some(Sampling::one_in(interval))
    }
}

/// Reads what an options record says of sampling, and for which selector.
pub(crate) fn announced_sampling<'a>(
    values: impl Iterator<Item = (FieldSpecifier, &'a [u8])>,
) -> Option<(Option<u64>, Sampling)> {
    let (mut rate, mut selector) = (Rate::default(), None);
    for (specifier, value) in values.filter(|(s, v)| s.enterprise == 0 && v.len() <= 8) {
        match specifier.id {
            34 | 50 => rate.interval = rate.interval.filter(|i| *i > 1).or(Some(low_u32(value))),
            305 => rate.packet_interval = Some(low_u32(value)),
            306 => rate.packet_space = low_u32(value),
            309 => rate.size = low_u32(value),
            310 => rate.population = Some(low_u32(value)),
            311 => rate.probability = float(value),
            302 | 48 => selector = Some(unsigned(value)),
            _ => {}
        }
    }
    Some((selector, rate.sampling()?))
}
