//! Who held an address, and when.
//!
//! An address belongs to a holder from when it was first reported as the holder's until the holder was
//! gone. A record is matched with whoever held it while its packets ran:
//!
//! * exactly one holder in that time: it;
//! * several: ambiguous, never guessed;
//! * none, before a holder's begin: that one, if it had begun to start by then, because a pod talks before
//!   its address shows up in its status, and that is told of late;
//! * else, after a holder's end: that holder, for as long as it is kept.
//!
//! Where the next holder had begun to start, and the end of the one before was told of within the time that
//! news take, it is ambiguous, too.

use std::sync::Arc;

use super::snapshot::EndpointId;

/// So long it may take until a holder's end or begin is told of, on machines that have much to do.
const WATCH_LATENCY_MILLISECONDS: u64 = 2000;

/// Holders of one address that are remembered; the oldest goes for one more.
const MAX_ASSIGNMENTS: usize = 64;

/// The time in which the packets of a record ran, in the collector's clock; milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first packet.
    pub start_milliseconds: u64,
    /// The last packet.
    pub end_milliseconds: u64,
}

impl TimeRange {
    /// One moment.
    #[must_use]
    pub const fn instant(milliseconds: u64) -> Self {
        Self {
            start_milliseconds: milliseconds,
            end_milliseconds: milliseconds,
        }
    }
}

/// What can be held: an address, or a transport port of a node or of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey {
    /// The address; where there is a port, also the number of a node, or [`Self::ANY_NODE`].
    bits: u128,
    /// Protocol × 65536 + port; 0 for the whole address.
    port: u32,
}

impl AddressKey {
    const ANY_NODE: u128 = u128::MAX;

    /// The whole address.
    #[must_use]
    pub const fn address(address: flowproto::Address) -> Self {
        Self {
            bits: address.bits(),
            port: 0,
        }
    }

    /// A port of one address.
    #[must_use]
    pub const fn port(address: flowproto::Address, port: TransportPort) -> Self {
        Self {
            bits: address.bits(),
            port: port.0,
        }
    }

    /// A port of every address that a node has. Node numbers are no addresses that anything holds.
    #[must_use]
    pub fn node_port(node: super::NodeId, port: TransportPort) -> Self {
        Self {
            bits: node.0.into(),
            port: port.0,
        }
    }

    /// A port of every node.
    #[must_use]
    pub const fn any_node_port(port: TransportPort) -> Self {
        Self {
            bits: Self::ANY_NODE,
            port: port.0,
        }
    }

    /// Whether it is a port.
    #[must_use]
    pub const fn is_port(self) -> bool {
        self.port != 0
    }
}

/// A transport port and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportPort(u32);

impl TransportPort {
    /// `protocol` is 4 `protocolIdentifier`: 6 TCP, 17 UDP, 132 SCTP. `None` where there is no port.
    #[must_use]
    pub fn new(protocol: u8, port: u16) -> Option<Self> {
        (protocol != 0 && port != 0).then(|| Self(u32::from(protocol) << 16 | u32::from(port)))
    }
}

/// One holder's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) endpoint: EndpointId,
    /// How long before `from` it may have talked already, milliseconds.
    pub(super) lead_milliseconds: u32,
    pub(super) from_milliseconds: u64,
    /// `u64::MAX` while it holds on.
    pub(super) until_milliseconds: u64,
}

impl Assignment {
    pub(super) const fn is_open(&self) -> bool {
        self.until_milliseconds == u64::MAX
    }

    const fn overlaps(&self, span: TimeRange) -> bool {
        self.from_milliseconds <= span.end_milliseconds
            && span.start_milliseconds < self.until_milliseconds
    }

    /// Whether it had ended by `span`, and not for longer than `kept`.
    const fn stands_after(&self, span: TimeRange, kept_milliseconds: u64) -> bool {
        self.until_milliseconds <= span.start_milliseconds
            && span.start_milliseconds - self.until_milliseconds <= kept_milliseconds
    }

    const fn stands_before(&self, span: TimeRange) -> bool {
        span.end_milliseconds < self.from_milliseconds
            && self.from_milliseconds - span.end_milliseconds <= self.lead_milliseconds_wide()
    }

    #[expect(
        clippy::as_conversions,
        reason = "`From` is not const; the cast widens"
    )]
    const fn lead_milliseconds_wide(&self) -> u64 {
        self.lead_milliseconds as u64
    }
}

/// Holders before the last one, and who to name where they cannot be told apart.
#[derive(Clone, Debug)]
struct Earlier {
    ambiguous: EndpointId,
    /// By their begin.
    holdings: Vec<Assignment>,
}

/// All that is known of one key.
#[derive(Clone, Debug)]
pub(super) struct AddressHistory {
    pub(super) key: AddressKey,
    pub(super) last: Assignment,
    earlier: Option<Arc<Earlier>>,
}

