//! What a record reports about HTTP messages.

use super::super::slot::Slot;
use super::{Values, bits};
use crate::http::HttpHealth;
use crate::record::FlowRecord;
use crate::tcp::RoundTripTime;

/// The slots of this file.
pub(super) const SLOTS: u128 = bits([
    Slot::HttpRequests,
    Slot::HttpUnanswered,
    Slot::HttpInformational,
    Slot::HttpSuccessful,
    Slot::HttpRedirection,
    Slot::HttpClientError,
    Slot::HttpServerError,
    Slot::HttpTimeMinimum,
    Slot::HttpTimeSum,
    Slot::HttpTimeSamples,
]);

impl Values {
    /// Fills the fields about HTTP messages.
    pub(super) fn fill_http(&self, record: &mut FlowRecord) {
        record.http = HttpHealth {
            requests: self.low_u32(Slot::HttpRequests),
            unanswered_requests: self.low_u32(Slot::HttpUnanswered),
            responses: [
                Slot::HttpInformational,
                Slot::HttpSuccessful,
                Slot::HttpRedirection,
                Slot::HttpClientError,
                Slot::HttpServerError,
            ]
            .map(|slot| self.low_u32(slot)),
            response_time: RoundTripTime {
                minimum_microseconds: self.low_u32(Slot::HttpTimeMinimum),
                sum_microseconds: self.number(Slot::HttpTimeSum),
                samples: self.low_u32(Slot::HttpTimeSamples),
            },
        };
    }
}
