//! Connection health in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::history::Health;

/// Connection health of an edge. Absent if no record of the edge had any: those of probes have that
/// of TCP.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthJson {
    /// Retransmitted packets.
    #[schema(required = false)]
    retransmitted_packets: u64,
    /// Connections whose SYN was answered by RST.
    #[schema(required = false)]
    refused_connections: u64,
    /// Connections whose SYN was not answered.
    #[schema(required = false)]
    unanswered_connections: u64,
    /// Connections that RST ended after they were established.
    #[schema(required = false)]
    reset_connections: u64,
    /// Round-trip times between the observer and the receiver. Absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<RttJson>,
    /// Durations of connections that ended or are still open. Absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<DurationJson>,
}

/// Durations of connections.
#[derive(Serialize, ToSchema)]
struct DurationJson {
    /// Their number.
    count: u64,
    /// Their sum.
    sum_milliseconds: u64,
}

/// Round-trip times.
#[derive(Serialize, ToSchema)]
struct RttJson {
    /// Their number.
    count: u64,
    /// Their sum.
    sum_microseconds: u64,
    /// The shortest one. Absent if unknown, as with an engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_microseconds: Option<u64>,
}

impl From<&Health> for HealthJson {
    fn from(health: &Health) -> Self {
        let min = health.rtt_min_microseconds;
        Self {
            retransmitted_packets: health.retransmitted_packets,
            refused_connections: health.refused_connections,
            unanswered_connections: health.unanswered_connections,
            reset_connections: health.reset_connections,
            rtt: (health.rtt_count > 0).then_some(RttJson {
                count: health.rtt_count,
                sum_microseconds: health.rtt_sum_microseconds,
                min_microseconds: (min > 0).then_some(min),
            }),
            duration: (health.duration_count > 0).then_some(DurationJson {
                count: health.duration_count,
                sum_milliseconds: health.duration_sum_milliseconds,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_times_are_absent_without_any() {
        let json = |health: &Health| serde_json::to_value(HealthJson::from(health)).unwrap();
        let mut health = Health {
            refused_connections: 2,
            ..Health::default()
        };
        let mut expected = serde_json::json!({
            "retransmitted_packets": 0, "refused_connections": 2,
            "unanswered_connections": 0, "reset_connections": 0,
        });
        assert_eq!(json(&health), expected);
        (health.rtt_count, health.rtt_sum_microseconds) = (3, 900);
        expected["rtt"] = serde_json::json!({"count": 3, "sum_microseconds": 900});
        assert_eq!(json(&health), expected);
        (health.duration_count, health.duration_sum_milliseconds) = (2, 1500);
        expected["duration"] = serde_json::json!({"count": 2, "sum_milliseconds": 1500});
        health.rtt_min_microseconds = 250;
        expected["rtt"]["min_microseconds"] = 250.into();
        assert_eq!(json(&health), expected);
    }
}
