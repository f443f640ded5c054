//! Counters of packets that leave (23, 24) in templates that have those of packets that enter (1, 2), too.
//!
//! In NetFlow v9 they are OUT_BYTES and OUT_PKTS. Exporters exist that fill the counters of the direction
//! (61) of a record and send 0 in the others.

use super::place::Place;
use crate::field::{FieldSpan, FieldSpecifier};
use crate::record::FlowRecord;

const OUT_BYTES: u16 = 23;
const OUT_PACKETS: u16 = 24;
/// 61 `flowDirection`: egress.
const EGRESS: u8 = 1;

/// The outgoing counters of a template.
#[derive(Debug)]
pub(super) struct OutgoingCounters {
    octets: Option<Place>,
    packets: Option<Place>,
}

impl OutgoingCounters {
    /// The outgoing counters of a template. `None` if it has none.
    pub(super) fn of(specifiers: &[FieldSpecifier], spans: &[FieldSpan]) -> Option<Self> {
        let octets = Place::of(specifiers, spans, OUT_BYTES);
        let packets = Place::of(specifiers, spans, OUT_PACKETS);
        (octets.is_some() || packets.is_some()).then_some(Self { octets, packets })
    }

    /// Counts them in a record of packets that leave, if it has counted nothing.
    pub(super) fn read(&self, octets: &[u8], spans: &[FieldSpan], record: &mut FlowRecord) {
        let interfaces = record.interfaces.unwrap_or_default();
        let is_zero =
            record.octet_delta_count == 0 && record.packet_delta_count == 0 && !record.is_biflow();
        if is_zero && interfaces.flow_direction == Some(EGRESS) {
            let number = |place| Place::number(place, octets, spans).unwrap_or_default();
            record.octet_delta_count = number(self.octets);
            record.packet_delta_count = number(self.packets);
        }
    }
}
