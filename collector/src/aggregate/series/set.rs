//! The rows of families that have labels and filter in common.
//!
//! The label text of a row is made of fragments. Labels that follow each other and are determined
//! alike, for example by the same endpoint, are one fragment, which all rows of that endpoint
//! share. So a row takes a few numbers, and a known edge finds its row without any text.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::decisions::Decisions;
use super::family::ExposedFamily;
use super::histogram::BucketSums;
use super::label_groups::{LabelGroup, groups, write_label};
use crate::aggregate::edge::Edge;
use crate::aggregate::edges::{CountedEdge, EdgePart};
use crate::aggregate::family::{Column, Family, RowLayout};
use crate::aggregate::health::Distribution;
use crate::clock::Now;

/// Rows, and the families that show them.
#[derive(Debug)]
pub(super) struct SeriesSet {
    /// It is the same one as long as these are the same rows, whichever families show them.
    pub(super) identity: Arc<RowsIdentity>,
    pub(super) layout: Arc<RowLayout>,
    pub(super) families: Vec<ExposedFamily>,
    /// What is summed in each column.
    pub(super) columns: Vec<Column>,
    /// The distributions whose buckets are counted.
    pub(super) histograms: Vec<Distribution>,
    groups: Vec<LabelGroup>,
    decisions: Decisions,
    /// Numbers of rows by their fragments, except for `other`.
    numbers: HashTable<u32>,
    hasher: RandomState,
    times: Vec<RowTimes>,
    /// The fragments of row 0, of row 1, …
    fragments: Vec<u32>,
    /// The columns of row 0, of row 1, …
    sums: Vec<u64>,
    /// The same, of levels that are not complete yet. Empty if the columns are sums.
    levels: Vec<u64>,
    /// The histograms of row 0, of row 1, …
    buckets: Vec<BucketSums>,
    free: Vec<u32>,
    other: Option<u32>,
    scratch: Scratch,
}

/// The identity of the rows of a set, compared by address.
#[derive(Debug)]
pub(super) struct RowsIdentity {
    // A type without a size has no address of its own.
    _octet: u8,
}

/// Times of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTimes {
    /// When it was created, wall clock.
    pub(super) created_milliseconds: u64,
    /// When it was created, monotonic clock. `u64::MAX` if there is no row.
    pub(super) birth_milliseconds: u64,
    /// When something was last added, monotonic clock.
    pub(super) last_milliseconds: u64,
}

/// Buffers for some edges, or for one of them.
#[derive(Debug, Default)]
struct Scratch {
    /// The row of each edge, if it has one.
    rows: Vec<Option<u32>>,
    value: String,
    text: Vec<u8>,
    /// The fragment of each group, or its text if no row has it.
    found: Vec<Result<u32, Range<usize>>>,
    fragments: Vec<u32>,
}

/// An edge as a source of names, and what was counted of it.
pub(super) type NamedEdge<'a> = (Edge<'a>, CountedEdge<'a>);

/// Which rows [`SeriesSet::expire`] removes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) now_milliseconds: u64,
    /// When the last complete scrape began, monotonic clock.
    pub(super) scraped_milliseconds: u64,
    /// Time for which a new row shows 0.
    pub(super) birth_milliseconds: u64,
}

impl SeriesSet {
    /// Creates an empty set for families with the same layout.
    pub(super) fn new(families: &[Family], layout: Arc<RowLayout>, cluster_name: &str) -> Self {
        let columns = distinct(families.iter().flat_map(Family::columns));
        let histograms = distinct(families.iter().filter_map(Family::histogram));
        let of_rows = (columns.as_slice(), histograms.as_slice());
        let exposed = families
            .iter()
            .map(|family| ExposedFamily::new(family, of_rows, cluster_name));
        Self {
            identity: Arc::new(RowsIdentity { _octet: 0 }),
            families: exposed.collect(),
            groups: groups(&layout.labels, !cluster_name.is_empty()),
            decisions: Decisions::new(layout.filter.as_ref()),
            layout,
            columns,
            histograms,
            numbers: HashTable::new(),
            hasher: RandomState::default(),
            times: Vec::new(),
            fragments: Vec::new(),
            sums: Vec::new(),
            levels: Vec::new(),
            buckets: Vec::new(),
            free: Vec::new(),
            other: None,
            scratch: Scratch::default(),
        }
    }

