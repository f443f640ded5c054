//! Flow records → sums by conversation, host and port.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowproto::record::BiflowDirection;
use flowproto::tcp::RoundTripTime;
use flowproto::{Address, FlowKey, FlowRecord};
use kipfix_export::Exporter;
use kipfix_service::sync::lock;

/// Maximum number of conversations, of hosts, and of ports.
const MAX_ENTRIES: usize = 65_536;
/// Time without a record after which an entry makes room for others, milliseconds.
const IDLE_MILLISECONDS: u64 = 60_000;

/// Octets and packets of both directions, and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) sent_octets: u64,
    pub(super) received_octets: u64,
    pub(super) packets: u64,
    pub(super) connections: u64,
}

/// What was metered of a conversation, a host or a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Since the start.
    pub(super) total: Amounts,
    /// In the last interval.
    pub(super) last: Amounts,
    /// Since the last interval.
    current: Amounts,
    /// Segments sent again, of both directions.
    pub(super) retransmitted: u64,
    /// Between here and either end.
    round_trips: [RoundTripTime; 2],
    /// Time of the last packet, milliseconds since the epoch.
    seen: u64,
}

/// A server port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServerPort {
    pub(super) protocol: u8,
    /// 0 if the protocol has no ports.
    pub(super) port: u16,
}

/// All sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) conversations: HashMap<FlowKey, Sums>,
    pub(super) hosts: HashMap<Address, Sums>,
    pub(super) ports: HashMap<ServerPort, Sums>,
    /// Of everything.
    pub(super) all: Sums,
    /// From the first to the last packet.
    pub(super) duration: Duration,
    /// Records that found no room in a table.
    pub(super) not_shown: u64,
}

/// The sums, shared by the thread that gets records and the one that shows them.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sums: Snapshot,
    /// Times of the first and of the last packet, milliseconds since the epoch.
    range: Option<(u64, u64)>,
}

impl Totals {
    /// A copy.
    pub(super) fn snapshot(&self) -> Snapshot {
        lock(&self.0).sums.clone()
    }

    /// Ends an interval.
    pub(super) fn end_interval(&self) {
        let mut state = lock(&self.0);
        let last = state.range.map_or(0, |(_, last)| last);
        let sums = &mut state.sums;
        end_interval(&mut sums.conversations, last);
        end_interval(&mut sums.hosts, last);
        end_interval(&mut sums.ports, last);
        sums.all.end_interval();
    }

    fn add(&self, records: &[FlowRecord]) {
        let mut state = lock(&self.0);
        for record in records {
            state.add(record);
        }
    }
}

fn end_interval<K: Eq + Hash>(entries: &mut HashMap<K, Sums>, last: u64) {
    if entries.len() > MAX_ENTRIES / 2 {
        let oldest = last.saturating_sub(IDLE_MILLISECONDS);
        entries.retain(|_, sums| sums.seen >= oldest);
    }
    for sums in entries.values_mut() {
        sums.end_interval();
    }
}

impl State {
    fn add(&mut self, record: &FlowRecord) {
        let (start, end) = (record.flow_start_milliseconds, record.flow_end_milliseconds);
        let (first, last) = self.range.unwrap_or((start, end));
        let (first, last) = (first.min(start), last.max(end));
        self.range = Some((first, last));
        self.sums.duration = Duration::from_millis(last.saturating_sub(first));
        // The sender is the initiator, if it is known.
        let is_reversed = record.biflow_direction == Some(BiflowDirection::ReverseInitiator);
        let [forward, reverse] = directions(record);
        let (key, mut forward, mut reverse) = if is_reversed {
            (record.key.reversed(), reverse, forward)
        } else {
            (record.key, forward, reverse)
        };
        // The handshake is a sample, too: that of the initiator's SYN is the time to the server.
        for (side, microseconds) in [
            (&mut forward, record.tcp_handshake.server_microseconds),
            (&mut reverse, record.tcp_handshake.client_microseconds),
        ] {
            if microseconds > 0 {
                side.round_trip.add(microseconds);
            }
        }
        let is_known = record.biflow_direction.is_some_and(|direction| {
            matches!(
                direction,
                BiflowDirection::Initiator | BiflowDirection::ReverseInitiator
            )
        });
        let port = ServerPort {
            protocol: key.protocol_identifier,
            port: if is_known {
                key.destination_port
            } else {
                key.source_port.min(key.destination_port)
            },
        };
        let conversation = conversation_key(key, is_known);
        let sides = if conversation == key {
            [forward, reverse]
        } else {
            [reverse, forward]
        };
        let Snapshot {
            conversations,
            hosts,
            ports,
            all,
            not_shown,
            ..
        } = &mut self.sums;
        let mut is_shown = add(conversations, conversation, record, sides);
        is_shown &= add(hosts, key.source_address, record, [forward, reverse]);
        if key.source_address != key.destination_address {
            is_shown &= add(hosts, key.destination_address, record, [reverse, forward]);
        }
        is_shown &= add(ports, port, record, [forward, reverse]);
        all.add(record, [forward, reverse]);
        *not_shown += u64::from(!is_shown);
    }
}

