//! Counters that run on from record to record of a flow (85, 86 and their like): what counts is how
//! far they ran since the record before. Only records of exporters that send no deltas are looked
//! at.
//!
//! A flow is known by its key, where it was observed and when it began, so that a flow that reports
//! itself once, as a whole, counts as that whole.

use lru::LruCache;

use crate::record::{FlowKey, FlowRecord};
use crate::sessions::DomainKey;

/// What two records of one flow have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    domain: DomainKey,
    key: FlowKey,
    ingress_interface: u32,
    egress_interface: u32,
    vlan_id: u16,
}

/// How far the counters of a flow had come.
#[derive(Clone, Copy, Debug)]
struct Latest {
    start_milliseconds: u64,
    octets: u64,
    packets: u64,
    reverse_octets: u64,
    reverse_packets: u64,
}

/// The flows heard last, within a bound.
#[derive(Debug)]
pub(super) struct Totals {
    flows: LruCache<Flow, Latest, foldhash::fast::RandomState>,
    bound: usize,
}

impl Totals {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            flows: LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default()),
            bound,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Makes differences of the totals in `record`; which of octets and packets are some,
    /// `are_totals` says. True where a flow had to be forgotten for it, whose next record will
    /// count as a whole.
    pub(super) fn difference(
        &mut self,
        domain: DomainKey,
        (octets, packets): (bool, bool),
        record: &mut FlowRecord,
    ) -> bool {
        let interfaces = record.interfaces.unwrap_or_default();
        let flow = Flow {
            domain,
            key: record.key,
            ingress_interface: interfaces.ingress_interface,
            egress_interface: interfaces.egress_interface,
            vlan_id: record.vlan_id,
        };
        let now = Latest {
            start_milliseconds: record.flow_start_milliseconds,
            octets: record.octet_delta_count,
            packets: record.packet_delta_count,
            reverse_octets: record.reverse_octet_delta_count,
            reverse_packets: record.reverse_packet_delta_count,
        };
        if let Some(latest) = self.flows.get_mut(&flow) {
            let counted = now.since(*latest, octets, packets);
            if !counted.is_late {
                *latest = now;
            }
            record.octet_delta_count = counted.octets;
            record.packet_delta_count = counted.packets;
            record.reverse_octet_delta_count = counted.reverse_octets;
            record.reverse_packet_delta_count = counted.reverse_packets;
            return false;
        }
        let is_full = self.flows.len() >= self.bound;
        if is_full {
            self.flows.pop_lru();
        }
        self.flows.put(flow, now);
        is_full
    }
}

/// What a record adds.
struct Counted {
    octets: u64,
    packets: u64,
    reverse_octets: u64,
    reverse_packets: u64,
    /// The record is older than the one before.
    is_late: bool,
}

impl Latest {
    /// How far the counters ran since `before`. Less than before is another flow where nothing says
    /// when it began, else a record that came late, which adds nothing.
    const fn since(self, before: Self, octets: bool, packets: bool) -> Counted {
        let less = octets
            && (self.octets < before.octets || self.reverse_octets < before.reverse_octets)
            || packets
                && (self.packets < before.packets || self.reverse_packets < before.reverse_packets);
        let same = self.start_milliseconds == before.start_milliseconds
            && (!less || self.start_milliseconds != 0);
        let [mut octets_before, mut packets_before] = [[0; 2]; 2];
        if same && octets {
            octets_before = [before.octets, before.reverse_octets];
        }
        if same && packets {
            packets_before = [before.packets, before.reverse_packets];
        }
        let ([o, ro], [p, rp]) = (octets_before, packets_before);
        Counted {
            octets: self.octets.saturating_sub(o),
            packets: self.packets.saturating_sub(p),
            reverse_octets: self.reverse_octets.saturating_sub(ro),
            reverse_packets: self.reverse_packets.saturating_sub(rp),
            is_late: same && less,
        }
    }
}
