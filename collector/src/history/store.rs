//! The store: drained edges → the current interval → rings.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kipfix_service::sync::lock;

use super::current::{CurrentEdges, CurrentInterval};
use super::endpoint::StoredEndpoint;
use super::endpoints::{EndpointSlot, EndpointTable};
use super::interval::Interval;
use super::measures::Health;
use super::ring::Ring;
use super::ring_settings::RingSettings;
use super::saved::{SavedError, SavedHistory};
use super::snapshot::{RingSnapshot, RingSpan, Snapshot};
use crate::aggregate::{EdgeObserver, EdgeTable, HealthParts};
use crate::dense_map::DenseMap;
use crate::inventory::EndpointId;
use crate::snapshots::Snapshots;

/// Maximum number of gaps that are known.
const MAX_GAPS: usize = 64;

/// Bounds of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// Maximum memory, octets.
    pub max_octets: usize,
    /// Whether connection health is counted for the history, and not for metric families only.
    pub counts_health: bool,
    /// The rings, the finest first. The step of each is a multiple of the one before it.
    pub rings: Vec<RingSettings>,
}

/// Occupancy, and what the limits cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCounts {
    /// Octets of memory.
    pub octets: u64,
    /// Endpoints.
    pub endpoints: u64,
    /// Intervals of all rings.
    pub intervals: u64,
    /// Intervals that were discarded before their time, because their ring was full.
    pub intervals_discarded: u64,
    /// Additions to `other`, because the current interval was full.
    pub edges_other: u64,
    /// Ends of drained edges that were replaced by `other`, because the table of endpoints was
    /// full.
    pub endpoints_other: u64,
}

/// The traffic of the last hours. Shared by the pipelines, which add to it, and by queries.
#[derive(Debug)]
pub struct History {
    settings: HistorySettings,
    state: Mutex<State>,
    /// The snapshot of the current generation, if one was read.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// A copy of that of the state.
    generation: AtomicU64,
}

#[derive(Debug)]
struct State {
    endpoints: EndpointTable,
    current: CurrentInterval,
    rings: Vec<Ring>,
    /// Time of the last drain.
    drained: u64,
    /// Times in which no collector ran: begin and end.
    gaps: Vec<(u64, u64)>,
    generation: u64,
    /// Slots of endpoints, as long as neither their names nor the endpoints in the slots change.
    slots: DenseMap,
    /// The snapshots whose names the endpoints in `slots` have.
    snapshots: Option<Snapshots>,
}

impl History {
    /// Creates an empty history. `started` is the wall-clock time, milliseconds since the epoch.
    #[must_use]
    pub fn new(settings: HistorySettings, started: u64) -> Self {
        // An eighth each for endpoints and for the traffic of the current interval, a sixteenth for
        // its connection health. The rings share what these leave.
        let part = settings.max_octets / 8;
        let begin = settings.rings.first().map_or(0, |r| r.begin_of(started));
        let current = CurrentInterval::new(begin, part, part / 2);
        let rest = settings.max_octets.saturating_sub(part);
        let rest = rest.saturating_sub(current.max_octets());
        let ring_octets = rest / settings.rings.len().max(1);
        let new_ring = |ring: &RingSettings| Ring::new(*ring, ring_octets, started);
        let state = State {
            endpoints: EndpointTable::new(part),
            current,
            rings: settings.rings.iter().map(new_ring).collect(),
            drained: started,
            gaps: Vec::new(),
            generation: 0,
            slots: DenseMap::default(),
            snapshots: None,
        };
        Self {
            settings,
            state: Mutex::new(state),
            snapshot: Mutex::new(None),
            generation: AtomicU64::new(0),
        }
    }

