//! NetFlow v5 and v7: a header of 24 octets and records of one layout.
//!
//! What the two put at the same place means the same, except that v7 has no engine and no sampling, and
//! ends its records with the router that it bypassed.

use super::set::Header;
use super::{Unusable, Version};
use crate::address::Address;
use crate::plan::relative_to_header;
use crate::record::{FlowKey, FlowRecord, Interfaces, Sampling};

/// Octets of the header of both.
const HEADER: usize = 24;
/// Octets of a v5 record, which a v7 record begins with.
const V5_RECORD: usize = 48;
/// Octets of a v7 record.
const V7_RECORD: usize = 52;
/// The low 14 bits of a v5 header's last word are the sampling interval; the first two are the mode.
const SAMPLING_INTERVAL: u16 = 0x3fff;

/// The records of one datagram.
#[derive(Clone, Copy)]
pub(super) struct Flows<'a> {
    records: &'a [u8],
    record_octets: usize,
    /// How many records the header says there are.
    count: u16,
    sampling: Sampling,
}

/// Reads the header of a v5 or v7 datagram.
pub(super) fn read(datagram: &[u8]) -> Result<(Header, Flows<'_>), Unusable> {
    let (header, records) = datagram
        .split_first_chunk::<HEADER>()
        .ok_or(Unusable::Truncated)?;
    let is_v5 = short::<0, HEADER>(header) == 5;
    let (version, record_octets, engine, sampling) = if is_v5 {
        let interval = short::<22, HEADER>(header) & SAMPLING_INTERVAL;
        let engine = short::<20, HEADER>(header);
        let sampling = Sampling::one_in(interval.into());
        (Version::V5, V5_RECORD, engine, sampling)
    } else {
        (Version::V7, V7_RECORD, 0, Sampling::NONE)
    };
    let milliseconds = u64::from(word::<8, HEADER>(header))
        .saturating_mul(1000)
        .saturating_add((word::<12, HEADER>(header) / 1_000_000).into());
    let flows = Flows {
        records,
        record_octets,
        count: short::<2, HEADER>(header),
        sampling,
    };
    let header = Header {
        version,
        observation_domain_id: engine.into(),
        export_time_milliseconds: milliseconds,
        sys_up_time: word::<4, HEADER>(header),
        sequence: word::<16, HEADER>(header),
    };
    Ok((header, flows))
}

impl Flows<'_> {
    /// Whether there are fewer records than the header says.
    pub(super) const fn is_cut(&self) -> bool {
        let there = self.records.len().checked_div(self.record_octets);
        matches!(there, Some(there) if there < widen(self.count))
    }

    /// Hands every record to `each`, in `record`, which is used over and over; how many there were.
    pub(super) fn for_each(
        &self,
        header: &Header,
        record: &mut FlowRecord,
        mut each: impl FnMut(&FlowRecord),
    ) -> u32 {
        // Every record fills the same fields, so the others are emptied once.
        *record = FlowRecord {
            sampling: self.sampling,
            ..FlowRecord::default()
        };
        let records = self.records.chunks_exact(self.record_octets);
        let mut count = 0_u32;
        for octets in records.take(self.count.into()) {
            if let Some(octets) = octets.first_chunk() {
                fill(record, octets, header);
                each(record);
                count = count.saturating_add(1);
            }
        }
        count
    }
}

fn fill(record: &mut FlowRecord, octets: &[u8; V5_RECORD], header: &Header) {
    let address = |bits| Address::from_v4_bits(bits);
    record.key = FlowKey {
        source_address: address(word::<0, V5_RECORD>(octets)),
        destination_address: address(word::<4, V5_RECORD>(octets)),
        source_port: short::<32, V5_RECORD>(octets),
        destination_port: short::<34, V5_RECORD>(octets),
        protocol_identifier: octets[38],
    };
    record.ip_next_hop_address = address(word::<8, V5_RECORD>(octets));
    record.interfaces = Some(Interfaces {
        ingress_interface: short::<12, V5_RECORD>(octets).into(),
        egress_interface: short::<14, V5_RECORD>(octets).into(),
        flow_direction: None,
    });
    record.packet_delta_count = word::<16, V5_RECORD>(octets).into();
    record.octet_delta_count = word::<20, V5_RECORD>(octets).into();
    let at =
        |up_time| relative_to_header(up_time, header.sys_up_time, header.export_time_milliseconds);
    record.flow_start_milliseconds = at(word::<24, V5_RECORD>(octets));
    record.flow_end_milliseconds = at(word::<28, V5_RECORD>(octets));
    record.tcp_control_bits = octets[37].into();
    record.ip_class_of_service = octets[39];
    record.bgp_source_as_number = short::<40, V5_RECORD>(octets).into();
    record.bgp_destination_as_number = short::<42, V5_RECORD>(octets).into();
    record.source_prefix_length = octets[44];
    record.destination_prefix_length = octets[45];
    // These versions put type and code of ICMP into the destination port.
    record.icmp_type_code = match record.key.protocol_identifier {
        1 => record.key.destination_port,
        _ => 0,
    };
}

/// The two octets at `AT`.
#[inline]
fn short<const AT: usize, const OCTETS: usize>(octets: &[u8; OCTETS]) -> u16 {
    let at = octets.get(AT..).and_then(<[u8]>::first_chunk);
    u16::from_be_bytes(*at.unwrap_or(&[0; 2]))
}

/// The four octets at `AT`.
#[inline]
fn word<const AT: usize, const OCTETS: usize>(octets: &[u8; OCTETS]) -> u32 {
    let at = octets.get(AT..).and_then(<[u8]>::first_chunk);
    u32::from_be_bytes(*at.unwrap_or(&[0; 4]))
}

#[allow(
    clippy::as_conversions,
    reason = "`From` is not const; the cast widens"
)]
const fn widen(value: u16) -> usize {
    value as usize
}