    /// Number of rows, with that for `other`.
    pub(super) fn rows(&self) -> usize {
        self.times.len().saturating_sub(self.free.len())
    }

    /// Number of series of every row.
    pub(super) fn samples(&self) -> usize {
        self.families.iter().map(ExposedFamily::samples).sum()
    }

    /// Number of series of all rows.
    pub(super) fn series(&self) -> usize {
        let series = self.rows().saturating_mul(self.samples());
        let with_more = self.families.iter().filter(|f| f.has_further_samples());
        let further = with_more.flat_map(|family| {
            let rows = (0..self.end()).filter(|row| self.times(*row).is_some());
            rows.map(|row| family.further_samples(self.sums(row)))
        });
        series.saturating_add(further.sum())
    }

    /// Exclusive upper bound of row numbers.
    pub(super) const fn end(&self) -> usize {
        self.times.len()
    }

    /// The times of a row. `None` if there is none of this number.
    #[inline]
    pub(super) fn times(&self, row: usize) -> Option<RowTimes> {
        let times = self.times.get(row)?;
        (times.birth_milliseconds != u64::MAX).then_some(*times)
    }

    /// The columns of a row.
    #[inline]
    pub(super) fn sums(&self, row: usize) -> &[u64] {
        self.sums
            .get(range_of(row, self.columns.len()))
            .unwrap_or_default()
    }

    /// The histograms of a row.
    pub(super) fn buckets(&self, row: usize) -> &[BucketSums] {
        self.buckets
            .get(range_of(row, self.histograms.len()))
            .unwrap_or_default()
    }

    /// Appends the labels of a row. The first one has a comma in front if there is a constant
    /// label.
    #[inline]
    pub(super) fn write_labels(&self, row: usize, out: &mut Vec<u8>) {
        let fragments = self.fragments.get(range_of(row, self.groups.len()));
        for (group, fragment) in self.groups.iter().zip(fragments.unwrap_or_default()) {
            out.extend_from_slice(group.texts.text(*fragment));
        }
    }

    /// Forgets what was looked up by endpoint.
    pub(super) fn forget_endpoints(&mut self) {
        for group in &mut self.groups {
            group.known.clear();
        }
        self.decisions.forget();
    }

