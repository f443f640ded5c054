//! What a record reports of a connection besides its traffic.

use flowproto::collector::Fields;
use flowproto::dns::DnsHealth;
use flowproto::http::{GrpcStatusCounts, HttpHealth};
use flowproto::protocol::TCP;
use flowproto::record::{BiflowDirection, FlowEndReason, Sampling};
use flowproto::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
use flowproto::{FlowRecord, TrafficRecord};

use super::flow::Initiator;

/// TCP health of one direction of a record, and the start and end of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowHealth {
    /// Packets of this direction, scaled by the sampling in force.
    pub packets: PacketHealth,
    /// Round-trip times between the observer and the destination, scaled by the selection of flows.
    pub round_trip_time: RoundTripTime,
    /// Of the connection.
    pub connection: ConnectionHealth,
    /// DNS messages of the conversation, scaled by the selection of flows.
    pub dns: DnsHealth,
    /// HTTP messages of the conversation, scaled by the selection of flows.
    pub http: HttpHealth,
}

/// Packets of one direction that show losses or reordering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketHealth {
    /// Retransmissions.
    pub retransmitted: u64,
    /// Their payload, octets.
    pub retransmitted_bytes: u64,
    /// Packets that arrived after a later one.
    pub out_of_order: u64,
}

/// Start and end of a connection. One of the records of an observer has them, in whichever
/// direction, so they are not decided with the packets of that record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionHealth {
    /// The state, if the record reports it.
    pub state: ConnectionState,
    /// Duration since the last record that had one, milliseconds.
    pub duration_milliseconds: Option<u64>,
    /// Round-trip time of the handshake between the ends, microseconds.
    pub handshake_microseconds: Option<u32>,
    /// The connection has ended. True without a state, if its start was not observed.
    pub has_ended: bool,
    /// The end of the flow that opened the connection.
    pub initiator: Initiator,
    /// Number of connections for which this one stands, by the selection of flows.
    pub connections: u64,
}

impl FlowHealth {
    /// False if a record cannot report any, by its template or the end of its connection.
    #[inline]
    pub(super) fn may_be_in(record: &FlowRecord, fields: &Fields<'_>) -> bool {
        // 279 is in most templates, and 0 in most records.
        let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
        seconds != 0 || fields.have_health() || is_end_without_state(record)
    }

    /// The health of a record's own direction and of its connection. `None` if it reports neither.
    pub(super) fn forward(record: &FlowRecord) -> Option<Self> {
        let health = Self {
            packets: PacketHealth::of(&record.tcp_health, record.sampling),
            round_trip_time: scaled(record.tcp_round_trip_time, record.flow_sampling),
            connection: ConnectionHealth::of(record),
            dns: scaled_dns(record.dns, record.flow_sampling),
            http: scaled_http(record.http, record.flow_sampling),
        };
        health.reports_something().then_some(health)
    }

    /// The health of the opposite direction. The connection belongs to the record's own direction.
    pub(super) fn reverse(record: &FlowRecord) -> Option<Self> {
        let health = Self {
            packets: PacketHealth::of(&record.reverse_tcp_health, record.sampling),
            round_trip_time: scaled(record.reverse_tcp_round_trip_time, record.flow_sampling),
            connection: ConnectionHealth::default(),
            dns: DnsHealth::default(),
            http: HttpHealth::default(),
        };
        health.reports_something().then_some(health)
    }

    fn reports_something(&self) -> bool {
        self.packets != PacketHealth::default()
            || self.round_trip_time.samples != 0
            || self.connection.reports_something()
            || self.connection.has_ended
            || !self.dns.is_empty()
            || !self.http.is_empty()
    }
}

impl PacketHealth {
    fn of(health: &TcpHealth, sampling: Sampling) -> Self {
        Self {
            retransmitted: sampling.scale(health.retransmitted_packets.into()),
            retransmitted_bytes: sampling.scale(health.retransmitted_octets),
            out_of_order: sampling.scale(health.out_of_order_packets.into()),
        }
    }
}

impl ConnectionHealth {
    fn of(record: &FlowRecord) -> Self {
        Self {
            state: record.tcp_connection_state,
            duration_milliseconds: record.connection_milliseconds(),
            handshake_microseconds: handshake(record.tcp_handshake),
            has_ended: record.tcp_connection_state.has_ended() || is_end_without_state(record),
            initiator: Initiator::of(record),
            connections: record.flow_sampling.scale(1),
        }
    }

    /// True if the record reports anything of a connection whose start was observed.
    #[must_use]
    pub fn reports_something(&self) -> bool {
        self.state != ConnectionState::Unknown
            || self.duration_milliseconds.is_some()
            || self.handshake_microseconds.is_some()
    }
}

impl ConnectionHealth {
    fn in_state(&self, is_wanted: impl Fn(ConnectionState) -> bool) -> u64 {
        if is_wanted(self.state) {
            self.connections
        } else {
            0
        }
    }

    /// Connections whose SYN was answered by RST.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.in_state(|state| state == ConnectionState::Refused)
    }

    /// Connections whose SYN was not answered.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.in_state(|state| state == ConnectionState::Unanswered)
    }

    /// Established connections that ended by RST.
    #[must_use]
    pub fn reset(&self) -> u64 {
        self.in_state(|state| {
            matches!(
                state,
                ConnectionState::ResetByInitiator | ConnectionState::ResetByResponder
            )
        })
    }

    /// Connections with a duration.
    #[must_use]
    pub fn duration_count(&self) -> u64 {
        self.duration_milliseconds.map_or(0, |_| self.connections)
    }

    /// The sum of their durations, milliseconds.
    #[must_use]
    pub fn duration_sum_milliseconds(&self) -> u64 {
        let duration = self.duration_milliseconds.unwrap_or_default();
        duration.saturating_mul(self.connections)
    }
}

