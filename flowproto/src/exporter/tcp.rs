//! The groups of fields about the TCP connection of a record. ntop's elements where there are any,
//! else kipfix's own.

use super::layout::FieldSink;
use crate::field::ElementId;
use crate::record::FlowRecord;
use crate::tcp::{Handshake, RoundTripTime, TcpHealth};

/// In records that report the duration or the state of a connection. Kept apart so that most
/// records carry no enterprise element, which some collectors cannot read.
pub(super) fn connection(out: &mut impl FieldSink, record: &FlowRecord) {
    out.field(
        ElementId::kipfix(15),
        record.connection_sum_duration_milliseconds,
    );
    out.field(ElementId::kipfix(23), record.tcp_connection_state.octet());
}

/// Round-trip times of the handshake: in milliseconds, and in microseconds.
pub(super) fn handshake(out: &mut impl FieldSink, times: Handshake) {
    out.field(ElementId::ntop(123), times.client_microseconds / 1000);
    out.field(ElementId::ntop(124), times.server_microseconds / 1000);
    out.field(ElementId::kipfix(24), times.client_microseconds);
    out.field(ElementId::kipfix(25), times.server_microseconds);
}

/// Losses of the direction of the record.
pub(super) fn health(out: &mut impl FieldSink, health: &TcpHealth) {
    let ntop = [109, 127, 111].map(ElementId::ntop);
    let own = [27, 28, 26, 18, 19].map(ElementId::kipfix);
    health_of(out, health, ntop, own);
}

/// Losses of the reverse direction.
pub(super) fn reverse_health(out: &mut impl FieldSink, health: &TcpHealth) {
    let ntop = [110, 128, 112].map(ElementId::ntop);
    let own = [43, 44, 42, 34, 35].map(ElementId::kipfix);
    health_of(out, health, ntop, own);
}

#[inline]
fn health_of(
    out: &mut impl FieldSink,
    health: &TcpHealth,
    [packets, octets, out_of_order]: [ElementId; 3],
    [timeout, spurious, syn, duplicate, zero_window]: [ElementId; 5],
) {
    let retransmitted = u32::try_from(health.retransmitted_octets).unwrap_or(u32::MAX);
    out.field(packets, health.retransmitted_packets);
    out.field(octets, retransmitted);
    out.field(out_of_order, health.out_of_order_packets);
    out.field(timeout, health.timeout_retransmitted_packets);
    out.field(spurious, health.spurious_retransmitted_packets);
    out.field(syn, health.syn_retransmitted_packets);
    out.field(duplicate, health.duplicate_acknowledgments);
    out.field(zero_window, health.zero_window_packets);
}

/// Round-trip times of the direction of the record.
pub(super) fn round_trip(out: &mut impl FieldSink, times: &RoundTripTime) {
    times_of(out, times, [20, 21, 22]);
}

/// Round-trip times of the reverse direction.
pub(super) fn reverse_round_trip(out: &mut impl FieldSink, times: &RoundTripTime) {
    times_of(out, times, [36, 37, 38]);
}

/// Minimum, sum and number of samples.
#[inline]
pub(super) fn times_of(
    out: &mut impl FieldSink,
    times: &RoundTripTime,
    [minimum, sum, samples]: [u16; 3],
) {
    out.field(ElementId::kipfix(minimum), times.minimum_microseconds);
    out.field(ElementId::kipfix(sum), times.sum_microseconds);
    out.field(ElementId::kipfix(samples), times.samples);
}
