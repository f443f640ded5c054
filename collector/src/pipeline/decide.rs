//! Decide: a flow and its endpoints → a verdict. Every rule by which a flow is not counted is
//! applied here, in order.

use std::sync::Arc;

use flowproto::{Address, protocol};

use super::PipelineSettings;
use super::block::ResolvedFlow;
use super::decided::{DecidedRecord, PathEnd, Reason, Verdict, WholeRecord};
use super::dedup::{self, Authority, Observed, Stage};
use super::enrich::{Endpoints, TrafficClass};
use super::exporters::Origin;
use super::flow::{Flow, Initiator};
use super::health::ConnectionHealth;
use super::observers::{Observation, Observers};
use super::policy::{CountedDirection, RecordPolicy};
use crate::clock::Now;
use crate::inventory::{NodeId, Place, TimeRange};

/// Decides flows at one moment.
#[derive(Debug)]
pub(super) struct Decider<'a> {
    pub(super) settings: &'a PipelineSettings,
    /// Whether [`Decision::compared`] is needed.
    pub(super) compares: bool,
    pub(super) observers: &'a Observers,
    pub(super) now: Now,
    /// When the record arrived.
    pub(super) arrived: Now,
    pub(super) stage: Stage,
}

/// What the packets of a flow are decided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowCriteria {
    /// Time of the packets by the collector's clock.
    pub(super) time: TimeRange,
    /// Where source and destination are.
    pub(super) places: [Place; 2],
    /// Node of the exporter, if that is a known node.
    pub(super) node: Option<NodeId>,
    /// 61 `flowDirection`.
    pub(super) reported_direction: Option<u8>,
    /// The direction of its exporter's records that counts.
    pub(super) counted_direction: Option<CountedDirection>,
    /// Whether records of its exporter count.
    pub(super) policy: RecordPolicy,
    /// The record counts octets or packets.
    pub(super) has_counters: bool,
    /// Source and destination.
    pub(super) addresses: [Address; 2],
}

impl FlowCriteria {
    #[inline]
    fn of(flow: &Flow, endpoints: &Endpoints) -> Self {
        Self {
            time: flow.time,
            places: [endpoints.source.place, endpoints.destination.place],
            node: flow.node,
            reported_direction: flow.reported_direction,
            counted_direction: flow.counted_direction,
            policy: flow.policy,
            has_counters: flow.has_counters,
            addresses: [flow.source, flow.destination],
        }
    }
}

/// A decided flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The node of the observer that is presumed to be the authoritative one.
    pub(super) unconfirmed: Option<NodeId>,
    /// Whether what the record reports of its connection is counted.
    pub(super) is_connection_counted: bool,
    /// As in [`DecidedRecord`].
    pub(super) compared: Option<PathEnd>,
}

impl From<Verdict> for Decision {
    #[inline]
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            unconfirmed: None,
            is_connection_counted: false,
            compared: None,
        }
    }
}

impl<'a> ResolvedFlow<'a> {
    /// The flow with the decision on it.
    #[inline]
    pub(super) fn decided(
        &self,
        decision: Decision,
        origin: &'a Arc<Origin>,
        whole: Option<WholeRecord<'a>>,
    ) -> DecidedRecord<'a> {
        DecidedRecord {
            flow: self.flow,
            extras: self.extras,
            health: self.health,
            endpoints: self.endpoints,
            verdict: decision.verdict,
            is_connection_counted: decision.is_connection_counted,
            compared: decision.compared,
            origin,
            whole,
        }
    }
}

