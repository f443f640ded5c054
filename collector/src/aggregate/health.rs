//! What is counted of the health of connections, and of the paths between nodes.

use super::buckets::{ClassicBounds, DURATION_BOUNDS, ROUND_TRIP_BOUNDS};

/// A count of connection health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCount {
    /// Retransmitted packets.
    RetransmittedPackets,
    /// Octets of retransmitted payload.
    RetransmittedBytes,
    /// Packets that arrived after a later one.
    OutOfOrderPackets,
    /// Refused connections.
    Refused,
    /// Unanswered connections.
    Unanswered,
    /// Reset connections.
    Reset,
    /// Closed connections.
    Closed,
    /// Packets between two observed nodes, as the sending one observed them.
    SentPackets,
    /// Octets of these.
    SentBytes,
    /// Packets between two observed nodes, as the receiving one observed them.
    ReceivedPackets,
    /// Octets of these.
    ReceivedBytes,
}

impl HealthCount {
    /// All counts.
    pub const ALL: [Self; 11] = [
        Self::RetransmittedPackets,
        Self::RetransmittedBytes,
        Self::OutOfOrderPackets,
        Self::Refused,
        Self::Unanswered,
        Self::Reset,
        Self::Closed,
        Self::SentPackets,
        Self::SentBytes,
        Self::ReceivedPackets,
        Self::ReceivedBytes,
    ];

    /// True if it compares what both nodes observed of the same packets.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::SentPackets | Self::SentBytes | Self::ReceivedPackets | Self::ReceivedBytes
        )
    }

    /// Position in [`Self::ALL`].
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the variants are numbered from 0")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A distribution of observed times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Round-trip times in the life of a connection.
    RoundTrip,
    /// Round-trip times of handshakes.
    Handshake,
    /// Durations of connections.
    Duration,
}

impl Distribution {
    /// All distributions.
    pub const ALL: [Self; 3] = [Self::RoundTrip, Self::Handshake, Self::Duration];

    /// Position in [`Self::ALL`].
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the variants are numbered from 0")]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Upper bounds of its classic buckets, microseconds.
    pub(super) const fn classic_bounds(self) -> ClassicBounds {
        match self {
            Self::RoundTrip | Self::Handshake => ROUND_TRIP_BOUNDS,
            Self::Duration => DURATION_BOUNDS,
        }
    }
}

/// The connection health that families need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthParts {
    /// Whether they need that of connections.
    pub is_needed: bool,
    /// Whether they compare the observations of two nodes.
    pub compares: bool,
    /// The distributions of which they need the buckets, in the order of [`Distribution::ALL`].
    pub with_buckets: [bool; Distribution::ALL.len()],
}

impl HealthParts {
    /// Counts and sums of connections, without buckets.
    pub const CONNECTIONS: Self = Self {
        is_needed: true,
        compares: false,
        with_buckets: [false; Distribution::ALL.len()],
    };

    /// Adds the buckets of a distribution.
    pub(super) fn add_buckets(&mut self, distribution: Distribution) {
        self.is_needed = true;
        if let Some(needed) = self.with_buckets.get_mut(distribution.index()) {
            *needed = true;
        }
    }

    /// The parts of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.is_needed |= other.is_needed;
        self.compares |= other.compares;
        for (needed, more) in self.with_buckets.iter_mut().zip(other.with_buckets) {
            *needed |= more;
        }
        self
    }

    /// True if the buckets of the distribution are needed.
    pub(super) fn needs_buckets(self, distribution: Distribution) -> bool {
        self.with_buckets.get(distribution.index()) == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_distributions_are_listed_in_their_order() {
        for (at, count) in HealthCount::ALL.into_iter().enumerate() {
            assert_eq!(count.index(), at);
        }
        for (at, distribution) in Distribution::ALL.into_iter().enumerate() {
            assert_eq!(distribution.index(), at);
        }
    }
}
