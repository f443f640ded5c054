//! Queries: the edges of a range of time, selected, grouped and added up.

use serde::{Deserialize, Serialize};

use super::edge::StoredEdge;
use super::endpoints::{self, EndpointList};
use super::error::HistoryError;
use super::groups::{Group, Groups};
use super::interval::{EdgeKey, Edges, Interval};
use super::measures::{EdgeValues, Health, Stored};
use super::merge::{self, MergedEdges};
use super::snapshot::{RingSnapshot, Snapshot};
use crate::aggregate::expression::Expression;
use crate::aggregate::field::Field;

/// Maximum number of groups of one answer, returned or not. Each needs about 300 octets while the
/// query runs.
const MAX_GROUPS: usize = 100_000;

/// The value by which edges are ordered, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By octets.
    #[default]
    Bytes,
    /// By packets.
    Packets,
    /// By new connections.
    Connections,
    /// By retransmitted packets.
    RetransmittedPackets,
    /// By refused and unanswered connections.
    FailedConnections,
    /// By the sum of the durations of connections.
    ConnectionDuration,
}

impl Order {
    /// All orders with their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("bytes", Self::Bytes),
        ("packets", Self::Packets),
        ("connections", Self::Connections),
        ("retransmitted_packets", Self::RetransmittedPackets),
        ("failed_connections", Self::FailedConnections),
        ("connection_duration", Self::ConnectionDuration),
    ];

    /// True if it is connection health, which not every history has.
    pub(super) const fn is_health(self) -> bool {
        matches!(
            self,
            Self::RetransmittedPackets | Self::FailedConnections | Self::ConnectionDuration
        )
    }

    /// The value of an edge.
    #[must_use]
    pub fn of(self, values: &EdgeValues) -> u64 {
        let health = |value: fn(&Health) -> u64| values.health.as_ref().map_or(0, value);
        match self {
            Self::Bytes => values.traffic.bytes,
            Self::Packets => values.traffic.packets,
            Self::Connections => values.traffic.connections,
            Self::RetransmittedPackets => health(|health| health.retransmitted_packets),
            Self::FailedConnections => health(Health::failed_connections),
            Self::ConnectionDuration => health(|health| health.duration_sum_milliseconds),
        }
    }
}

/// The time of a query, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    /// The begin. If negative, relative to the end.
    pub from: i64,
    /// The end. `None` is the present.
    pub to: Option<u64>,
}

impl TimeBounds {
    /// The begin and the end, if the present is `now`. `None` if the begin is not before the end.
    #[must_use]
    pub fn resolve(self, now: u64) -> Option<(u64, u64)> {
        let to = self.to.unwrap_or(now);
        let from = match u64::try_from(self.from) {
            Ok(from) => from,
            Err(_) => to.saturating_sub(self.from.unsigned_abs()),
        };
        (from < to).then_some((from, to))
    }
}

/// A query for edges.
#[derive(Clone, Debug)]
pub struct EdgesQuery {
    /// The time.
    pub time: TimeBounds,
    /// The fields whose values an edge of the answer has.
    pub group_by: Vec<Field>,
    /// The edges that are included. `None` includes all.
    pub filter: Option<Expression>,
    /// The value by which edges are ordered.
    pub order: Order,
    /// Maximum number of edges.
    pub limit: usize,
    /// Maximum number of points of an edge. 0 for none.
    pub points: usize,
}

/// The values of an interval that begins at a time, milliseconds since the epoch.
pub type TimePoint = (u64, EdgeValues);

/// An edge of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupedEdge {
    /// The values of the fields that it is grouped by, in their order. A number is written as
    /// digits, an absent value is empty.
    pub labels: Vec<String>,
    /// The sum over the range.
    pub sum: EdgeValues,
    /// The values of each interval of the range.
    pub points: Vec<TimePoint>,
}

/// The answer of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgesAnswer {
    /// Begin of the first interval that is included, milliseconds since the epoch.
    pub from: u64,
    /// End of the last interval that is included, milliseconds since the epoch.
    pub to: u64,
    /// Length of an interval of the points, milliseconds.
    pub step: u64,
    /// The largest edges.
    pub edges: Vec<GroupedEdge>,
    /// Number of edges that match, returned or not.
    pub total_edges: usize,
    /// Sum of all edges that match.
    pub total: EdgeValues,
    /// Parts of the range in which no collector ran: begin and end, milliseconds since the epoch.
    pub gaps: Vec<(u64, u64)>,
}

