//! The endpoints that an address belonged to, and when.
//!
//! An address is assigned to an endpoint from when the endpoint first reported it until the
//! endpoint is deleted. A record is matched with the assignments while its packets were observed:
//!
//! * one endpoint in that time: this endpoint;
//! * several: ambiguous;
//! * none, before an assignment: its endpoint, if that had started by then. A pod sends traffic
//!   before its IP appears in `status.podIP`, and the watch event arrives later still;
//! * else, after an assignment: its endpoint, as long as the assignment is kept.
//!
//! If the next endpoint had started and the previous assignment ended within the watch latency,
//! the result is ambiguous too.

use std::sync::Arc;

use super::address_key::AddressKey;
use super::endpoint::EndpointId;
use super::time_range::TimeRange;

/// Watch events may arrive this long after the change, on loaded machines.
const WATCH_LATENCY_MILLISECONDS: u64 = 2000;

/// Maximum number of earlier assignments of an address. The oldest is removed for a new one.
const MAX_ASSIGNMENTS: usize = 64;

/// An endpoint and the time that an address was assigned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) endpoint: EndpointId,
    /// Time before `from_milliseconds` in which the endpoint may have used the address already.
    pub(super) lead_milliseconds: u32,
    pub(super) from_milliseconds: u64,
    /// `u64::MAX` while the assignment lasts.
    pub(super) until_milliseconds: u64,
}

impl Assignment {
    pub(super) const fn is_open(&self) -> bool {
        self.until_milliseconds == u64::MAX
    }

    const fn overlaps(&self, range: TimeRange) -> bool {
        self.from_milliseconds <= range.end_milliseconds
            && range.start_milliseconds < self.until_milliseconds
    }

    /// Returns whether the assignment ended at most `kept_milliseconds` before `range`.
    const fn ended_before(&self, range: TimeRange, kept_milliseconds: u64) -> bool {
        self.until_milliseconds <= range.start_milliseconds
            && range.start_milliseconds - self.until_milliseconds <= kept_milliseconds
    }

    /// Returns whether the assignment began after `range`, but its endpoint had started by then.
    const fn may_precede(&self, range: TimeRange) -> bool {
        range.end_milliseconds < self.from_milliseconds
            && self.from_milliseconds - range.end_milliseconds <= self.lead_milliseconds_wide()
    }

    #[expect(
        clippy::as_conversions,
        reason = "`From` is not const; the cast widens"
    )]
    const fn lead_milliseconds_wide(&self) -> u64 {
        self.lead_milliseconds as u64
    }
}

/// Assignments before the last one.
#[derive(Clone, Debug)]
struct Earlier {
    /// The endpoint of records that several assignments match.
    ambiguous: EndpointId,
    /// By their start.
    assignments: Vec<Assignment>,
}

/// All assignments of one key.
#[derive(Clone, Debug)]
pub(super) struct AddressHistory {
    pub(super) key: AddressKey,
    pub(super) last: Assignment,
    earlier: Option<Arc<Earlier>>,
}

/// The endpoint that a key was assigned to at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignee {
    /// A single endpoint.
    Certain(EndpointId),
    /// One of several endpoints. The id stands for all of them.
    Ambiguous(EndpointId),
}

impl AddressHistory {
    pub(super) const fn new(key: AddressKey, assignment: Assignment) -> Self {
        Self {
            key,
            last: assignment,
            earlier: None,
        }
    }

    /// Returns since when there is a single assignment. `u64::MAX` if there was another one before,
    /// or if the assignment has ended.
    pub(super) const fn alone_since(&self) -> u64 {
        if self.earlier.is_none() && self.last.is_open() {
            self.last.from_milliseconds
        } else {
            u64::MAX
        }
    }

