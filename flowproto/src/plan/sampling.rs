//! Sampling parameters in records and in options data: packets (RFC 5477), flows (RFC 7014).

use crate::record::{FlowRecord, Sampling};
use crate::value::{float, unsigned};

/// Maximum interval of 34 and 50: no sampler has a larger one. MikroTik RouterOS 6 sends its
/// interval with the octets in reverse order, and not one packet of 16,777,216.
const MAX_INTERVAL: u64 = 0x00ff_ffff;

/// Sampling of packets, and selection of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selection {
    pub(crate) packets: Sampling,
    pub(crate) flows: Sampling,
}

impl Selection {
    /// Sampling of packets only.
    pub(crate) const fn of_packets(packets: Sampling) -> Self {
        Self {
            packets,
            flows: Sampling::NONE,
        }
    }

    /// Both selections one after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets.and(other.packets),
            flows: self.flows.and(other.flows),
        }
    }

    /// The sampling of octets and packets, selection of flows included.
    #[inline]
    pub(crate) fn in_force(self) -> Sampling {
        self.packets.and(self.flows)
    }

    /// Sets the sampling in force for a record.
    pub(crate) fn apply(self, record: &mut FlowRecord) {
        record.sampling = self.in_force();
        record.flow_sampling = self.flows;
    }
}

/// The sampling parameters of one record or options record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SamplingFields {
    /// 34 or 50: one packet of N.
    pub(crate) interval: Option<u64>,
    /// 35 or 49.
    pub(crate) algorithm: Option<u64>,
    /// 304.
    pub(crate) selector_algorithm: Option<u64>,
    /// 305 and 306: packets selected, then packets not selected.
    pub(crate) packet_interval: Option<u64>,
    pub(crate) packet_space: u64,
    /// 309 and 310: packets selected of a population.
    pub(crate) size: Option<u64>,
    pub(crate) population: Option<u64>,
    /// 311.
    pub(crate) probability: Option<f64>,
    /// 307 and 308: time in which packets are selected, then time in which none are.
    pub(crate) time: [Option<u64>; 2],
    /// 329 to 332: range of hash values, range of selected ones.
    pub(crate) hash: [Option<u64>; 4],
    /// 390.
    pub(crate) flow_algorithm: Option<u64>,
    /// 396 and 397, or 398 and 399: flows or time selected, then not selected.
    pub(crate) flows: [Option<u64>; 2],
    pub(crate) flow_time: [Option<u64>; 2],
}

impl SamplingFields {
    /// Takes the value of an IANA element.
    pub(crate) fn add(&mut self, id: u16, value: &[u8]) {
        if id == 311 {
            self.probability = float(value);
        }
        if value.is_empty() || value.len() > 8 {
            return;
        }
        let number = Some(unsigned(value));
        match id {
            34 | 50 => self.interval = self.interval.filter(|i| *i > 1).or(number),
            35 | 49 => self.algorithm = number,
            304 => self.selector_algorithm = number,
            305 => self.packet_interval = number,
            306 => self.packet_space = unsigned(value),
            307 => self.time[0] = number,
            308 => self.time[1] = number,
            309 => self.size = number,
            310 => self.population = number,
            329 => self.hash[0] = number,
            330 => self.hash[1] = number,
            331 => self.hash[2] = number,
            332 => self.hash[3] = number,
            390 => self.flow_algorithm = number,
            396 => self.flows[0] = number,
            397 => self.flows[1] = number,
            398 => self.flow_time[0] = number,
            399 => self.flow_time[1] = number,
            _ => {}
        }
    }

    /// Whether there is a parameter of sampling.
    pub(crate) fn is_announcement(&self) -> bool {
        let interval = self.interval.filter(|interval| *interval != 0);
        interval
            .or(self.selector_algorithm)
            .or(self.packet_interval)
            .or(self.population)
            .or(self.time[0])
            .or(self.flow_algorithm)
            .or(self.flows[0])
            .or(self.flow_time[0])
            .is_some()
            || self.probability.is_some()
            || self.packet_space != 0
    }

    /// Whether the interval is larger than that of any sampler.
    pub(crate) fn is_implausible(&self) -> bool {
        self.interval
            .is_some_and(|interval| interval > MAX_INTERVAL)
    }

    /// The selection that the parameters describe. `None` where they describe none, or where a
    /// value that is not in the registry qualifies them.
    pub(crate) fn selection(&self) -> Option<Selection> {
        let flows = self.flow_selection();
        let packets = self.packet_sampling(flows.is_some());
        if flows.is_none() && packets.is_none() {
            return None;
        }
        Some(Selection {
            packets: packets.unwrap_or_default(),
            flows: flows.unwrap_or_default(),
        })
    }

    /// `of_flows`: parameters without a unit are those of flows.
    fn packet_sampling(&self, of_flows: bool) -> Option<Sampling> {
        let is_known = |algorithm: Option<u64>| algorithm.is_none_or(is_selector_algorithm);
        if is_known(self.selector_algorithm) {
            if let Some(interval) = self.packet_interval {
                return Sampling::of(interval, self.packet_space);
            }
            if !of_flows && let Some(sampling) = self.random() {
                return Some(sampling);
            }
            if let [Some(interval), space] = self.time {
                return Sampling::of(interval, space.unwrap_or_default());
            }
            if !of_flows && let Some(sampling) = self.by_hash() {
                return Some(sampling);
            }
        }
        // 1 deterministic, 2 random; other values are not defined.
        let is_known = self.algorithm.is_none_or(|number| matches!(number, 1 | 2));
        let interval = self.interval.filter(|_| is_known);
        let interval = interval.filter(|interval| *interval <= MAX_INTERVAL)?;
        Sampling::of(1, interval.checked_sub(1)?)
    }

    /// Flow selection (RFC 7014).
    fn flow_selection(&self) -> Option<Sampling> {
        if !self.flow_algorithm.is_none_or(is_selector_algorithm) {
            return None;
        }
        for [interval, space] in [self.flows, self.flow_time] {
            if let Some(interval) = interval {
                return Sampling::of(interval, space.unwrap_or_default());
            }
        }
        let random = self.flow_algorithm.and_then(|_| self.random());
        random.or_else(|| self.flow_algorithm.and_then(|_| self.by_hash()))
    }

    /// A range of hash values of all that there are.
    fn by_hash(&self) -> Option<Sampling> {
        let [low, high, selected_low, selected_high] = self.hash;
        let all = high?.checked_sub(low?)?.saturating_add(1);
        let selected = selected_high?.checked_sub(selected_low?)?.saturating_add(1);
        Sampling::of(selected, all.checked_sub(selected)?)
    }

    /// n of N, or a probability.
    fn random(&self) -> Option<Sampling> {
        if let Some(population) = self.population {
            let size = self.size.unwrap_or(1).max(1);
            return Sampling::of(size, population.checked_sub(size)?);
        }
        let probability = self.probability?;
        (probability > 0.0 && probability <= 1.0).then(|| Sampling::by_chance(probability))
    }
}

/// Whether 304 and 390 define this value.
const fn is_selector_algorithm(number: u64) -> bool {
    matches!(number, 1..=9)
}
