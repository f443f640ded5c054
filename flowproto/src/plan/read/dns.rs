//! What a record reports about DNS messages.

use super::{Values, bits};
use crate::dns::DnsHealth;
use crate::plan::slot::Slot;
use crate::record::FlowRecord;
use crate::tcp::RoundTripTime;

/// The slots of this file.
pub(super) const SLOTS: u128 = bits([
    Slot::DnsQueries,
    Slot::DnsUnanswered,
    Slot::DnsNoError,
    Slot::DnsNameError,
    Slot::DnsServerFailure,
    Slot::DnsOtherError,
    Slot::DnsTimeMinimum,
    Slot::DnsTimeSum,
    Slot::DnsTimeSamples,
]);

impl Values {
    /// Fills the fields about DNS messages.
    pub(super) fn fill_dns(&self, record: &mut FlowRecord) {
        record.dns = DnsHealth {
            queries: self.low_u32(Slot::DnsQueries),
            unanswered_queries: self.low_u32(Slot::DnsUnanswered),
            no_error_responses: self.low_u32(Slot::DnsNoError),
            name_error_responses: self.low_u32(Slot::DnsNameError),
            server_failure_responses: self.low_u32(Slot::DnsServerFailure),
            other_error_responses: self.low_u32(Slot::DnsOtherError),
            response_time: RoundTripTime {
                minimum_microseconds: self.low_u32(Slot::DnsTimeMinimum),
                sum_microseconds: self.number(Slot::DnsTimeSum),
                samples: self.low_u32(Slot::DnsTimeSamples),
            },
        };
    }
}
