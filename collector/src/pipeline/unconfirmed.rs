//! Records left out for an observer that is presumed to live: how many, until its next Message
//! confirms them or its silence refutes them.

use super::counts::RecordCounts;
use super::decided::Reason;
use super::observers::{Observation, Observers};
use crate::inventory::NodeId;

/// The records of one pipeline, by the node of the presumed observer.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    nodes: Box<[LeftOut]>,
    /// Nodes with records.
    open: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    records: u64,
    /// [`Observers::last_message`] when they were left out.
    last_message: u64,
}

impl Unconfirmed {
    /// Creates the state of `nodes` nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![LeftOut::default(); nodes].into(),
            open: Vec::new(),
        }
    }

    /// Adds a record that was left out for a presumed observer on `node`, if it was.
    #[inline]
    pub(super) fn add(
        &mut self,
        node: Option<NodeId>,
        observers: &Observers,
        counts: &mut RecordCounts,
    ) {
        let Some(node) = node else {
            return;
        };
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        let Some(left_out) = self.nodes.get_mut(at) else {
            return;
        };
        let last_message = observers.last_message(node);
        if left_out.records == 0 {
            self.open.push(node.0);
        } else if left_out.last_message != last_message {
            counts.settle(Reason::OtherObserver, left_out.records);
            left_out.records = 0;
        }
        left_out.last_message = last_message;
        left_out.records = left_out.records.saturating_add(1);
    }

    /// Settles the records of nodes that have sent a Message, or that are silent. At the end, all
    /// of them.
    pub(super) fn settle(
        &mut self,
        observers: &Observers,
        now: u64,
        is_end: bool,
        counts: &mut RecordCounts,
    ) {
        let nodes = &mut self.nodes;
        self.open.retain(|number| {
            let node = NodeId(*number);
            let at = usize::try_from(*number).unwrap_or(usize::MAX);
            let Some(left_out) = nodes.get_mut(at) else {
                return false;
            };
            let has_sent = left_out.last_message != observers.last_message(node);
            let is_silent = || observers.observation(node, (now, now), now) == Observation::None;
            let reason = if has_sent {
                Reason::OtherObserver
            } else if is_silent() {
                Reason::ObserverLost
            } else if is_end {
                Reason::OtherObserver
            } else {
                return true;
            };
            counts.settle(reason, std::mem::take(&mut left_out.records));
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::observers::ObserverTimeouts;

    const NODE: NodeId = NodeId(1);

    fn observers() -> Observers {
        let timeouts = ObserverTimeouts {
            wait_milliseconds: 10,
            active_milliseconds: 60,
        };
        let observers = Observers::new(2, timeouts);
        observers.on_message(NODE, 1000);
        observers
    }

    fn left_out(observers: &Observers, records: u64) -> (Unconfirmed, RecordCounts) {
        let mut unconfirmed = Unconfirmed::new(2);
        let mut counts = RecordCounts {
            unconfirmed: records,
            ..RecordCounts::default()
        };
        for _ in 0..records {
            unconfirmed.add(Some(NODE), observers, &mut counts);
        }
        (unconfirmed, counts)
    }

    fn settled(counts: &RecordCounts) -> [u64; 3] {
        let of = |reason| counts.not_counted[reason];
        [
            counts.unconfirmed,
            of(Reason::OtherObserver),
            of(Reason::ObserverLost),
        ]
    }

    #[test]
    fn a_message_of_the_observer_confirms_what_was_left_out() {
        let observers = observers();
        let (mut unconfirmed, mut counts) = left_out(&observers, 3);
        unconfirmed.settle(&observers, 1005, false, &mut counts);
        assert_eq!(settled(&counts), [3, 0, 0]);
        observers.on_message(NODE, 1020);
        unconfirmed.settle(&observers, 1020, false, &mut counts);
        assert_eq!(settled(&counts), [0, 3, 0]);
        assert!(unconfirmed.open.is_empty());
    }

    #[test]
    fn a_later_record_confirms_earlier_ones_if_there_was_a_message() {
        let observers = observers();
        let (mut unconfirmed, mut counts) = left_out(&observers, 3);
        observers.on_message(NODE, 1020);
        counts.unconfirmed += 1;
        unconfirmed.add(Some(NODE), &observers, &mut counts);
        assert_eq!(settled(&counts), [1, 3, 0]);
    }

    #[test]
    fn what_was_left_out_for_a_node_that_stays_silent_is_lost() {
        let observers = observers();
        let (mut unconfirmed, mut counts) = left_out(&observers, 3);
        unconfirmed.settle(&observers, 1070, false, &mut counts);
        assert_eq!(settled(&counts), [3, 0, 0]);
        unconfirmed.settle(&observers, 1071, false, &mut counts);
        assert_eq!(settled(&counts), [0, 0, 3]);
    }

    #[test]
    fn at_the_end_nothing_stays_unconfirmed() {
        let observers = observers();
        let (mut unconfirmed, mut counts) = left_out(&observers, 3);
        unconfirmed.settle(&observers, 1005, true, &mut counts);
        assert_eq!(settled(&counts), [0, 3, 0]);
    }
}
