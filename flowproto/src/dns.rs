//! What a record reports about the DNS messages of its conversation.

use crate::host_name::HostName;
use crate::tcp::RoundTripTime;

/// Counts of DNS messages since the previous record of the conversation. They are in the record of
/// the packets to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsHealth {
    /// 32473:48: queries.
    pub queries: u32,
    /// 32473:49: queries without a response. A query that is repeated counts each time.
    pub unanswered_queries: u32,
    /// 32473:50: responses without error (response code 0).
    pub no_error_responses: u32,
    /// 32473:51: responses with the code 3, NXDOMAIN.
    pub name_error_responses: u32,
    /// 32473:52: responses with the code 2, SERVFAIL.
    pub server_failure_responses: u32,
    /// 32473:53: responses with any other code.
    pub other_error_responses: u32,
    /// 32473:54–56: times from a query to its response.
    pub response_time: RoundTripTime,
}

impl DnsHealth {
    /// All counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a response.
    pub const fn count_response(&mut self, response_code: u8) {
        let count = match response_code {
            0 => &mut self.no_error_responses,
            2 => &mut self.server_failure_responses,
            3 => &mut self.name_error_responses,
            _ => &mut self.other_error_responses,
        };
        *count = count.saturating_add(1);
    }
}

/// The latest query of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// 35632:205 `DNS_QUERY`. `None` if it is not a host name.
    pub name: Option<HostName>,
    /// 35632:207 `DNS_QUERY_TYPE` (IANA registry of resource record types).
    pub query_type: u16,
    /// 35632:208 `DNS_RET_CODE`, the code of its response; [`Self::NO_RESPONSE`] without one.
    pub response_code: u8,
}

impl DnsQuery {
    /// A response code that no message has: it has four bits.
    pub const NO_RESPONSE: u8 = 255;
}
