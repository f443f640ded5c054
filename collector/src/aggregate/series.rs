//! The series table: families → label text → sums since the series began, and their exposition.
//!
//! Families with the same labels and filter share one set of rows, so an edge is turned into label text once a set, and
//! the text is kept for the scrape. A full set counts new edges under the label value `other`: the distinction is lost
//! and counted, the bytes are not.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Mutex;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use kipfix_service::exposition::{self, Format};
use kipfix_service::sync::lock;

use super::edges::EdgeTable;
use super::family::{Edge, Family, Filter, Label};
use super::presets::Preset;
use crate::clock::Now;
use crate::pipeline::Measures;
use crate::snapshots::Snapshots;

/// Edges whose labels are prepared before the lock is taken to add them.
const CHUNK_EDGES: usize = 1024;

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

/// Bounds of the series table, and what all series have in common.
#[derive(Clone, Debug)]
pub struct SeriesSettings {
    /// Maximum number of series of each family. One more is for `other`.
    pub max_series: usize,
    /// Time after which a series to which nothing was added is removed, milliseconds.
    pub idle_milliseconds: u64,
    /// Time for which a new series shows 0, milliseconds: `increase()` misses the value with which a series begins.
    pub birth_milliseconds: u64,
    /// Value of the label `cluster`; if empty, there is no such label.
    pub cluster_name: String,
}

/// The values that an exposition shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownValues {
    /// Those of a scrape at this time. A new series shows 0.
    Scrape(Now),
    /// All sums, in the order of their label text, so that the same sums give the same text.
    Final,
}

/// All series of all families.
#[derive(Debug)]
pub struct SeriesTable {
    layouts: Vec<SetLayout>,
    settings: SeriesSettings,
    /// Beginning of the label text of every series.
    prefix: Vec<u8>,
    hasher: RandomState,
    rows: Mutex<Rows>,
}

/// Families that have labels and filter, hence rows, in common.
#[derive(Debug)]
struct SetLayout {
    families: Vec<&'static Family>,
    labels: &'static [Label],
    filter: Filter,
}

/// The rows of all sets, in the order of their layouts.
#[derive(Debug, Default)]
struct Rows {
    sets: Vec<SeriesSet>,
    idle: u64,
    other: u64,
}

#[derive(Debug, Default)]
struct SeriesSet {
    rows: HashTable<Row>,
    other: Option<Row>,
}

#[derive(Debug)]
struct Row {
    /// The labels as in the exposition, with their braces.
    labels: Box<[u8]>,
    sums: Measures,
    /// When it was created.
    created: Now,
    /// When something was last added, monotonic clock.
    last_milliseconds: u64,
}

/// Buffers of [`SeriesTable::merge`], to be reused.
#[derive(Debug, Default)]
pub struct MergeBuffers {
    text: Vec<u8>,
    additions: Vec<Addition>,
}

/// What is added to a row: prepared without a lock.
#[derive(Debug)]
struct Addition {
    set: usize,
    hash: u64,
    labels: Range<usize>,
    measures: Measures,
}

impl SeriesTable {
    /// Creates an empty table for the families of `presets`.
    #[must_use]
    pub fn new(presets: &[Preset], settings: SeriesSettings) -> Self {
        let mut layouts: Vec<SetLayout> = Vec::new();
        let mut seen: Vec<Preset> = Vec::new();
        for preset in presets {
            if seen.contains(preset) {
                continue;
            }
            seen.push(*preset);
            for family in preset.families() {
                let same = |set: &&mut SetLayout| {
                    set.labels == family.labels && set.filter == family.filter
                };
                match layouts.iter_mut().find(same) {
                    Some(set) => set.families.push(family),
                    None => layouts.push(SetLayout {
                        families: vec![family],
                        labels: family.labels,
                        filter: family.filter,
                    }),
                }
            }
        }
        let mut prefix = b"{".to_vec();
        if !settings.cluster_name.is_empty() {
            prefix.extend_from_slice(b"cluster=\"");
            exposition::write_label_value(&settings.cluster_name, &mut prefix);
            prefix.extend_from_slice(b"\",");
        }
        let sets = layouts.iter().map(|_| SeriesSet::default()).collect();
        Self {
            layouts,
            settings,
            prefix,
            hasher: RandomState::default(),
            rows: Mutex::new(Rows {
                sets,
                ..Rows::default()
            }),
        }
    }