/// The same key for both directions of a conversation, also if its initiator is not known.
fn conversation_key(key: FlowKey, is_initiator_known: bool) -> FlowKey {
    let reversed = key.reversed();
    let end = |key: &FlowKey| (key.destination_port, key.destination_address);
    if !is_initiator_known && end(&reversed) < end(&key) {
        return reversed;
    }
    key
}

/// Adds a record. False if there is no room for its key.
fn add<K: Eq + Hash>(
    entries: &mut HashMap<K, Sums>,
    key: K,
    record: &FlowRecord,
    sides: [Side; 2],
) -> bool {
    if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
        return false;
    }
    entries.entry(key).or_default().add(record, sides);
    true
}

/// One direction of a record.
#[derive(Clone, Copy, Debug)]
struct Side {
    octets: u64,
    packets: u64,
    retransmitted: u64,
    round_trip: RoundTripTime,
}

fn directions(record: &FlowRecord) -> [Side; 2] {
    let scale = |count| record.sampling.scale(count);
    [
        Side {
            octets: scale(record.octet_delta_count),
            packets: scale(record.packet_delta_count),
            retransmitted: record.tcp_health.retransmitted_packets.into(),
            round_trip: record.tcp_round_trip_time,
        },
        Side {
            octets: scale(record.reverse_octet_delta_count),
            packets: scale(record.reverse_packet_delta_count),
            retransmitted: record.reverse_tcp_health.retransmitted_packets.into(),
            round_trip: record.reverse_tcp_round_trip_time,
        },
    ]
}

impl Sums {
    fn add(&mut self, record: &FlowRecord, [sent, received]: [Side; 2]) {
        for amounts in [&mut self.total, &mut self.current] {
            amounts.sent_octets = amounts.sent_octets.saturating_add(sent.octets);
            amounts.received_octets = amounts.received_octets.saturating_add(received.octets);
            let packets = sent.packets.saturating_add(received.packets);
            amounts.packets = amounts.packets.saturating_add(packets);
            let connections = record.new_connection_delta_count.unwrap_or(0);
            amounts.connections = amounts.connections.saturating_add(connections.into());
        }
        let retransmitted = sent.retransmitted.saturating_add(received.retransmitted);
        self.retransmitted = self.retransmitted.saturating_add(retransmitted);
        for (sum, side) in self.round_trips.iter_mut().zip([sent, received]) {
            let more = side.round_trip;
            sum.sum_microseconds = sum.sum_microseconds.saturating_add(more.sum_microseconds);
            sum.samples = sum.samples.saturating_add(more.samples);
        }
        self.seen = self.seen.max(record.flow_end_milliseconds);
    }

    fn end_interval(&mut self) {
        self.last = std::mem::take(&mut self.current);
    }

    /// The mean round-trip time between the ends, microseconds: that to either end, added. 0 if it
    /// was not measured.
    pub(super) fn round_trip_microseconds(&self) -> u64 {
        let means = self.round_trips.map(|times| {
            let mean = times.sum_microseconds.checked_div(times.samples.into());
            mean.unwrap_or(0)
        });
        means.into_iter().fold(0, u64::saturating_add)
    }
}

impl Amounts {
    /// Octets of both directions.
    pub(super) const fn octets(&self) -> u64 {
        self.sent_octets.saturating_add(self.received_octets)
    }
}

/// The target that flow records go to.
#[derive(Debug)]
pub(super) struct TotalsExporter(Arc<Totals>);

impl TotalsExporter {
    pub(super) const fn new(totals: Arc<Totals>) -> Self {
        Self(totals)
    }
}

impl Exporter<FlowRecord> for TotalsExporter {
    fn export(&mut self, records: &[FlowRecord], _: u64) {
        self.0.add(records);
    }

