//! Counters that run on from record to record of a flow, and firewall connections: what a record adds.
//!
//! Of running totals (85, 86 and the like), the increase since the flow's previous record counts. Only
//! records of exporters that send no deltas are kept. A flow is identified by its key, its Observation
//! Point and its start, so that a flow of one record counts with that whole record.
//!
//! Cisco ASA (NSEL): an update has the octets since the last one, the teardown those of the whole
//! connection (233 `firewallEvent`, 148 `flowId`). The teardown adds what its total exceeds the updates
//! by, and the connection is counted in the first of its records that has octets.

use std::collections::HashMap;

use lru::LruCache;

use crate::address::Address;
use crate::record::{FlowKey, FlowRecord};
use crate::sessions::DomainKey;

/// Values of 233 `firewallEvent`.
const CREATED: u64 = 1;
const DELETED: u64 = 2;
const DENIED: u64 = 3;
const UPDATED: u64 = 5;

/// Identity of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    domain: DomainKey,
    key: FlowKey,
    ingress_interface: u32,
    egress_interface: u32,
    vlan_id: u16,
    /// 148 `flowId` of a firewall connection.
    flow_id: Option<u64>,
}

/// What the records of a flow have counted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    start_milliseconds: u64,
    octets: u64,
    packets: u64,
    reverse_octets: u64,
    reverse_packets: u64,
    /// The teardown of the connection has arrived.
    has_ended: bool,
}

type Flows = LruCache<Flow, Counted, foldhash::fast::RandomState>;

/// The flows updated last, within a bound and a share for each address.
#[derive(Debug)]
pub(super) struct Totals {
    by_address: HashMap<Address, Flows, foldhash::fast::RandomState>,
    length: usize,
    bound: usize,
    share: usize,
    /// The address with the most flows, as far as seen.
    fullest: Option<Address>,
}

