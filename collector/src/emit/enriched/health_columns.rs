//! The columns of connection health. They are 0 if the metrics do not count it: then another record
//! has the same packets, or the same connection.

use super::EnrichedRecord;
use super::column::{Column, ColumnType, column, number};
use crate::emit::record::ForwardedHealth;

const U32: ColumnType = ColumnType::Unsigned32;
const U64: ColumnType = ColumnType::Unsigned64;

const fn health<'a>(enriched: &EnrichedRecord<'a>) -> &'a ForwardedHealth {
    &enriched.forwarded.health
}

/// The columns of connection health, in the order of their numbers. The first three are of the packets of the
/// record, the others of its connection.
pub(super) const HEALTH: [Column; 8] = [
    column(
        88,
        ("retransmittedPackets", U64),
        "Packets of TCP that were sent again, as the metrics count them.",
        |e| number(health(e).retransmitted_packets),
    ),
    column(
        89,
        ("roundTripTimeCount", U32),
        "Number of round-trip times between the observer and the destination.",
        |e| number(health(e).round_trip_time.samples),
    ),
    column(
        90,
        ("roundTripTimeSumMicroseconds", U64),
        "Sum of these round-trip times, microseconds.",
        |e| number(health(e).round_trip_time.sum_microseconds),
    ),
    column(
        91,
        ("refusedConnections", U32),
        "Connections of the initiator whose SYN was answered by RST, as the metrics count them.",
        |e| number(health(e).connection.refused()),
    ),
    column(
        92,
        ("unansweredConnections", U32),
        "Connections of the initiator whose SYN was not answered.",
        |e| number(health(e).connection.unanswered()),
    ),
    column(
        93,
        ("resetConnections", U32),
        "Established connections of the initiator that ended by RST.",
        |e| number(health(e).connection.reset()),
    ),
    column(
        94,
        ("connectionDurationCount", U32),
        "Connections of the initiator that ended, with a duration.",
        |e| number(health(e).connection.duration_count()),
    ),
    column(
        95,
        ("connectionDurationSumMilliseconds", U64),
        "Sum of the durations of these connections, milliseconds.",
        |e| number(health(e).connection.duration_sum_milliseconds()),
    ),
];
