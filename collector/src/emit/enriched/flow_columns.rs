//! The columns of the flow itself. Those of its endpoints are in
//! [`endpoint_columns`](super::endpoint_columns).
//!
//! Numbers and names are a published interface: a number is never used for another column, and a
//! column that is removed leaves its number reserved.

use flowproto::record::{Sampling, SecurityProtocol};
use flowproto::{Address, FlowRecord};

use super::EnrichedRecord;
use super::column::{Column, ColumnType, Value, column, number, optional};
use super::group::{ColumnGroup, Variation, each_record};
use crate::emit::endpoint_member::{EndpointMember, EndpointSide};
use crate::emit::record::origin_address;

fn number_if<T: Into<u64>>(value: Option<T>) -> Value<'static> {
    value.map_or(Value::Absent, number)
}

const fn record<'a>(enriched: &EnrichedRecord<'a>) -> &'a FlowRecord {
    enriched.record
}

const BOOL: ColumnType = ColumnType::Bool;
const U8: ColumnType = ColumnType::Unsigned8;
const U16: ColumnType = ColumnType::Unsigned16;
const U32: ColumnType = ColumnType::Unsigned32;
const U64: ColumnType = ColumnType::Unsigned64;
const TIME: ColumnType = ColumnType::Milliseconds;
const ADDRESS: ColumnType = ColumnType::Address;
const NAME: ColumnType = ColumnType::Name;

/// The columns of the flow itself, in the order of their numbers.
pub(super) static FLOW: [ColumnGroup; 10] = [
    each_record!(TRAFFIC: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20),
    few(&INTERFACES, |e| record(e).interfaces.is_some()),
    few(&SAMPLING, |e| record(e).sampling != Sampling::NONE),
    few(&ROUTING, |e| is_routed(record(e))),
    few(&TRANSLATION, |e| record(e).translation.is_some()),
    few(&TUNNEL, |e| record(e).tunnel.is_some()),
    ColumnGroup::new(&ORIGIN, Variation::Origin),
    each_record!(CLASS: 0 1 2),
    few(&ENCAPSULATION, |e| record(e).tunnel.is_some()),
    few(&PROTECTION, |e| {
        record(e).security_protocol != SecurityProtocol::None
    }),
];

/// What is measured of the packets.
static TRAFFIC: [Column; 21] = [
    column(
        1,
        ("flowEndMilliseconds", TIME),
        "End of the flow, milliseconds since the epoch.",
        |e| number(record(e).flow_end_milliseconds),
    ),
    column(
        2,
        ("flowStartMilliseconds", TIME),
        "Start of the flow, milliseconds since the epoch; 0 if unknown.",
        |e| number(record(e).flow_start_milliseconds),
    ),
    column(
        3,
        (EndpointMember::Address.name(EndpointSide::Source), ADDRESS),
        "Address of the sender.",
        |e| Value::Address(record(e).key.source_address),
    ),
    column(
        4,
        (
            EndpointMember::Address.name(EndpointSide::Destination),
            ADDRESS,
        ),
        "Address of the receiver.",
        |e| Value::Address(record(e).key.destination_address),
    ),
    column(
        5,
        (
            EndpointMember::TransportPort.name(EndpointSide::Source),
            U16,
        ),
        "Port of the sender; 0 if the protocol has none.",
        |e| number(record(e).key.source_port),
    ),
    column(
        6,
        (
            EndpointMember::TransportPort.name(EndpointSide::Destination),
            U16,
        ),
        "Port of the receiver; 0 if the protocol has none.",
        |e| number(record(e).key.destination_port),
    ),
    column(7, ("protocolIdentifier", U8), "IP protocol.", |e| {
        number(record(e).key.protocol_identifier)
    }),
    column(
        8,
        ("octetDeltaCount", U64),
        "Octets of IP packets as reported, before scaling by the sampling.",
        |e| number(record(e).octet_delta_count),
    ),
    column(
        9,
        ("packetDeltaCount", U64),
        "IP packets as reported, before scaling by the sampling.",
        |e| number(record(e).packet_delta_count),
    ),
    column(
        10,
        ("octets", U64),
        "Octets scaled by the sampling, as the metrics count them.",
        |e| number(e.measures.bytes),
    ),
    column(
        11,
        ("packets", U64),
        "Packets scaled by the sampling, as the metrics count them.",
        |e| number(e.measures.packets),
    ),
    column(
        12,
        ("connections", U64),
        "New connections, as the metrics count them.",
        |e| number(e.measures.connections),
    ),
    column(
        13,
        ("counted", BOOL),
        "The metrics count this record.",
        |e| number(e.is_counted),
    ),
    column(
        14,
        ("tcpControlBits", U16),
        "TCP flags of all packets.",
        |e| number(record(e).tcp_control_bits),
    ),
    column(
        15,
        ("flowEndReason", U8),
        "Reason for the end of the flow.",
        |e| number(record(e).flow_end_reason.octet()),
    ),
    optional(column(
        16,
        ("biflowDirection", U8),
        "1: the source is the initiator of the conversation, 2: the destination is.",
        |e| number_if(record(e).biflow_direction.map(|d| d.octet())),
    )),
    optional(column(
        17,
        ("newConnectionDeltaCount", U32),
        "New connections as reported.",
        |e| number_if(record(e).new_connection_delta_count),
    )),
    optional(column(
        18,
        ("connectionSumDurationSeconds", U64),
        "Sum of the durations of connections, seconds.",
        |e| number_if(record(e).connection_sum_duration_seconds),
    )),
    column(
        19,
        ("ipClassOfService", U8),
        "DSCP and ECN of the first packet.",
        |e| number(record(e).ip_class_of_service),
    ),
    column(20, ("icmpTypeCode", U16), "ICMP type × 256 + code.", |e| {
        number(record(e).icmp_type_code)
    }),
    column(21, ("vlanId", U16), "VLAN; 0 if untagged.", |e| {
        number(record(e).vlan_id)
    }),
];

