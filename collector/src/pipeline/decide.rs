//! Decide: a flow and its endpoints → a verdict. Every rule by which a flow is not counted is applied here, in order.

use std::sync::Arc;

use super::PipelineSettings;
use super::decided::{Reason, Verdict};
use super::dedup::{self, Authority};
use super::enrich::{Endpoints, TrafficClass};
use super::flow::Flow;
use super::observers::Observers;
use crate::clock::Now;

/// Decides flows at one moment.
#[derive(Debug)]
pub(super) struct Decider<'a> {
    pub(super) settings: &'a PipelineSettings,
    pub(super) observers: &'a Arc<Observers>,
    pub(super) now: Now,
    /// Decide now, even if the authoritative observer is not known.
    pub(super) is_last_chance: bool,
}

impl Decider<'_> {
    /// The verdict on a flow; `None` if its authoritative observer is not known yet.
    #[inline]
    pub(super) fn decide(&self, flow: &Flow, endpoints: &Endpoints) -> Option<Verdict> {
        if self.is_other_direction(flow) {
            return Some(Verdict::NotCounted(Reason::OtherDirection));
        }
        if !flow.has_counters {
            return Some(Verdict::NotCounted(Reason::NoCounters));
        }
        match self.authority(flow, endpoints) {
            Authority::Undecided => None,
            Authority::OtherObserver => Some(Verdict::NotCounted(Reason::OtherObserver)),
            Authority::ThisRecord if self.is_left_out(endpoints) => {
                Some(Verdict::NotCounted(Reason::IntraNode))
            }
            Authority::ThisRecord => Some(Verdict::Counted),
        }
    }

    #[inline]
    fn authority(&self, flow: &Flow, endpoints: &Endpoints) -> Authority {
        let nodes = [
            endpoints.source.place.node,
            endpoints.destination.place.node,
        ];
        if self.is_last_chance {
            return dedup::resolve(self.observers, flow.node, nodes);
        }
        let now = self.now.monotonic_milliseconds;
        let in_warm_up = self.settings.is_in_warm_up(self.now);
        dedup::judge(self.observers, flow.node, nodes, now, in_warm_up)
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
        let counted = match flow.node {
            Some(_) => self.settings.node_flow_direction,
            None => self.settings.flow_direction,
        };
        counted
            .zip(flow.reported_direction)
            .is_some_and(|(counted, reported)| counted != reported)
    }
}
