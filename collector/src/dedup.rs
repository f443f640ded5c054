//! Dedup: of the two nodes that see a flow, the authoritative observer's record counts.
//!
//! The authoritative observer is the source's node if that node is observed, else the destination's
//! node if that one is. A node is observed if an exporter that is on it was heard in the last
//! [`OBSERVED_MILLISECONDS`], or if Kubernetes says that a probe on it is Ready. Each direction of a biflow record is judged by itself, so that it does
//! not matter which end a Metering Process took for the source.
//!
//! | exporter's node | source's node | destination's node | the record |
//! |---|---|---|---|
//! | none known: a router, a tool outside | any | any | counts |
//! | X | X | any | counts |
//! | X | none known | X | counts |
//! | X | observed | X | other observer |
//! | X | not heard lately | X | counts |
//! | X | never heard, collector young | X | undecided |
//! | X | observed | any but X | other observer |
//! | X | none known, or not observed | observed, not X | other observer |
//! | X, in transit | not heard lately or none | not heard lately or none | counts |
//! | X, in transit | never heard, collector young, or the destination's is | no end observed | undecided |
//!
//! In transit is, for example, the node that a node-port connection enters by: where it keeps the
//! client's address, both it and the pod's node see client → pod, and only the pod's node counts it;
//! where it does not, the two legs have different keys and each is some node's own.
//!
//! An undecided record is held ([`Held`]) until the silent node was heard (then that node's
//! record counts) or the wait is over (then this one does). No state is shared between collectors, so
//! any number of them agree.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::aggregate::Measures;
use crate::emit::forward::Enriched;
use crate::inventory::{EndpointId, NodeId};

/// How long a node counts as observed after an exporter on it was heard, milliseconds.
pub const OBSERVED_MILLISECONDS: u64 = 180_000;

/// When an exporter on each node was last heard. Shared by all workers; written once a Message.
#[derive(Debug)]
pub struct Observers {
    /// Milliseconds since the epoch plus one; 0 is never.
    heard: Box<[AtomicU64]>,
    /// A probe on it is Ready.
    ready: Box<[AtomicBool]>,
}

impl Observers {
    /// Nobody was heard yet. `nodes`: how many there may be.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            heard: (0..nodes).map(|_| AtomicU64::new(0)).collect(),
            ready: (0..nodes).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Whether Kubernetes says that a probe on `node` is Ready.
    pub fn set_ready(&self, node: NodeId, ready: bool) {
        let slot = usize::try_from(node.0)
            .ok()
            .and_then(|at| self.ready.get(at));
        if let Some(slot) = slot {
            slot.store(ready, Ordering::Relaxed);
        }
    }

    fn is_ready(&self, node: NodeId) -> bool {
        let slot = usize::try_from(node.0)
            .ok()
            .and_then(|at| self.ready.get(at));
        slot.is_some_and(|slot| slot.load(Ordering::Relaxed))
    }

