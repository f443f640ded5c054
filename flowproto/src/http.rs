//! What a record reports about the HTTP messages of its conversation.

use std::sync::Arc;

use strum::{EnumString, IntoStaticStr};

use crate::tcp::RoundTripTime;

/// Counts of HTTP messages since the previous record of the conversation. They are in the record of the
/// packets to the server.
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
    /// 462 `httpMessageVersion`: the minor version of HTTP/1.
    pub minor_version: u8,
    /// 457 `httpStatusCode` of its response; 0 without one.
    pub status_code: u16,
}

impl HttpRequest {
    /// The version (RFC 9112 §2.3).
    #[must_use]
    pub const fn version(&self) -> &'static str {
        match self.minor_version {
            0 => "HTTP/1.0",
            _ => "HTTP/1.1",
        }
    }
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
}
