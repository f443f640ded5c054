//! The state of one conversation, and the records of its directions.

use flowproto::FlowRecord;
use flowproto::protocol::{SCTP, TCP, UDP};
use flowproto::record::{BiflowDirection, FlowEndReason, Interfaces, SecurityProtocol, Tunnel};
use flowproto::tcp::{ConnectionState, Handshake};

use super::clock::PacketClock;
use super::key::ConversationKey;
use super::links::{Links, NONE};
use super::lookup::Lookup;
use crate::connection::{Connection, Pair, Side};
use crate::decode::NetworkId;
use crate::tcp::Health;

const MILLISECOND_NS: u64 = 1_000_000;

/// One direction of a conversation since its last record. All times are on the scale of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direction {
    pub(super) octets: u64,
    pub(super) packets: u64,
    /// Octets behind the transport headers.
    pub(super) transport_octets: u64,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    /// The virtual network; `None` before the first packet. Not reset by a record.
    pub(super) network: Option<NetworkId>,
    /// The interface of the first packet of the record.
    pub(super) interface: u32,
    pub(super) tcp_control_bits: u16,
    pub(super) icmp_type_code: u16,
    pub(super) vlan_id: u16,
    pub(super) ip_class_of_service: u8,
    pub(super) egress: bool,
    /// The latest one that is not none.
    pub(super) security_protocol: SecurityProtocol,
}

/// A conversation: both directions between two ends. Fields that nearly every packet needs come
/// first. It takes four cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Conversation {
    pub(super) key: ConversationKey,
    /// Clock time of the latest packet of either direction.
    pub(super) seen_ns: u64,
    /// Clock time of the last move within the lists.
    pub(super) moved_ns: u64,
    /// Clock time of the first packet since the last record.
    pub(super) record_start_ns: u64,
    pub(super) links: Links,
    /// Slot of the outer headers of its directions; [`NONE`] if it has none.
    pub(super) tunnels: u32,
    pub(super) directions: Pair<Direction>,
    pub(super) connection: Connection,
    /// Time of the earliest packet, as far as records were made; before, the clock time of the
    /// first.
    pub(super) start_ns: u64,
    /// Duration of the connection in records so far, milliseconds.
    pub(super) reported_milliseconds: u64,
    /// The state of the connection that the latest record reports.
    pub(super) reported_state: ConnectionState,
    /// Which of its directions are metered.
    pub(super) choices: Pair<Choice>,
}

/// Whether the packets of a direction are metered, or those of the same direction on another side
/// of an address translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    /// They are metered.
    #[default]
    Metered,
    /// The next packet decides.
    Open,
    /// They are copies.
    Copied,
}

/// How likely a packet belongs to a conversation with its key, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its direction has the virtual network of the packet.
    Same,
    /// Only the other direction had packets, with the virtual network of the packet.
    SameInReverse,
    /// Only the other direction had packets, with another virtual network.
    OtherInReverse,
    /// Its direction has another virtual network, which another interface showed.
    OtherInterface,
}

/// What all records of one report have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportContext<'a> {
    pub(super) reason: FlowEndReason,
    pub(super) clock: &'a PacketClock,
    /// Records have interfaces: the capture is that of this node.
    pub(super) has_interfaces: bool,
}

const _: () = assert!(size_of::<Conversation>() == 256, "four cache lines");

impl Conversation {
    /// Creates the state of a conversation that begins at `now_ns` of the clock.
    pub(super) fn new(key: ConversationKey, connection: Connection, now_ns: u64) -> Self {
        Self {
            key,
            seen_ns: now_ns,
            moved_ns: now_ns,
            record_start_ns: now_ns,
            links: Links::default(),
            tunnels: NONE,
            directions: Pair::default(),
            connection,
            start_ns: now_ns,
            reported_milliseconds: 0,
            reported_state: ConnectionState::Unknown,
            choices: Pair::default(),
        }
    }

