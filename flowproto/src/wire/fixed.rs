//! The records of NetFlow v5 and v7, which have one layout and no templates.
//!
//! Both versions agree on the meaning of what they put at the same offset, except that v7 has no
//! engine and no sampling, and appends the address of the bypassed router to its records.

use super::header::MessageHeader;
use super::version::Version;
use crate::address::Address;
use crate::field::FieldSpecifier;
use crate::plan::relative_to_header;
use crate::record::{FlowEndReason, FlowKey, FlowRecord, Interfaces, Sampling};
use crate::template::{Template, TemplateKind};
use crate::traffic::TrafficRecord;

/// Octets of a v5 record, and of the common part of a v7 record.
const V5_OCTETS: usize = 48;
const V7_OCTETS: usize = 52;
/// Mask of the sampling interval in a v5 header.
const SAMPLING_INTERVAL: u16 = 0x3fff;

/// Octets of a record.
pub(crate) const fn record_octets(version: Version) -> usize {
    match version {
        Version::V7 => V7_OCTETS,
        _ => V5_OCTETS,
    }
}

/// Maximum number of records of a datagram.
pub(crate) const fn max_records(version: Version) -> u16 {
    match version {
        Version::V7 => 28,
        _ => 30,
    }
}

/// Layout of a v5 record. 210 is `paddingOctets`, which also stands for v7's flags of invalid
/// fields.
const FIELDS: [FieldSpecifier; 20] = [
    FieldSpecifier::iana(8, 4),
    FieldSpecifier::iana(12, 4),
    FieldSpecifier::iana(15, 4),
    FieldSpecifier::iana(10, 2),
    FieldSpecifier::iana(14, 2),
    FieldSpecifier::iana(2, 4),
    FieldSpecifier::iana(1, 4),
    FieldSpecifier::iana(22, 4),
    FieldSpecifier::iana(21, 4),
    FieldSpecifier::iana(7, 2),
    FieldSpecifier::iana(11, 2),
    FieldSpecifier::iana(210, 1),
    FieldSpecifier::iana(6, 1),
    FieldSpecifier::iana(4, 1),
    FieldSpecifier::iana(5, 1),
    FieldSpecifier::iana(16, 2),
    FieldSpecifier::iana(17, 2),
    FieldSpecifier::iana(9, 1),
    FieldSpecifier::iana(13, 1),
    FieldSpecifier::iana(210, 2),
];

/// The layout as a template, for a reader that shows each field.
pub(crate) fn template(version: Version) -> Option<Template> {
    let router = FieldSpecifier::iana(130, 4);
    let router = (version == Version::V7).then_some(router);
    let fields: Vec<_> = FIELDS.into_iter().chain(router).collect();
    Template::new(&fields, TemplateKind::Data)
}

/// The sampling in a v5 header.
pub(crate) fn sampling(header: &MessageHeader) -> Option<Sampling> {
    let interval = header.sampling & SAMPLING_INTERVAL;
    (interval != 0).then(|| Sampling::one_in(interval.into()))
}

/// The records in `content`, as their octets.
pub(crate) fn records<'a>(
    header: &MessageHeader,
    content: &'a [u8],
) -> impl Iterator<Item = &'a [u8; V5_OCTETS]> + use<'a> {
    let records = content.chunks_exact(record_octets(header.version));
    records.filter_map(<[u8]>::first_chunk)
}

/// Fills `record`. Other fields than those of these versions stay as they are.
#[inline]
pub(crate) fn fill(record: &mut FlowRecord, octets: &[u8; V5_OCTETS], header: &MessageHeader) {
    record.key = FlowKey {
        source_address: Address::from_v4_bits(u32_at::<0>(octets)),
        destination_address: Address::from_v4_bits(u32_at::<4>(octets)),
        source_port: u16_at::<32>(octets),
        destination_port: u16_at::<34>(octets),
        protocol_identifier: octets[38],
    };
    record.ip_next_hop_address = Address::from_v4_bits(u32_at::<8>(octets));
    record.interfaces = Some(Interfaces {
        ingress_interface: u16_at::<12>(octets).into(),
        egress_interface: u16_at::<14>(octets).into(),
        flow_direction: None,
    });
    record.packet_delta_count = u32_at::<16>(octets).into();
    record.octet_delta_count = u32_at::<20>(octets).into();
    let time =
        |up_time| relative_to_header(up_time, header.sys_up_time, header.export_time_milliseconds);
    record.flow_start_milliseconds = time(u32_at::<24>(octets));
    record.flow_end_milliseconds = time(u32_at::<28>(octets));
    record.tcp_control_bits = octets[37].into();
    record.ip_class_of_service = octets[39];
    record.bgp_source_as_number = u16_at::<40>(octets).into();
    record.bgp_destination_as_number = u16_at::<42>(octets).into();
    record.source_prefix_length = octets[44];
    record.destination_prefix_length = octets[45];
    // These versions have ICMP type and code in the destination port.
    record.icmp_type_code = match record.key.protocol_identifier {
        1 => record.key.destination_port,
        _ => 0,
    };
}

/// Source and destination of a record.
#[inline]
pub(crate) fn addresses(octets: &[u8; V5_OCTETS]) -> [Address; 2] {
    [u32_at::<0>(octets), u32_at::<4>(octets)].map(Address::from_v4_bits)
}

/// The traffic of a record.
#[inline]
pub(crate) fn traffic(
    octets: &[u8; V5_OCTETS],
    header: &MessageHeader,
    sampling: Sampling,
) -> TrafficRecord {
    let [source_address, destination_address] = addresses(octets);
    let time =
        |up_time| relative_to_header(up_time, header.sys_up_time, header.export_time_milliseconds);
    TrafficRecord {
        source_address,
        destination_address,
        octet_delta_count: u32_at::<20>(octets).into(),
        packet_delta_count: u32_at::<16>(octets).into(),
        flow_start_milliseconds: time(u32_at::<24>(octets)),
        flow_end_milliseconds: time(u32_at::<28>(octets)),
        new_connection_delta_count: None,
        flow_direction: None,
        protocol_identifier: octets[38],
        flow_end_reason: FlowEndReason::Unknown,
        biflow_direction: None,
        connection_sum_duration_seconds: None,
        sampling,
        flow_sampling: Sampling::NONE,
    }
}

#[inline]
fn u16_at<const AT: usize>(octets: &[u8; V5_OCTETS]) -> u16 {
    let at = octets.get(AT..).and_then(<[u8]>::first_chunk);
    u16::from_be_bytes(*at.unwrap_or(&[0; 2]))
}

#[inline]
fn u32_at<const AT: usize>(octets: &[u8; V5_OCTETS]) -> u32 {
    let at = octets.get(AT..).and_then(<[u8]>::first_chunk);
    u32::from_be_bytes(*at.unwrap_or(&[0; 4]))
}
