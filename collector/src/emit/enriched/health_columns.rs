//! The columns of connection health. They are 0 if the metrics do not count it: then another record
//! has the same packets, or the same connection.

use flowproto::tcp::RoundTripTime;

use super::EnrichedRecord;
use super::column::{Column, ColumnType, column, number};
use super::group::{ColumnGroup, Variation};
use crate::pipeline::{ConnectionHealth, DecidedRecord};

/// Connection health of a record, without what the metric families do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EmittedHealth {
    /// Retransmitted packets.
    retransmitted_packets: u64,
    /// Round-trip times between the observer and the destination.
    round_trip_time: RoundTripTime,
    /// Start and end of the connection.
    connection: ConnectionHealth,
}

impl EmittedHealth {
    /// `None` if the record reports none, or if nothing of it is counted.
    pub(super) fn of(decided: &DecidedRecord<'_>) -> Option<Self> {
        let health = decided.health?;
        let mut counted = None;
        if decided.verdict.is_counted() {
            counted = Some(Self {
                retransmitted_packets: health.packets.retransmitted,
                round_trip_time: health.round_trip_time,
                ..Self::default()
            });
        }
        if decided.is_connection_counted {
            counted.get_or_insert_default().connection = health.connection;
        }
        counted
    }
}

const U32: ColumnType = ColumnType::Unsigned32;
const U64: ColumnType = ColumnType::Unsigned64;

fn health(enriched: &EnrichedRecord<'_>) -> EmittedHealth {
    enriched.health.unwrap_or_default()
}

/// The columns of connection health, which few records have.
pub(super) static HEALTH_GROUP: ColumnGroup =
    ColumnGroup::new(&HEALTH, Variation::FewRecords(|e| e.health.is_some()));

/// The columns of connection health, in the order of their numbers. The first three are of the
/// packets of the record, the others of its connection.
pub(super) static HEALTH: [Column; 8] = [
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
