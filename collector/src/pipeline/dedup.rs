//! Dedup: of the two nodes that see a flow, the record of the authoritative observer counts.
//!
//! The authoritative observer is the source's node if that node is observed, else the destination's node if that one
//! is. A node is observed if an exporter on it sent a Message within the last [`super::observers::OBSERVED_MILLISECONDS`], or if
//! Kubernetes reports a probe on it as Ready. Each direction of a biflow record is judged by itself, so that it does
//! not matter which end a Metering Process took for the source.
//!
//! | exporter's node | source's node | destination's node | the record |
//! |---|---|---|---|
//! | unknown: a router, an external tool | any | any | counts |
//! | X | X | any | counts |
//! | X | unknown | X | counts |
//! | X | observed | X | other observer |
//! | X | not observed lately | X | counts |
//! | X | never observed, collector in warm-up | X | undecided |
//! | X | observed | any but X | other observer |
//! | X | unknown, or not observed | observed, not X | other observer |
//! | X, in transit | unknown or not observed lately | unknown or not observed lately | counts |
//! | X, in transit | an end never observed, collector in warm-up | no end observed | undecided |
//!
//! An example of transit is the node at which a NodePort connection enters. If the client's address is kept, both that
//! node and the pod's node see client → pod, and only the pod's node counts it. If it is not kept, the two legs have
//! different keys, and each is counted by its own node.
//!
//! An undecided record is pending until the silent node was observed (that node's record counts) or the wait is over
//! (this one does). Collectors share no state, so any number of them agree.

use super::observers::Observers;
use crate::inventory::NodeId;

/// What is known of the authoritative observer of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// The exporter of this record is.
    ThisRecord,
    /// Another node is.
    OtherObserver,
    /// A node that would be has not been observed, but may be yet.
    Undecided,
}

/// Judges a flow by the nodes of its exporter, source and destination. `in_warm_up`: the collector has not run for long
/// enough to know which nodes are observed.
#[inline]
pub(super) fn judge(
    observers: &Observers,
    exporter: Option<NodeId>,
    nodes: [Option<NodeId>; 2],
    now_milliseconds: u64,
    in_warm_up: bool,
) -> Authority {
    let Some(exporter) = exporter else {
        return Authority::ThisRecord;
    };
    let mut undecided = false;
    for node in nodes.into_iter().flatten() {
        if node == exporter {
            break;
        }
        if observers.is_observed(node, now_milliseconds) {
            return Authority::OtherObserver;
        }
        undecided |= in_warm_up && !observers.was_observed(node);
    }
    if undecided {
        Authority::Undecided
    } else {
        Authority::ThisRecord
    }
}

/// Decides a flow that was undecided: a node that was observed in the meantime is the authoritative one.
pub(super) fn resolve(
    observers: &Observers,
    exporter: Option<NodeId>,
    nodes: [Option<NodeId>; 2],
) -> Authority {
    let mut before = nodes
        .into_iter()
        .flatten()
        .take_while(|node| Some(*node) != exporter);
    if before.any(|node| observers.was_observed(node)) {
        Authority::OtherObserver
    } else {
        Authority::ThisRecord
    }
}

#[cfg(test)]
mod tests {
    use super::super::observers::OBSERVED_MILLISECONDS;
    use super::*;

    const X: Option<NodeId> = Some(NodeId(0));
    const OTHER: Option<NodeId> = Some(NodeId(1));
    const THIRD: Option<NodeId> = Some(NodeId(2));
    const NOW: u64 = 1_000_000_000;

    /// Nodes observed just now, and nodes observed too long ago.
    fn observers(recent: &[Option<NodeId>], lapsed: &[Option<NodeId>]) -> Observers {
        let observers = Observers::new(3);
        observers.on_message(NodeId(0), NOW);
        for node in recent.iter().flatten() {
            observers.on_message(*node, NOW);
        }
        for node in lapsed.iter().flatten() {
            observers.on_message(*node, NOW - OBSERVED_MILLISECONDS - 1);
        }
        observers
    }

    fn verdict(observers: &Observers, nodes: [Option<NodeId>; 2], in_warm_up: bool) -> Authority {
        judge(observers, X, nodes, NOW, in_warm_up)
    }

    #[test]
    fn the_record_of_an_exporter_on_no_known_node_always_counts() {
        let all = observers(&[OTHER, THIRD], &[]);
        assert_eq!(
            judge(&all, None, [OTHER, THIRD], NOW, true),
            Authority::ThisRecord
        );
    }