    /// Writes everything, to be restored by another process.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let saved = lock(&self.state).saved();
        saved.write(out)
    }

    /// Takes over the history of an earlier process, before the first drain. The time since then is
    /// a gap. Returns the begin of what was restored.
    ///
    /// # Errors
    /// The octets cannot be used. The history stays empty.
    pub fn restore(&self, octets: &[u8], now: u64) -> Result<u64, SavedError> {
        let saved = SavedHistory::read(octets, &self.settings.rings, now)?;
        lock(&self.state).restore(saved, now)
    }

    /// The bounds.
    #[must_use]
    pub const fn settings(&self) -> &HistorySettings {
        &self.settings
    }

    /// The time that edges are taken to be of which a drain at `now` removes from the tables: the
    /// middle between that drain and the one before it.
    #[must_use]
    pub fn time_of_drain(&self, now: u64) -> u64 {
        u64::midpoint(lock(&self.state).drained, now)
    }

    /// Ends a drain at the wall-clock time `now`.
    pub fn end_drain(&self, now: u64) {
        let generation = lock(&self.state).end_drain(now);
        *lock(&self.snapshot) = None;
        self.generation.store(generation, Ordering::Release);
    }

    /// What it holds at the last drain.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let mut cached = lock(&self.snapshot);
        if let Some(snapshot) = &*cached {
            return Arc::clone(snapshot);
        }
        let (edges, mut snapshot) = lock(&self.state).copy();
        let open = Arc::new(Interval::from(edges));
        if !open.is_empty() {
            for ring in &mut snapshot.rings {
                ring.intervals.push(Arc::clone(&open));
            }
        }
        let snapshot = Arc::new(snapshot);
        *cached = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// The time that each ring covers, the finest ring first.
    #[must_use]
    pub fn spans(&self) -> Vec<RingSpan> {
        let state = lock(&self.state);
        let rings = state.rings.iter();
        let span = |ring: &Ring| RingSpan {
            step: ring.settings().step,
            from: ring.from(state.drained),
            to: state.drained,
        };
        rings.map(span).collect()
    }

    /// A number that is different after each drain: [`Snapshot::generation`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> HistoryCounts {
        lock(&self.state).counts()
    }
}

impl EdgeObserver for History {
    fn needs(&self) -> HealthParts {
        if self.settings.counts_health {
            HealthParts::CONNECTIONS
        } else {
            HealthParts::default()
        }
    }

    fn observe(&self, snapshots: &Snapshots, edges: &EdgeTable, wall_milliseconds: u64) {
        lock(&self.state).add(snapshots, edges, wall_milliseconds);
    }
}

impl State {
    fn add(&mut self, snapshots: &Snapshots, edges: &EdgeTable, time: u64) {
        if edges.is_empty() {
            return;
        }
        self.advance(time);
        self.use_snapshots(snapshots);
        for edge in edges.iter() {
            let health = edge.health.as_ref().map(Health::of);
            if health == Some(None) {
                continue;
            }
            let key = (
                self.slot(snapshots, edge.source),
                self.slot(snapshots, edge.destination),
            );
            match health.flatten() {
                Some(health) => self.current.add_health(key, &health),
                None => self.current.add_traffic(key, &edge.measures),
            }
        }
    }

    fn slot(&mut self, snapshots: &Snapshots, id: EndpointId) -> EndpointSlot {
        let Self {
            slots,
            endpoints,
            current,
            ..
        } = self;
        let slot = slots.get(id.0).unwrap_or_else(|| {
            let endpoint = StoredEndpoint::new(snapshots.endpoint(id));
            let slot = endpoints.slot(endpoint, current.begin);
            slots.insert(id.0, slot);
            slot
        });
        endpoints.refer(slot, current.begin);
        slot
    }

    /// Forgets the slots of endpoints that may have other names in these snapshots.
    fn use_snapshots(&mut self, snapshots: &Snapshots) {
        let current = self.snapshots.as_ref();
        if !current.is_some_and(|current| current.is_same(snapshots)) {
            self.slots.clear();
            self.snapshots = Some(snapshots.clone());
        }
    }

