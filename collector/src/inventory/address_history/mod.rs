//! The endpoints that an address belonged to, and when.
//!
//! An address is assigned to an endpoint from when the endpoint first reported it until the
//! endpoint is deleted. A record is matched with the assignments while its packets were observed:
//!
//! * one endpoint in that time: this endpoint;
//! * several: ambiguous. While an endpoint has the address that outranks others, these do not
//!   count: a node keeps an address that a Service uses as its external IP;
//! * none, before an assignment: its endpoint, if that had started by then. A pod sends traffic
//!   before its IP appears in `status.podIP`, and the watch event arrives later still;
//! * else, after an assignment: its endpoint, as long as the assignment is kept.
//!
//! If the next endpoint had started and the previous assignment ended within the watch latency,
//! the result is ambiguous too.
//!
//! Several endpoints can have an address at the same time, such as the two pods of a virtual
//! machine that is migrated. When one assignment ends, the others remain.

use std::sync::Arc;

use super::address_key::AddressKey;
use super::endpoint::{EndpointId, Place};
use super::time_range::TimeRange;

/// Watch events may arrive this long after the change, on loaded machines.
const WATCH_LATENCY_MILLISECONDS: u64 = 2000;

/// Maximum number of earlier assignments of an address. The oldest is removed for a new one.
const MAX_EARLIER: usize = 64;

/// Number of ranks of endpoints.
pub(super) const RANKS: usize = 4;

/// An endpoint and the time that an address was assigned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) endpoint: EndpointId,
    /// Time before `from_milliseconds` in which the endpoint may have used the address already.
    pub(super) lead_milliseconds: u32,
    pub(super) from_milliseconds: u64,
    /// End of the assignment, exclusive. [`Self::OPEN`] or [`Self::YIELDING`] while it lasts.
    pub(super) until_milliseconds: u64,
}

impl Assignment {
    /// End of an assignment that lasts.
    pub(super) const OPEN: u64 = u64::MAX;
    /// End of an assignment that lasts until a later one begins. The address of a pod in deletion
    /// can be reused before the pod is gone.
    pub(super) const YIELDING: u64 = u64::MAX - 1;

    /// Returns whether the assignment lasts.
    pub(super) const fn is_open(&self) -> bool {
        self.until_milliseconds >= Self::YIELDING
    }

    const fn overlaps(&self, range: TimeRange) -> bool {
        self.from_milliseconds <= range.end_milliseconds
            && range.start_milliseconds < self.until_milliseconds
    }

    const fn includes(&self, milliseconds: u64) -> bool {
        self.from_milliseconds <= milliseconds && milliseconds < self.until_milliseconds
    }

    /// Returns whether the assignment ended at most `kept_milliseconds` before `range`.
    const fn ended_before(&self, range: TimeRange, kept_milliseconds: u64) -> bool {
        self.until_milliseconds <= range.start_milliseconds
            && range.start_milliseconds - self.until_milliseconds <= kept_milliseconds
    }

    /// Returns whether the assignment began after `range`, but its endpoint had started by then.
    const fn may_precede(&self, range: TimeRange) -> bool {
        range.end_milliseconds < self.from_milliseconds
            && self.from_milliseconds - range.end_milliseconds <= u32_to_u64(self.lead_milliseconds)
    }
}

#[expect(
    clippy::as_conversions,
    reason = "`From` is not const; the cast widens"
)]
const fn u32_to_u64(value: u32) -> u64 {
    value as u64
}

/// The endpoints of records that several assignments match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AmbiguousEndpoints {
    /// For assignments of one rank, by rank.
    pub(super) by_rank: [EndpointId; RANKS],
    /// For assignments of several ranks.
    pub(super) mixed: EndpointId,
}

impl AmbiguousEndpoints {
    /// Returns the endpoints that are in use.
    pub(super) fn ids(self) -> impl Iterator<Item = EndpointId> {
        let all = self.by_rank.into_iter().chain([self.mixed]);
        all.filter(|id| *id != EndpointId::EXTERNAL)
    }
}

/// The assignments before the latest one.
#[derive(Clone, Debug)]
struct Earlier {
    ambiguous: AmbiguousEndpoints,
    /// In the order in which they were added.
    assignments: Vec<Assignment>,
}

/// All assignments of one key.
#[derive(Clone, Debug)]
pub(super) struct AddressHistory {
    pub(super) key: AddressKey,
    last: Assignment,
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
    /// Creates a history of one assignment.
    pub(super) const fn new(key: AddressKey, assignment: Assignment) -> Self {
        Self {
            key,
            last: assignment,
            earlier: None,
        }
    }

    /// Returns since when there is a single assignment, milliseconds since the epoch. `u64::MAX` if
    /// there was another one before, or if the assignment has ended.
    pub(super) const fn sole_since(&self) -> u64 {
        if self.earlier.is_none() && self.last.is_open() {
            self.last.from_milliseconds
        } else {
            u64::MAX
        }
    }