    /// Adds edges. Their labels are written without a lock; it is taken for a chunk of edges at a time.
    pub fn merge(
        &self,
        snapshots: &Snapshots,
        edges: &EdgeTable,
        now: Now,
        buffers: &mut MergeBuffers,
    ) {
        let mut prepared = 0_usize;
        for (source, destination, measures) in edges.iter() {
            let edge = Edge::new(snapshots, source, destination);
            self.prepare(&edge, measures, buffers);
            prepared = prepared.wrapping_add(1);
            if prepared.is_multiple_of(CHUNK_EDGES) {
                self.add(buffers, now);
            }
        }
        self.add(buffers, now);
    }

    fn prepare(&self, edge: &Edge<'_>, measures: Measures, buffers: &mut MergeBuffers) {
        for (set, layout) in self.layouts.iter().enumerate() {
            if !edge.passes(layout.filter) {
                continue;
            }
            let begin = buffers.text.len();
            let value = |label: &Label, out: &mut Vec<u8>| edge.write(label.source, out);
            write_labels(&self.prefix, layout.labels, value, &mut buffers.text);
            let labels = begin..buffers.text.len();
            let hash = self.hash(buffers.text.get(begin..).unwrap_or_default());
            buffers.additions.push(Addition {
                set,
                hash,
                labels,
                measures,
            });
        }
    }

    /// Adds what is prepared.
    fn add(&self, buffers: &mut MergeBuffers, now: Now) {
        let mut rows = lock(&self.rows);
        for addition in &buffers.additions {
            let Some(set) = rows.sets.get_mut(addition.set) else {
                continue;
            };
            let labels = buffers.text.get(addition.labels.clone());
            let labels = labels.unwrap_or_default();
            let is_full = set.rows.len() >= self.settings.max_series;
            let entry = set.rows.entry(
                addition.hash,
                |row| *row.labels == *labels,
                |row| self.hash(&row.labels),
            );
            let (row, is_other) = match entry {
                Entry::Occupied(row) => (row.into_mut(), false),
                Entry::Vacant(room) if !is_full => {
                    (room.insert(Row::new(labels, now)).into_mut(), false)
                }
                Entry::Vacant(_) => {
                    let other = || Row::new(&self.other_labels(addition.set), now);
                    (set.other.get_or_insert_with(other), true)
                }
            };
            row.sums.add(&addition.measures);
            row.last_milliseconds = now.monotonic_milliseconds;
            rows.other = rows.other.wrapping_add(u64::from(is_other));
        }
        drop(rows);
        buffers.text.clear();
        buffers.additions.clear();
    }

    fn hash(&self, labels: &[u8]) -> u64 {
        self.hasher.hash_one(labels)
    }

    /// Label text of the row that counts what a full set has no room for.
    fn other_labels(&self, set: usize) -> Vec<u8> {
        let layout = self.layouts.get(set);
        let mut out = Vec::new();
        let value = |_: &Label, out: &mut Vec<u8>| out.extend_from_slice(b"other");
        let labels: &[Label] = layout.map_or(&[], |layout| layout.labels);
        write_labels(&self.prefix, labels, value, &mut out);
        out
    }

