//! Decide: a flow and its endpoints → a verdict. Every rule by which a flow is not counted is applied here, in order.

use super::PipelineSettings;
use super::decided::{Reason, Verdict};
use super::dedup::{self, Authority, Observed, Stage};
use super::enrich::{Endpoints, TrafficClass};
use super::flow::Flow;
use super::observers::Observers;
use super::policy::{CountedDirection, RecordPolicy};
use crate::clock::Now;
use crate::inventory::NodeId;

/// Decides flows at one moment.
#[derive(Debug)]
pub(super) struct Decider<'a> {
    pub(super) settings: &'a PipelineSettings,
    pub(super) observers: &'a Observers,
    pub(super) now: Now,
    /// When the record arrived.
    pub(super) arrived: Now,
    pub(super) stage: Stage,
}

/// A decided flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The node of the observer that is presumed to be the authoritative one.
    pub(super) unconfirmed: Option<NodeId>,
}

impl From<Verdict> for Decision {
    #[inline]
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            unconfirmed: None,
        }
    }
}

impl Decider<'_> {
    /// The decision on a flow, or the monotonic time at which it can be decided.
    #[inline]
    pub(super) fn decide(&self, flow: &Flow, endpoints: &Endpoints) -> Result<Decision, u64> {
        if self.is_other_direction(flow) {
            return Ok(Verdict::NotCounted(Reason::OtherDirection).into());
        }
        if !flow.has_counters {
            return Ok(Verdict::NotCounted(Reason::NoCounters).into());
        }
        let authority = match flow.policy {
            RecordPolicy::Auto => self.authority(flow, endpoints),
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
            }),
            Authority::ThisRecord if self.is_left_out(endpoints) => {
                Ok(Verdict::NotCounted(Reason::IntraNode).into())
            }
            Authority::ThisRecord => Ok(Verdict::Counted.into()),
        }
    }

    #[inline]
    fn authority(&self, flow: &Flow, endpoints: &Endpoints) -> Authority {
        let packets = &flow.time;
        let observed = Observed {
            exporter: flow.node,
            nodes: [
                endpoints.source.place.node,
                endpoints.destination.place.node,
            ],
            packets: (
                self.arrived.to_monotonic(packets.start_milliseconds),
                self.arrived.to_monotonic(packets.end_milliseconds),
            ),
        };
        let now = self.now.monotonic_milliseconds;
        dedup::judge(self.observers, &observed, now, self.stage)
    }

    /// True if traffic within a node is left out, and this is some.
    #[inline]
    fn is_left_out(&self, endpoints: &Endpoints) -> bool {
        !self.settings.intra_node && endpoints.class() == TrafficClass::IntraNode
    }

    /// True if the record is one of two that an exporter makes of the same packets, where they enter and where they
    /// leave, and not the one that counts.
    #[inline]
    fn is_other_direction(&self, flow: &Flow) -> bool {
        let counted = match (flow.counted_direction, flow.node) {
            (CountedDirection::Both, _) => None,
            (CountedDirection::Only(direction), _) => Some(direction),
            (CountedDirection::Default, Some(_)) => self.settings.node_flow_direction,
            (CountedDirection::Default, None) => self.settings.flow_direction,
        };
        counted
            .zip(flow.reported_direction)
            .is_some_and(|(counted, reported)| counted != reported)
    }
}