    fn flush(&mut self, _: u64) {}

    fn finish(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn record(source: u8, destination: u8, direction: BiflowDirection) -> FlowRecord {
        let mut record = FlowRecord {
            octet_delta_count: 1000,
            packet_delta_count: 10,
            reverse_octet_delta_count: 200,
            reverse_packet_delta_count: 2,
            flow_start_milliseconds: 5000,
            flow_end_milliseconds: 6500,
            biflow_direction: Some(direction),
            new_connection_delta_count: Some(1),
            ..FlowRecord::default()
        };
        let address = |last| Address::from(Ipv4Addr::new(10, 0, 0, last));
        record.key.source_address = address(source);
        record.key.destination_address = address(destination);
        record.key.source_port = 40_000;
        record.key.destination_port = 443;
        record.key.protocol_identifier = 6;
        record.tcp_health.retransmitted_packets = 3;
        record.tcp_round_trip_time.add(1000);
        record.reverse_tcp_round_trip_time.add(500);
        record
    }

    #[test]
    fn a_record_is_added_to_its_conversation_both_hosts_and_its_port() {
        let totals = Totals::default();
        let opened = record(1, 2, BiflowDirection::Initiator);
        totals.add(&[opened.clone(), opened.clone()]);
        let sums = totals.snapshot();
        let conversation = sums.conversations[&opened.key];
        assert_eq!(conversation.total.sent_octets, 2000);
        assert_eq!(conversation.total.received_octets, 400);
        assert_eq!(conversation.total.packets, 24);
        assert_eq!(conversation.total.connections, 2);
        assert_eq!(conversation.retransmitted, 6);
        assert_eq!(conversation.round_trip_microseconds(), 1500);
        let server = sums.hosts[&opened.key.destination_address];
        assert_eq!(server.total.sent_octets, 400);
        assert_eq!(sums.hosts.len(), 2);
        let port = ServerPort {
            protocol: 6,
            port: 443,
        };
        assert_eq!(sums.ports[&port], conversation);
        assert_eq!(sums.duration, Duration::from_millis(1500));
    }

    #[test]
    fn the_initiator_is_the_source() {
        let totals = Totals::default();
        let mut answered = record(2, 1, BiflowDirection::ReverseInitiator);
        answered.key = answered.key.reversed();
        totals.add(std::slice::from_ref(&answered));
        let sums = totals.snapshot();
        let conversation = sums.conversations[&answered.key.reversed()];
        assert_eq!(conversation.total.sent_octets, 200);
        // Without an initiator, both directions are still one conversation.
        let totals = Totals::default();
        let one = record(1, 2, BiflowDirection::Arbitrary);
        let mut other = one.clone();
        other.key = one.key.reversed();
        totals.add(&[one.clone(), other]);
        let sums = totals.snapshot();
        assert_eq!(sums.conversations.len(), 1);
        let conversation = sums.conversations[&one.key];
        assert_eq!(conversation.total.sent_octets, 1200);
        assert_eq!(sums.ports.len(), 1);
    }

    #[test]
    fn rates_are_those_of_the_last_interval() {
        let totals = Totals::default();
        let one = record(1, 2, BiflowDirection::Initiator);
        totals.add(std::slice::from_ref(&one));
        assert_eq!(totals.snapshot().all.last, Amounts::default());
        totals.end_interval();
        assert_eq!(totals.snapshot().all.last.octets(), 1200);
        totals.end_interval();
        let sums = totals.snapshot();
        assert_eq!(sums.all.last, Amounts::default());
        assert_eq!(sums.all.total.octets(), 1200);
    }

    #[test]
    fn tables_are_bounded_and_what_has_no_room_is_counted() {
        let totals = Totals::default();
        let mut one = record(1, 2, BiflowDirection::Initiator);
        for number in 0..70_000_u32 {
            one.key.source_address = Address::from(Ipv4Addr::from(number));
            totals.add(std::slice::from_ref(&one));
        }
        let sums = totals.snapshot();
        assert_eq!(sums.conversations.len(), MAX_ENTRIES);
        assert_eq!(sums.not_shown, 70_000 - 65_535);
        assert_eq!(sums.all.total.connections, 70_000);
        one.flow_end_milliseconds += 2 * IDLE_MILLISECONDS;
        totals.add(&[one]);
        totals.end_interval();
        assert!(totals.snapshot().conversations.len() <= 1);
    }
}