    /// Removes the series to which nothing was added for too long.
    pub fn expire(&self, now: Now) {
        let idle = self.settings.idle_milliseconds;
        let Some(oldest) = now.monotonic_milliseconds.checked_sub(idle) else {
            return;
        };
        let mut rows = lock(&self.rows);
        let mut removed = 0;
        for (set, layout) in rows.sets.iter_mut().zip(&self.layouts) {
            let before = set.rows.len();
            set.rows.retain(|row| row.last_milliseconds >= oldest);
            let gone = before.saturating_sub(set.rows.len());
            removed += gone.saturating_mul(layout.families.len());
        }
        let removed = u64::try_from(removed).unwrap_or(u64::MAX);
        rows.idle = rows.idle.saturating_add(removed);
    }

    /// True if there is a family of this name.
    #[must_use]
    pub fn has_family(&self, name: &str) -> bool {
        let mut families = self.layouts.iter().flat_map(|layout| &layout.families);
        families.any(|family| family.name == name)
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> SeriesCounts {
        let rows = lock(&self.rows);
        let series = rows.sets.iter().zip(&self.layouts).map(|(set, layout)| {
            let rows = set.rows.len() + usize::from(set.other.is_some());
            rows.saturating_mul(layout.families.len())
        });
        SeriesCounts {
            series: u64::try_from(series.sum::<usize>()).unwrap_or(u64::MAX),
            idle: rows.idle,
            other: rows.other,
        }
    }

    /// Appends every family.
    pub fn write(&self, format: Format, shown: ShownValues, out: &mut Vec<u8>) {
        let rows = lock(&self.rows);
        // A series that was created later shows 0.
        let newest = match shown {
            ShownValues::Final => u64::MAX,
            ShownValues::Scrape(now) => now
                .monotonic_milliseconds
                .saturating_sub(self.settings.birth_milliseconds),
        };
        for (set, layout) in rows.sets.iter().zip(&self.layouts) {
            let mut order: Vec<&Row> = Vec::new();
            if shown == ShownValues::Final {
                order.extend(set.rows.iter().chain(&set.other));
                order.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
            }
            for family in &layout.families {
                exposition::write_header(family.name, family.help, "counter", format, out);
                let mut write = |row: &Row| row.write(family, newest, format, out);
                if shown == ShownValues::Final {
                    order.iter().copied().for_each(&mut write);
                } else {
                    set.rows.iter().chain(&set.other).for_each(&mut write);
                }
            }
        }
    }
}

impl Row {
    fn new(labels: &[u8], now: Now) -> Self {
        Self {
            labels: labels.into(),
            sums: Measures::default(),
            created: now,
            last_milliseconds: now.monotonic_milliseconds,
        }
    }

    /// Writes 0 if it was created after `newest`, monotonic milliseconds.
    fn write(&self, family: &Family, newest: u64, format: Format, out: &mut Vec<u8>) {
        let is_new = self.created.monotonic_milliseconds > newest;
        let value = if is_new {
            0
        } else {
            family.value.of(&self.sums)
        };
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(family.name.as_bytes());
        out.extend_from_slice(&self.labels);
        out.push(b' ');
        out.extend_from_slice(digits.format(value).as_bytes());
        out.push(b'\n');
        if format == Format::OpenMetrics {
            let bare = family.name.strip_suffix("_total").unwrap_or(family.name);
            out.extend_from_slice(bare.as_bytes());
            out.extend_from_slice(b"_created");
            out.extend_from_slice(&self.labels);
            out.push(b' ');
            let seconds = self.created.wall_milliseconds / 1000;
            out.extend_from_slice(digits.format(seconds).as_bytes());
            out.push(b'.');
            // Three digits of milliseconds: 1007 → "007".
            let fraction = 1000 + self.created.wall_milliseconds % 1000;
            let fraction = digits.format(fraction).as_bytes();
            out.extend_from_slice(fraction.get(1..).unwrap_or_default());
            out.push(b'\n');
        }
    }
}

fn write_labels(
    prefix: &[u8],
    labels: &'static [Label],
    value: impl Fn(&Label, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(prefix);
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.name.as_bytes());
        out.extend_from_slice(b"=\"");
        value(label, out);
        out.push(b'"');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