/// The interfaces at the Observation Point.
static INTERFACES: [Column; 3] = [
    column(
        22,
        ("ingressInterface", U32),
        "ifIndex of the ingress interface; 0 if unknown.",
        |e| number(record(e).interfaces.map_or(0, |i| i.ingress_interface)),
    ),
    column(
        23,
        ("egressInterface", U32),
        "ifIndex of the egress interface; 0 if unknown.",
        |e| number(record(e).interfaces.map_or(0, |i| i.egress_interface)),
    ),
    optional(column(
        24,
        ("flowDirection", U8),
        "Direction at the Observation Point: 0 ingress, 1 egress.",
        |e| number_if(record(e).interfaces.and_then(|i| i.flow_direction)),
    )),
];

/// The sampling in force.
static SAMPLING: [Column; 2] = [
    column(
        25,
        ("samplingPacketInterval", U32),
        "Packets selected in a row; 0 if not sampled.",
        |e| sampled(record(e).sampling, |s| s.interval),
    ),
    column(
        26,
        ("samplingPacketSpace", U32),
        "Packets skipped in a row; 0 if not sampled.",
        |e| sampled(record(e).sampling, |s| s.space),
    ),
];

/// What a router knows of the route.
static ROUTING: [Column; 5] = [
    column(
        27,
        ("bgpSourceAsNumber", U32),
        "AS number of the source as reported.",
        |e| number(record(e).bgp_source_as_number),
    ),
    column(
        28,
        ("bgpDestinationAsNumber", U32),
        "AS number of the destination as reported.",
        |e| number(record(e).bgp_destination_as_number),
    ),
    column(
        29,
        ("sourcePrefixLength", U8),
        "Length of the prefix of the source as reported.",
        |e| number(record(e).source_prefix_length),
    ),
    column(
        30,
        ("destinationPrefixLength", U8),
        "Length of the prefix of the destination as reported.",
        |e| number(record(e).destination_prefix_length),
    ),
    column(31, ("ipNextHopAddress", ADDRESS), "Next hop.", |e| {
        address(record(e).ip_next_hop_address)
    }),
];

/// Addresses and ports after translation.
static TRANSLATION: [Column; 4] = [
    column(
        32,
        ("postNATSourceAddress", ADDRESS),
        "Address of the source after translation.",
        |e| translated(e, |t| address(t.post_nat_source_address)),
    ),
    column(
        33,
        ("postNATDestinationAddress", ADDRESS),
        "Address of the destination after translation.",
        |e| translated(e, |t| address(t.post_nat_destination_address)),
    ),
    column(
        34,
        ("postNAPTSourceTransportPort", U16),
        "Port of the source after translation.",
        |e| translated(e, |t| number(t.post_napt_source_port)),
    ),
    column(
        35,
        ("postNAPTDestinationTransportPort", U16),
        "Port of the destination after translation.",
        |e| translated(e, |t| number(t.post_napt_destination_port)),
    ),
];