/// Who held a key at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignee {
    /// This one alone.
    Certain(EndpointId),
    /// Several; this endpoint says so.
    Ambiguous(EndpointId),
}

impl AddressHistory {
    pub(super) const fn new(key: AddressKey, holding: Assignment) -> Self {
        Self {
            key,
            last: holding,
            earlier: None,
        }
    }

    /// Since when there is no other holder; `u64::MAX` where there was one before, or is none now.
    pub(super) const fn alone_since(&self) -> u64 {
        if self.earlier.is_none() && self.last.is_open() {
            self.last.from_milliseconds
        } else {
            u64::MAX
        }
    }

    /// Who held it in `span`; a holder that has gone is kept for `kept_milliseconds`.
    pub(super) fn at(&self, span: TimeRange, kept_milliseconds: u64) -> Option<Assignee> {
        let Some(earlier) = &self.earlier else {
            let last = &self.last;
            return (last.overlaps(span)
                || last.stands_after(span, kept_milliseconds)
                || last.stands_before(span))
            .then_some(Assignee::Certain(last.endpoint));
        };
        let mut found = None;
        let mut gone: Option<&Assignment> = None;
        let mut coming: Option<&Assignment> = None;
        for holding in earlier.holdings.iter().chain([&self.last]) {
            if holding.overlaps(span) {
                if found.is_some_and(|found| found != holding.endpoint) {
                    return Some(Assignee::Ambiguous(earlier.ambiguous));
                }
                found = Some(holding.endpoint);
            } else if holding.stands_after(span, kept_milliseconds) {
                gone = gone
                    .filter(|gone| gone.until_milliseconds > holding.until_milliseconds)
                    .or(Some(holding));
            } else if coming.is_none() && holding.stands_before(span) {
                coming = Some(holding);
            }
        }
        let endpoint = |holding: &Assignment| holding.endpoint;
        match (found, coming.map(endpoint)) {
            // Whoever is told of as the last one may have been gone for as long as news take.
            (Some(found), Some(coming)) if found != coming && self.ends_near(found, span) => {
                Some(Assignee::Ambiguous(earlier.ambiguous))
            }
            (found, coming) => found
                .or(coming)
                .or(gone.map(endpoint))
                .map(Assignee::Certain),
        }
    }

    /// Whether the holding of `endpoint` that `span` is in ended so soon after it that the news of the end
    /// may have come late.
    fn ends_near(&self, endpoint: EndpointId, span: TimeRange) -> bool {
        let latest = span
            .end_milliseconds
            .saturating_add(WATCH_LATENCY_MILLISECONDS);
        self.earlier_holdings().iter().any(|holding| {
            holding.endpoint == endpoint
                && holding.overlaps(span)
                && holding.until_milliseconds <= latest
        })
    }

    /// One more holder, the last one from now on. `ambiguous`: see [`AddressHistory::at`].
    pub(super) fn push(&mut self, holding: Assignment, ambiguous: EndpointId) {
        let mut holdings: Vec<Assignment> = self.earlier_holdings().to_vec();
        if holdings.len() >= MAX_ASSIGNMENTS {
            holdings.remove(0);
        }
        holdings.push(std::mem::replace(&mut self.last, holding));
        self.earlier = Some(Arc::new(Earlier {
            ambiguous,
            holdings,
        }));
    }

    /// One more holder before the last one.
    pub(super) fn push_older(&mut self, older: Assignment, ambiguous: EndpointId) {
        let last = self.last;
        self.last = older;
        self.push(last, ambiguous);
    }

    /// Forgets who has been gone since before `oldest`. False where nobody is left.
    pub(super) fn forget(&mut self, oldest_milliseconds: u64) -> bool {
        let kept = |holding: &Assignment| holding.until_milliseconds >= oldest_milliseconds;
        if let Some(earlier) = &self.earlier {
            let holdings: Vec<Assignment> = earlier.holdings.iter().copied().filter(kept).collect();
            let ambiguous = earlier.ambiguous;
            self.earlier = (!holdings.is_empty()).then(|| {
                Arc::new(Earlier {
                    ambiguous,
                    holdings,
                })
            });
        }
        kept(&self.last) || self.earlier.is_some()
    }

