//! Counters of packets that leave (23, 24) in templates that have those of packets that enter (1,
//! 2), too.
//!
//! In NetFlow v9 they are OUT_BYTES and OUT_PKTS. Exporters exist that fill the counters of the
//! direction (61) of a record and send 0 in the others.

use super::place::FieldPlace;
use crate::field::{FieldSpan, FieldSpecifier};
use crate::record::FlowRecord;

const OUT_BYTES: u16 = 23;
const OUT_PACKETS: u16 = 24;
/// 61 `flowDirection`: egress.
const EGRESS: u8 = 1;

/// The outgoing counters of a template.
#[derive(Debug)]
pub(super) struct OutgoingCounters {
    octets: Option<FieldPlace>,
    packets: Option<FieldPlace>,
}

impl OutgoingCounters {
    /// The outgoing counters of a template. `None` if it has none. `have_deltas`: whether it has
    /// deltas (1, 2) of octets and of packets; those without deltas are counted in another way.
    pub(super) fn of(
        specifiers: &[FieldSpecifier],
        spans: &[FieldSpan],
        have_deltas: [bool; 2],
    ) -> Option<Self> {
        let place = |has_deltas: bool, id| {
            let place = has_deltas.then(|| FieldPlace::of(specifiers, spans, id));
            place.flatten()
        };
        let [have_octets, have_packets] = have_deltas;
        let octets = place(have_octets, OUT_BYTES);
        let packets = place(have_packets, OUT_PACKETS);
        (octets.is_some() || packets.is_some()).then_some(Self { octets, packets })
    }

    /// Counts them in a record of packets that leave, if its deltas of these are 0.
    pub(super) fn read(&self, octets: &[u8], spans: &[FieldSpan], record: &mut FlowRecord) {
        let direction = record
            .interfaces
            .and_then(|interfaces| interfaces.flow_direction);
        if record.is_biflow() || direction != Some(EGRESS) {
            return;
        }
        let deltas = [
            (self.octets, &mut record.octet_delta_count),
            (self.packets, &mut record.packet_delta_count),
        ];
        let are_zero = deltas
            .iter()
            .all(|(place, delta)| place.is_none() || **delta == 0);
        if !are_zero {
            return;
        }
        for (place, delta) in deltas {
            if place.is_some() {
                *delta = FieldPlace::number(place, octets, spans).unwrap_or_default();
            }
        }
    }
}
