//! What a record reports about HTTP messages.

use super::{Values, bits};
use crate::element::KIPFIX_ENTERPRISE;
use crate::http::{GrpcStatusCounts, HttpHealth};
use crate::plan::slot::Slot;
use crate::record::FlowRecord;
use crate::tcp::RoundTripTime;
use crate::value::unsigned;

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
    Slot::GrpcResponses,
]);

/// Reads a basicList (RFC 6313 §4.5.1) of 32473:67. Of other elements, there are no counts.
pub(super) fn grpc_responses(list: &[u8]) -> GrpcStatusCounts {
    const ENTERPRISE_BIT: u16 = 0x8000;
    let mut counts = GrpcStatusCounts::default();
    let Some((header, values)) = list.split_first_chunk::<9>() else {
        return counts;
    };
    let [_semantic, id @ .., l0, l1, e0, e1, e2, e3] = *header;
    let is_it = u16::from_be_bytes(id) == ENTERPRISE_BIT | 67
        && u32::from_be_bytes([e0, e1, e2, e3]) == KIPFIX_ENTERPRISE;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if is_it && (1..=8).contains(&length) {
        for (count, value) in counts.0.values_mut().zip(values.chunks_exact(length)) {
            *count = u32::try_from(unsigned(value)).unwrap_or(u32::MAX);
        }
    }
    counts
}

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
            grpc: self.grpc,
        };
    }
}
