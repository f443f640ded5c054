//! Measures: what a family counts, and the sums that it is counted in.

use enum_map::EnumMap;
use flowproto::http::GrpcStatus;
use serde::{Deserialize, Serialize};

use crate::aggregate::edges::{CountedEdge, EdgePart};
use crate::aggregate::health::{Distribution, HealthCount};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Octets of IP packets.
    Bytes,
    /// Packets.
    Packets,
    /// New connections.
    Connections,
    /// Flow records, one for each direction, as received: sampling does not scale them.
    Flows,
    /// Retransmitted TCP packets.
    RetransmittedPackets,
    /// Payload octets of retransmitted TCP packets.
    RetransmittedBytes,
    /// TCP packets that arrived after a later one.
    OutOfOrderPackets,
    /// TCP connections whose SYN was answered by RST.
    RefusedConnections,
    /// TCP connections whose SYN was not answered.
    UnansweredConnections,
    /// TCP connections that RST ended after they were established.
    ResetConnections,
    /// TCP connections that both ends closed.
    ClosedConnections,
    /// TCP connections that are open: a level, not a sum.
    OpenConnections,
    /// Durations of connections, seconds.
    ConnectionSeconds,
    /// Packets between two observed nodes, as the sending one observed them: of all protocols but
    /// TCP.
    SentPackets,
    /// Payload octets of TCP between two observed nodes, as the sending one observed them.
    SentBytes,
    /// The same packets, as the receiving node observed them.
    ReceivedPackets,
    /// The same octets, as the receiving node observed them.
    ReceivedBytes,
    /// Round-trip times between the observer and the receiver, seconds: a distribution.
    Rtt,
    /// Round-trip times of TCP handshakes between the ends, seconds: a distribution.
    HandshakeRtt,
    /// Durations of connections, seconds: a distribution.
    ConnectionDuration,
    /// DNS queries, from the client to the server.
    DnsQueries,
    /// DNS queries without a response.
    DnsUnansweredQueries,
    /// DNS responses without error, also in the direction of the query.
    DnsNoerrorResponses,
    /// DNS responses with the code NXDOMAIN.
    DnsNxdomainResponses,
    /// DNS responses with the code SERVFAIL.
    DnsServfailResponses,
    /// DNS responses with another error.
    DnsOtherErrorResponses,
    /// Times from DNS queries to their responses, seconds: a distribution.
    DnsResponseTime,
    /// HTTP requests, from the client to the server.
    HttpRequests,
    /// HTTP requests without a response.
    HttpUnansweredRequests,
    /// HTTP responses with the code 101, also in the direction of the request.
    #[serde(rename = "http_1xx_responses")]
    HttpInformationalResponses,
    /// HTTP responses with the codes 200–299.
    #[serde(rename = "http_2xx_responses")]
    HttpSuccessfulResponses,
    /// HTTP responses with the codes 300–399.
    #[serde(rename = "http_3xx_responses")]
    HttpRedirectionResponses,
    /// HTTP responses with the codes 400–499.
    #[serde(rename = "http_4xx_responses")]
    HttpClientErrorResponses,
    /// HTTP responses with the codes 500–599.
    #[serde(rename = "http_5xx_responses")]
    HttpServerErrorResponses,
    /// Times from HTTP requests to their responses, seconds: a distribution.
    HttpResponseTime,
    /// Responses of gRPC, also in the direction of the request. The label `grpc_status` has their
    /// status.
    GrpcResponses,
}

/// A number that is summed for each edge and each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Octets.
    Bytes,
    /// Packets.
    Packets,
    /// New connections.
    Connections,
    /// Flow records.
    Flows,
    /// Open connections.
    OpenConnections,
    /// A count of connection health.
    Health(HealthCount),
    /// Sum of the observations of a distribution, microseconds.
    Sum(Distribution),
    /// Number of observations of a distribution.
    Count(Distribution),
}

impl Measure {
    /// The distribution of the measure, if it is one.
    #[must_use]
    pub const fn distribution(self) -> Option<Distribution> {
        match self {
            Self::Rtt => Some(Distribution::RoundTrip),
            Self::HandshakeRtt => Some(Distribution::Handshake),
            Self::ConnectionDuration => Some(Distribution::Duration),
            Self::DnsResponseTime => Some(Distribution::DnsResponse),
            Self::HttpResponseTime => Some(Distribution::HttpResponse),
            _ => None,
        }
    }

