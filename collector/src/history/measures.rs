//! What is counted of an edge in some time.

use crate::aggregate::{CountedEdge, Distribution, EdgeHealth, HealthCount};

/// Values of an edge. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Octets of IP packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// New connections.
    pub connections: u64,
    /// Connection health, if a metric family needs it.
    pub health: Health,
}

/// Connection health of an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Retransmitted packets.
    pub retransmitted_packets: u64,
    /// Connections whose SYN was answered by RST.
    pub refused_connections: u64,
    /// Connections whose SYN was not answered.
    pub unanswered_connections: u64,
    /// Connections that RST ended after they were established.
    pub reset_connections: u64,
    /// Durations of connections, milliseconds.
    pub connection_milliseconds: u64,
    /// Number of round-trip times.
    pub rtt_count: u64,
    /// Their sum, microseconds.
    pub rtt_sum_microseconds: u64,
    /// The shortest one, microseconds; 0 if there is none.
    pub rtt_min_microseconds: u64,
}

impl Measures {
    /// The values of an item of an edge table.
    pub(super) fn of(edge: &CountedEdge<'_>) -> Self {
        Self {
            bytes: edge.measures.bytes,
            packets: edge.measures.packets,
            connections: edge.measures.connections,
            health: edge.health.as_ref().map(Health::of).unwrap_or_default(),
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.packets = self.packets.saturating_add(other.packets);
        self.connections = self.connections.saturating_add(other.connections);
        if !other.health.is_empty() {
            self.health.add(&other.health);
        }
    }
}

impl Health {
    fn of(health: &EdgeHealth<'_>) -> Self {
        let round_trips = health.observed(Distribution::RoundTrip);
        Self {
            retransmitted_packets: health.count(HealthCount::RetransmittedPackets),
            refused_connections: health.count(HealthCount::Refused),
            unanswered_connections: health.count(HealthCount::Unanswered),
            reset_connections: health.count(HealthCount::Reset),
            connection_milliseconds: health.observed(Distribution::Duration).sum / 1000,
            rtt_count: round_trips.count,
            rtt_sum_microseconds: round_trips.sum,
            rtt_min_microseconds: round_trips.min,
        }
    }

    /// True if nothing is known of connection health.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, other: &Self) {
        self.rtt_min_microseconds = match (self.rtt_min_microseconds, other.rtt_min_microseconds) {
            (0, min) | (min, 0) => min,
            (one, other) => one.min(other),
        };
        let min = self.rtt_min_microseconds;
        for (sum, more) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *sum = sum.saturating_add(more);
        }
        self.rtt_min_microseconds = min;
    }

    /// All numbers, in the order in which they are encoded.
    pub(super) const fn numbers(&self) -> [u64; 8] {
        [
            self.retransmitted_packets,
            self.refused_connections,
            self.unanswered_connections,
            self.reset_connections,
            self.connection_milliseconds,
            self.rtt_count,
            self.rtt_sum_microseconds,
            self.rtt_min_microseconds,
        ]
    }

    /// The same, to be set.
    pub(super) const fn numbers_mut(&mut self) -> [&mut u64; 8] {
        [
            &mut self.retransmitted_packets,
            &mut self.refused_connections,
            &mut self.unanswered_connections,
            &mut self.reset_connections,
            &mut self.connection_milliseconds,
            &mut self.rtt_count,
            &mut self.rtt_sum_microseconds,
            &mut self.rtt_min_microseconds,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up_and_the_shortest_round_trip_is_kept() {
        let of = |rtt_min_microseconds, refused_connections| Measures {
            bytes: 1,
            health: Health {
                refused_connections,
                rtt_count: u64::from(rtt_min_microseconds > 0),
                rtt_min_microseconds,
                ..Health::default()
            },
            ..Measures::default()
        };
        let mut sum = Measures::default();
        for (min, refused) in [(0, 1), (500, 2), (300, 0), (400, 0), (0, 0)] {
            sum.add(&of(min, refused));
        }
        assert_eq!(sum.bytes, 5);
        let expected = Health {
            refused_connections: 3,
            rtt_count: 3,
            rtt_min_microseconds: 300,
            ..Health::default()
        };
        assert_eq!(sum.health, expected);
    }
}