    /// How likely a packet belongs to this conversation; `None` if it does not.
    ///
    /// The directions of a conversation may have different networks: Cilium's is the identity of
    /// the sender, and that of a distributed router is the network of the receiver. On another
    /// interface, the network may be visible or hidden.
    #[inline]
    pub(super) fn rank(&self, lookup: &Lookup, interface: u32) -> Option<Rank> {
        if self.key != lookup.key {
            return None;
        }
        let direction = self.directions.of(lookup.source);
        match direction.network {
            Some(own) if own == lookup.network => Some(Rank::Same),
            Some(own) if direction.interface != interface && own.is_compatible(lookup.network) => {
                Some(Rank::OtherInterface)
            }
            Some(_) => None,
            None => {
                let reverse = self.directions.of(lookup.source.opposite()).network;
                let is_same = reverse == Some(lookup.network);
                Some(if is_same {
                    Rank::SameInReverse
                } else {
                    Rank::OtherInReverse
                })
            }
        }
    }

    /// The interface of the latest record from `source`, and of the other direction; `None` before its
    /// first packet.
    pub(super) fn interfaces(&self, source: Side) -> [Option<u32>; 2] {
        [source, source.opposite()].map(|side| {
            let direction = self.directions.of(side);
            direction.network.map(|_| direction.interface)
        })
    }

    /// Reads one field of each cache line.
    #[inline]
    pub(super) const fn touch(&self) -> u64 {
        self.seen_ns ^ self.directions.low.octets ^ self.directions.high.packets ^ self.start_ns
    }

    /// Makes the records of the directions that have packets in the empty places of `records`, that of
    /// the initiator first, and resets the directions.
    pub(super) fn report(
        &mut self,
        context: ReportContext<'_>,
        tunnels: &Pair<Option<Tunnel>>,
        mut health: Option<Health<'_>>,
        records: &mut [Option<FlowRecord>; 2],
    ) {
        let first_ns =
            |direction: &Direction| (direction.packets > 0).then_some(direction.first_ns);
        let began = Pair {
            low: first_ns(&self.directions.low),
            high: first_ns(&self.directions.high),
        };
        self.connection.settle_initiator(began);
        for first_ns in [began.low, began.high].into_iter().flatten() {
            self.start_ns = self.start_ns.min(first_ns);
        }
        let first = self.connection.initiator().unwrap_or(Side::Low);
        let mut duration = self.take_duration(context.reason);
        let (mut state, mut handshake) = match &mut health {
            Some(health) => self.take_state(context.reason, health),
            None => Default::default(),
        };
        for (place, source) in records.iter_mut().zip([first, first.opposite()]) {
            let Some(record) = self.record(source, context, place) else {
                continue;
            };
            record.tunnel = *tunnels.of(source);
            // In the record of the initiator, or in the other one if that has none.
            std::mem::take(&mut duration).add_to(record);
            record.tcp_connection_state = std::mem::take(&mut state);
            record.tcp_handshake = std::mem::take(&mut handshake);
            if let Some(health) = &mut health {
                record.tcp_round_trip_time = health.state.take_round_trip(source);
                record.tcp_health = health.state.losses_mut(health.losses).take(source);
            }
        }
    }

    /// The state of a TCP connection, and the part of its handshake that no record has reported. Every
    /// record of an open connection reports that it is open. Another state is reported once, in a
    /// record that may be the last one.
    fn take_state(
        &mut self,
        reason: FlowEndReason,
        health: &mut Health<'_>,
    ) -> (ConnectionState, Handshake) {
        let Some(initiator) = self.connection.initiator() else {
            return Default::default();
        };
        if self.key.protocol() != TCP {
            return Default::default();
        }
        let handshake = health.state.take_handshake(initiator);
        let state = self
            .connection
            .state(health.state.has_acknowledged(initiator));
        if state == ConnectionState::Open {
            self.reported_state = state;
            return (state, handshake);
        }
        if reason == FlowEndReason::ActiveTimeout || state == self.reported_state {
            return (ConnectionState::Unknown, handshake);
        }
        self.reported_state = state;
        (state, handshake)
    }