impl Decider<'_> {
    /// The decision on a flow, or the monotonic time at which it can be decided.
    #[inline]
    pub(super) fn decide(&self, resolved: &ResolvedFlow<'_>) -> Result<Decision, u64> {
        let criteria = FlowCriteria::of(resolved.flow, resolved.endpoints);
        let mut decision = self.decide_packets(&criteria)?;
        if self.compares {
            let (flow, endpoints) = (resolved.flow, resolved.endpoints);
            decision.compared = self.compared(flow, endpoints, decision.verdict);
        }
        match resolved.health.map(|health| health.connection) {
            Some(connection) if connection.reports_something() => Ok(Decision {
                is_connection_counted: self.is_connection_counted(
                    &connection,
                    resolved,
                    decision.verdict,
                )?,
                ..decision
            }),
            _ => Ok(decision),
        }
    }

    /// Whether a connection counts, or the time at which it can be decided. Its observer is that of
    /// the initiator's packets: the one that counts the new connection.
    #[cold]
    fn is_connection_counted(
        &self,
        connection: &ConnectionHealth,
        resolved: &ResolvedFlow<'_>,
        verdict: Verdict,
    ) -> Result<bool, u64> {
        if connection.initiator != Initiator::Destination {
            return Ok(verdict.is_counted());
        }
        match verdict {
            Verdict::Counted | Verdict::NotCounted(Reason::OtherObserver) => {}
            Verdict::NotCounted(_) => return Ok(false),
        }
        let endpoints = Endpoints::reversed(*resolved.endpoints);
        let opposite = self.decide_packets(&FlowCriteria::of(resolved.flow, &endpoints))?;
        Ok(opposite.verdict.is_counted())
    }

    /// The decision on the packets of a flow, or the monotonic time at which it can be decided.
    #[inline(always)]
    pub(super) fn decide_packets(&self, flow: &FlowCriteria) -> Result<Decision, u64> {
        if self.is_other_direction(flow) {
            return Ok(Verdict::NotCounted(Reason::OtherDirection).into());
        }
        if !flow.has_counters {
            return Ok(Verdict::NotCounted(Reason::NoCounters).into());
        }
        if flow.addresses.into_iter().all(Address::is_unspecified) {
            return Ok(Verdict::NotCounted(Reason::NoAddresses).into());
        }
        let authority = match flow.policy {
            RecordPolicy::Auto => self.authority(flow),
            RecordPolicy::Count => Authority::ThisRecord,
            RecordPolicy::Inform => return Ok(Verdict::NotCounted(Reason::Inform).into()),
            RecordPolicy::Ignore => return Ok(Verdict::NotCounted(Reason::Ignore).into()),
        };
        match authority {
            Authority::Undecided(until) => Err(until),
            Authority::OtherObserver => Ok(Verdict::NotCounted(Reason::OtherObserver).into()),
            Authority::Presumed(node) => Ok(Decision {
                verdict: Verdict::NotCounted(Reason::OtherObserver),
                unconfirmed: Some(node),
                is_connection_counted: false,
                compared: None,
            }),
            Authority::ThisRecord if self.is_left_out(flow) => {
                Ok(Verdict::NotCounted(Reason::IntraNode).into())
            }
            Authority::ThisRecord => Ok(Verdict::Counted.into()),
        }
    }

    // Inlined, so that nothing is prepared for observers where there are none.
    #[inline(always)]
    fn authority(&self, flow: &FlowCriteria) -> Authority {
        if !self.observers.is_any() && self.stage != Stage::WarmUp {
            // All exporters are routers.
            return Authority::ThisRecord;
        }
        let observed = self.observed(flow);
        let now = self.now.monotonic_milliseconds;
        dedup::judge(self.observers, &observed, now, self.stage)
    }

    #[inline]
    fn observed(&self, flow: &FlowCriteria) -> Observed {
        let packets = &flow.time;
        Observed {
            exporter: flow.node,
            nodes: flow.places.map(|place| place.node),
            packets: (
                self.arrived.to_monotonic(packets.start_milliseconds),
                self.arrived.to_monotonic(packets.end_milliseconds),
            ),
        }
    }

    /// The end of the packets at which the exporter is, if they are between two observed nodes, and
    /// both report what is compared.
    fn compared(&self, flow: &Flow, endpoints: &Endpoints, verdict: Verdict) -> Option<PathEnd> {
        let exporter = flow.node?;
        let now = self.now.monotonic_milliseconds;
        let is_tcp = flow.protocol == protocol::TCP;
        let has_transport_octets = flow.transport_octets.is_some();
        if is_tcp && !has_transport_octets {
            self.observers.on_missing_transport_octets(exporter, now);
        }
        let observed = self.observed(&FlowCriteria::of(flow, endpoints));
        let [Some(source), Some(destination)] = observed.nodes else {
            return None;
        };
        let is_auto = flow.policy == RecordPolicy::Auto;
        if source == destination || !is_auto {
            return None;
        }
        let lacks_them = |node| self.observers.lacks_transport_octets(node, now);
        if is_tcp && [source, destination].into_iter().any(lacks_them) {
            return None;
        }
        match verdict {
            Verdict::Counted if exporter == source => {
                let other = self
                    .observers
                    .observation(destination, observed.packets, now);
                // A node that is silent for a moment reports these packets later.
                let is_observed = matches!(
                    other,
                    Observation::Certain | Observation::Presumed | Observation::Uncertain
                );
                is_observed.then_some(PathEnd::Sender)
            }
            // The node of the source observed the packets.
            Verdict::NotCounted(Reason::OtherObserver) if exporter == destination => {
                Some(PathEnd::Receiver)
            }
            _ => None,
        }
    }

    /// True if traffic within a node is left out, and this is some.
    #[inline]
    fn is_left_out(&self, flow: &FlowCriteria) -> bool {
        let [source, destination] = flow.places;
        !self.settings.intra_node
            && TrafficClass::between(source, destination) == TrafficClass::IntraNode
    }

    /// True if the record is one of two that an exporter makes of the same packets, where they
    /// enter and where they leave, and not the one that counts.
    #[inline]
    fn is_other_direction(&self, flow: &FlowCriteria) -> bool {
        let Some(reported) = flow.reported_direction else {
            return false;
        };
        let counted = match (flow.counted_direction, flow.node) {
            (Some(direction), _) => direction,
            (None, Some(_)) => self.settings.node_flow_direction,
            (None, None) => self.settings.flow_direction,
        };
        !counted.includes(reported)
    }
}
