//! What a record adds to the health of an edge.

use flowproto::dns::DnsHealth;
use flowproto::http::HttpHealth;
use flowproto::tcp::{ConnectionState, RoundTripTime};

use super::health::{Distribution, HealthCount, Observed};
use crate::pipeline::{ConnectionHealth, PacketHealth, PathCount, PathEnd};

/// What a part of a record adds to the health of an edge.
#[derive(Clone, Copy, Debug)]
pub(super) enum HealthAddition {
    /// Packets of a direction, and round-trip times.
    Packets(PacketHealth, RoundTripTime),
    /// DNS messages.
    Dns(DnsHealth),
    /// HTTP messages.
    Http(HttpHealth),
    /// Start and end of a connection.
    Connection(ConnectionHealth),
    /// What two nodes observed of the same packets, as one of them did.
    Comparison(PathEnd, PathCount),
}

impl HealthAddition {
    /// True if it adds nothing.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Packets(packets, times) => {
                *packets == PacketHealth::default() && *times == RoundTripTime::default()
            }
            Self::Dns(dns) => dns.is_empty(),
            Self::Http(http) => http.is_empty(),
            Self::Connection(connection) => {
                end_count(connection.state).is_none()
                    && connection.handshake_microseconds.is_none()
                    && connection.duration_milliseconds.is_none()
            }
            Self::Comparison(_, PathCount::Packets(count) | PathCount::Bytes(count)) => *count == 0,
        }
    }

    /// Calls `add` for each count.
    #[inline]
    pub(super) fn for_each_count(&self, mut add: impl FnMut(HealthCount, u64)) {
        match self {
            Self::Packets(packets, _) => {
                add(HealthCount::RetransmittedPackets, packets.retransmitted);
                add(HealthCount::RetransmittedBytes, packets.retransmitted_bytes);
                add(HealthCount::OutOfOrderPackets, packets.out_of_order);
            }
            Self::Dns(dns) => {
                for (count, more) in [
                    (HealthCount::DnsQueries, dns.queries),
                    (HealthCount::DnsUnanswered, dns.unanswered_queries),
                    (HealthCount::DnsNoError, dns.no_error_responses),
                    (HealthCount::DnsNameError, dns.name_error_responses),
                    (HealthCount::DnsServerFailure, dns.server_failure_responses),
                    (HealthCount::DnsOtherError, dns.other_error_responses),
                ] {
                    add(count, more.into());
                }
            }
            Self::Http(http) => {
                add(HealthCount::HttpRequests, http.requests.into());
                add(HealthCount::HttpUnanswered, http.unanswered_requests.into());
                for (count, more) in [
                    HealthCount::HttpInformational,
                    HealthCount::HttpSuccessful,
                    HealthCount::HttpRedirection,
                    HealthCount::HttpClientError,
                    HealthCount::HttpServerError,
                ]
                .into_iter()
                .zip(http.responses)
                {
                    add(count, more.into());
                }
                if !http.grpc.is_empty() {
                    for (status, more) in http.grpc.0 {
                        add(HealthCount::GrpcResponses, more.into());
                        add(HealthCount::Grpc(status), more.into());
                    }
                }
            }
            Self::Connection(connection) => {
                if let Some(count) = end_count(connection.state) {
                    add(count, connection.connections);
                }
            }
            Self::Comparison(end, count) => match (end, count) {
                (PathEnd::Sender, PathCount::Packets(packets)) => {
                    add(HealthCount::SentPackets, *packets);
                }
                (PathEnd::Sender, PathCount::Bytes(bytes)) => add(HealthCount::SentBytes, *bytes),
                (PathEnd::Receiver, PathCount::Packets(packets)) => {
                    add(HealthCount::ReceivedPackets, *packets);
                }
                (PathEnd::Receiver, PathCount::Bytes(bytes)) => {
                    add(HealthCount::ReceivedBytes, *bytes);
                }
            },
        }
    }

    /// Calls `add` for each distribution with observations.
    #[inline]
    pub(super) fn for_each_observation(&self, mut add: impl FnMut(Distribution, Observed)) {
        let samples = |times: &RoundTripTime| Observed {
            sum: times.sum_microseconds,
            count: times.samples.into(),
        };
        match self {
            Self::Packets(_, times) => add(Distribution::RoundTrip, samples(times)),
            Self::Dns(dns) => add(Distribution::DnsResponse, samples(&dns.response_time)),
            Self::Http(http) => add(Distribution::HttpResponse, samples(&http.response_time)),
            Self::Connection(connection) => {
                let count = connection.connections;
                let of = |microseconds: u64| Observed {
                    sum: microseconds.saturating_mul(count),
                    count,
                };
                if let Some(microseconds) = connection.handshake_microseconds {
                    add(Distribution::Handshake, of(microseconds.into()));
                }
                if let Some(milliseconds) = connection.duration_milliseconds {
                    add(
                        Distribution::Duration,
                        of(milliseconds.saturating_mul(1000)),
                    );
                }
            }
            Self::Comparison(..) => {}
        }
    }
}

/// The count of connections that ended in a state.
const fn end_count(state: ConnectionState) -> Option<HealthCount> {
    match state {
        ConnectionState::Unanswered => Some(HealthCount::Unanswered),
        ConnectionState::Refused => Some(HealthCount::Refused),
        ConnectionState::Closed => Some(HealthCount::Closed),
        ConnectionState::ResetByInitiator | ConnectionState::ResetByResponder => {
            Some(HealthCount::Reset)
        }
        ConnectionState::Unknown | ConnectionState::Open => None,
    }
}