    /// Makes the record of a direction that has packets, in `place`.
    fn record<'a>(
        &mut self,
        source: Side,
        context: ReportContext<'_>,
        place: &'a mut Option<FlowRecord>,
    ) -> Option<&'a mut FlowRecord> {
        let initiator = self.connection.initiator();
        let direction = self.directions.of_mut(source);
        if direction.packets == 0 {
            return None;
        }
        let record = place.insert(direction.record(context));
        let is_tcp = self.key.protocol() == TCP;
        record.transport_octet_delta_count = is_tcp.then_some(direction.transport_octets);
        direction.clear();
        record.key = self.key.flow_key(source);
        record.biflow_direction = Some(match initiator {
            None => BiflowDirection::Arbitrary,
            Some(side) if side == source => BiflowDirection::Initiator,
            Some(_) => BiflowDirection::ReverseInitiator,
        });
        let opens = initiator == Some(source) && self.is_connection() && !self.connection.counted;
        self.connection.counted |= opens;
        record.new_connection_delta_count = Some(u32::from(opens));
        Some(record)
    }

    /// The duration of the connection that no record has reported, if the records of this report
    /// may be its last. If the connection continues later, only the difference is reported then.
    fn take_duration(&mut self, reason: FlowEndReason) -> ConnectionDuration {
        let initiator = self.connection.initiator();
        // Otherwise the conversation of the other side reports the duration.
        let is_metered = initiator.is_some_and(|side| *self.choices.of(side) == Choice::Metered);
        let has_started = is_metered && self.is_connection();
        if !has_started || reason == FlowEndReason::ActiveTimeout {
            return ConnectionDuration::default();
        }
        // 0 for a direction without packets.
        let last_ns = self
            .directions
            .low
            .last_ns
            .max(self.directions.high.last_ns);
        let lasted = last_ns.saturating_sub(self.start_ns) / MILLISECOND_NS;
        let lasted = lasted.max(self.reported_milliseconds);
        let reported = std::mem::replace(&mut self.reported_milliseconds, lasted);
        ConnectionDuration {
            milliseconds: lasted.saturating_sub(reported),
            // The records of a connection add up to its whole seconds.
            seconds: (lasted / 1000).saturating_sub(reported / 1000),
        }
    }

    const fn is_connection(&self) -> bool {
        matches!(self.key.protocol(), TCP | UDP | SCTP)
    }
}

/// Duration of a connection that a record reports.
#[derive(Clone, Copy, Debug, Default)]
struct ConnectionDuration {
    milliseconds: u64,
    seconds: u64,
}

impl ConnectionDuration {
    const fn add_to(self, record: &mut FlowRecord) {
        record.connection_sum_duration_milliseconds = self.milliseconds;
        record.connection_sum_duration_seconds = Some(self.seconds);
    }
}

impl Direction {
    /// Forgets the packets since the last record.
    pub(super) fn clear(&mut self) {
        *self = Self {
            network: self.network,
            interface: self.interface,
            ..Self::default()
        };
    }

    fn record(&self, context: ReportContext<'_>) -> FlowRecord {
        let interfaces = context.has_interfaces.then_some(Interfaces {
            ingress_interface: if self.egress { 0 } else { self.interface },
            egress_interface: if self.egress { self.interface } else { 0 },
            flow_direction: Some(u8::from(self.egress)),
        });
        FlowRecord {
            octet_delta_count: self.octets,
            packet_delta_count: self.packets,
            flow_start_milliseconds: context.clock.epoch_milliseconds(self.first_ns),
            flow_end_milliseconds: context.clock.epoch_milliseconds(self.last_ns),
            flow_end_reason: context.reason,
            tcp_control_bits: self.tcp_control_bits,
            ip_class_of_service: self.ip_class_of_service,
            icmp_type_code: self.icmp_type_code,
            vlan_id: self.vlan_id,
            security_protocol: self.security_protocol,
            interfaces,
            ..FlowRecord::default()
        }
    }
}

/// Adds the record of the reverse direction (RFC 5103 §3).
pub(super) const fn join(forward: &mut FlowRecord, reverse: &FlowRecord) {
    forward.reverse_octet_delta_count = reverse.octet_delta_count;
    forward.reverse_packet_delta_count = reverse.packet_delta_count;
    forward.reverse_transport_octet_delta_count = reverse.transport_octet_delta_count;
    forward.reverse_flow_start_milliseconds = reverse.flow_start_milliseconds;
    forward.reverse_flow_end_milliseconds = reverse.flow_end_milliseconds;
    forward.reverse_tcp_control_bits = reverse.tcp_control_bits;
    forward.reverse_tcp_health = reverse.tcp_health;
    forward.reverse_tcp_round_trip_time = reverse.tcp_round_trip_time;
}
