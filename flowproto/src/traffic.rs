//! The traffic of a flow record: what it counts between two addresses, and when.

use crate::address::Address;
use crate::record::{BiflowDirection, FlowEndReason, Sampling};

/// The part of a [`FlowRecord`](crate::FlowRecord) by which traffic between endpoints is counted,
/// and which shows whether the record reports more. It takes a fraction of the time of the whole
/// record.
///
/// Only records that count in one direction between two addresses have one, without running totals,
/// tunnel, translation, responder name, and sampling that depends on the record. The values are
/// those of the whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficRecord {
    /// 8 `sourceIPv4Address` or 27 `sourceIPv6Address`.
    pub source_address: Address,
    /// 12 `destinationIPv4Address` or 28 `destinationIPv6Address`.
    pub destination_address: Address,
    /// 1 `octetDeltaCount`, or another element that stands for it.
    pub octet_delta_count: u64,
    /// 2 `packetDeltaCount`, or another element that stands for it.
    pub packet_delta_count: u64,
    /// 152 `flowStartMilliseconds`, since the epoch; 0 unknown.
    pub flow_start_milliseconds: u64,
    /// 153 `flowEndMilliseconds`, since the epoch; 0 unknown.
    pub flow_end_milliseconds: u64,
    /// 278 `newConnectionDeltaCount`; `None` if the exporter does not count connections.
    pub new_connection_delta_count: Option<u32>,
    /// 61 `flowDirection`: 0 ingress, 1 egress; `None` if not reported.
    pub flow_direction: Option<u8>,
    /// 4 `protocolIdentifier`.
    pub protocol_identifier: u8,
    /// 136 `flowEndReason`.
    pub flow_end_reason: FlowEndReason,
    /// 239 `biflowDirection`; `None` if not reported.
    pub biflow_direction: Option<BiflowDirection>,
    /// 279 `connectionSumDurationSeconds`; `None` if not carried.
    pub connection_sum_duration_seconds: Option<u64>,
    /// Sampling in force for octets and packets.
    pub sampling: Sampling,
    /// Selection of flows, by which connections are scaled too.
    pub flow_sampling: Sampling,
}
