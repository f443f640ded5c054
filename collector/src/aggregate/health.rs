//! What is counted of the health of connections, and of the paths between nodes.

use super::buckets::{ClassicBounds, DURATION_BOUNDS, RESPONSE_BOUNDS, ROUND_TRIP_BOUNDS};
use enum_map::{Enum, EnumMap};
use flowproto::http::GrpcStatus;

/// A count of connection health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
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
    /// Packets between two observed nodes, as the sending one observed them: of all protocols but
    /// TCP.
    SentPackets,
    /// Payload octets of TCP between two observed nodes, as the sending one observed them.
    SentBytes,
    /// The same packets, as the receiving node observed them.
    ReceivedPackets,
    /// The same octets, as the receiving node observed them.
    ReceivedBytes,
    /// DNS queries.
    DnsQueries,
    /// DNS queries without a response.
    DnsUnanswered,
    /// DNS responses without error.
    DnsNoError,
    /// DNS responses that the name does not exist.
    DnsNameError,
    /// DNS responses that the server failed.
    DnsServerFailure,
    /// DNS responses with another error.
    DnsOtherError,
    /// HTTP requests.
    HttpRequests,
    /// HTTP requests without a response.
    HttpUnanswered,
    /// HTTP responses that switch to another protocol, 101.
    HttpInformational,
    /// HTTP responses 200–299.
    HttpSuccessful,
    /// HTTP responses 300–399.
    HttpRedirection,
    /// HTTP responses 400–499.
    HttpClientError,
    /// HTTP responses 500–599.
    HttpServerError,
    /// Responses of gRPC with a status.
    GrpcResponses,
    /// Those with this one.
    Grpc(GrpcStatus),
}

impl HealthCount {
    /// True if it compares what both nodes observed of the same packets.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::SentPackets | Self::SentBytes | Self::ReceivedPackets | Self::ReceivedBytes
        )
    }
}

/// A distribution of observed times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum)]
pub enum Distribution {
    /// Round-trip times in the life of a connection.
    RoundTrip,
    /// Round-trip times of handshakes.
    Handshake,
    /// Durations of connections.
    Duration,
    /// Times from DNS queries to their responses.
    DnsResponse,
    /// Times from HTTP requests to their responses.
    HttpResponse,
}

impl Distribution {
    /// Upper bounds of its classic buckets, microseconds.
    pub(super) const fn classic_bounds(self) -> ClassicBounds {
        match self {
            Self::RoundTrip | Self::Handshake => ROUND_TRIP_BOUNDS,
            Self::DnsResponse | Self::HttpResponse => RESPONSE_BOUNDS,
            Self::Duration => DURATION_BOUNDS,
        }
    }
}

/// Observations of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Sum of their values, microseconds.
    pub sum: u64,
    /// Their number.
    pub count: u64,
}

/// The connection health that families need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthParts {
    /// Whether they need that of connections.
    pub is_needed: bool,
    /// Whether they compare the observations of two nodes.
    pub compares: bool,
    /// Whether they count open connections.
    pub has_open_connections: bool,
    /// Whether they need the buckets of a distribution.
    pub with_buckets: EnumMap<Distribution, bool>,
}

impl HealthParts {
    /// Counts and sums of connections, without buckets.
    pub const CONNECTIONS: Self = Self {
        is_needed: true,
        compares: false,
        has_open_connections: false,
        with_buckets: EnumMap::from_array([false; Distribution::LENGTH]),
    };

    /// Adds the buckets of a distribution.
    pub(super) fn add_buckets(&mut self, distribution: Distribution) {
        self.is_needed = true;
        self.with_buckets[distribution] = true;
    }

    /// Whether buckets of any distribution are needed.
    pub(super) fn has_buckets(&self) -> bool {
        self.with_buckets.values().any(|needed| *needed)
    }

    /// The parts of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.is_needed |= other.is_needed;
        self.compares |= other.compares;
        self.has_open_connections |= other.has_open_connections;
        for (distribution, needed) in &mut self.with_buckets {
            *needed |= other.with_buckets[distribution];
        }
        self
    }
}