    /// Adds edges, if they belong to the families. Returns how many were counted as `other`.
    pub(super) fn add(&mut self, edges: &[Option<NamedEdge<'_>>], now: Now) -> usize {
        let edges = edges.iter().flatten();
        // First the rows of all edges are found. Then these are added to, which do not depend on
        // each other, so that their cache misses overlap.
        let mut rows = std::mem::take(&mut self.scratch.rows);
        rows.clear();
        rows.extend(edges.clone().map(|edge| self.row(edge, now)));
        for ((_, counted), row) in edges.zip(&rows) {
            if let Some(row) = row {
                self.add_to(*row, counted, now);
            }
        }
        let is_other = |row: &&Option<u32>| row.is_some() && **row == self.other;
        let others = rows.iter().filter(is_other).count();
        self.scratch.rows = rows;
        others
    }

    /// The row of an edge. `None` if it does not belong to the families.
    fn row(&mut self, (edge, counted): &NamedEdge<'_>, now: Now) -> Option<u32> {
        let is_of_edge = |column: &Column| column.part() == counted.part();
        if !self.columns.iter().any(is_of_edge) {
            return None;
        }
        if let Some(filter) = &self.layout.filter
            && !self.decisions.matches(filter, edge)
        {
            return None;
        }
        let known = self.find_fragments(edge);
        let known = known.then(|| self.find_row()).flatten();
        let row = known.or_else(|| self.insert(now));
        Some(row.unwrap_or_else(|| self.other(now)))
    }

    #[inline]
    fn add_to(&mut self, row: u32, counted: &CountedEdge<'_>, now: Now) {
        let Ok(at) = usize::try_from(row) else {
            return;
        };
        let all = match counted.part() {
            EdgePart::OpenConnections => &mut self.levels,
            EdgePart::Traffic | EdgePart::Health => &mut self.sums,
        };
        if let Some(sums) = all.get_mut(range_of(at, self.columns.len())) {
            for (sum, column) in sums.iter_mut().zip(&self.columns) {
                *sum = sum.saturating_add(column.of(counted));
            }
        }
        if let Some(health) = &counted.health {
            let buckets = self.buckets.get_mut(range_of(at, self.histograms.len()));
            let buckets = buckets.unwrap_or_default().iter_mut();
            for (sums, distribution) in buckets.zip(&self.histograms) {
                for (number, observations) in health.buckets(*distribution) {
                    sums.add(number, observations);
                }
            }
        }
        if let Some(times) = self.times.get_mut(at) {
            times.last_milliseconds = now.monotonic_milliseconds;
        }
    }

    /// Shows the levels that were added since the last call. Those of other rows are 0.
    pub(super) fn end_levels(&mut self) {
        if self.has_levels() {
            std::mem::swap(&mut self.sums, &mut self.levels);
            self.levels.fill(0);
        }
    }

    fn has_levels(&self) -> bool {
        self.columns.contains(&Column::OpenConnections)
    }

    /// Finds the fragment of every group, or writes its text. True if all are found.
    fn find_fragments(&mut self, edge: &Edge<'_>) -> bool {
        let Scratch {
            value, text, found, ..
        } = &mut self.scratch;
        text.clear();
        found.clear();
        let mut all = true;
        for group in &mut self.groups {
            let key = group.determinant.map(|of| of.key(edge));
            if let Some(fragment) = key.and_then(|key| group.known.get(key)) {
                found.push(Ok(fragment));
                continue;
            }
            let begin = text.len();
            let labels = self
                .layout
                .labels
                .get(group.labels.clone())
                .unwrap_or_default();
            for label in labels {
                value.clear();
                label.value.write(edge, value);
                if group.is_continuation || text.len() > begin {
                    text.push(b',');
                }
                write_label(&label.name, value, text);
            }
            let written = text.get(begin..).unwrap_or_default();
            match group.texts.find(written) {
                Some(fragment) => {
                    if let Some(key) = key {
                        group.known.insert(key, fragment);
                    }
                    found.push(Ok(fragment));
                }
                None => {
                    all = false;
                    found.push(Err(begin..text.len()));
                }
            }
        }
        all
    }

    /// The row of the fragments that were found.
    fn find_row(&mut self) -> Option<u32> {
        let Scratch {
            found, fragments, ..
        } = &mut self.scratch;
        fragments.clear();
        fragments.extend(found.iter().flatten());
        let wanted = fragments.as_slice();
        let (all, count) = (&self.fragments, self.groups.len());
        let is_same = |row: &u32| row_of(all, count, *row) == Some(wanted);
        let hash = self.hasher.hash_one(wanted);
        self.numbers.find(hash, is_same).copied()
    }

    /// Inserts a row with the fragments of the last edge. `None` if the set is full.
    #[cold]
    fn insert(&mut self, now: Now) -> Option<u32> {
        if self.numbers.len() >= self.layout.max_series {
            return None;
        }
        let found = std::mem::take(&mut self.scratch.found);
        let text = std::mem::take(&mut self.scratch.text);
        let fragments = &mut self.scratch.fragments;
        fragments.clear();
        for (group, found) in self.groups.iter_mut().zip(&found) {
            fragments.push(match found {
                Ok(known) => {
                    group.texts.share(*known);
                    *known
                }
                Err(range) => {
                    let written = text.get(range.clone()).unwrap_or_default();
                    group.texts.acquire(written)?
                }
            });
        }
        (self.scratch.found, self.scratch.text) = (found, text);
        let row = self.place(now)?;
        let Self {
            numbers,
            hasher,
            groups,
            fragments,
            scratch,
            ..
        } = self;
        let hash_of = |row: &u32| {
            let fragments = row_of(fragments, groups.len(), *row);
            hasher.hash_one(fragments.unwrap_or_default())
        };
        let hash = hasher.hash_one(scratch.fragments.as_slice());
        numbers.insert_unique(hash, row, hash_of);
        Some(row)
    }

    /// Puts the fragments of the scratch into a new row.
    fn place(&mut self, now: Now) -> Option<u32> {
        let times = RowTimes {
            created_milliseconds: now.wall_milliseconds,
            birth_milliseconds: now.monotonic_milliseconds,
            last_milliseconds: now.monotonic_milliseconds,
        };
        let row = match self.free.pop() {
            Some(row) => row,
            None => {
                let row = u32::try_from(self.times.len()).ok()?;
                let fragments = self.fragments.len().saturating_add(self.groups.len());
                let sums = self.sums.len().saturating_add(self.columns.len());
                let buckets = self.buckets.len().saturating_add(self.histograms.len());
                self.times.push(times);
                self.fragments.resize(fragments, 0);
                self.sums.resize(sums, 0);
                if self.has_levels() {
                    self.levels.resize(sums, 0);
                }
                self.buckets.resize(buckets, BucketSums::new());
                row
            }
        };
        let at = usize::try_from(row).ok()?;
        *self.times.get_mut(at)? = times;
        self.sums.get_mut(range_of(at, self.columns.len()))?.fill(0);
        let fragments = self.fragments.get_mut(range_of(at, self.groups.len()))?;
        fragments.copy_from_slice(&self.scratch.fragments);
        Some(row)
    }

    /// The row that counts what a full set has no room for.
    #[cold]
    fn other(&mut self, now: Now) -> u32 {
        if let Some(other) = self.other {
            return other;
        }
        let fragments = &mut self.scratch.fragments;
        fragments.clear();
        let mut out = Vec::new();
        for group in &mut self.groups {
            out.clear();
            let labels = self
                .layout
                .labels
                .get(group.labels.clone())
                .unwrap_or_default();
            for label in labels {
                if group.is_continuation || !out.is_empty() {
                    out.push(b',');
                }
                write_label(&label.name, "other", &mut out);
            }
            fragments.push(group.texts.acquire(&out).unwrap_or(u32::MAX));
        }
        self.other = self.place(now);
        self.other.unwrap_or(u32::MAX)
    }

    /// Removes those of some rows to which nothing was added for too long and whose final value was
    /// shown by a scrape. Without scrapes they are kept twice as long. Returns how many.
    pub(super) fn expire(&mut self, rows: Range<usize>, expiry: Expiry) -> usize {
        let idle = self.layout.idle_milliseconds;
        let mut removed = 0;
        for at in rows {
            let Some(times) = self.times(at) else {
                continue;
            };
            let age = expiry
                .now_milliseconds
                .saturating_sub(times.last_milliseconds);
            let shown = times.last_milliseconds.max(
                times
                    .birth_milliseconds
                    .saturating_add(expiry.birth_milliseconds),
            );
            let is_shown = expiry.scraped_milliseconds >= shown;
            let is_idle = age > idle && (is_shown || age > idle.saturating_mul(2));
            let is_other = self.other.map(usize::try_from) == Some(Ok(at));
            if is_idle && !is_other {
                self.remove(at);
                removed += 1;
            }
        }
        removed
    }

    fn remove(&mut self, at: usize) {
        let Ok(row) = u32::try_from(at) else {
            return;
        };
        let fragments = self.fragments.get(range_of(at, self.groups.len()));
        let fragments = fragments.unwrap_or_default();
        let hash = self.hasher.hash_one(fragments);
        if let Ok(entry) = self.numbers.find_entry(hash, |other| *other == row) {
            entry.remove();
        }
        for (group, fragment) in self.groups.iter_mut().zip(fragments) {
            if group.texts.release(*fragment) {
                group.known.clear();
            }
        }
        if let Some(times) = self.times.get_mut(at) {
            times.birth_milliseconds = u64::MAX;
        }
        let buckets = self.buckets.get_mut(range_of(at, self.histograms.len()));
        buckets.unwrap_or_default().fill(BucketSums::new());
        self.free.push(row);
    }
}

/// Each item once, in the order in which they occur first.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// Where a row of `count` columns is.
const fn range_of(row: usize, count: usize) -> Range<usize> {
    let begin = row.saturating_mul(count);
    begin..begin.saturating_add(count)
}

fn row_of(all: &[u32], count: usize, row: u32) -> Option<&[u32]> {
    all.get(range_of(usize::try_from(row).ok()?, count))
}