    /// Closes the current interval if it ended before `time`. It stays the current one if the clock
    /// was set back.
    fn advance(&mut self, time: u64) {
        let Some(finest) = self.rings.first().map(Ring::settings) else {
            return;
        };
        let begin = finest.begin_of(time);
        if begin <= self.current.begin {
            return;
        }
        let mut closed = Some(Arc::new(self.current.close(begin)));
        for (at, ring) in self.rings.iter_mut().enumerate() {
            let Some(interval) = closed.filter(|interval| !interval.is_empty()) else {
                return;
            };
            closed = if at == 0 {
                ring.push(Arc::clone(&interval));
                Some(interval)
            } else {
                ring.add(&interval)
            };
        }
    }

    /// Returns the new generation.
    fn end_drain(&mut self, now: u64) -> u64 {
        self.advance(u64::midpoint(self.drained, now));
        self.drained = now;
        self.generation = self.generation.wrapping_add(1);
        for ring in &mut self.rings {
            ring.expire(now);
        }
        self.forget_gaps(now);
        let begins = self.rings.iter().filter_map(Ring::oldest_begin);
        let oldest = begins.min().unwrap_or(self.current.begin);
        let oldest = oldest.min(self.current.begin);
        if self.endpoints.remove_unused(oldest) {
            self.slots.clear();
        }
        self.generation
    }

    fn saved(&self) -> SavedHistory {
        SavedHistory {
            drained: self.drained,
            endpoints: self.endpoints.list(),
            rings: self.rings.iter().map(Ring::saved).collect(),
            current: self.current.copy().into(),
            gaps: self.gaps.clone(),
        }
    }

    fn restore(&mut self, saved: SavedHistory, now: u64) -> Result<u64, SavedError> {
        let list = Arc::clone(&saved.endpoints);
        let max_octets = self.endpoints.max_octets();
        self.endpoints = EndpointTable::restored(list, saved.last_used(), max_octets)
            .ok_or(SavedError::TooLarge)?;
        self.slots.clear();
        let from = saved.rings.iter().map(|ring| ring.complete_from).min();
        for (ring, saved) in self.rings.iter_mut().zip(saved.rings) {
            ring.restore(saved);
        }
        let current = self.current.begin;
        self.current.begin = saved.current.begin.min(current);
        self.current.add(&saved.current);
        self.advance(current);
        self.gaps = saved.gaps;
        self.gaps.push((saved.drained.min(now), now));
        self.forget_gaps(now);
        for ring in &mut self.rings {
            ring.expire(now);
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(from.unwrap_or(now))
    }

    /// Forgets the gaps that no ring covers.
    fn forget_gaps(&mut self, now: u64) {
        let from = self.rings.iter().map(|ring| ring.from(now)).min();
        self.gaps
            .retain(|(_, end)| from.is_some_and(|from| from < *end));
        let surplus = self.gaps.len().saturating_sub(MAX_GAPS);
        self.gaps.drain(..surplus);
    }

    /// The edges of the current interval, and a snapshot without them.
    fn copy(&self) -> (CurrentEdges, Snapshot) {
        let snapshot = |at: usize, ring: &Ring| {
            let finer = self.rings.iter().take(at + 1).rev();
            let open = finer.filter_map(Ring::open);
            RingSnapshot {
                settings: ring.settings(),
                from: ring.from(self.drained),
                intervals: ring.complete().chain(open).cloned().collect(),
            }
        };
        let rings = self.rings.iter().enumerate();
        let snapshot = Snapshot {
            endpoints: self.endpoints.list(),
            rings: rings.map(|(at, ring)| snapshot(at, ring)).collect(),
            to: self.drained,
            gaps: self.gaps.clone(),
            generation: self.generation,
        };
        (self.current.copy(), snapshot)
    }

    fn counts(&self) -> HistoryCounts {
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let rings = || self.rings.iter();
        let octets = rings().map(Ring::octets).sum::<usize>()
            + self.endpoints.octets()
            + self.current.octets();
        HistoryCounts {
            octets: number(octets),
            endpoints: number(self.endpoints.len()),
            intervals: number(rings().map(Ring::len).sum()),
            intervals_discarded: rings().map(Ring::discarded).sum(),
            edges_other: self.current.refused(),
            endpoints_other: self.endpoints.refused(),
        }
    }
}

#[cfg(test)]
mod tests;
