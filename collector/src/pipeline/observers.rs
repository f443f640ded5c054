//! Which nodes are observed, and when: the times of Messages from each, and the readiness of its probe.
//!
//! All times are of the monotonic clock, in milliseconds. A time of packets is moved to it by its age at arrival.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::inventory::NodeId;

/// When a node without Messages is taken to be unobserved.
#[derive(Clone, Copy, Debug)]
pub struct ObserverTimeouts {
    /// Time in which a Message of an observed node arrives, milliseconds. Packets that ended this long after the last
    /// Message are still taken to be observed.
    pub wait_milliseconds: u64,
    /// Active timeout of the exporters, milliseconds: a node may be silent for this long although it observes a flow.
    pub active_milliseconds: u64,
}

impl ObserverTimeouts {
    /// Silence after which a node is certainly not observed any more, milliseconds.
    #[must_use]
    pub const fn silence_milliseconds(&self) -> u64 {
        self.active_milliseconds
            .saturating_add(self.wait_milliseconds)
    }
}

/// The observers of all nodes. All pipelines share it; it is written once a Message.
#[derive(Debug)]
pub struct Observers {
    nodes: Box<[Observer]>,
    /// Any node has sent a Message, or has a Ready probe.
    is_any: AtomicBool,
    timeouts: ObserverTimeouts,
}

/// Times are plus one, so that 0 is never. Each has a line of the processor's cache, because several threads write.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Observer {
    /// The last Message.
    last: AtomicU64,
    /// The first Message after a silence.
    first: AtomicU64,
    /// The first packets that were observed after that silence.
    since: AtomicU64,
    /// The last Message before that silence.
    before: AtomicU64,
    /// The last TCP record without the octets behind its transport header.
    without_transport_octets: AtomicU64,
    readiness: AtomicU8,
}

/// Kubernetes has not reported a probe.
const UNKNOWN: u8 = 0;
const READY: u8 = 1;
const NOT_READY: u8 = 2;
/// The probe was deleted.
const ABSENT: u8 = 3;

/// Whether the packets of a flow were observed on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observation {
    /// A Message arrived at or after the end of the packets, or the probe is Ready.
    Certain,
    /// The last Message is a little older than the end of the packets.
    Presumed,
    /// The node has been silent since before the end of the packets, but not for long enough to be sure.
    Uncertain,
    /// No Message has arrived from the node, ever.
    Unheard,
    /// The node was silent when the packets were sent.
    None,
}

impl Observers {
    /// Creates the state of `nodes` nodes, of which none is observed.
    #[must_use]
    pub fn new(nodes: usize, timeouts: ObserverTimeouts) -> Self {
        Self {
            nodes: (0..nodes).map(|_| Observer::default()).collect(),
            is_any: AtomicBool::new(false),
            timeouts,
        }
    }

    /// Number of nodes.
    pub(super) const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The timeouts.
    #[must_use]
    pub const fn timeouts(&self) -> ObserverTimeouts {
        self.timeouts
    }

    /// Sets whether Kubernetes reports a probe on `node` as Ready.
    pub fn set_ready(&self, node: NodeId, is_ready: bool) {
        if let Some(observer) = self.get(node) {
            let readiness = if is_ready { READY } else { NOT_READY };
            observer.readiness.store(readiness, Ordering::Relaxed);
            self.is_any.fetch_or(is_ready, Ordering::Relaxed);
        }
    }

    /// Records that Kubernetes no longer reports a probe on `node`. Another exporter may replace it:
    /// then its first Message ends this state.
    pub fn set_absent(&self, node: NodeId) {
        if let Some(observer) = self.get(node) {
            observer.readiness.store(ABSENT, Ordering::Relaxed);
        }
    }

    /// Forgets a node, because another one takes its number.
    pub fn reset(&self, node: NodeId) {
        if let Some(observer) = self.get(node) {
            let times = [
                &observer.last,
                &observer.first,
                &observer.since,
                &observer.before,
                &observer.without_transport_octets,
            ];
            for time in times {
                time.store(0, Ordering::Relaxed);
            }
            observer.readiness.store(UNKNOWN, Ordering::Relaxed);
        }
    }

    /// True if any node was ever observed.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Reads the line of a node, so that it is in the processor's cache when flows are judged. The result has no meaning
    /// but to keep the read.
    #[inline]
    pub(super) fn touch(&self, node: NodeId) -> u64 {
        self.last_message(node)
    }