/// The end of a TCP connection whose start was not observed, for example because the probe was
/// restarted.
#[inline]
fn is_end_without_state(record: &FlowRecord) -> bool {
    is_unknown_end(
        record.biflow_direction,
        record.flow_end_reason,
        record.key.protocol_identifier,
    )
}

#[inline]
fn is_unknown_end(direction: Option<BiflowDirection>, reason: FlowEndReason, protocol: u8) -> bool {
    direction == Some(BiflowDirection::Arbitrary)
        && reason == FlowEndReason::EndOfFlowDetected
        && protocol == TCP
}

/// True if a record of a template without health reports something of its connection.
#[inline]
pub(super) fn reports_connection(record: &TrafficRecord) -> bool {
    let seconds = record.connection_sum_duration_seconds;
    let (reason, protocol) = (record.flow_end_reason, record.protocol_identifier);
    seconds.is_some_and(|seconds| seconds != 0)
        || is_unknown_end(record.biflow_direction, reason, protocol)
}

/// The sum of both halves. `None` if one of them was not measured.
fn handshake(handshake: Handshake) -> Option<u32> {
    let (client, server) = (handshake.client_microseconds, handshake.server_microseconds);
    (client != 0 && server != 0).then(|| client.saturating_add(server))
}

fn scaled(times: RoundTripTime, sampling: Sampling) -> RoundTripTime {
    if sampling == Sampling::NONE {
        return times;
    }
    let samples = sampling.scale(times.samples.into());
    RoundTripTime {
        sum_microseconds: sampling.scale(times.sum_microseconds),
        samples: u32::try_from(samples).unwrap_or(u32::MAX),
        ..times
    }
}

fn scaled_dns(dns: DnsHealth, sampling: Sampling) -> DnsHealth {
    if dns.is_empty() || sampling == Sampling::NONE {
        return dns;
    }
    let scale = |count: u32| scaled_count(count, sampling);
    DnsHealth {
        queries: scale(dns.queries),
        unanswered_queries: scale(dns.unanswered_queries),
        no_error_responses: scale(dns.no_error_responses),
        name_error_responses: scale(dns.name_error_responses),
        server_failure_responses: scale(dns.server_failure_responses),
        other_error_responses: scale(dns.other_error_responses),
        response_time: scaled(dns.response_time, sampling),
    }
}

fn scaled_http(http: HttpHealth, sampling: Sampling) -> HttpHealth {
    if http.is_empty() || sampling == Sampling::NONE {
        return http;
    }
    let scale = |count: u32| scaled_count(count, sampling);
    HttpHealth {
        requests: scale(http.requests),
        unanswered_requests: scale(http.unanswered_requests),
        responses: http.responses.map(scale),
        response_time: scaled(http.response_time, sampling),
        grpc: GrpcStatusCounts(http.grpc.0.map(|_, count| scale(count))),
    }
}

fn scaled_count(count: u32, sampling: Sampling) -> u32 {
    u32::try_from(sampling.scale(count.into())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_health_has_none() {
        let record = FlowRecord {
            octet_delta_count: 100,
            connection_sum_duration_seconds: Some(0),
            ..FlowRecord::default()
        };
        assert_eq!(FlowHealth::forward(&record), None);
        assert_eq!(FlowHealth::reverse(&record), None);
    }

    #[test]
    fn a_duration_in_seconds_is_health_whatever_else_the_template_has() {
        for (seconds, expected) in [(None, false), (Some(0), false), (Some(2), true)] {
            let record = FlowRecord {
                connection_sum_duration_seconds: seconds,
                ..FlowRecord::default()
            };
            let fields = Fields::of_record(&record);
            assert_eq!(FlowHealth::may_be_in(&record, &fields), expected);
            assert_eq!(FlowHealth::forward(&record).is_some(), expected);
        }
    }

    #[test]
    fn packets_are_scaled_by_sampling_and_connections_by_the_selection_of_flows() {
        let mut record = FlowRecord {
            sampling: Sampling::one_in(20),
            flow_sampling: Sampling::one_in(2),
            tcp_connection_state: ConnectionState::Closed,
            ..FlowRecord::default()
        };
        record.tcp_health.retransmitted_packets = 3;
        record.tcp_health.retransmitted_octets = 300;
        record.reverse_tcp_health.out_of_order_packets = 1;
        record.tcp_round_trip_time.add(50);
        let forward = FlowHealth::forward(&record).unwrap();
        let packets = PacketHealth {
            retransmitted: 60,
            retransmitted_bytes: 6000,
            out_of_order: 0,
        };
        assert_eq!(forward.packets, packets);
        assert_eq!(forward.connection.connections, 2);
        let times = forward.round_trip_time;
        assert_eq!((times.samples, times.sum_microseconds), (2, 100));
        let reverse = FlowHealth::reverse(&record).unwrap();
        assert_eq!(reverse.packets.out_of_order, 20);
        assert!(!reverse.connection.reports_something());
    }

    #[test]
    fn a_handshake_needs_both_halves() {
        let of = |client_microseconds, server_microseconds| {
            handshake(Handshake {
                client_microseconds,
                server_microseconds,
            })
        };
        assert_eq!(of(30, 400), Some(430));
        assert_eq!(of(0, 400), None);
        assert_eq!(of(30, 0), None);
    }
}