impl Totals {
    pub(super) fn new(bound: usize, share: usize) -> Self {
        Self {
            by_address: HashMap::default(),
            length: 0,
            bound,
            share,
            fullest: None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Replaces totals in `record` by differences. `are_totals`: which of octets and packets are
    /// totals. True if another flow was evicted; its next record will count as a whole.
    pub(super) fn difference(
        &mut self,
        domain: DomainKey,
        are_totals: (bool, bool),
        record: &mut FlowRecord,
    ) -> bool {
        let interfaces = record.interfaces.unwrap_or_default();
        let flow = Flow {
            domain,
            key: record.key,
            ingress_interface: interfaces.ingress_interface,
            egress_interface: interfaces.egress_interface,
            vlan_id: record.vlan_id,
            flow_id: None,
        };
        let now = Counted::of(record);
        let Some(latest) = self.get_mut(&flow) else {
            return self.insert(flow, now);
        };
        let (counted, is_late) = now.since(*latest, are_totals);
        if !is_late {
            *latest = now;
        }
        counted.apply(record);
        false
    }

    /// Makes a record of a firewall connection count what it adds. True if another flow was evicted.
    pub(super) fn connection(
        &mut self,
        domain: DomainKey,
        (event, flow_id): (u64, u64),
        record: &mut FlowRecord,
    ) -> bool {
        if event == DENIED {
            record.is_continuation = true;
        }
        if !matches!(event, CREATED | DELETED | UPDATED) {
            return false;
        }
        let flow = Flow {
            domain,
            key: record.key,
            ingress_interface: 0,
            egress_interface: 0,
            vlan_id: 0,
            flow_id: Some(flow_id),
        };
        let now = Counted::of(record);
        let known = self.get_mut(&flow).filter(|known| {
            let starts = [known.start_milliseconds, now.start_milliseconds];
            let is_same = starts.contains(&0) || known.start_milliseconds == now.start_milliseconds;
            is_same && !(event == CREATED && known.has_ended)
        });
        let has_ended = event == DELETED;
        let Some(known) = known else {
            record.is_continuation = now.is_zero();
            return self.insert(flow, Counted { has_ended, ..now });
        };
        record.is_continuation = !known.is_zero() || now.is_zero();
        if has_ended {
            now.minus(*known).apply(record);
            *known = Counted { has_ended, ..now }.maximum(*known);
        } else if known.has_ended {
            // A late update is part of the total.
            Counted::default().apply(record);
        } else {
            *known = known.plus(now);
        }
        false
    }

    fn get_mut(&mut self, flow: &Flow) -> Option<&mut Counted> {
        let flows = self.by_address.get_mut(&flow.domain.address)?;
        flows.get_mut(flow)
    }

    /// Adds a flow. True if another one was evicted for it.
    fn insert(&mut self, flow: Flow, counted: Counted) -> bool {
        let address = flow.domain.address;
        let own = self.by_address.get(&address).map_or(0, LruCache::len);
        let is_evicted = if own >= self.share {
            self.evict(address)
        } else if self.length >= self.bound {
            self.evict(self.fullest.unwrap_or(address)) || self.evict(address)
        } else {
            false
        };
        let flows = self.by_address.entry(address).or_insert_with(|| {
            LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default())
        });
        flows.put(flow, counted);
        let own = flows.len();
        self.length = self.length.saturating_add(1);
        let most = self
            .fullest
            .and_then(|address| self.by_address.get(&address));
        if most.is_none_or(|most| most.len() < own) {
            self.fullest = Some(address);
        }
        is_evicted
    }

    fn evict(&mut self, address: Address) -> bool {
        let Some(flows) = self.by_address.get_mut(&address) else {
            return false;
        };
        let is_evicted = flows.pop_lru().is_some();
        if flows.is_empty() {
            self.by_address.remove(&address);
        }
        self.length = self.length.saturating_sub(usize::from(is_evicted));
        is_evicted
    }
}

impl Counted {
    const fn of(record: &FlowRecord) -> Self {
        Self {
            start_milliseconds: record.flow_start_milliseconds,
            octets: record.octet_delta_count,
            packets: record.packet_delta_count,
            reverse_octets: record.reverse_octet_delta_count,
            reverse_packets: record.reverse_packet_delta_count,
            has_ended: false,
        }
    }

    const fn is_zero(&self) -> bool {
        self.octets == 0
            && self.packets == 0
            && self.reverse_octets == 0
            && self.reverse_packets == 0
    }

    const fn apply(self, record: &mut FlowRecord) {
        record.octet_delta_count = self.octets;
        record.packet_delta_count = self.packets;
        record.reverse_octet_delta_count = self.reverse_octets;
        record.reverse_packet_delta_count = self.reverse_packets;
    }

    /// Combines the counters of two.
    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            octets: combine(self.octets, other.octets),
            packets: combine(self.packets, other.packets),
            reverse_octets: combine(self.reverse_octets, other.reverse_octets),
            reverse_packets: combine(self.reverse_packets, other.reverse_packets),
            ..self
        }
    }

    fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn maximum(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// The increase of totals since `before`, and whether the record is older than that. Lower totals
    /// are another flow if no start is known, otherwise a late record, which adds nothing.
    fn since(self, before: Self, (octets, packets): (bool, bool)) -> (Self, bool) {
        let less = octets
            && (self.octets < before.octets || self.reverse_octets < before.reverse_octets)
            || packets
                && (self.packets < before.packets || self.reverse_packets < before.reverse_packets);
        let same = self.start_milliseconds == before.start_milliseconds
            && (!less || self.start_milliseconds != 0);
        let mut base = Self::default();
        if same && octets {
            (base.octets, base.reverse_octets) = (before.octets, before.reverse_octets);
        }
        if same && packets {
            (base.packets, base.reverse_packets) = (before.packets, before.reverse_packets);
        }
        (self.minus(base), same && less)
    }
}