    /// Records a Message that arrived from an exporter on `node`.
    #[inline]
    pub fn on_message(&self, node: NodeId, arrived: u64) {
        let Some(observer) = self.get(node) else {
            return;
        };
        let arrived = arrived.saturating_add(1);
        let last = observer.last.load(Ordering::Relaxed);
        if observer.is(ABSENT) {
            // Not the probe, which is gone. Its silence has no shorter limit.
            observer.readiness.store(UNKNOWN, Ordering::Relaxed);
        }
        if arrived.saturating_sub(last) > observer.silence(self.timeouts) {
            self.on_first_message(observer, last, arrived);
        }
        if arrived > last {
            observer.last.store(arrived, Ordering::Relaxed);
        }
    }

    /// Records that a node is observed again, or for the first time.
    #[cold]
    fn on_first_message(&self, observer: &Observer, last: u64, arrived: u64) {
        observer.first.store(arrived, Ordering::Relaxed);
        if last == 0 {
            // Its first records are of packets that are up to an active timeout old.
            let since = arrived.saturating_sub(self.timeouts.silence_milliseconds());
            observer.since.store(since, Ordering::Relaxed);
            self.is_any.store(true, Ordering::Relaxed);
        } else if !observer.is(READY) {
            // A Ready probe may have sent its Messages to another collector.
            observer.before.store(last, Ordering::Relaxed);
            observer.since.store(arrived, Ordering::Relaxed);
        }
    }

    /// True if `node` has been observed for less than an active timeout.
    #[inline]
    pub(super) fn is_new(&self, node: NodeId, now: u64) -> bool {
        self.get(node).is_some_and(|observer| {
            let first = observer.first.load(Ordering::Relaxed);
            now < first.saturating_add(self.timeouts.silence_milliseconds())
        })
    }

    /// Records packets that an exporter on `node` has metered before its first Message after a silence.
    #[cold]
    pub(super) fn on_earlier_packets(&self, node: NodeId, packets: u64) {
        if let Some(observer) = self.get(node) {
            let before = observer.before.load(Ordering::Relaxed);
            let first = observer.first.load(Ordering::Relaxed);
            let earliest = first.saturating_sub(self.timeouts.silence_milliseconds());
            let packets = packets.saturating_add(1).max(before).max(earliest);
            observer.since.fetch_min(packets, Ordering::Relaxed);
        }
    }

