//! The groups of fields about the TCP connection of a record. ntop's elements where there are any, else
//! kipfix's own.

use super::put;
use crate::element::KIPFIX_ENTERPRISE;
use crate::field::FieldSpecifier;
use crate::record::FlowRecord;
use crate::tcp::{Handshake, RoundTripTime, TcpHealth};

pub(super) const NTOP: u32 = 35632;

const fn ntop(id: u16) -> FieldSpecifier {
    field(NTOP, id, 4)
}

const fn own(id: u16, length: u16) -> FieldSpecifier {
    field(KIPFIX_ENTERPRISE, id, length)
}

const fn field(enterprise: u32, id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise,
        id,
        length,
    }
}

/// In records that report the duration or the state of a connection. Kept apart so that most records
/// carry no enterprise element, which some collectors cannot read.
pub(super) const CONNECTION: [FieldSpecifier; 2] = [own(15, 8), own(23, 1)];
/// Round-trip times of the handshake: in milliseconds, and in microseconds.
pub(super) const HANDSHAKE: [FieldSpecifier; 4] = [ntop(123), ntop(124), own(24, 4), own(25, 4)];
pub(super) const HEALTH: [FieldSpecifier; 8] = [
    ntop(109),
    ntop(127),
    ntop(111),
    own(27, 4),
    own(28, 4),
    own(26, 4),
    own(18, 4),
    own(19, 4),
];
pub(super) const REVERSE_HEALTH: [FieldSpecifier; 8] = [
    ntop(110),
    ntop(128),
    ntop(112),
    own(43, 4),
    own(44, 4),
    own(42, 4),
    own(34, 4),
    own(35, 4),
];
pub(super) const ROUND_TRIP: [FieldSpecifier; 3] = [own(20, 4), own(21, 8), own(22, 4)];
pub(super) const REVERSE_ROUND_TRIP: [FieldSpecifier; 3] = [own(36, 4), own(37, 8), own(38, 4)];

/// Writes [`CONNECTION`].
pub(super) fn write_connection(out: &mut Vec<u8>, record: &FlowRecord) {
    put(
        out,
        record.connection_sum_duration_milliseconds.to_be_bytes(),
    );
    put(out, [record.tcp_connection_state.octet()]);
}

/// Writes [`HANDSHAKE`].
pub(super) fn write_handshake(out: &mut Vec<u8>, handshake: Handshake) {
    let microseconds = [handshake.client_microseconds, handshake.server_microseconds];
    for microseconds in microseconds {
        put(out, (microseconds / 1000).to_be_bytes());
    }
    for microseconds in microseconds {
        put(out, microseconds.to_be_bytes());
    }
}

/// Writes [`HEALTH`] or [`REVERSE_HEALTH`].
pub(super) fn write_health(out: &mut Vec<u8>, health: &TcpHealth) {
    put(out, health.retransmitted_packets.to_be_bytes());
    let octets = u32::try_from(health.retransmitted_octets).unwrap_or(u32::MAX);
    put(out, octets.to_be_bytes());
    put(out, health.out_of_order_packets.to_be_bytes());
    put(out, health.timeout_retransmitted_packets.to_be_bytes());
    put(out, health.spurious_retransmitted_packets.to_be_bytes());
    put(out, health.syn_retransmitted_packets.to_be_bytes());
    put(out, health.duplicate_acknowledgments.to_be_bytes());
    put(out, health.zero_window_packets.to_be_bytes());
}

/// Writes [`ROUND_TRIP`] or [`REVERSE_ROUND_TRIP`].
pub(super) fn write_round_trip(out: &mut Vec<u8>, times: &RoundTripTime) {
    put(out, times.minimum_microseconds.to_be_bytes());
    put(out, times.sum_microseconds.to_be_bytes());
    put(out, times.samples.to_be_bytes());
}