impl EdgesAnswer {
    /// True if more edges match than are returned.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.total_edges > self.edges.len()
    }
}

impl EdgesQuery {
    /// Answers from the history.
    ///
    /// # Errors
    /// The range is empty, or there are too many groups.
    pub fn run(&self, snapshot: &Snapshot) -> Result<EdgesAnswer, HistoryError> {
        let bounds = self
            .time
            .resolve(snapshot.to)
            .ok_or(HistoryError::EmptyRange)?;
        let Some(plan) = Plan::new(snapshot, bounds, self.points) else {
            return Ok(self.nothing(bounds));
        };
        let mut groups = Groups::new(&self.group_by);
        let mut total = EdgeValues::default();
        let mut add = |key, edge: StoredEdge<'_>, sum: EdgeValues| {
            total.add(&sum);
            groups.add(key, edge, &sum) <= MAX_GROUPS
        };
        let is_complete = self.for_each(&plan, Interval::traffic, |key, edge, parts| {
            add(key, edge, merge::total(parts).into())
        }) && self.for_each(&plan, Interval::health, |key, edge, parts| {
            add(key, edge, merge::total(parts).into())
        });
        if !is_complete {
            return Err(HistoryError::TooManyEdges(MAX_GROUPS));
        }
        let selected = self.largest(groups.rows());
        let points = self.points(&plan, &mut groups, &selected);
        let row = |(at, points): (&usize, Vec<TimePoint>)| {
            let group = groups.rows().get(*at)?;
            let edge = edge(&plan.endpoints, group.edge)?;
            let labels = self
                .group_by
                .iter()
                .map(|field| edge.get(field).to_string());
            Some(GroupedEdge {
                labels: labels.collect(),
                sum: group.sum,
                points,
            })
        };
        Ok(EdgesAnswer {
            from: plan.from,
            to: plan.to,
            step: plan.step,
            edges: selected.iter().zip(points).filter_map(row).collect(),
            total_edges: groups.rows().len(),
            total,
            gaps: plan.gaps(snapshot),
        })
    }

    fn nothing(&self, (from, to): (u64, u64)) -> EdgesAnswer {
        EdgesAnswer {
            from,
            to,
            step: to - from,
            edges: Vec::new(),
            total_edges: 0,
            total: EdgeValues::default(),
            gaps: Vec::new(),
        }
    }

    /// Calls `take` for each edge of a list that matches, with the values of each of its intervals,
    /// until it returns false, which is then returned.
    fn for_each<'a, V: Stored>(
        &self,
        plan: &Plan<'a>,
        list: fn(&'a Interval) -> Edges<'a, V>,
        mut take: impl FnMut(EdgeKey, StoredEdge<'_>, &[(u64, V)]) -> bool,
    ) -> bool {
        let mut merged = MergedEdges::new(plan.intervals(), list);
        let mut parts = Vec::new();
        while let Some(key) = merged.next(&mut parts) {
            let Some(edge) = edge(&plan.endpoints, key) else {
                continue;
            };
            let filter = self.filter.as_ref();
            let is_included = filter.is_none_or(|filter| filter.matches(&edge));
            if is_included && !take(key, edge, &parts) {
                return false;
            }
        }
        true
    }

    /// Positions of the largest groups, the largest first. Equal ones are in the order of their
    /// labels' creation, so that the same data gives the same answer.
    fn largest(&self, groups: &[Group]) -> Vec<usize> {
        let mut order: Vec<(u64, usize)> = groups
            .iter()
            .enumerate()
            .map(|(at, group)| (self.order.of(&group.sum), at))
            .collect();
        let largest = |a: &(u64, usize), b: &(u64, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
        if order.len() > self.limit {
            order.select_nth_unstable_by(self.limit, largest);
            order.truncate(self.limit);
        }
        order.sort_unstable_by(largest);
        order.into_iter().map(|(_, at)| at).collect()
    }

    /// The points of the selected groups, in their order.
    fn points(
        &self,
        plan: &Plan<'_>,
        groups: &mut Groups<'_>,
        selected: &[usize],
    ) -> Vec<Vec<TimePoint>> {
        if self.points == 0 {
            return vec![Vec::new(); selected.len()];
        }
        let first = plan.from - plan.from % plan.step;
        let steps = (plan.to - first).div_ceil(plan.step);
        let zero = |at: u64| (first + at * plan.step, EdgeValues::default());
        let zeros: Vec<TimePoint> = (0..steps).map(zero).collect();
        let mut points = vec![zeros; selected.len()];
        let mut position = vec![None; groups.rows().len()];
        for (at, group) in selected.iter().enumerate() {
            if let Some(place) = position.get_mut(*group) {
                *place = Some(at);
            }
        }
        let mut add = |edge: StoredEdge<'_>, begin: u64, values: EdgeValues| {
            let group = groups.position(edge);
            let at = group.and_then(|group| *position.get(group)?);
            let step = usize::try_from(begin.saturating_sub(first) / plan.step);
            if let Some(points) = at.and_then(|at| points.get_mut(at))
                && let Some((_, sum)) = points.get_mut(step.unwrap_or(usize::MAX))
            {
                sum.add(&values);
            }
        };
        self.for_each(plan, Interval::traffic, |_, edge, parts| {
            for (begin, measures) in parts {
                add(edge, *begin, (*measures).into());
            }
            true
        });
        self.for_each(plan, Interval::health, |_, edge, parts| {
            for (begin, health) in parts {
                add(edge, *begin, (*health).into());
            }
            true
        });
        points
    }
}