    /// The column that has its sum.
    #[must_use]
    pub const fn sum(self) -> Column {
        match self {
            Self::Bytes => Column::Bytes,
            Self::Packets => Column::Packets,
            Self::Connections => Column::Connections,
            Self::Flows => Column::Flows,
            Self::OpenConnections => Column::OpenConnections,
            Self::RetransmittedPackets => Column::Health(HealthCount::RetransmittedPackets),
            Self::RetransmittedBytes => Column::Health(HealthCount::RetransmittedBytes),
            Self::OutOfOrderPackets => Column::Health(HealthCount::OutOfOrderPackets),
            Self::RefusedConnections => Column::Health(HealthCount::Refused),
            Self::UnansweredConnections => Column::Health(HealthCount::Unanswered),
            Self::ResetConnections => Column::Health(HealthCount::Reset),
            Self::ClosedConnections => Column::Health(HealthCount::Closed),
            Self::SentPackets => Column::Health(HealthCount::SentPackets),
            Self::SentBytes => Column::Health(HealthCount::SentBytes),
            Self::ReceivedPackets => Column::Health(HealthCount::ReceivedPackets),
            Self::ReceivedBytes => Column::Health(HealthCount::ReceivedBytes),
            Self::ConnectionSeconds | Self::ConnectionDuration => {
                Column::Sum(Distribution::Duration)
            }
            Self::Rtt => Column::Sum(Distribution::RoundTrip),
            Self::HandshakeRtt => Column::Sum(Distribution::Handshake),
            Self::DnsQueries => Column::Health(HealthCount::DnsQueries),
            Self::DnsUnansweredQueries => Column::Health(HealthCount::DnsUnanswered),
            Self::DnsNoerrorResponses => Column::Health(HealthCount::DnsNoError),
            Self::DnsNxdomainResponses => Column::Health(HealthCount::DnsNameError),
            Self::DnsServfailResponses => Column::Health(HealthCount::DnsServerFailure),
            Self::DnsOtherErrorResponses => Column::Health(HealthCount::DnsOtherError),
            Self::DnsResponseTime => Column::Sum(Distribution::DnsResponse),
            Self::HttpRequests => Column::Health(HealthCount::HttpRequests),
            Self::HttpUnansweredRequests => Column::Health(HealthCount::HttpUnanswered),
            Self::HttpInformationalResponses => Column::Health(HealthCount::HttpInformational),
            Self::HttpSuccessfulResponses => Column::Health(HealthCount::HttpSuccessful),
            Self::HttpRedirectionResponses => Column::Health(HealthCount::HttpRedirection),
            Self::HttpClientErrorResponses => Column::Health(HealthCount::HttpClientError),
            Self::HttpServerErrorResponses => Column::Health(HealthCount::HttpServerError),
            Self::HttpResponseTime => Column::Sum(Distribution::HttpResponse),
            Self::GrpcResponses => Column::Health(HealthCount::GrpcResponses),
        }
    }
}

impl Column {
    /// The columns of gRPC responses by status.
    pub fn of_grpc() -> impl Iterator<Item = (GrpcStatus, Self)> {
        let statuses = EnumMap::<GrpcStatus, ()>::default().into_iter();
        statuses.map(|(status, ())| (status, Self::Health(HealthCount::Grpc(status))))
    }

    /// Its value for an edge.
    #[must_use]
    pub fn of(self, edge: &CountedEdge<'_>) -> u64 {
        match self {
            Self::Bytes => edge.measures.bytes,
            Self::Packets => edge.measures.packets,
            Self::Connections => edge.measures.connections,
            Self::Flows => edge.flows,
            Self::OpenConnections => edge.open_connections,
            Self::Health(count) => edge.health.map_or(0, |health| health.count(count)),
            Self::Sum(of) => edge.health.map_or(0, |health| health.observed(of).sum),
            Self::Count(of) => edge.health.map_or(0, |health| health.observed(of).count),
        }
    }

    /// The part of an edge that has it.
    #[must_use]
    pub const fn part(self) -> EdgePart {
        match self {
            Self::Bytes | Self::Packets | Self::Connections | Self::Flows => EdgePart::Traffic,
            Self::Health(_) | Self::Sum(_) | Self::Count(_) => EdgePart::Health,
            Self::OpenConnections => EdgePart::OpenConnections,
        }
    }

    /// True if it belongs to connection health.
    #[must_use]
    pub fn is_health(self) -> bool {
        self.part() == EdgePart::Health
    }

    /// True if it compares what two nodes observed.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Health(count) if count.is_comparison())
    }

    /// True if its values are microseconds, which an exposition shows in seconds.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Sum(_))
    }
}
