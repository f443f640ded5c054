//! The records of NetFlow v1, v5 and v7, which have one layout each and no templates.
//!
//! They agree on the meaning of what they put at the same offset. v7 has no engine and no sampling,
//! and appends the address of the bypassed router to its records. v1 has the TCP flags elsewhere,
//! no autonomous systems and no masks.

use super::header::MessageHeader;
use super::version::Version;
use crate::address::Address;
use crate::field::FieldSpecifier;
use crate::plan::relative_to_header;
use crate::record::{FlowEndReason, FlowKey, FlowRecord, Interfaces, Sampling};
use crate::template::{Template, TemplateKind};
use crate::traffic::TrafficRecord;

/// Octets of a v5 record, and of that part of a v1 or v7 record that is read.
pub(crate) const V5_OCTETS: usize = 48;
/// Octets of a v7 record, and of a v1 record of exporters that add four octets of padding.
const V7_OCTETS: usize = 52;
/// Fields at the same offset in all versions.
const COMMON_FIELDS: usize = 11;
/// Mask of the sampling interval in a v5 header.
const SAMPLING_INTERVAL: u16 = 0x3fff;

/// Octets of a v1 record that are padding, behind its TCP flags.
const V1_PADDING: std::ops::Range<usize> = 41..V5_OCTETS;
/// Maximum number of records of a v1 datagram of exporters that take the limit of v5.
const V1_MAX_RECORDS: u16 = 30;

/// Octets of a record, in a datagram with `content` behind the header. `None` if a v1 datagram does
/// not have the records that it counts: other protocols begin as v1 does (STUN, TFTP), so it must
/// fit.
pub(crate) fn record_octets(header: &MessageHeader, content: &[u8]) -> Option<usize> {
    match header.version {
        Version::V1 => v1_record_octets(header.length_or_count, content),
        Version::V7 => Some(V7_OCTETS),
        _ => Some(V5_OCTETS),
    }
}

/// Descriptions of v1 differ: a record has 48 octets, or 52 with more padding at the end. Only the
/// length of the datagram shows which, and zeros may follow the records. If both lengths fit, those
/// records are short whose padding is zero, because the protocol of a long one is where its
/// successor would have padding.
fn v1_record_octets(count: u16, content: &[u8]) -> Option<usize> {
    let fits = |octets: usize| {
        let rest = content.get(octets.saturating_mul(count.into())..);
        rest.is_some_and(|rest| rest.iter().all(|octet| *octet == 0))
    };
    let is_padded = || {
        let mut records = content.chunks_exact(V5_OCTETS).take(count.into());
        records.all(|record| {
            let padding = record.get(V1_PADDING).unwrap_or_default();
            padding.iter().all(|octet| *octet == 0)
        })
    };
    if count > V1_MAX_RECORDS {
        return None;
    }
    match (fits(V5_OCTETS), fits(V7_OCTETS)) {
        (true, true) if is_padded() => Some(V5_OCTETS),
        (_, true) => Some(V7_OCTETS),
        (is_short, false) => is_short.then_some(V5_OCTETS),
    }
}

/// Maximum number of records of a datagram.
pub(crate) const fn max_records(version: Version) -> u16 {
    match version {
        Version::V1 => 24,
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

/// What follows the common fields in a v1 record.
const V1_FIELDS: [FieldSpecifier; 5] = [
    FieldSpecifier::iana(210, 2),
    FieldSpecifier::iana(4, 1),
    FieldSpecifier::iana(5, 1),
    FieldSpecifier::iana(6, 1),
    FieldSpecifier::iana(210, 7),
];

/// The layouts as templates, for a reader that shows each field.
#[derive(Debug)]
pub(crate) struct Layouts([Option<Template>; 3]);

impl Layouts {
    pub(crate) fn new() -> Self {
        let common = FIELDS.iter().take(COMMON_FIELDS).copied();
        let router = FieldSpecifier::iana(130, 4);
        let template = |fields: Vec<_>| Template::new(&fields, TemplateKind::Data);
        Self([
            template(common.chain(V1_FIELDS).collect()),
            template(FIELDS.to_vec()),
            template(FIELDS.into_iter().chain([router]).collect()),
        ])
    }

    /// The layout of a version. `None` for versions that have templates.
    pub(crate) const fn of(&self, version: Version) -> Option<&Template> {
        let Self([v1, v5, v7]) = self;
        match version {
            Version::V1 => v1.as_ref(),
            Version::V5 => v5.as_ref(),
            Version::V7 => v7.as_ref(),
            Version::V9 | Version::Ipfix => None,
        }
    }
}

/// The sampling in a v5 header.
pub(crate) fn sampling(header: &MessageHeader) -> Option<Sampling> {
    let interval = header.sampling & SAMPLING_INTERVAL;
    (interval != 0).then(|| Sampling::one_in(interval.into()))
}

/// The records of `record_octets` in `content`, as their octets.
pub(crate) fn records(
    content: &[u8],
    record_octets: usize,
) -> impl Iterator<Item = &[u8; V5_OCTETS]> + Clone {
    let records = content.chunks_exact(record_octets.max(V5_OCTETS));
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
    let is_v1 = header.version == Version::V1;
    record.tcp_control_bits = if is_v1 { octets[40] } else { octets[37] }.into();
    record.ip_class_of_service = octets[39];
    if !is_v1 {
        record.bgp_source_as_number = u16_at::<40>(octets).into();
        record.bgp_destination_as_number = u16_at::<42>(octets).into();
        let key = record.key;
        record.source_prefix_length = key.source_address.prefix_length(octets[44]);
        record.destination_prefix_length = key.destination_address.prefix_length(octets[45]);
    }
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
