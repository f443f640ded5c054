//! What is counted of an edge in some time.

use kipfix_service::exposition::protobuf::write_varint;

use super::varint;
use crate::aggregate::{Distribution, EdgeHealth, HealthCount};
use crate::pipeline::Measures;

/// Values of an edge that are added up and stored.
pub(super) trait Stored: Copy + Default {
    /// Adds `other`. Sums saturate.
    fn add(&mut self, other: &Self);

    /// Appends the encoded values.
    fn write(&self, out: &mut Vec<u8>);

    /// Removes encoded values from the front of `octets`. `None` if they are not complete.
    fn read(octets: &mut &[u8]) -> Option<Self>;
}

impl Stored for Measures {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_varint(self.bytes, out);
        write_varint(self.packets, out);
        write_varint(self.connections, out);
    }

    fn read(octets: &mut &[u8]) -> Option<Self> {
        Some(Self {
            bytes: varint::read(octets)?,
            packets: varint::read(octets)?,
            connections: varint::read(octets)?,
        })
    }
}

/// Connection health of an edge. Sums saturate.
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
    /// Number of round-trip times.
    pub rtt_count: u64,
    /// Their sum, microseconds.
    pub rtt_sum_microseconds: u64,
    /// The shortest one, microseconds. 0 if unknown.
    pub rtt_min_microseconds: u64,
    /// Number of durations of connections.
    pub duration_count: u64,
    /// Their sum, milliseconds.
    pub duration_sum_milliseconds: u64,
}

/// Number of values of [`Health`].
const HEALTH_VALUES: usize = 9;

impl Health {
    /// The health of an edge of an edge table. `None` if it only has comparisons between nodes.
    pub(super) fn of(health: &EdgeHealth<'_>) -> Option<Self> {
        health.has_connections().then(|| {
            let round_trips = health.observed(Distribution::RoundTrip);
            let durations = health.observed(Distribution::Duration);
            Self {
                retransmitted_packets: health.count(HealthCount::RetransmittedPackets),
                refused_connections: health.count(HealthCount::Refused),
                unanswered_connections: health.count(HealthCount::Unanswered),
                reset_connections: health.count(HealthCount::Reset),
                rtt_count: round_trips.count,
                rtt_sum_microseconds: round_trips.sum,
                rtt_min_microseconds: health.shortest_round_trip(),
                duration_count: durations.count,
                duration_sum_milliseconds: durations.sum / 1000,
            }
        })
    }

    /// Connections that were refused or not answered.
    pub(super) fn failed_connections(&self) -> u64 {
        self.refused_connections
            .saturating_add(self.unanswered_connections)
    }

    const fn sums(&self) -> [u64; HEALTH_VALUES - 1] {
        [
            self.retransmitted_packets,
            self.refused_connections,
            self.unanswered_connections,
            self.reset_connections,
            self.rtt_count,
            self.rtt_sum_microseconds,
            self.duration_count,
            self.duration_sum_milliseconds,
        ]
    }

    const fn sums_mut(&mut self) -> [&mut u64; HEALTH_VALUES - 1] {
        [
            &mut self.retransmitted_packets,
            &mut self.refused_connections,
            &mut self.unanswered_connections,
            &mut self.reset_connections,
            &mut self.rtt_count,
            &mut self.rtt_sum_microseconds,
            &mut self.duration_count,
            &mut self.duration_sum_milliseconds,
        ]
    }
}

impl Stored for Health {
    fn add(&mut self, other: &Self) {
        for (sum, more) in self.sums_mut().into_iter().zip(other.sums()) {
            *sum = sum.saturating_add(more);
        }
        self.rtt_min_microseconds = match (self.rtt_min_microseconds, other.rtt_min_microseconds) {
            (0, min) | (min, 0) => min,
            (one, other) => one.min(other),
        };
    }

    /// A number with a bit for each value that is not 0, then these values. Its octet is the only
    /// one without durations.
    fn write(&self, out: &mut Vec<u8>) {
        let values = || [self.rtt_min_microseconds].into_iter().chain(self.sums());
        let present = values().zip(0..).fold(0_u64, |bits, (value, at)| {
            bits | u64::from(value != 0) << at
        });
        write_varint(present, out);
        for value in values().filter(|value| *value != 0) {
            write_varint(value, out);
        }
    }

    fn read(octets: &mut &[u8]) -> Option<Self> {
        let present = varint::read(octets)?;
        if present >> HEALTH_VALUES != 0 {
            return None;
        }
        let mut value = |at: usize| match present >> at & 1 {
            0 => Some(0),
            _ => varint::read(octets),
        };
        let mut health = Self {
            rtt_min_microseconds: value(0)?,
            ..Self::default()
        };
        for (sum, at) in health.sums_mut().into_iter().zip(1..) {
            *sum = value(at)?;
        }
        Some(health)
    }
}

/// Values of an edge of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeValues {
    /// Octets, packets and connections.
    pub traffic: Measures,
    /// Connection health. `None` if no record of the edge had any.
    pub health: Option<Health>,
}

impl EdgeValues {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.traffic.add(&other.traffic);
        if let Some(health) = &other.health {
            self.health.get_or_insert_default().add(health);
        }
    }

    /// True if nothing was counted.
    pub(super) fn is_zero(&self) -> bool {
        let health = self.health.unwrap_or_default();
        (self.traffic, health) == (Measures::default(), Health::default())
    }
}

impl From<Measures> for EdgeValues {
    fn from(traffic: Measures) -> Self {
        Self {
            traffic,
            health: None,
        }
    }
}

impl From<Health> for EdgeValues {
    fn from(health: Health) -> Self {
        Self {
            traffic: Measures::default(),
            health: Some(health),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up_and_the_shortest_round_trip_is_kept() {
        let mut sum = EdgeValues::default();
        sum.add(&EdgeValues::default());
        assert_eq!(sum.health, None);
        for (min, refused) in [(0, 1), (500, 2), (300, 0), (400, 0), (0, 0)] {
            let health = Health {
                refused_connections: refused,
                rtt_count: u64::from(min > 0),
                rtt_min_microseconds: min,
                ..Health::default()
            };
            sum.add(&health.into());
        }
        let expected = Health {
            refused_connections: 3,
            rtt_count: 3,
            rtt_min_microseconds: 300,
            ..Health::default()
        };
        assert_eq!(sum.health, Some(expected));
    }

    #[test]
    fn health_without_values_needs_one_octet_and_is_not_absent() {
        let mut octets = Vec::new();
        Health::default().write(&mut octets);
        assert_eq!(octets, [0]);
        assert_eq!(
            Health::read(&mut octets.as_slice()),
            Some(Health::default())
        );
        // A bit without a meaning, and a value that is missing.
        assert_eq!(Health::read(&mut [0x80, 0x04].as_slice()), None);
        assert_eq!(Health::read(&mut [0x01].as_slice()), None);
    }
}
