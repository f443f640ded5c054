//! The decided record, and the sinks that take it.

use std::net::SocketAddr;
use std::sync::Arc;

use enum_map::Enum;
use flowproto::collector::Fields;
use flowproto::host_name::HostName;
use flowproto::{Address, FlowRecord};
use strum::IntoStaticStr;

use super::enrich::{Endpoints, TunnelUse};
use super::exporters::Origin;
use super::flow::{Flow, FlowExtras, Measures};
use super::health::FlowHealth;
use super::host_names::host_names;
use crate::clock::Now;
use crate::inventory::EndpointId;
use crate::snapshots::Snapshots;

/// Whether a flow is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is counted in the metric families.
    Counted,
    /// It is not.
    NotCounted(Reason),
}

/// Why a flow is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The record of another observer of the same flow is the one that counts.
    OtherObserver,
    /// The same, but that observer has been silent ever since: its probe died.
    ObserverLost,
    /// Both endpoints are on one node.
    IntraNode,
    /// The record has neither octets nor packets.
    NoCounters,
    /// The record has neither a source nor a destination address: frames that are not IP, or totals
    /// of an application, a prefix or an AS.
    NoAddresses,
    /// `flow_direction`, `node_flow_direction` or the policy of its exporter excludes it.
    OtherDirection,
    /// The policy of its exporter is `inform`.
    Inform,
    /// The policy of its exporter is `ignore`.
    Ignore,
}

impl Verdict {
    /// True if the flow is counted.
    #[inline]
    #[must_use]
    pub fn is_counted(self) -> bool {
        self == Self::Counted
    }

    /// True if the record is the one of its flow that others rely on, whether its families count it
    /// or not.
    #[must_use]
    pub const fn is_authoritative(self) -> bool {
        matches!(
            self,
            Self::Counted
                | Self::NotCounted(Reason::IntraNode | Reason::NoCounters | Reason::NoAddresses)
        )
    }
}

/// The end of packets between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathEnd {
    /// The node that sends them.
    Sender,
    /// The node that receives them.
    Receiver,
}

/// A record as it was received.
#[derive(Clone, Copy, Debug)]
pub struct WholeRecord<'a> {
    /// The decoded record. Sampling and running totals are applied already.
    pub record: &'a FlowRecord,
    /// Its fields.
    pub fields: Fields<'a>,
}

/// One direction of a record that was resolved and decided once. It does not change any more.
#[derive(Clone, Copy, Debug)]
pub struct DecidedRecord<'a> {
    /// Addresses, time and counters.
    pub flow: &'a Flow,
    /// What only few records have. Always there if a sink needs the details of this record.
    pub extras: Option<&'a FlowExtras>,
    /// TCP health, and the start and end of its connection. `None` if it reports nothing of these,
    /// or if no sink needs it.
    pub health: Option<&'a FlowHealth>,
    /// Its endpoints.
    pub endpoints: &'a Endpoints,
    /// Whether it is counted.
    pub verdict: Verdict,
    /// Whether the connection of `health` is counted.
    pub is_connection_counted: bool,
    /// The end of the packets at which its observer is, if the node of the other end observes them,
    /// too. `None` if no sink needs it.
    pub compared: Option<PathEnd>,
    /// Its exporter.
    pub origin: &'a Arc<Origin>,
    /// The record as it was received, if a sink needs it.
    pub whole: Option<WholeRecord<'a>>,
}

impl DecidedRecord<'_> {
    /// The host names by which source and destination were reached, if they are external.
    #[must_use]
    pub fn host_names(&self) -> [Option<&HostName>; 2] {
        self.extras.map_or([None; 2], |extras| {
            let (name, initiator) = (
                extras.responder_name.as_ref(),
                extras.initiator_of(self.flow),
            );
            host_names(name, initiator, self.endpoints)
        })
    }

    /// The addresses of source and destination, as they were resolved: of the two of a translation,
    /// those of the endpoints; of a tunnel that is not between nodes, those of its ends.
    #[must_use]
    pub fn addresses(&self) -> [Address; 2] {
        let (flow, endpoints) = (self.flow, self.endpoints);
        let [mut source, mut destination] = [flow.source, flow.destination];
        let Some(extras) = self.extras else {
            return [source, destination];
        };
        if let (TunnelUse::Outer(_), Some(tunnel)) = (endpoints.tunnel, &extras.tunnel) {
            return flow.sides(tunnel.ends).map(|(address, _)| address);
        }
        if let Some(translated) = extras.translated {
            let [source_after, destination_after] = flow.sides(translated);
            if endpoints.source.is_translated {
                (source, _) = source_after;
            }
            if endpoints.destination.is_translated {
                (destination, _) = destination_after;
            }
        }
        [source, destination]
    }
}

/// What the pipeline hands its records to.
pub trait Sinks: Send {
    /// True if [`DecidedRecord::whole`] is needed of the next record. Called once for each record.
    fn need_whole_record(&mut self) -> bool;

    /// True if [`DecidedRecord::extras`] are needed of the next record.
    fn need_details(&self) -> bool;

    /// True if the names of the interfaces of the next record are needed, which are extras.
    fn need_interfaces(&self) -> bool;

    /// True if [`DecidedRecord::health`] is needed.
    fn need_health(&self) -> bool;

    /// True if [`DecidedRecord::compared`] is needed.
    fn need_comparison(&self) -> bool;

    /// True if [`Self::count`] is enough for records that have nothing but traffic.
    fn need_traffic_only(&self) -> bool;

    /// Takes the traffic of a counted record between two endpoints, instead of the record.
    fn count(&mut self, source: EndpointId, destination: EndpointId, measures: Measures);

    /// Takes a datagram, or a Message of a connection, as it was received.
    fn replicate(&mut self, exporter: SocketAddr, octets: &[u8]);

    /// Takes a record.
    fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots);

    /// The records of a block are complete.
    fn end_block(&mut self, snapshots: &Snapshots, now: Now);

    /// Hands over what was collected for other threads until `now`. Called after every batch of
    /// datagrams.
    fn flush(&mut self, now: Now);
}
