//! NetFlow v5 and v7: fixed records, read by `netflow_parser`.

use netflow_parser::static_versions::{v5::V5, v7::V7};

use super::set::Header;
use super::{Unusable, Version};
use crate::plan::relative_to_header;
use crate::record::{FlowKey, FlowRecord, Interfaces, Sampling};

/// The low 14 bits of a v5 header's last word are the sampling interval; the first two are the mode.
const SAMPLING_INTERVAL: u16 = 0x3fff;

/// The records of one datagram.
pub(super) enum Flows {
    V5(V5),
    V7(V7),
}

/// Reads a v5 datagram.
pub(super) fn read_v5(datagram: &[u8]) -> Result<(Header, Flows), Unusable> {
    let after_version = datagram.get(2..).ok_or(Unusable::Truncated)?;
    let (_, message) = V5::parse_direct(after_version).map_err(|_| Unusable::Truncated)?;
    let h = &message.header;
    let engine = u32::from(h.engine_type) << 8 | u32::from(h.engine_id);
    let time = (h.unix_secs, h.unix_nsecs);
    let header = header(Version::V5, engine, time, h.sys_up_time, h.flow_sequence);
    Ok((header, Flows::V5(message)))
}

/// Reads a v7 datagram.
pub(super) fn read_v7(datagram: &[u8]) -> Result<(Header, Flows), Unusable> {
    let after_version = datagram.get(2..).ok_or(Unusable::Truncated)?;
    let (_, message) = V7::parse_direct(after_version).map_err(|_| Unusable::Truncated)?;
    let h = &message.header;
    let time = (h.unix_secs, h.unix_nsecs);
    let header = header(Version::V7, 0, time, h.sys_up_time, h.flow_sequence);
    Ok((header, Flows::V7(message)))
}

impl Flows {
    /// Hands every record to `each`, in `record`, which is used over and over; how many there were.
    pub(super) fn for_each(
        &self,
        header: &Header,
        record: &mut FlowRecord,
        mut each: impl FnMut(&FlowRecord),
    ) -> u32 {
        // Every record fills the same fields, so the others are emptied once.
        *record = FlowRecord::default();
        let mut records = 0_u32;
        match self {
            Self::V5(message) => {
                record.sampling =
                    Sampling::one_in((message.header.sampling_interval & SAMPLING_INTERVAL).into());
                for f in &message.flowsets {
                    record.key = FlowKey {
                        source_address: f.src_addr.into(),
                        destination_address: f.dst_addr.into(),
                        source_port: f.src_port,
                        destination_port: f.dst_port,
                        protocol_identifier: f.protocol_number,
                    };
                    record.octet_delta_count = f.d_octets.into();
                    record.packet_delta_count = f.d_pkts.into();
                    record.tcp_control_bits = f.tcp_flags.into();
                    record.ip_class_of_service = f.tos;
                    record.interfaces = Some(interfaces(f.input, f.output));
                    record.bgp_source_as_number = f.src_as.into();
                    record.bgp_destination_as_number = f.dst_as.into();
                    record.source_prefix_length = f.src_mask;
                    record.destination_prefix_length = f.dst_mask;
                    record.ip_next_hop_address = f.next_hop.into();
                    finish(record, (f.first, f.last), header);
                    each(record);
                    records = records.saturating_add(1);
                }
            }
            Self::V7(message) => {
                for f in &message.flowsets {
                    record.key = FlowKey {
                        source_address: f.src_addr.into(),
                        destination_address: f.dst_addr.into(),
                        source_port: f.src_port,
                        destination_port: f.dst_port,
                        protocol_identifier: f.protocol_number,
                    };
                    record.octet_delta_count = f.d_octets.into();
                    record.packet_delta_count = f.d_pkts.into();
                    record.tcp_control_bits = f.tcp_flags.into();
                    record.ip_class_of_service = f.tos;
                    record.interfaces = Some(interfaces(f.input, f.output));
                    record.bgp_source_as_number = f.src_as.into();
                    record.bgp_destination_as_number = f.dst_as.into();
                    record.source_prefix_length = f.src_mask;
                    record.destination_prefix_length = f.dst_mask;
                    record.ip_next_hop_address = f.next_hop.into();
                    finish(record, (f.first, f.last), header);
                    each(record);
                    records = records.saturating_add(1);
                }
            }
        }
        records
    }
}

fn header(
    version: Version,
    observation_domain_id: u32,
    (seconds, nanoseconds): (u32, u32),
    sys_up_time: u32,
    sequence: u32,
) -> Header {
    let milliseconds = u64::from(seconds)
        .saturating_mul(1000)
        .saturating_add((nanoseconds / 1_000_000).into());
    Header {
        version,
        observation_domain_id,
        export_time_milliseconds: milliseconds,
        sys_up_time,
        sequence,
    }
}

fn interfaces(input: u16, output: u16) -> Interfaces {
    Interfaces {
        ingress_interface: input.into(),
        egress_interface: output.into(),
        flow_direction: None,
    }
}

/// What follows from other fields: times since the epoch, and the type and code of ICMP, which these
/// versions put into the destination port.
fn finish(record: &mut FlowRecord, (first, last): (u32, u32), header: &Header) {
    let at =
        |up_time| relative_to_header(up_time, header.sys_up_time, header.export_time_milliseconds);
    record.flow_start_milliseconds = at(first);
    record.flow_end_milliseconds = at(last);
    record.icmp_type_code = 0;
    if record.key.protocol_identifier == 1 {
        record.icmp_type_code = record.key.destination_port;
    }
}
