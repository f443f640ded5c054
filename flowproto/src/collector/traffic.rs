//! The records of a Set of which nothing but their traffic is read.

use super::sampling::SamplingInForce;
use super::sink::RecordSink;
use crate::plan::{MessageContext, Selection, TrafficReader};
use crate::record::Sampling;
use crate::wire::Records;

/// Reads the records of a Set that a sink takes by their traffic.
pub(super) struct TrafficRecords<'a> {
    reader: &'a TrafficReader,
    context: &'a MessageContext,
    selection: Selection,
}

impl<'a> TrafficRecords<'a> {
    /// `None` if `sink` takes none of them, or if their sampling depends on the record.
    pub(super) fn new(
        reader: &'a TrafficReader,
        context: &'a MessageContext,
        sampling: &SamplingInForce<'_>,
        sink: &impl RecordSink,
    ) -> Option<Self> {
        if !sink.takes_traffic(reader.has_health()) {
            return None;
        }
        Some(Self {
            reader,
            context,
            selection: sampling.of_all()?,
        })
    }

    /// The sampling of packets of all records.
    pub(super) fn sampling(&self) -> Sampling {
        self.selection.in_force()
    }

    /// Passes the records up to the first one that `sink` does not take, and returns their number.
    pub(super) fn pass(&self, records: &mut Records<'_, '_>, sink: &mut impl RecordSink) -> u32 {
        if self.reader.has_ipv6() {
            self.pass_family::<true>(records, sink)
        } else {
            self.pass_family::<false>(records, sink)
        }
    }

    #[inline]
    fn pass_family<const IPV6: bool>(
        &self,
        records: &mut Records<'_, '_>,
        sink: &mut impl RecordSink,
    ) -> u32 {
        let mut taken = 0_u16;
        for octets in records.of_fixed_length() {
            let traffic = self
                .reader
                .read::<IPV6>(octets, self.context, self.selection);
            if self.reader.may_have_outgoing(&traffic) || !sink.traffic(&traffic) {
                break;
            }
            // A Set has at most 65,535 octets.
            taken = taken.wrapping_add(1);
        }
        records.skip(taken.into());
        taken.into()
    }
}

/// Passes the addresses of all records of a Set to `sink`.
pub(super) fn read_ahead(
    reader: &TrafficReader,
    records: &Records<'_, '_>,
    sink: &impl RecordSink,
) {
    let records = records.of_fixed_length();
    if reader.has_ipv6() {
        records.for_each(|octets| sink.read_ahead(reader.addresses::<true>(octets)));
    } else {
        records.for_each(|octets| sink.read_ahead(reader.addresses::<false>(octets)));
    }
}