    /// Returns the endpoint in `range`. An assignment that has ended is kept for
    /// `kept_milliseconds`. `place` returns kind and node of an endpoint.
    pub(super) fn at(
        &self,
        range: TimeRange,
        kept_milliseconds: u64,
        place: impl Fn(EndpointId) -> Place,
    ) -> Option<Assignee> {
        let Some(earlier) = &self.earlier else {
            let last = &self.last;
            return (last.overlaps(range)
                || last.ended_before(range, kept_milliseconds)
                || last.may_precede(range))
            .then_some(Assignee::Certain(last.endpoint));
        };
        let mut matching = Matching::default();
        let mut ended: Option<&Assignment> = None;
        let mut next: Option<&Assignment> = None;
        for assignment in self.assignments() {
            if assignment.overlaps(range) {
                if self.is_visible(assignment, range, &place) {
                    matching.add(assignment.endpoint, &place);
                }
            } else if assignment.ended_before(range, kept_milliseconds) {
                ended = ended
                    .filter(|ended| ended.until_milliseconds > assignment.until_milliseconds)
                    .or(Some(assignment));
            } else if next.is_none() && assignment.may_precede(range) {
                next = Some(assignment);
            }
        }
        // The end of the assignment may have been earlier, by up to the watch latency.
        if let Some(next) = next
            && matching
                .first
                .is_none_or(|first| self.ends_near(first, range))
        {
            matching.add(next.endpoint, &place);
        }
        let Some(endpoint) = matching.first else {
            return ended.map(|ended| Assignee::Certain(ended.endpoint));
        };
        Some(if matching.several {
            Assignee::Ambiguous(match matching.rank {
                Some(rank) => earlier
                    .ambiguous
                    .by_rank
                    .get(rank)
                    .copied()
                    .unwrap_or_default(),
                None => earlier.ambiguous.mixed,
            })
        } else {
            Assignee::Certain(endpoint)
        })
    }

    /// Returns whether no other assignment outranks this one at some time in `range`.
    fn is_visible(
        &self,
        assignment: &Assignment,
        range: TimeRange,
        place: impl Fn(EndpointId) -> Place,
    ) -> bool {
        let own = place(assignment.endpoint);
        let end = range.end_milliseconds.saturating_add(1);
        let end = end.min(assignment.until_milliseconds);
        let mut at = range.start_milliseconds.max(assignment.from_milliseconds);
        while let Some(covering) = self
            .assignments()
            .find(|other| other.includes(at) && place(other.endpoint).outranks(own))
        {
            at = covering.until_milliseconds;
        }
        at < end
    }

    /// Returns whether the assignment of `endpoint` in `range` ended within the watch latency after
    /// it.
    fn ends_near(&self, endpoint: EndpointId, range: TimeRange) -> bool {
        let latest = range
            .end_milliseconds
            .saturating_add(WATCH_LATENCY_MILLISECONDS);
        self.assignments().any(|assignment| {
            assignment.endpoint == endpoint
                && assignment.overlaps(range)
                && assignment.until_milliseconds <= latest
        })
    }