    /// Who held it before the last one.
    pub(super) fn earlier_holdings(&self) -> &[Assignment] {
        self.earlier
            .as_ref()
            .map_or(&[], |earlier| earlier.holdings.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EndpointId = EndpointId(10);
    const B: EndpointId = EndpointId(11);
    const SEVERAL: EndpointId = EndpointId(12);
    const KEPT: u64 = 1000;

    fn holding(endpoint: EndpointId, from: u64, until: u64) -> Assignment {
        Assignment {
            endpoint,
            lead_milliseconds: 50,
            from_milliseconds: from,
            until_milliseconds: until,
        }
    }

    fn held(holdings: &[Assignment]) -> AddressHistory {
        let key = AddressKey::address(flowproto::Address::from_v4_bits(1));
        let mut held = AddressHistory::new(key, holdings[0]);
        for holding in &holdings[1..] {
            held.push(*holding, SEVERAL);
        }
        held
    }

    fn at(held: &AddressHistory, start: u64, end: u64) -> Option<Assignee> {
        let span = TimeRange {
            start_milliseconds: start,
            end_milliseconds: end,
        };
        held.at(span, KEPT)
    }

    #[test]
    fn a_record_belongs_to_whoever_held_the_address_while_its_packets_ran() {
        let both = held(&[holding(A, 1000, 2000), holding(B, 3000, u64::MAX)]);
        assert_eq!(at(&both, 1000, 1999), Some(Assignee::Certain(A)));
        assert_eq!(at(&both, 3000, 9999), Some(Assignee::Certain(B)));
    }

    #[test]
    fn an_address_that_changed_hands_within_a_flow_is_ambiguous() {
        let both = held(&[holding(A, 1000, 2000), holding(B, 3000, u64::MAX)]);
        assert_eq!(at(&both, 1500, 3500), Some(Assignee::Ambiguous(SEVERAL)));
    }

    #[test]
    fn two_holders_at_once_are_ambiguous() {
        let both = held(&[holding(A, 1000, 4000), holding(B, 3000, u64::MAX)]);
        assert_eq!(at(&both, 3500, 3600), Some(Assignee::Ambiguous(SEVERAL)));
        assert_eq!(at(&both, 2000, 2500), Some(Assignee::Certain(A)));
        assert_eq!(at(&both, 4000, 4500), Some(Assignee::Certain(B)));
    }

    #[test]
    fn between_two_holders_the_last_one_stands() {
        let both = held(&[holding(A, 1000, 2000), holding(B, 3000, u64::MAX)]);
        assert_eq!(at(&both, 2500, 2600), Some(Assignee::Certain(A)));
        // Begun in the gap, gone on into the next one's time: the first holder had gone for certain.
        assert_eq!(at(&both, 2500, 3600), Some(Assignee::Certain(B)));
    }

    #[test]
    fn what_ran_while_the_next_holder_started_is_the_next_ones_unless_news_may_have_come_late() {
        let next = Assignment {
            lead_milliseconds: 5000,
            ..holding(B, 20_000, u64::MAX)
        };
        // The first one was gone by then.
        let gap = held(&[holding(A, 1000, 16_000), next]);
        assert_eq!(at(&gap, 17_000, 18_000), Some(Assignee::Certain(B)));
        // It was told of until the next one was.
        let none = held(&[holding(A, 1000, 20_000), next]);
        assert_eq!(
            at(&none, 18_500, 19_000),
            Some(Assignee::Ambiguous(SEVERAL))
        );
        assert_eq!(at(&none, 16_000, 17_000), Some(Assignee::Certain(A)));
        assert_eq!(at(&none, 13_000, 14_000), Some(Assignee::Certain(A)));
    }

    #[test]
    fn a_holder_that_is_gone_is_kept_for_a_while() {
        let gone = held(&[holding(A, 1000, 2000)]);
        assert_eq!(at(&gone, 3000, 3001), Some(Assignee::Certain(A)));
        assert_eq!(at(&gone, 3001, 3002), None);
    }

    #[test]
    fn a_pod_may_talk_before_its_address_is_reported_but_not_before_it_started() {
        let young = held(&[holding(A, 1000, u64::MAX)]);
        assert_eq!(at(&young, 940, 950), Some(Assignee::Certain(A)));
        assert_eq!(at(&young, 900, 949), None);
        assert_eq!(at(&young, 900, 1000), Some(Assignee::Certain(A)));
    }

    #[test]
    fn one_holder_that_went_and_came_back_is_not_ambiguous() {
        let back = held(&[holding(A, 1000, 2000), holding(A, 3000, u64::MAX)]);
        assert_eq!(at(&back, 1500, 3500), Some(Assignee::Certain(A)));
    }

    #[test]
    fn what_went_too_long_ago_is_forgotten() {
        let mut both = held(&[holding(A, 1000, 2000), holding(B, 3000, 4000)]);
        assert!(both.forget(2001));
        assert_eq!(both.earlier_holdings(), &[]);
        assert!(!both.forget(4001));
    }

    #[test]
    fn the_holders_of_one_address_that_are_remembered_are_bounded() {
        let mut many = held(&[holding(A, 0, 1)]);
        for number in 1..1000 {
            many.push(holding(B, number, number + 1), SEVERAL);
        }
        assert_eq!(many.earlier_holdings().len(), MAX_ASSIGNMENTS);
    }
}
