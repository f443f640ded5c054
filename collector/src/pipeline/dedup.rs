//! Dedup: of the observers that see a flow, the record of the authoritative one counts.
//!
//! The authoritative observer is the source's node if that node observed the packets, else the
//! destination's node if that one did, else whichever exporter reports them. Each direction of a
//! biflow record is judged separately, so it does not matter which end a Metering Process took for
//! the source.
//!
//! A node observed the packets if one of its exporters sent a Message at or after their end, or if
//! Kubernetes reports a probe on it as Ready ([`Observers`]). So a probe that dies is noticed by
//! the time of the packets.
//!
//! | exporter's node | source's node | destination's node | the record |
//! |---|---|---|---|
//! | X | X | any | counts |
//! | X | unknown | X | counts |
//! | X | observed | any | other observer |
//! | X | silent | X | counts |
//! | X | uncertain | X | undecided |
//! | X, in transit, or unknown: a router | neither end observed | | counts |
//! | X, in transit, or unknown: a router | one end observed | | other observer |
//! | X, in transit, or unknown: a router | no end observed, one uncertain | | undecided |
//!
//! Uncertain is a node that was silent since before the end of the packets, but for less than an
//! active timeout and the wait, and, while the collector is in warm-up, a node without any Message.
//!
//! An example of transit is the node at which a NodePort connection enters. If the client's address
//! is kept, both that node and the pod's node see client → pod, and only the pod's node counts it.
//! If it is not kept, the two legs have different keys, and each is counted by its own node.
//!
//! Collectors share no state, so any number of them agree.

use super::observers::{Observation, Observers};
use crate::inventory::NodeId;

/// Who the authoritative observer of a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// The exporter of this record.
    ThisRecord,
    /// Another node.
    OtherObserver,
    /// This node, from which no Message has arrived since the packets ended a moment ago.
    Presumed(NodeId),
    /// It is not known before this time.
    Undecided(u64),
}

/// What a flow is judged by. Times are of the monotonic clock, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// Node of the exporter, if that is a known one.
    pub(super) exporter: Option<NodeId>,
    /// Nodes of source and destination.
    pub(super) nodes: [Option<NodeId>; 2],
    /// First and last packet.
    pub(super) packets: (u64, u64),
}

/// How much is known when a flow is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// The collector has not run for long enough to know which nodes are observed.
    #[default]
    WarmUp,
    /// It has.
    Running,
    /// The flow must be decided now.
    LastChance,
}