    #[test]
    fn the_record_of_the_sources_node_counts() {
        let all = observers(&[OTHER], &[]);
        assert_eq!(verdict(&all, [X, OTHER], true), Authority::ThisRecord);
        assert_eq!(verdict(&all, [X, None], true), Authority::ThisRecord);
        assert_eq!(verdict(&all, [X, X], true), Authority::ThisRecord);
    }

    #[test]
    fn the_record_of_the_destinations_node_counts_if_the_source_is_on_no_known_node() {
        assert_eq!(
            verdict(&observers(&[], &[]), [None, X], true),
            Authority::ThisRecord
        );
    }

    #[test]
    fn the_record_of_the_destinations_node_does_not_count_if_the_sources_node_is_observed() {
        let all = observers(&[OTHER], &[]);
        assert_eq!(verdict(&all, [OTHER, X], false), Authority::OtherObserver);
    }

    #[test]
    fn the_record_of_the_destinations_node_counts_once_the_sources_node_is_silent() {
        let lapsed = observers(&[], &[OTHER]);
        assert_eq!(verdict(&lapsed, [OTHER, X], true), Authority::ThisRecord);
        let never = observers(&[], &[]);
        assert_eq!(verdict(&never, [OTHER, X], false), Authority::ThisRecord);
    }

    #[test]
    fn a_collector_in_warm_up_does_not_decide_about_a_node_it_has_not_observed() {
        let never = observers(&[], &[]);
        assert_eq!(verdict(&never, [OTHER, X], true), Authority::Undecided);
    }

    #[test]
    fn a_node_in_transit_does_not_count_if_the_node_of_either_end_is_observed() {
        for nodes in [[OTHER, THIRD], [THIRD, OTHER], [None, OTHER], [OTHER, None]] {
            let one = observers(&[OTHER], &[]);
            assert_eq!(
                verdict(&one, nodes, true),
                Authority::OtherObserver,
                "{nodes:?}"
            );
        }
    }

    #[test]
    fn a_node_in_transit_counts_if_no_end_is_on_an_observed_node() {
        let lapsed = observers(&[], &[OTHER, THIRD]);
        for nodes in [[OTHER, THIRD], [None, THIRD], [None, None]] {
            assert_eq!(
                verdict(&lapsed, nodes, true),
                Authority::ThisRecord,
                "{nodes:?}"
            );
        }
    }

    #[test]
    fn a_node_in_transit_is_undecided_in_warm_up_if_an_end_was_not_observed() {
        let lapsed = observers(&[], &[OTHER]);
        for nodes in [[OTHER, THIRD], [THIRD, OTHER], [None, THIRD], [THIRD, None]] {
            assert_eq!(
                verdict(&lapsed, nodes, true),
                Authority::Undecided,
                "{nodes:?}"
            );
            assert_eq!(
                verdict(&lapsed, nodes, false),
                Authority::ThisRecord,
                "{nodes:?}"
            );
        }
    }

    #[test]
    fn an_undecided_record_counts_unless_the_other_node_was_observed_in_the_meantime() {
        let observers = observers(&[], &[]);
        let counts = |observers: &Observers, exporter, nodes| {
            resolve(observers, exporter, nodes) == Authority::ThisRecord
        };
        assert!(counts(&observers, Some(NodeId(0)), [OTHER, X]));
        observers.on_message(NodeId(1), NOW - 10 * OBSERVED_MILLISECONDS);
        assert!(!counts(&observers, Some(NodeId(0)), [OTHER, X]));
        assert!(counts(&observers, Some(NodeId(0)), [X, OTHER]));
    }

    #[test]
    fn a_node_is_observed_for_three_minutes_after_a_message() {
        let observers = Observers::new(1);
        assert!(!observers.is_observed(NodeId(0), 0));
        observers.on_message(NodeId(0), 5);
        assert!(observers.is_observed(NodeId(0), 5 + OBSERVED_MILLISECONDS));
        assert!(!observers.is_observed(NodeId(0), 6 + OBSERVED_MILLISECONDS));
    }

    #[test]
    fn a_node_with_a_ready_probe_is_observed_before_its_first_message() {
        let observers = Observers::new(2);
        observers.set_ready(NodeId(1), true);
        assert_eq!(
            verdict(&observers, [OTHER, X], true),
            Authority::OtherObserver
        );
        observers.set_ready(NodeId(1), false);
        assert_eq!(
            verdict(&observers, [OTHER, X], false),
            Authority::ThisRecord
        );
    }
}