/// The tunnel that the packets were in.
static TUNNEL: [Column; 4] = [
    column(
        36,
        ("tunnelType", U8),
        "Encapsulation: 1 VXLAN, 2 GRE, 7 Geneve.",
        |e| tunnelled(e, |t| number(t.tunnel_type.octet())),
    ),
    column(37, ("tunnelKey", U32), "VNI or key of the tunnel.", |e| {
        tunnelled(e, |t| number(t.tunnel_key))
    }),
    column(
        38,
        ("tunnelSourceAddress", ADDRESS),
        "Address of the sender of the outer header.",
        |e| tunnelled(e, |t| address(t.tunnel_source_address)),
    ),
    column(
        39,
        ("tunnelDestinationAddress", ADDRESS),
        "Address of the receiver of the outer header.",
        |e| tunnelled(e, |t| address(t.tunnel_destination_address)),
    ),
];

/// Where the record is from.
static ORIGIN: [Column; 5] = [
    column(
        40,
        ("exporterAddress", ADDRESS),
        "Address of the Original Exporter.",
        |e| Value::Address(origin_address(e.record, e.origin)),
    ),
    column(
        41,
        ("observationDomainId", U32),
        "Observation Domain, Source ID or engine of the exporter.",
        |e| number(e.origin.observation_domain_id),
    ),
    column(
        42,
        ("observationDomainName", NAME),
        "Name of the Observation Domain: the node of a probe.",
        |e| Value::Text(&e.origin.name),
    ),
    column(
        43,
        ("exportVersion", U16),
        "Version of the export protocol: 1, 5, 7, 9, or 10 for IPFIX.",
        |e| number(e.origin.version.number()),
    ),
    column(44, ("clusterId", NAME), "Name of the cluster.", |e| {
        Value::Text(&e.snapshots.cluster_name)
    }),
];

/// How the collector has classified it.
static CLASS: [Column; 3] = [
    column(
        45,
        ("trafficClass", NAME),
        "Kinds of the endpoints, such as pod_to_pod.",
        |e| Value::Text(e.endpoints.class().as_str()),
    ),
    column(46, ("trafficScope", NAME), "internal or external.", |e| {
        Value::Text(e.endpoints.scope().into())
    }),
    column(
        47,
        ("collectionTimeMilliseconds", TIME),
        "Time of collection, milliseconds since the epoch.",
        |e| number(e.collected_milliseconds),
    ),
];

/// The encapsulation of the tunnel.
static ENCAPSULATION: [Column; 1] = [column(
    48,
    ("tunnelEncapsulation", NAME),
    "Encapsulation of the tunnel: ipip, vxlan, gre, geneve, mpls, gtp-u, teredo, l2tp, gue, fou, srv6 or ethernet.",
    |e| tunnelled(e, |t| Value::Text(t.tunnel_type.into())),
)];

/// The protection of the packets.
static PROTECTION: [Column; 1] = [column(
    49,
    ("securityProtocol", NAME),
    "Protection of the packets: ah, esp or wireguard.",
    |e| Value::Text(record(e).security_protocol.into()),
)];

/// Columns of few records.
const fn few(columns: &'static [Column], are_in: fn(&EnrichedRecord<'_>) -> bool) -> ColumnGroup {
    ColumnGroup::new(columns, Variation::FewRecords(are_in))
}

/// True if a router has reported something of the route.
const fn is_routed(record: &FlowRecord) -> bool {
    record.bgp_source_as_number != 0
        || record.bgp_destination_as_number != 0
        || record.source_prefix_length != 0
        || record.destination_prefix_length != 0
        || !record.ip_next_hop_address.is_unspecified()
}

/// Sampling, if the record is sampled.
fn sampled(sampling: Sampling, of: fn(Sampling) -> u32) -> Value<'static> {
    if sampling == Sampling::NONE {
        Value::Absent
    } else {
        number(of(sampling))
    }
}

/// An address, unless it is unspecified.
fn address(address: Address) -> Value<'static> {
    if address.is_unspecified() {
        Value::Absent
    } else {
        Value::Address(address)
    }
}

fn translated(
    enriched: &EnrichedRecord<'_>,
    of: fn(&flowproto::record::Translation) -> Value<'static>,
) -> Value<'static> {
    record(enriched)
        .translation
        .as_ref()
        .map_or(Value::Absent, of)
}

fn tunnelled(
    enriched: &EnrichedRecord<'_>,
    of: fn(&flowproto::record::Tunnel) -> Value<'static>,
) -> Value<'static> {
    record(enriched).tunnel.as_ref().map_or(Value::Absent, of)
}