    /// Records a TCP record of an exporter on `node` without the octets behind its transport header (401).
    pub(super) fn on_missing_transport_octets(&self, node: NodeId, now: u64) {
        if let Some(observer) = self.get(node) {
            let last = &observer.without_transport_octets;
            last.store(now.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// True if an exporter on `node` has recently sent a TCP record without these octets. Until it sends one, it is
    /// presumed to report them: with its first Message, it usually sends one.
    pub(super) fn lacks_transport_octets(&self, node: NodeId, now: u64) -> bool {
        self.get(node).is_some_and(|observer| {
            let last = observer.without_transport_octets.load(Ordering::Relaxed);
            let age = now.saturating_add(1).saturating_sub(last);
            last != 0 && age <= self.timeouts.silence_milliseconds()
        })
    }

    /// Whether packets that were sent from `start` to `end` were observed on `node`, as far as is known now.
    #[inline]
    pub(super) fn observation(
        &self,
        node: NodeId,
        (start, end): (u64, u64),
        now: u64,
    ) -> Observation {
        match self.get(node) {
            Some(observer) => observer.observation((start, end), now, self.timeouts),
            None => Observation::None,
        }
    }

    /// When it becomes certain that a silent node is not observed.
    pub(super) fn certain_at(&self, node: NodeId) -> u64 {
        self.get(node).map_or(0, |observer| {
            let last = observer.last.load(Ordering::Relaxed);
            last.saturating_add(observer.silence(self.timeouts))
        })
    }

    /// Time of the last Message from `node`, plus one; 0 if there was none.
    pub(super) fn last_message(&self, node: NodeId) -> u64 {
        let observer = self.get(node);
        observer.map_or(0, |observer| observer.last.load(Ordering::Relaxed))
    }

    /// Number of nodes observed now.
    #[must_use]
    pub fn observed_nodes(&self, now: u64) -> usize {
        let is_observed = |observer: &&Observer| {
            let observation = observer.observation((now, now), now, self.timeouts);
            matches!(
                observation,
                Observation::Certain | Observation::Presumed | Observation::Uncertain
            )
        };
        self.nodes.iter().filter(is_observed).count()
    }

    #[inline]
    fn get(&self, node: NodeId) -> Option<&Observer> {
        self.nodes.get(usize::try_from(node.0).ok()?)
    }
}

impl Observer {
    fn is(&self, readiness: u8) -> bool {
        self.readiness.load(Ordering::Relaxed) == readiness
    }

    /// Silence after which the node is not observed any more. A probe that is known not to be Ready is not waited for.
    #[inline]
    fn silence(&self, timeouts: ObserverTimeouts) -> u64 {
        if self.is(NOT_READY) || self.is(ABSENT) {
            timeouts.wait_milliseconds
        } else {
            timeouts.silence_milliseconds()
        }
    }

    #[inline]
    fn observation(
        &self,
        (start, end): (u64, u64),
        now: u64,
        timeouts: ObserverTimeouts,
    ) -> Observation {
        let last = self.last.load(Ordering::Relaxed);
        if last == 0 {
            return if self.is(READY) {
                Observation::Certain
            } else {
                Observation::Unheard
            };
        }
        let since = self.since.load(Ordering::Relaxed);
        let middle = start.midpoint(end);
        if since > middle.saturating_add(1) {
            // Most of the packets are older than the Messages after the silence.
            let before = self.before.load(Ordering::Relaxed);
            let covered = before.saturating_add(timeouts.wait_milliseconds);
            return if end < covered {
                Observation::Certain
            } else {
                Observation::None
            };
        }
        if end < last || self.is(READY) {
            return Observation::Certain;
        }
        if end < last.saturating_add(timeouts.wait_milliseconds) {
            return Observation::Presumed;
        }
        if now.saturating_add(1).saturating_sub(last) > self.silence(timeouts) {
            Observation::None
        } else {
            Observation::Uncertain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{Certain, None, Presumed, Uncertain, Unheard};
    use super::*;

    const NODE: NodeId = NodeId(0);
    const WAIT: u64 = 10_000;
    const ACTIVE: u64 = 60_000;
    /// An hour, so that there is time before it.
    const T: u64 = 3_600_000;

    fn observers() -> Observers {
        let timeouts = ObserverTimeouts {
            wait_milliseconds: WAIT,
            active_milliseconds: ACTIVE,
        };
        Observers::new(1, timeouts)
    }

    fn at(observers: &Observers, packets: u64, now: u64) -> Observation {
        observers.observation(NODE, (packets, packets), now)
    }

    #[test]
    fn packets_before_the_last_message_are_observed_however_long_ago_that_is() {
        let observers = observers();
        assert_eq!(at(&observers, T, T), Unheard);
        observers.on_message(NODE, T);
        assert_eq!(at(&observers, T, T), Certain);
        assert_eq!(at(&observers, T - ACTIVE, T + 10 * ACTIVE), Certain);
        assert_eq!(at(&observers, T + 1, T + 1), Presumed);
        assert_eq!(at(&observers, T + WAIT, T + WAIT), Presumed);
    }

    #[test]
    fn a_silent_node_is_uncertain_for_an_active_timeout_and_the_wait() {
        let observers = observers();
        observers.on_message(NODE, T);
        let packets = T + WAIT + 1;
        assert_eq!(at(&observers, packets, packets), Uncertain);
        assert_eq!(at(&observers, packets, T + ACTIVE + WAIT), Uncertain);
        assert_eq!(at(&observers, packets, T + ACTIVE + WAIT + 1), None);
        assert!(observers.certain_at(NODE) <= T + ACTIVE + WAIT + 1);
        assert_eq!(at(&observers, T + WAIT, T + 10 * ACTIVE), Presumed);
    }

    #[test]
    fn packets_long_before_the_first_message_were_not_observed() {
        let observers = observers();
        observers.on_message(NODE, T);
        assert_eq!(at(&observers, T - ACTIVE - WAIT, T), Certain);
        assert_eq!(at(&observers, T - ACTIVE - WAIT - 2, T), None);
    }

    #[test]
    fn packets_within_a_silence_were_not_observed_though_the_node_is_back() {
        let observers = observers();
        observers.on_message(NODE, T);
        let back = T + 5 * ACTIVE;
        observers.on_message(NODE, back);
        assert_eq!(at(&observers, T, back), Certain);
        assert_eq!(at(&observers, T + WAIT, back), Certain);
        assert_eq!(at(&observers, T + WAIT + 1, back), None);
        assert_eq!(at(&observers, back - 1, back), None);
        assert_eq!(at(&observers, back, back), Certain);
        // Of packets on both sides of the restart, the larger part decides.
        let mostly_before = observers.observation(NODE, (back - 50_000, back + 100), back + 200);
        assert_eq!(mostly_before, None);
        let mostly_after = observers.observation(NODE, (back - 100, back + 150), back + 200);
        assert_eq!(mostly_after, Presumed);
    }

    #[test]
    fn a_node_that_is_back_has_observed_the_packets_of_its_records() {
        let observers = observers();
        observers.on_message(NODE, T);
        let back = T + 5 * ACTIVE;
        observers.on_message(NODE, back);
        assert!(observers.is_new(NODE, back));
        assert!(!observers.is_new(NODE, back + ACTIVE + WAIT + 1));
        observers.on_earlier_packets(NODE, back - 8000);
        assert_eq!(at(&observers, back - 8000, back), Certain);
        assert_eq!(at(&observers, back - 8001, back), None);
        observers.on_earlier_packets(NODE, back - 100);
        assert_eq!(at(&observers, back - 8000, back), Certain);
        // A wrong time does not cover the whole silence.
        for _ in 0..3 {
            observers.on_earlier_packets(NODE, 0);
        }
        assert_eq!(at(&observers, T + 2 * ACTIVE, back), None);
    }

    #[test]
    fn a_node_reports_octets_of_tcp_unless_a_recent_record_lacks_them() {
        let observers = observers();
        assert!(!observers.lacks_transport_octets(NODE, T));
        observers.on_missing_transport_octets(NODE, T);
        assert!(observers.lacks_transport_octets(NODE, T + ACTIVE + WAIT));
        assert!(!observers.lacks_transport_octets(NODE, T + ACTIVE + WAIT + 1));
        observers.reset(NODE);
        assert!(!observers.lacks_transport_octets(NODE, T));
    }

    #[test]
    fn a_ready_probe_is_observed_without_messages() {
        let observers = observers();
        observers.set_ready(NODE, true);
        assert_eq!(at(&observers, T, T), Certain);
        observers.on_message(NODE, T);
        assert_eq!(at(&observers, T + 10 * ACTIVE, T + 10 * ACTIVE), Certain);
        // Its Messages may go to another collector in the meantime.
        observers.on_message(NODE, T + 20 * ACTIVE);
        assert_eq!(at(&observers, T + 10 * ACTIVE, T + 20 * ACTIVE), Certain);
    }

    #[test]
    fn a_probe_that_is_not_ready_is_not_waited_for() {
        let observers = observers();
        observers.on_message(NODE, T);
        observers.set_ready(NODE, false);
        let packets = T + WAIT + 1;
        assert_eq!(at(&observers, packets, T + WAIT + 1), None);
        assert_eq!(at(&observers, T + 100, T + 200), Presumed);
        // The next probe begins a time of its own.
        observers.on_message(NODE, T + 30_000);
        observers.set_ready(NODE, true);
        assert_eq!(at(&observers, packets, T + 31_000), None);
        assert_eq!(at(&observers, T + 30_500, T + 31_000), Certain);
    }

    #[test]
    fn messages_may_be_recorded_late() {
        let observers = observers();
        observers.on_message(NODE, T + 1000);
        observers.on_message(NODE, T);
        assert_eq!(at(&observers, T + 1000, T + 1000), Certain);
        assert_eq!(observers.observed_nodes(T + 1000), 1);
        assert_eq!(observers.observed_nodes(T + 10 * ACTIVE), 0);
    }

    #[test]
    fn an_exporter_that_replaces_a_deleted_probe_is_waited_for_like_any_other() {
        let observers = observers();
        observers.set_ready(NODE, true);
        observers.on_message(NODE, T);
        observers.set_absent(NODE);
        let packets = T + WAIT + 1;
        assert_eq!(at(&observers, packets, T + WAIT + 1), None);
        // Another exporter sends from the node, with pauses.
        observers.on_message(NODE, T + WAIT);
        let later = T + 3 * WAIT;
        assert_eq!(at(&observers, later, later), Uncertain);
        observers.on_message(NODE, later);
        assert_eq!(at(&observers, T + 2 * WAIT + 1, later), Certain);
    }

    #[test]
    fn a_node_that_takes_the_number_of_another_one_begins_unobserved() {
        let observers = observers();
        observers.set_ready(NODE, true);
        observers.on_message(NODE, T);
        observers.on_message(NODE, T + 5 * ACTIVE);
        observers.reset(NODE);
        assert_eq!(at(&observers, T, T + 5 * ACTIVE), Unheard);
        assert_eq!(observers.observed_nodes(T + 5 * ACTIVE), 0);
        let first = T + 6 * ACTIVE;
        observers.on_message(NODE, first);
        assert_eq!(at(&observers, first - ACTIVE, first), Certain);
    }
}