    /// Returns the endpoint in `range`. An assignment that has ended is kept for
    /// `kept_milliseconds`.
    pub(super) fn at(&self, range: TimeRange, kept_milliseconds: u64) -> Option<Assignee> {
        let Some(earlier) = &self.earlier else {
            let last = &self.last;
            return (last.overlaps(range)
                || last.ended_before(range, kept_milliseconds)
                || last.may_precede(range))
            .then_some(Assignee::Certain(last.endpoint));
        };
        let mut found = None;
        let mut gone: Option<&Assignment> = None;
        let mut coming: Option<&Assignment> = None;
        for assignment in earlier.assignments.iter().chain([&self.last]) {
            if assignment.overlaps(range) {
                if found.is_some_and(|found| found != assignment.endpoint) {
                    return Some(Assignee::Ambiguous(earlier.ambiguous));
                }
                found = Some(assignment.endpoint);
            } else if assignment.ended_before(range, kept_milliseconds) {
                gone = gone
                    .filter(|gone| gone.until_milliseconds > assignment.until_milliseconds)
                    .or(Some(assignment));
            } else if coming.is_none() && assignment.may_precede(range) {
                coming = Some(assignment);
            }
        }
        let endpoint = |assignment: &Assignment| assignment.endpoint;
        match (found, coming.map(endpoint)) {
            // The end of the assignment may have been earlier, by up to the watch latency.
            (Some(found), Some(coming)) if found != coming && self.ends_near(found, range) => {
                Some(Assignee::Ambiguous(earlier.ambiguous))
            }
            (found, coming) => found
                .or(coming)
                .or(gone.map(endpoint))
                .map(Assignee::Certain),
        }
    }

    /// Returns whether the assignment of `endpoint` in `range` ended within the watch latency after
    /// it.
    fn ends_near(&self, endpoint: EndpointId, range: TimeRange) -> bool {
        let latest = range
            .end_milliseconds
            .saturating_add(WATCH_LATENCY_MILLISECONDS);
        self.earlier().iter().any(|assignment| {
            assignment.endpoint == endpoint
                && assignment.overlaps(range)
                && assignment.until_milliseconds <= latest
        })
    }

    /// Adds the latest assignment. `ambiguous` is the endpoint of records that several match.
    pub(super) fn push(&mut self, assignment: Assignment, ambiguous: EndpointId) {
        let mut assignments: Vec<Assignment> = self.earlier().to_vec();
        if assignments.len() >= MAX_ASSIGNMENTS {
            assignments.remove(0);
        }
        assignments.push(std::mem::replace(&mut self.last, assignment));
        self.earlier = Some(Arc::new(Earlier {
            ambiguous,
            assignments,
        }));
    }

    /// Adds an assignment before the last one.
    pub(super) fn push_older(&mut self, older: Assignment, ambiguous: EndpointId) {
        let last = self.last;
        self.last = older;
        self.push(last, ambiguous);
    }

    /// Removes assignments that ended before `oldest_milliseconds`. Returns false if none is left.
    pub(super) fn forget(&mut self, oldest_milliseconds: u64) -> bool {
        let kept = |assignment: &Assignment| assignment.until_milliseconds >= oldest_milliseconds;
        if let Some(earlier) = &self.earlier {
            let assignments: Vec<Assignment> =
                earlier.assignments.iter().copied().filter(kept).collect();
            let ambiguous = earlier.ambiguous;
            self.earlier = (!assignments.is_empty()).then(|| {
                Arc::new(Earlier {
                    ambiguous,
                    assignments,
                })
            });
        }
        kept(&self.last) || self.earlier.is_some()
    }

    /// Returns the assignments before the last one.
    pub(super) fn earlier(&self) -> &[Assignment] {
        self.earlier
            .as_ref()
            .map_or(&[], |earlier| earlier.assignments.as_slice())
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
        assert_eq!(both.earlier(), &[]);
        assert!(!both.forget(4001));
    }

    #[test]
    fn the_holders_of_one_address_that_are_remembered_are_bounded() {
        let mut many = held(&[holding(A, 0, 1)]);
        for number in 1..1000 {
            many.push(holding(B, number, number + 1), SEVERAL);
        }
        assert_eq!(many.earlier().len(), MAX_ASSIGNMENTS);
    }
}
