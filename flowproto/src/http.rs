//! What a record reports about the HTTP messages of its conversation.

use std::sync::Arc;

use enum_map::{Enum, EnumMap};
use strum::{EnumString, FromRepr, IntoStaticStr};

use crate::tcp::RoundTripTime;

/// Counts of HTTP messages since the previous record of the conversation. They are in the record of
/// the packets to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpHealth {
    /// 32473:57: requests.
    pub requests: u32,
    /// 32473:58: requests without a response when the conversation ended.
    pub unanswered_requests: u32,
    /// 32473:59–63: responses by class, 1xx–5xx. Of the first class, only the one that ends HTTP/1
    /// (101) counts: the others precede a response.
    pub responses: [u32; 5],
    /// 32473:64–66: times from the first octet of a request to the first octet of its response.
    pub response_time: RoundTripTime,
    /// List of 32473:67: responses of gRPC by status.
    pub grpc: GrpcStatusCounts,
}

impl HttpHealth {
    /// All counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a response. A code outside of 100–599 counts as 5xx (RFC 9110 §15).
    pub fn count_response(&mut self, status_code: u16) {
        let class = usize::from(status_code / 100).wrapping_sub(1).min(4);
        if let Some(count) = self.responses.get_mut(class) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        let unanswered = other.unanswered_requests;
        self.unanswered_requests = self.unanswered_requests.saturating_add(unanswered);
        for (count, more) in self.responses.iter_mut().zip(other.responses) {
            *count = count.saturating_add(more);
        }
        self.response_time.merge(&other.response_time);
        self.grpc.add(&other.grpc);
    }
}

/// A status of gRPC: the code in `grpc-status` (gRPC over HTTP/2, Responses).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Enum, EnumString, FromRepr, IntoStaticStr,
)]
#[repr(u8)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum GrpcStatus {
    /// 0: success.
    Ok,
    /// 1: the caller has cancelled the call.
    Cancelled,
    /// 2: unknown error, or a code that is not in this list.
    #[default]
    Unknown,
    /// 3: invalid argument, whatever the state of the server.
    InvalidArgument,
    /// 4: the deadline expired.
    DeadlineExceeded,
    /// 5: the entity was not found.
    NotFound,
    /// 6: the entity exists already.
    AlreadyExists,
    /// 7: the caller is not permitted to do it.
    PermissionDenied,
    /// 8: a resource is exhausted, such as a quota.
    ResourceExhausted,
    /// 9: the state of the server does not permit it.
    FailedPrecondition,
    /// 10: aborted, typically by a conflict.
    Aborted,
    /// 11: outside of the valid range.
    OutOfRange,
    /// 12: the server does not implement the method.
    Unimplemented,
    /// 13: internal error.
    Internal,
    /// 14: the service is not available.
    Unavailable,
    /// 15: data are lost.
    DataLoss,
    /// 16: the caller is not authenticated.
    Unauthenticated,
}

impl GrpcStatus {
    /// The status that a field has as its text. A code that is not in the list is unknown.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        let code = std::str::from_utf8(text).ok();
        let code = code.and_then(|code| code.parse().ok());
        code.and_then(Self::from_repr).unwrap_or_default()
    }
}

/// Responses of gRPC by their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrpcStatusCounts(pub EnumMap<GrpcStatus, u32>);

impl GrpcStatusCounts {
    /// All counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a response.
    pub fn count(&mut self, status: GrpcStatus) {
        self.0[status] = self.0[status].saturating_add(1);
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        for (status, count) in &mut self.0 {
            *count = count.saturating_add(other.0[status]);
        }
    }

    /// The counts up to the last one that is not 0, in the order of the codes.
    #[must_use]
    pub fn used(&self) -> &[u32] {
        let counts = self.0.as_slice();
        let last = counts.iter().rposition(|count| *count != 0);
        let used = last.map_or(0, |last| last.saturating_add(1));
        counts.get(..used).unwrap_or_default()
    }
}

/// A request method (RFC 9110 §9, RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// CONNECT.
    Connect,
    /// OPTIONS.
    Options,
    /// TRACE.
    Trace,
    /// PATCH.
    Patch,
    /// Any other one.
    #[default]
    Other,
}

/// The latest request of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// 459 `httpRequestMethod`.
    pub method: HttpMethod,
    /// 461 `httpRequestTarget`: the path without a query, with placeholders for identifiers.
    pub target: Option<Arc<str>>,
    /// 462 `httpMessageVersion`.
    pub version: HttpVersion,
    /// 457 `httpStatusCode` of its response; 0 without one.
    pub status_code: u16,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
pub enum HttpVersion {
    /// HTTP/1.0.
    #[strum(serialize = "HTTP/1.0")]
    Http10,
    /// HTTP/1.1.
    #[default]
    #[strum(serialize = "HTTP/1.1")]
    Http11,
    /// HTTP/2, which has no minor version (RFC 9113 §3.1).
    #[strum(serialize = "HTTP/2")]
    Http2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_class() {
        let mut health = HttpHealth::default();
        for code in [101, 200, 204, 302, 404, 499, 500, 599, 600, 999, 0, 99] {
            health.count_response(code);
        }
        assert_eq!(health.responses, [1, 2, 1, 2, 6]);
        let mut sum = health;
        sum.add(&health);
        assert_eq!(sum.responses, [2, 4, 2, 4, 12]);
    }

    #[test]
    fn methods_have_their_names() {
        assert_eq!("GET".parse(), Ok(HttpMethod::Get));
        assert_eq!("PATCH".parse(), Ok(HttpMethod::Patch));
        assert!("get".parse::<HttpMethod>().is_err());
        assert_eq!(<&str>::from(HttpMethod::Options), "OPTIONS");
    }

    #[test]
    fn responses_of_grpc_are_counted_by_status() {
        let mut counts = GrpcStatusCounts::default();
        assert!(counts.used().is_empty());
        for text in ["0", "0", "5", "17", "-1", "", "x"] {
            counts.count(GrpcStatus::of_text(text.as_bytes()));
        }
        assert_eq!(counts.used(), [2, 0, 4, 0, 0, 1]);
        let mut sum = counts;
        sum.add(&counts);
        assert_eq!(sum.used(), [4, 0, 8, 0, 0, 2]);
        assert_eq!(<&str>::from(GrpcStatus::NotFound), "NOT_FOUND");
        assert_eq!(GrpcStatus::of_text(b"16"), GrpcStatus::Unauthenticated);
    }
}
