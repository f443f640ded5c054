//! Counters that run on from record to record of a flow, and firewall connections: what a record
//! adds.
//!
//! Of running totals (85, 86 and the like), the increase since the flow's previous record counts.
//! Only records of exporters that send no deltas are kept. A flow is identified by its key, its
//! Observation Point, its `flowId` (148) and its start, so that a flow of one record counts with
//! that whole record.
//!
//! Firewalls (233 `firewallEvent`) send several records of a connection, which is counted in the
//! first one that has octets. Cisco ASA (NSEL) sends the counters of initiator and responder: an
//! update has those since the last one, the teardown those of the whole connection. The teardown
//! adds what its total exceeds the updates by. Deltas and running totals have their usual meaning
//! in all events.

use std::collections::HashMap;

use lru::LruCache;

use crate::address::Address;
use crate::plan::{CounterKind, Values};
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
    /// 148 `flowId`.
    flow_id: Option<u64>,
    /// The start of a flow of running totals; 0 if it is not known, and for firewall connections.
    start: u64,
}

/// What identifies the flow of a record, besides its flow key.
#[derive(Clone, Copy, Debug)]
struct FlowIdentity {
    domain: DomainKey,
    /// 148 `flowId`.
    flow_id: Option<u64>,
    /// Any number that all records of the flow share; 0 if the start is not known.
    start: u64,
}

/// What the records of a flow have counted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// The start of a firewall connection.
    start: u64,
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

    /// Makes a record count what it adds to the earlier ones of its flow. `kinds`: of octets and
    /// packets. True if another flow was evicted; its next record will count as a whole.
    pub(super) fn count(
        &mut self,
        domain: DomainKey,
        kinds: [CounterKind; 2],
        values: &Values,
        record: &mut FlowRecord,
    ) -> bool {
        record.is_continuation = false;
        let identity = FlowIdentity {
            domain,
            flow_id: values.flow_id(),
            start: values.start_identity(record),
        };
        match values.firewall_event() {
            Some(event) => self.connection(identity, (event, kinds), record),
            None => self.difference(identity, kinds, record),
        }
    }

    /// Replaces totals in `record` by differences.
    fn difference(
        &mut self,
        identity: FlowIdentity,
        kinds: [CounterKind; 2],
        record: &mut FlowRecord,
    ) -> bool {
        let interfaces = record.interfaces.unwrap_or_default();
        let flow = Flow {
            domain: identity.domain,
            key: record.key,
            ingress_interface: interfaces.ingress_interface,
            egress_interface: interfaces.egress_interface,
            vlan_id: record.vlan_id,
            flow_id: identity.flow_id,
            start: identity.start,
        };
        let now = Counted::of(record);
        let Some(latest) = self.get_mut(&flow) else {
            return self.insert(flow, now);
        };
        let has_start = flow.start != 0;
        let [octets, packets] = kinds;
        let is_less = |kind, now, before| increase(kind, now, before, has_start).is_none();
        let is_late = is_less(octets, now.octets, latest.octets)
            || is_less(octets, now.reverse_octets, latest.reverse_octets)
            || is_less(packets, now.packets, latest.packets)
            || is_less(packets, now.reverse_packets, latest.reverse_packets);
        if is_late && !has_start {
            // Another flow.
            *latest = now;
            return false;
        }
        let added = |kind: CounterKind| {
            move |now, before| match increase(kind, now, before, has_start) {
                Some(increase) if !is_late || !kind.is_total() => increase,
                _ => 0,
            }
        };
        now.with(*latest, kinds.map(added)).apply(record);
        if !is_late {
            *latest = now;
        }
        false
    }

    /// Makes a record of a firewall connection count what it adds. `event`: 233 `firewallEvent`.
    fn connection(
        &mut self,
        identity: FlowIdentity,
        (event, kinds): (u64, [CounterKind; 2]),
        record: &mut FlowRecord,
    ) -> bool {
        if event == DENIED {
            record.is_continuation = true;
        }
        if !matches!(event, CREATED | DELETED | UPDATED) {
            return false;
        }
        let flow = Flow {
            domain: identity.domain,
            key: record.key,
            ingress_interface: 0,
            egress_interface: 0,
            vlan_id: 0,
            flow_id: identity.flow_id,
            start: 0,
        };
        let now = Counted {
            start: identity.start,
            ..Counted::of(record)
        };
        let known = self.get_mut(&flow).filter(|known| {
            let starts = [known.start, now.start];
            let is_same = starts.contains(&0) || known.start == now.start;
            is_same && !(event == CREATED && known.has_ended)
        });
        let is_teardown = event == DELETED;
        let Some(known) = known else {
            record.is_continuation = now.is_zero();
            let has_ended = is_teardown;
            return self.insert(flow, Counted { has_ended, ..now });
        };
        record.is_continuation = !known.is_zero() || now.is_zero();
        let has_ended = known.has_ended;
        let added = now.with(
            *known,
            kinds.map(|kind| {
                let rule = ConnectionRule {
                    kind,
                    is_teardown,
                    has_ended,
                };
                move |now, counted| rule.added(now, counted)
            }),
        );
        added.apply(record);
        *known = Counted {
            start: now.start,
            has_ended: has_ended || is_teardown,
            ..known.plus(added)
        };
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

/// What a counter adds to that of the record before. `None` if it is lower. `has_start`: both
/// records are known to be of one flow.
const fn increase(kind: CounterKind, now: u64, before: u64, has_start: bool) -> Option<u64> {
    const RANGE: u64 = 1 << 32;
    match kind {
        CounterKind::Delta | CounterKind::Connection => Some(now),
        CounterKind::Total32 if has_start => {
            // A quarter of the range is left for late records.
            match now.wrapping_sub(before) % RANGE {
                increase if increase < RANGE / 4 * 3 => Some(increase),
                _ => None,
            }
        }
        CounterKind::Total | CounterKind::Total32 => now.checked_sub(before),
    }
}

/// How a record of a firewall connection counts.
#[derive(Clone, Copy)]
struct ConnectionRule {
    kind: CounterKind,
    is_teardown: bool,
    /// The teardown of the connection has arrived.
    has_ended: bool,
}

impl ConnectionRule {
    /// What a record with the counter `now` adds to what the connection has counted.
    fn added(self, now: u64, counted: u64) -> u64 {
        match self.kind {
            CounterKind::Delta => now,
            CounterKind::Total | CounterKind::Total32 => now.saturating_sub(counted),
            CounterKind::Connection if self.is_teardown => now.saturating_sub(counted),
            // A late update is part of the total.
            CounterKind::Connection if self.has_ended => 0,
            CounterKind::Connection => now,
        }
    }
}

impl Counted {
    const fn of(record: &FlowRecord) -> Self {
        Self {
            start: 0,
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

    /// Combines the counters of two, octets and packets each in their way.
    fn with(self, other: Self, [octets, packets]: [impl Fn(u64, u64) -> u64; 2]) -> Self {
        Self {
            octets: octets(self.octets, other.octets),
            packets: packets(self.packets, other.packets),
            reverse_octets: octets(self.reverse_octets, other.reverse_octets),
            reverse_packets: packets(self.reverse_packets, other.reverse_packets),
            ..self
        }
    }

    fn plus(self, other: Self) -> Self {
        self.with(other, [u64::saturating_add; 2])
    }
}
