//! What a pipeline counts.

use enum_map::EnumMap;
use flowproto::collector::{Counters, Occupancy};

use super::decide::Decision;
use super::decided::{Reason, Verdict};
use super::enrich::{Endpoints, TunnelUse};
use super::flow::Flow;
use crate::inventory::{EndpointKind, IndexSnapshot, NodeId};

/// What became of records behind the decoder. A *direction* is a record, or the opposite direction
/// of a biflow record.
///
/// `records` + `reverse_directions` = `counted` + Σ `not_counted` + `unconfirmed` + `pending`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Data Records.
    pub records: u64,
    /// Opposite directions in biflow records.
    pub reverse_directions: u64,
    /// Directions counted in the metric families.
    pub counted: u64,
    /// Directions that are not counted.
    pub not_counted: EnumMap<Reason, u64>,
    /// Records of which an address was reassigned while their packets were sent.
    pub ambiguous: u64,
    /// Records with an address in a pod CIDR that no pod has reported.
    pub unattributed: u64,
    /// Records attributed to the outer packet of their tunnel, by the kind of the end that is not
    /// trusted.
    pub tunnel_untrusted: EnumMap<EndpointKind, u64>,
    /// Records decided before the initial Kubernetes list was complete.
    pub before_inventory: u64,
    /// Directions of exporters that are on no known node, in a cluster whose nodes are known.
    pub external_exporter: u64,
    /// Directions that had to wait.
    pub held: u64,
    /// Of these, decided early because the room was needed.
    pub resolved_early: u64,
    /// Directions left out for an observer that has not sent a Message since. They become
    /// [`Reason::OtherObserver`] when it does, and [`Reason::ObserverLost`] when it is silent for
    /// too long.
    pub unconfirmed: u64,
    /// Directions pending now.
    pub pending: u64,
    /// Octets of these.
    pub pending_octets: u64,
}

impl RecordCounts {
    /// Counts how certain the attribution of a record is.
    #[inline]
    pub(super) fn attribute(&mut self, flow: &Flow, endpoints: &Endpoints, index: &IndexSnapshot) {
        if !flow.is_forward() {
            return;
        }
        if !index.is_complete() {
            self.before_inventory = self.before_inventory.wrapping_add(1);
        }
        if !endpoints.are_certain() {
            let (ambiguous, unreported) = (endpoints.is_ambiguous(), endpoints.is_unreported());
            self.ambiguous = self.ambiguous.wrapping_add(ambiguous.into());
            self.unattributed = self.unattributed.wrapping_add(unreported.into());
        }
        if let TunnelUse::Outer(kind) = endpoints.tunnel {
            let counter = &mut self.tunnel_untrusted[kind];
            *counter = counter.wrapping_add(1);
        }
    }

    /// Counts directions that are not counted.
    #[inline]
    pub(super) fn leave_out(&mut self, reason: Reason, directions: u64) {
        let counter = &mut self.not_counted[reason];
        *counter = counter.wrapping_add(directions);
    }

    /// Gives unconfirmed directions their reason.
    pub(super) fn settle(&mut self, reason: Reason, directions: u64) {
        self.unconfirmed = self.unconfirmed.saturating_sub(directions);
        self.leave_out(reason, directions);
    }

    /// Counts the decision on a record of an exporter on `node`.
    #[inline]
    pub(super) fn decide(
        &mut self,
        node: Option<NodeId>,
        decision: Decision,
        index: &IndexSnapshot,
    ) {
        match (decision.verdict, decision.unconfirmed) {
            (Verdict::Counted, _) => self.counted = self.counted.wrapping_add(1),
            (Verdict::NotCounted(_), Some(_)) => {
                self.unconfirmed = self.unconfirmed.wrapping_add(1);
            }
            (Verdict::NotCounted(reason), None) => self.leave_out(reason, 1),
        }
        if node.is_none() && !index.is_empty() {
            self.external_exporter = self.external_exporter.wrapping_add(1);
        }
    }
}

impl RecordCounts {
    /// Adds the counts of another pipeline.
    pub fn add(&mut self, other: &Self) {
        let Self {
            records,
            reverse_directions,
            counted,
            not_counted,
            ambiguous,
            unattributed,
            tunnel_untrusted,
            before_inventory,
            external_exporter,
            held,
            resolved_early,
            unconfirmed,
            pending,
            pending_octets,
        } = other;
        for (sum, more) in [
            (&mut self.records, records),
            (&mut self.reverse_directions, reverse_directions),
            (&mut self.counted, counted),
            (&mut self.ambiguous, ambiguous),
            (&mut self.unattributed, unattributed),
            (&mut self.before_inventory, before_inventory),
            (&mut self.external_exporter, external_exporter),
            (&mut self.held, held),
            (&mut self.resolved_early, resolved_early),
            (&mut self.unconfirmed, unconfirmed),
            (&mut self.pending, pending),
            (&mut self.pending_octets, pending_octets),
        ] {
            *sum = sum.wrapping_add(*more);
        }
        let by_reason = self.not_counted.values_mut().zip(not_counted.values());
        let kinds = self.tunnel_untrusted.values_mut();
        let by_kind = kinds.zip(tunnel_untrusted.values());
        for (sum, more) in by_reason.chain(by_kind) {
            *sum = sum.wrapping_add(*more);
        }
    }
}

/// Everything that a pipeline counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct PipelineCounts {
    /// The Collecting Process.
    pub decoding: Counters,
    /// Its occupancy.
    pub occupancy: Occupancy,
    /// The stages behind it.
    pub records: RecordCounts,
}