/// Judges a flow.
pub(super) fn judge(observers: &Observers, flow: &Observed, now: u64, stage: Stage) -> Authority {
    let mut undecided_until = None;
    for node in flow.nodes.into_iter().flatten() {
        if Some(node) == flow.exporter {
            break;
        }
        match observers.observation(node, flow.packets, now) {
            Observation::Certain => return Authority::OtherObserver,
            Observation::Presumed => return Authority::Presumed(node),
            Observation::Uncertain if stage == Stage::LastChance => {
                return Authority::Presumed(node);
            }
            Observation::Uncertain => {
                // The record is judged again before that, since a Message may arrive.
                let wait = observers.timeouts().wait_milliseconds;
                let until = observers.certain_at(node).min(now.saturating_add(wait));
                undecided_until = undecided_until.max(Some(until));
            }
            Observation::Unheard if stage == Stage::WarmUp => {
                undecided_until = Some(u64::MAX);
            }
            Observation::Unheard | Observation::None => {}
        }
    }
    match undecided_until {
        Some(until) => Authority::Undecided(until),
        None => Authority::ThisRecord,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::observers::ObserverTimeouts;

    const X: Option<NodeId> = Some(NodeId(0));
    const OTHER: Option<NodeId> = Some(NodeId(1));
    const THIRD: Option<NodeId> = Some(NodeId(2));
    const NOW: u64 = 1_000_000_000;
    const WAIT: u64 = 10_000;
    const SILENCE: u64 = 70_000;

    /// Nodes from which a Message has just arrived, and nodes that have been silent for this long.
    fn observers(recent: &[Option<NodeId>], silent: &[Option<NodeId>], for_: u64) -> Observers {
        let timeouts = ObserverTimeouts {
            wait_milliseconds: WAIT,
            active_milliseconds: SILENCE - WAIT,
        };
        let observers = Observers::new(3, timeouts);
        for node in silent.iter().flatten() {
            observers.on_message(*node, NOW - for_);
        }
        for node in recent.iter().chain([&X]).flatten() {
            observers.on_message(*node, NOW);
        }
        observers
    }

    fn judged(
        observers: &Observers,
        exporter: Option<NodeId>,
        nodes: [Option<NodeId>; 2],
        stage: Stage,
    ) -> Authority {
        let flow = Observed {
            exporter,
            nodes,
            packets: (NOW - 1000, NOW),
        };
        judge(observers, &flow, NOW, stage)
    }

    #[test]
    fn the_record_of_the_sources_node_counts() {
        let all = observers(&[OTHER], &[], 0);
        for nodes in [[X, OTHER], [X, None], [X, X]] {
            assert_eq!(judged(&all, X, nodes, Stage::WarmUp), Authority::ThisRecord);
        }
    }

    #[test]
    fn the_record_of_the_destinations_node_counts_if_the_source_is_on_no_known_node() {
        let all = observers(&[], &[], 0);
        let authority = judged(&all, X, [None, X], Stage::WarmUp);
        assert_eq!(authority, Authority::ThisRecord);
    }

    #[test]
    fn the_record_of_the_destinations_node_does_not_count_if_the_sources_node_is_observed() {
        let all = observers(&[OTHER], &[], 0);
        for stage in [Stage::WarmUp, Stage::Running, Stage::LastChance] {
            let authority = judged(&all, X, [OTHER, X], stage);
            assert_eq!(authority, Authority::OtherObserver);
        }
    }

    #[test]
    fn a_node_that_was_silent_for_a_moment_is_presumed_to_observe() {
        let moment = observers(&[], &[OTHER], WAIT);
        let authority = judged(&moment, X, [OTHER, X], Stage::Running);
        assert_eq!(authority, Authority::Presumed(NodeId(1)));
    }

    #[test]
    fn a_silent_node_is_uncertain_until_it_is_certainly_silent() {
        let silent = observers(&[], &[OTHER], WAIT + 5000);
        let undecided = Authority::Undecided(NOW + WAIT);
        assert_eq!(judged(&silent, X, [OTHER, X], Stage::Running), undecided);
        let later = observers(&[], &[OTHER], SILENCE - 5000);
        let undecided = Authority::Undecided(NOW + 5001);
        assert_eq!(judged(&later, X, [OTHER, X], Stage::Running), undecided);
        let authority = judged(&later, X, [OTHER, X], Stage::LastChance);
        assert_eq!(authority, Authority::Presumed(NodeId(1)));
        let dead = observers(&[], &[OTHER], SILENCE + 1);
        let authority = judged(&dead, X, [OTHER, X], Stage::WarmUp);
        assert_eq!(authority, Authority::ThisRecord);
    }

    #[test]
    fn a_node_without_any_message_is_uncertain_in_warm_up_only() {
        let never = observers(&[], &[], 0);
        let undecided = Authority::Undecided(u64::MAX);
        assert_eq!(judged(&never, X, [OTHER, X], Stage::WarmUp), undecided);
        for stage in [Stage::Running, Stage::LastChance] {
            let authority = judged(&never, X, [OTHER, X], stage);
            assert_eq!(authority, Authority::ThisRecord);
        }
    }

    #[test]
    fn a_record_in_transit_or_of_a_router_does_not_count_if_either_end_is_observed() {
        let one = observers(&[OTHER], &[], 0);
        for exporter in [X, None] {
            for nodes in [[OTHER, THIRD], [THIRD, OTHER], [None, OTHER], [OTHER, None]] {
                let authority = judged(&one, exporter, nodes, Stage::WarmUp);
                assert_eq!(authority, Authority::OtherObserver, "{nodes:?}");
            }
        }
    }

    #[test]
    fn a_record_in_transit_or_of_a_router_counts_if_no_end_is_observed() {
        let dead = observers(&[], &[OTHER, THIRD], SILENCE + 1);
        for exporter in [X, None] {
            for nodes in [[OTHER, THIRD], [None, THIRD], [None, None]] {
                let authority = judged(&dead, exporter, nodes, Stage::WarmUp);
                assert_eq!(authority, Authority::ThisRecord, "{nodes:?}");
            }
        }
    }

    #[test]
    fn a_record_in_transit_or_of_a_router_is_undecided_if_an_end_is_uncertain() {
        let dead = observers(&[], &[OTHER], SILENCE + 1);
        for exporter in [X, None] {
            for nodes in [[OTHER, THIRD], [THIRD, OTHER], [None, THIRD], [THIRD, None]] {
                let undecided = Authority::Undecided(u64::MAX);
                let authority = judged(&dead, exporter, nodes, Stage::WarmUp);
                assert_eq!(authority, undecided, "{nodes:?}");
                let authority = judged(&dead, exporter, nodes, Stage::Running);
                assert_eq!(authority, Authority::ThisRecord, "{nodes:?}");
            }
        }
    }
}