fn edge(endpoints: &EndpointList, key: EdgeKey) -> Option<StoredEdge<'_>> {
    Some(StoredEdge {
        source: endpoints::get(endpoints, key.0)?,
        destination: endpoints::get(endpoints, key.1)?,
    })
}

/// The ring that answers, and its part of the range.
struct Plan<'a> {
    endpoints: EndpointList,
    ring: &'a RingSnapshot,
    /// Begins of the first and of the last interval.
    begins: (u64, u64),
    from: u64,
    to: u64,
    step: u64,
}

impl<'a> Plan<'a> {
    /// Selects the finest ring that covers the range, else the one that covers most of it. `None`
    /// if none covers any of it.
    fn new(snapshot: &'a Snapshot, (from, to): (u64, u64), points: usize) -> Option<Self> {
        let earliest = snapshot.rings.iter().map(|ring| ring.from).min()?;
        let covered = from.max(earliest);
        let ring = snapshot.rings.iter().find(|ring| ring.from <= covered)?;
        let to = to.min(snapshot.to);
        if covered >= to {
            return None;
        }
        let settings = ring.settings;
        let first = settings.begin_of(covered);
        let last = settings.begin_of(to - 1);
        let intervals = (last - first) / settings.step + 1;
        let per_point = match u64::try_from(points) {
            Ok(0) | Err(_) => 1,
            // One more, because the points begin at multiples of their step.
            Ok(points) if intervals > points => intervals.div_ceil(points.max(2) - 1),
            Ok(_) => 1,
        };
        Some(Self {
            endpoints: std::sync::Arc::clone(&snapshot.endpoints),
            ring,
            begins: (first, last),
            from: first.max(ring.from),
            to: settings.end_of(last).min(snapshot.to),
            step: settings.step.saturating_mul(per_point),
        })
    }

    /// The parts of gaps that are within the range.
    fn gaps(&self, snapshot: &Snapshot) -> Vec<(u64, u64)> {
        let gaps = snapshot.gaps.iter();
        let within = gaps.map(|(begin, end)| ((*begin).max(self.from), (*end).min(self.to)));
        within.filter(|(begin, end)| begin < end).collect()
    }

    fn intervals(&self) -> impl Iterator<Item = &'a Interval> {
        let (first, last) = self.begins;
        let settings = self.ring.settings;
        let intervals = self.ring.intervals.iter().map(|interval| &**interval);
        intervals
            .filter(move |interval| (first..=last).contains(&settings.begin_of(interval.begin)))
    }
}

#[cfg(test)]
mod tests;
