//! The series table: families → rows with their labels → sums since the series began, and their
//! exposition.
//!
//! Families with the same labels and filter share one set of rows, so an edge is resolved once a
//! set. A full set counts new edges under the label value `other`: the distinction is lost and
//! counted, the bytes are not.
//!
//! One lock protects all rows. It is taken for a part of a merge, of an expiry or of an exposition
//! at a time, never for the whole.

mod chunks;
mod decisions;
mod determinant;
mod family;
mod fragments;
mod histogram;
mod label_groups;
mod replace;
mod seconds;
mod set;

use std::sync::Mutex;

pub use chunks::{SeriesChunks, ShownValues};
use kipfix_service::sync::lock;

use super::edge::Edge;
use super::edges::{CountedEdge, EdgeTable};
use super::family::Family;
use super::needs::FamilyNeeds;
use super::open_connections::OpenEdge;
use crate::clock::Now;
use crate::snapshots::Snapshots;
use set::{Expiry, NamedEdge, SeriesSet};

/// Edges that are added while the lock is held.
const CHUNK_EDGES: usize = 128;
/// Rows that are checked for expiry while the lock is held.
const CHUNK_ROWS: usize = 4096;

/// Occupancy of the series table, and what its bounds cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesCounts {
    /// Series.
    pub series: u64,
    /// Series removed because nothing was added to them for too long.
    pub idle: u64,
    /// Edges counted as `other`, because their family was full.
    pub other: u64,
}

/// What all series have in common.
#[derive(Clone, Debug, Default)]
pub struct SeriesSettings {
    /// Time for which a new series shows 0, milliseconds: `increase()` misses the value with which
    /// a series begins.
    pub birth_milliseconds: u64,
    /// Whether OpenMetrics has a sample `_created` for each series.
    pub created_samples: bool,
    /// Value of the label `cluster`; if empty, there is no such label.
    pub cluster_name: String,
}

/// All series of all families.
#[derive(Debug)]
pub struct SeriesTable {
    settings: SeriesSettings,
    rows: Mutex<Rows>,
}

/// The rows of all sets.
#[derive(Debug, Default)]
struct Rows {
    sets: Vec<SeriesSet>,
    /// The number of times that the families were replaced.
    revision: u64,
    needs: FamilyNeeds,
    /// The snapshots that the sets have looked up endpoints in.
    snapshots: Option<Snapshots>,
    /// When the last complete scrape began, monotonic clock.
    scraped_milliseconds: u64,
    idle: u64,
    other: u64,
}

impl SeriesTable {
    /// Creates an empty table. Families that share rows follow each other.
    #[must_use]
    pub fn new(families: &[Family], settings: SeriesSettings) -> Self {
        Self {
            rows: Mutex::new(Rows {
                sets: replace::sets(Vec::new(), families, &settings.cluster_name),
                needs: FamilyNeeds::of(families),
                ..Rows::default()
            }),
            settings,
        }
    }

    /// What the families need of records.
    #[must_use]
    pub fn needs(&self) -> FamilyNeeds {
        lock(&self.rows).needs
    }

    /// Replaces the families. One that stays, with the same name, value, labels and filter, keeps
    /// its series.
    pub fn replace(&self, families: &[Family]) {
        let mut rows = lock(&self.rows);
        let old = std::mem::take(&mut rows.sets);
        rows.sets = replace::sets(old, families, &self.settings.cluster_name);
        rows.needs = FamilyNeeds::of(families);
        rows.revision = rows.revision.wrapping_add(1);
    }

    /// Adds the edges of a table.
    pub fn merge(&self, snapshots: &Snapshots, edges: &EdgeTable, now: Now) {
        self.add(snapshots, edges.iter(), now);
    }

    /// Adds edges. The lock is taken for a chunk of edges at a time.
    fn add<'a>(
        &self,
        snapshots: &'a Snapshots,
        edges: impl Iterator<Item = CountedEdge<'a>>,
        now: Now,
    ) {
        let named = edges.map(|counted| (Edge::new(snapshots, &counted), counted));
        let mut named = named.fuse();
        loop {
            let chunk: [Option<NamedEdge<'_>>; CHUNK_EDGES] = std::array::from_fn(|_| named.next());
            if let [None, ..] = chunk {
                return;
            }
            lock(&self.rows).add(snapshots, &chunk, now);
        }
    }

    /// Replaces the open connections of all edges. An exposition shows the former ones until then.
    pub fn replace_open_connections(&self, snapshots: &Snapshots, open: &[OpenEdge], now: Now) {
        if !self.needs().health.has_open_connections {
            return;
        }
        self.add(snapshots, open.iter().map(OpenEdge::counted), now);
        for set in &mut lock(&self.rows).sets {
            set.end_levels();
        }
    }

    /// Removes the series to which nothing was added for too long.
    pub fn expire(&self, now: Now) {
        let (mut set, mut row) = (0, 0);
        loop {
            let mut rows = lock(&self.rows);
            let expiry = Expiry {
                now_milliseconds: now.monotonic_milliseconds,
                scraped_milliseconds: rows.scraped_milliseconds,
                birth_milliseconds: self.settings.birth_milliseconds,
            };
            let Some(current) = rows.sets.get_mut(set) else {
                return;
            };
            let end = current.end().min(row + CHUNK_ROWS);
            let removed = current.expire(row..end, expiry);
            let removed = removed.saturating_mul(current.samples());
            (set, row) = if end == current.end() {
                (set + 1, 0)
            } else {
                (set, end)
            };
            let removed = u64::try_from(removed).unwrap_or(u64::MAX);
            rows.idle = rows.idle.saturating_add(removed);
        }
    }

    /// True if there is a family of this name.
    #[must_use]
    pub fn has_family(&self, name: &str) -> bool {
        let rows = lock(&self.rows);
        let mut families = rows.sets.iter().flat_map(|set| &set.families);
        families.any(|exposed| &*exposed.family.name == name)
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> SeriesCounts {
        let rows = lock(&self.rows);
        let sets = rows.sets.iter();
        let series = sets.map(SeriesSet::series);
        SeriesCounts {
            series: u64::try_from(series.sum::<usize>()).unwrap_or(u64::MAX),
            idle: rows.idle,
            other: rows.other,
        }
    }
}

impl Rows {
    /// Adds edges to the sets that they belong to.
    fn add(&mut self, snapshots: &Snapshots, edges: &[Option<NamedEdge<'_>>], now: Now) {
        self.use_snapshots(snapshots);
        for set in &mut self.sets {
            let others = u64::try_from(set.add(edges, now)).unwrap_or(u64::MAX);
            self.other = self.other.wrapping_add(others);
        }
    }

    /// Forgets what was looked up in other snapshots.
    fn use_snapshots(&mut self, snapshots: &Snapshots) {
        let current = self.snapshots.as_ref();
        if !current.is_some_and(|current| current.is_same(snapshots)) {
            for set in &mut self.sets {
                set.forget_endpoints();
            }
            self.snapshots = Some(snapshots.clone());
        }
    }
}

#[cfg(test)]
mod tests;