    /// Returns all assignments, the latest one last.
    pub(super) fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        let earlier = self.earlier.as_ref().map(|earlier| &*earlier.assignments);
        earlier.unwrap_or_default().iter().chain([&self.last])
    }

    /// Returns the assignments that last.
    pub(super) fn open(&self) -> impl Iterator<Item = &Assignment> {
        self.assignments().filter(|assignment| assignment.is_open())
    }

    /// Returns the latest assignment.
    pub(super) const fn last(&self) -> &Assignment {
        &self.last
    }

    /// Returns the endpoints of records that several assignments match.
    pub(super) fn ambiguous(&self) -> AmbiguousEndpoints {
        let earlier = self.earlier.as_ref();
        earlier.map_or_else(AmbiguousEndpoints::default, |earlier| earlier.ambiguous)
    }

    /// Sets the endpoints of records that several assignments match.
    pub(super) fn set_ambiguous(&mut self, ambiguous: AmbiguousEndpoints) {
        if let Some(earlier) = &mut self.earlier {
            Arc::make_mut(earlier).ambiguous = ambiguous;
        }
    }

    /// Adds an assignment. An assignment of a pod in deletion ends when one begins that it does not
    /// outrank. Returns the latest end of an assignment that ended.
    pub(super) fn add(
        &mut self,
        mut added: Assignment,
        place: impl Fn(EndpointId) -> Place,
    ) -> Option<u64> {
        let own = place(added.endpoint);
        let mut latest_end = None;
        let mut next: Option<u64> = None;
        for other in self.assignments_mut() {
            let others = place(other.endpoint);
            if other.from_milliseconds >= added.from_milliseconds {
                if other.is_open() && !own.outranks(others) {
                    let from = other.from_milliseconds;
                    next = Some(next.map_or(from, |next| next.min(from)));
                }
            } else if other.until_milliseconds == Assignment::YIELDING && !others.outranks(own) {
                other.until_milliseconds = added.from_milliseconds;
                latest_end = Some(added.from_milliseconds);
            }
        }
        if added.until_milliseconds == Assignment::YIELDING
            && let Some(next) = next
        {
            added.until_milliseconds = next;
            latest_end = latest_end.max(Some(next));
        }
        let earlier = if added.from_milliseconds >= self.last.from_milliseconds {
            std::mem::replace(&mut self.last, added)
        } else {
            added
        };
        let list = Arc::make_mut(self.earlier.get_or_insert_with(|| {
            Arc::new(Earlier {
                ambiguous: AmbiguousEndpoints::default(),
                assignments: Vec::with_capacity(1),
            })
        }));
        if list.assignments.len() >= MAX_EARLIER {
            let ended = list.assignments.iter().position(|one| !one.is_open());
            list.assignments.remove(ended.unwrap_or(0));
        }
        list.assignments.push(earlier);
        latest_end
    }

    /// Ends the assignment of `endpoint`. Returns its end, or `None` if it did not last.
    pub(super) fn end(&mut self, endpoint: EndpointId, until_milliseconds: u64) -> Option<u64> {
        let mut all = self.assignments_mut();
        let open = all.find(|one| one.endpoint == endpoint && one.is_open())?;
        let until = until_milliseconds.min(Assignment::YIELDING - 1);
        open.until_milliseconds = until.max(open.from_milliseconds);
        Some(open.until_milliseconds)
    }

    /// Marks the assignment of `endpoint`: it ends when another one begins that it does not
    /// outrank. If one has begun, it ends then, but not before `since_milliseconds`. Returns its
    /// end if it ended.
    pub(super) fn yield_to_next(
        &mut self,
        endpoint: EndpointId,
        since_milliseconds: u64,
        place: impl Fn(EndpointId) -> Place,
    ) -> Option<u64> {
        let own = self.open().find(|one| one.endpoint == endpoint)?;
        let (from, own) = (own.from_milliseconds, place(endpoint));
        let later = self.open().filter(|one| {
            one.endpoint != endpoint
                && one.from_milliseconds >= from
                && !own.outranks(place(one.endpoint))
        });
        if let Some(next) = later.map(|one| one.from_milliseconds).min() {
            return self.end(endpoint, next.max(since_milliseconds));
        }
        let mut all = self.assignments_mut();
        let open = all.find(|one| one.endpoint == endpoint && one.is_open())?;
        open.until_milliseconds = Assignment::YIELDING;
        None
    }

    /// Ends the mark of [`Self::yield_to_next`]: the assignment lasts until it is ended.
    pub(super) fn keep(&mut self, endpoint: EndpointId) {
        let yielding = |one: &&mut Assignment| {
            one.endpoint == endpoint && one.until_milliseconds == Assignment::YIELDING
        };
        if let Some(assignment) = self.assignments_mut().find(yielding) {
            assignment.until_milliseconds = Assignment::OPEN;
        }
    }

    /// Removes assignments that ended before `oldest_milliseconds`. Returns false if none is left.
    pub(super) fn forget(&mut self, oldest_milliseconds: u64) -> bool {
        let kept = |assignment: &Assignment| assignment.until_milliseconds >= oldest_milliseconds;
        if let Some(earlier) = &mut self.earlier {
            let earlier = Arc::make_mut(earlier);
            earlier.assignments.retain(kept);
            if !kept(&self.last)
                && let Some(latest) = earlier.assignments.pop()
            {
                self.last = latest;
            }
            if earlier.assignments.is_empty() {
                self.earlier = None;
            }
        }
        kept(&self.last)
    }

    fn assignments_mut(&mut self) -> impl Iterator<Item = &mut Assignment> {
        let earlier = self.earlier.as_mut();
        let earlier = earlier.map(|earlier| Arc::make_mut(earlier).assignments.as_mut_slice());
        earlier
            .unwrap_or_default()
            .iter_mut()
            .chain([&mut self.last])
    }
}

/// The endpoints of the assignments that match a record.
#[derive(Debug, Default)]
struct Matching {
    first: Option<EndpointId>,
    several: bool,
    /// Their rank. `None` if the ranks differ.
    rank: Option<usize>,
}

impl Matching {
    fn add(&mut self, endpoint: EndpointId, place: impl Fn(EndpointId) -> Place) {
        let rank = place(endpoint).kind.rank();
        match self.first {
            None => {
                self.first = Some(endpoint);
                self.rank = Some(rank);
            }
            Some(first) => {
                self.several |= first != endpoint;
                self.rank = self.rank.filter(|known| *known == rank);
            }
        }
    }
}

#[cfg(test)]
mod tests;