    /// An exporter on `node` was heard.
    pub fn heard(&self, node: NodeId, now_milliseconds: u64) {
        if let Some(slot) = self.slot(node) {
            slot.store(now_milliseconds.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Whether an exporter on `node` was ever heard, or a probe on it is Ready.
    #[must_use]
    pub fn ever_heard(&self, node: NodeId) -> bool {
        self.slot(node)
            .is_some_and(|slot| slot.load(Ordering::Relaxed) != 0)
            || self.is_ready(node)
    }

    /// Whether `node` is observed now.
    #[must_use]
    pub fn observed(&self, node: NodeId, now_milliseconds: u64) -> bool {
        self.slot(node).is_some_and(|slot| {
            let heard = slot.load(Ordering::Relaxed);
            heard != 0 && now_milliseconds.saturating_sub(heard - 1) <= OBSERVED_MILLISECONDS
        }) || self.is_ready(node)
    }

    /// Nodes observed now.
    #[must_use]
    pub fn observed_nodes(&self, now_milliseconds: u64) -> usize {
        (0..self.heard.len())
            .filter_map(|at| u32::try_from(at).ok())
            .filter(|at| self.observed(NodeId(*at), now_milliseconds))
            .count()
    }

    fn slot(&self, node: NodeId) -> Option<&AtomicU64> {
        self.heard.get(usize::try_from(node.0).ok()?)
    }
}

/// What becomes of one direction of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its exporter is the authoritative observer.
    Counts,
    /// Another node's record counts.
    OtherObserver,
    /// A node that would be authoritative was never heard, but may yet be.
    Undecided,
}

/// Judges one direction of a record by the nodes of its exporter, source and destination. `young`: the
/// collector has not run for long enough to know who is observed.
#[must_use]
pub fn judge(
    observers: &Observers,
    exporter: Option<NodeId>,
    ends: [Option<NodeId>; 2],
    now_milliseconds: u64,
    young: bool,
) -> Verdict {
    let Some(exporter) = exporter else {
        return Verdict::Counts;
    };
    let mut undecided = false;
    for end in ends.into_iter().flatten() {
        if end == exporter {
            break;
        }
        if observers.observed(end, now_milliseconds) {
            return Verdict::OtherObserver;
        }
        undecided |= young && !observers.ever_heard(end);
    }
    if undecided {
        Verdict::Undecided
    } else {
        Verdict::Counts
    }
}

/// Settles what was undecided: whether the record counts after all. A node that was heard meanwhile
/// is observed, however long ago that was.
#[must_use]
pub fn settle(observers: &Observers, exporter: NodeId, ends: [Option<NodeId>; 2]) -> bool {
    ends.into_iter()
        .flatten()
        .take_while(|end| *end != exporter)
        .all(|end| !observers.ever_heard(end))
}

/// One direction of a record that waits for its verdict.
#[derive(Debug)]
pub struct Held {
    /// Node of the exporter.
    pub exporter: NodeId,
    /// Who sent.
    pub source: EndpointId,
    /// Who was sent to.
    pub destination: EndpointId,
    /// What it adds, if it counts.
    pub measures: Measures,
    /// Its line of the flow log, still open; empty where there is none.
    pub line: Vec<u8>,
    /// What is forwarded of it, if it counts.
    pub forward: Option<Box<Enriched>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Option<NodeId> = Some(NodeId(0));
    const OTHER: Option<NodeId> = Some(NodeId(1));
    const THIRD: Option<NodeId> = Some(NodeId(2));
    const NOW: u64 = 1_000_000_000;

    /// Nodes heard just now, and nodes heard too long ago.
    fn observers(heard: &[Option<NodeId>], lapsed: &[Option<NodeId>]) -> Observers {
        let observers = Observers::new(3);
        observers.heard(NodeId(0), NOW);
        for node in heard.iter().flatten() {
            observers.heard(*node, NOW);
        }
        for node in lapsed.iter().flatten() {
            observers.heard(*node, NOW - OBSERVED_MILLISECONDS - 1);
        }
        observers
    }

    fn verdict(observers: &Observers, ends: [Option<NodeId>; 2], young: bool) -> Verdict {
        judge(observers, X, ends, NOW, young)
    }

    #[test]
    fn an_exporter_that_is_no_known_node_counts_always() {
        let all = observers(&[OTHER, THIRD], &[]);
        assert_eq!(
            judge(&all, None, [OTHER, THIRD], NOW, true),
            Verdict::Counts
        );
    }

    #[test]
    fn the_source_nodes_record_counts() {
        let all = observers(&[OTHER], &[]);
        assert_eq!(verdict(&all, [X, OTHER], true), Verdict::Counts);
        assert_eq!(verdict(&all, [X, None], true), Verdict::Counts);
        assert_eq!(verdict(&all, [X, X], true), Verdict::Counts);
    }

    #[test]
    fn the_destination_nodes_record_counts_where_the_source_is_on_no_known_node() {
        assert_eq!(
            verdict(&observers(&[], &[]), [None, X], true),
            Verdict::Counts
        );
    }

    #[test]
    fn the_destination_nodes_record_does_not_count_where_the_source_node_is_observed() {
        let all = observers(&[OTHER], &[]);
        assert_eq!(verdict(&all, [OTHER, X], false), Verdict::OtherObserver);
    }

    #[test]
    fn the_destination_nodes_record_counts_where_the_source_node_fell_silent() {
        let lapsed = observers(&[], &[OTHER]);
        assert_eq!(verdict(&lapsed, [OTHER, X], true), Verdict::Counts);
        let never = observers(&[], &[]);
        assert_eq!(verdict(&never, [OTHER, X], false), Verdict::Counts);
    }

    #[test]
    fn a_young_collector_does_not_decide_on_a_node_it_never_heard() {
        let never = observers(&[], &[]);
        assert_eq!(verdict(&never, [OTHER, X], true), Verdict::Undecided);
    }

    #[test]
    fn a_node_in_transit_does_not_count_where_either_ends_node_is_observed() {
        for ends in [[OTHER, THIRD], [THIRD, OTHER], [None, OTHER], [OTHER, None]] {
            let one = observers(&[OTHER], &[]);
            assert_eq!(
                verdict(&one, ends, true),
                Verdict::OtherObserver,
                "{ends:?}"
            );
        }
    }

    #[test]
    fn a_node_in_transit_counts_where_no_end_is_on_an_observed_node() {
        let lapsed = observers(&[], &[OTHER, THIRD]);
        for ends in [[OTHER, THIRD], [None, THIRD], [None, None]] {
            assert_eq!(verdict(&lapsed, ends, true), Verdict::Counts, "{ends:?}");
        }
    }

    #[test]
    fn a_node_in_transit_waits_for_ends_that_a_young_collector_never_heard() {
        let lapsed = observers(&[], &[OTHER]);
        for ends in [[OTHER, THIRD], [THIRD, OTHER], [None, THIRD], [THIRD, None]] {
            assert_eq!(verdict(&lapsed, ends, true), Verdict::Undecided, "{ends:?}");
            assert_eq!(verdict(&lapsed, ends, false), Verdict::Counts, "{ends:?}");
        }
    }

    #[test]
    fn what_was_undecided_counts_unless_its_authoritative_node_was_heard_meanwhile() {
        let observers = observers(&[], &[]);
        assert!(settle(&observers, NodeId(0), [OTHER, X]));
        observers.heard(NodeId(1), NOW - 10 * OBSERVED_MILLISECONDS);
        assert!(!settle(&observers, NodeId(0), [OTHER, X]));
        assert!(settle(&observers, NodeId(0), [X, OTHER]));
    }

    #[test]
    fn a_node_is_observed_for_three_minutes_after_it_was_heard() {
        let observers = Observers::new(1);
        assert!(!observers.observed(NodeId(0), 0));
        observers.heard(NodeId(0), 5);
        assert!(observers.observed(NodeId(0), 5 + OBSERVED_MILLISECONDS));
        assert!(!observers.observed(NodeId(0), 6 + OBSERVED_MILLISECONDS));
    }

    #[test]
    fn a_node_whose_probe_is_ready_is_observed_before_it_was_heard() {
        let observers = Observers::new(2);
        observers.set_ready(NodeId(1), true);
        assert_eq!(
            verdict(&observers, [OTHER, X], true),
            Verdict::OtherObserver
        );
        observers.set_ready(NodeId(1), false);
        assert_eq!(verdict(&observers, [OTHER, X], false), Verdict::Counts);
    }
}
