//! The exposition of the series, in chunks.

use std::collections::HashSet;
use std::sync::Arc;

use kipfix_service::exposition::{CHUNK_OCTETS, Chunks, Format};
use kipfix_service::sync::lock;

use super::family::{ExposedFamily, ShownRow};
use super::set::{RowsIdentity, SeriesSet};
use super::{Rows, SeriesTable};
use crate::clock::Now;

/// Rows that are visited for a chunk, whether they exist or not.
const CHUNK_ROWS: usize = 8192;

/// The values that an exposition shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownValues {
    /// Those of a scrape at this time. A new series shows 0.
    Scrape(Now),
    /// All sums, in the order of their label text, so that the same sums give the same text.
    Final,
}

/// All families. A chunk is written under the lock of the series table. A series that is created
/// after the first chunk may be left out. If families are replaced meanwhile, each family that
/// stays is complete, and so is each new one. One that is removed while it is written ends there.
#[derive(Debug)]
pub struct SeriesChunks {
    table: Arc<SeriesTable>,
    format: Format,
    shown: ShownValues,
    /// The revision of the families, once a chunk was written.
    revision: Option<u64>,
    /// The rows of the family that is not complete yet, and its name.
    current: Option<(Arc<RowsIdentity>, Box<str>)>,
    /// The names of all families of which anything was written.
    written: HashSet<Box<str>>,
    /// Whether families before the current one may be left, because they were replaced.
    restarts: bool,
    set: usize,
    family: usize,
    /// Position in the order of rows.
    row: usize,
    /// The rows of the set in the order of their label text, if that is wanted.
    order: Vec<usize>,
    /// The rows of `order`.
    ordered: Option<Arc<RowsIdentity>>,
    labels: Vec<u8>,
    metrics: Vec<u8>,
}

impl SeriesChunks {
    /// Prepares an exposition.
    #[must_use]
    pub fn new(table: Arc<SeriesTable>, format: Format, shown: ShownValues) -> Self {
        Self {
            table,
            format,
            shown,
            revision: None,
            current: None,
            written: HashSet::new(),
            restarts: false,
            set: 0,
            family: 0,
            row: 0,
            order: Vec::new(),
            ordered: None,
            labels: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// The latest birth of a row that shows its values, monotonic clock.
    fn newest_milliseconds(&self) -> u64 {
        match self.shown {
            // One less than what marks a row that does not exist.
            ShownValues::Final => u64::MAX - 1,
            ShownValues::Scrape(now) => now
                .monotonic_milliseconds
                .saturating_sub(self.table.settings.birth_milliseconds),
        }
    }

    /// Begins a family, unless it has begun. False if it was written already.
    fn begin(&mut self, set: &SeriesSet, family: &ExposedFamily, out: &mut Vec<u8>) -> bool {
        if self.current.is_some() {
            return true;
        }
        let name = &family.family.name;
        if !self.written.insert(name.clone()) {
            return false;
        }
        self.current = Some((Arc::clone(&set.identity), name.clone()));
        self.row = 0;
        family.write_header(self.format, out);
        let is_ordered = |of: &Arc<RowsIdentity>| Arc::ptr_eq(of, &set.identity);
        if self.shown == ShownValues::Final && !self.ordered.as_ref().is_some_and(is_ordered) {
            self.order = ordered(set);
            self.ordered = Some(Arc::clone(&set.identity));
        }
        true
    }

    /// Continues after families were replaced: with the current one if it stays, then with all that
    /// were not written.
    fn resume(&mut self, rows: &Rows) {
        let place = self.current.as_ref().and_then(|(identity, name)| {
            let mut sets = rows.sets.iter();
            let set = sets.position(|set| Arc::ptr_eq(&set.identity, identity))?;
            let mut families = rows.sets.get(set)?.families.iter();
            let family = families.position(|exposed| exposed.family.name == *name)?;
            Some((set, family))
        });
        self.restarts = place.is_some();
        if place.is_none() {
            self.current = None;
        }
        (self.set, self.family) = place.unwrap_or_default();
    }

    /// Writes rows of a family until the chunk is full. True if the family is complete.
    fn write_rows(
        &mut self,
        set: &SeriesSet,
        family: &ExposedFamily,
        visited: &mut usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let is_final = self.shown == ShownValues::Final;
        let created = self.format == Format::OpenMetrics && self.table.settings.created_samples;
        let newest = self.newest_milliseconds();
        let end = if is_final {
            self.order.len()
        } else {
            set.end()
        };
        self.metrics.clear();
        while self.row < end {
            if out.len() + self.metrics.len() >= CHUNK_OCTETS || *visited >= CHUNK_ROWS {
                break;
            }
            *visited += 1;
            let row = match is_final {
                true => self.order.get(self.row).copied().unwrap_or_default(),
                false => self.row,
            };
            self.row += 1;
            let Some(times) = set.times(row) else {
                continue;
            };
            self.labels.clear();
            if self.format == Format::Protobuf {
                self.labels.extend_from_slice(&family.constant_labels);
            }
            set.write_labels(row, &mut self.labels);
            let shown = ShownRow {
                labels: &self.labels,
                sums: set.sums(row),
                buckets: set.buckets(row),
                is_new: times.birth_milliseconds > newest,
                created_milliseconds: times.created_milliseconds,
            };
            if self.format == Format::Protobuf {
                family.write_protobuf(shown, &mut self.metrics);
            } else {
                family.write_text(shown, created, out);
            }
        }
        if !self.metrics.is_empty() {
            family.write_protobuf_family(&self.metrics, out);
        }
        self.row >= end
    }

    fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) -> bool {
        let mut visited = 0;
        while out.len() < CHUNK_OCTETS && visited < CHUNK_ROWS {
            let Some(set) = rows.sets.get(self.set) else {
                return false;
            };
            match set.families.get(self.family) {
                None => (self.set, self.family) = (self.set + 1, 0),
                Some(family) if !self.begin(set, family, out) => self.family += 1,
                Some(family) if self.write_rows(set, family, &mut visited, out) => {
                    self.current = None;
                    self.family += 1;
                    if std::mem::take(&mut self.restarts) {
                        (self.set, self.family) = (0, 0);
                    }
                }
                Some(_) => {}
            }
        }
        true
    }
}

impl Chunks for SeriesChunks {
    fn write_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        let table = Arc::clone(&self.table);
        let mut rows = lock(&table.rows);
        // Positions have another meaning after families were replaced.
        if *self.revision.get_or_insert(rows.revision) != rows.revision {
            self.revision = Some(rows.revision);
            self.resume(&rows);
        }
        let is_more = self.write(&rows, out);
        if let (false, ShownValues::Scrape(now)) = (is_more, self.shown) {
            rows.scraped_milliseconds = rows.scraped_milliseconds.max(now.monotonic_milliseconds);
        }
        is_more
    }
}

/// The rows of a set in the order of their label text.
fn ordered(set: &SeriesSet) -> Vec<usize> {
    let rows = (0..set.end()).filter(|row| set.times(*row).is_some());
    let mut rows: Vec<(Vec<u8>, usize)> = rows
        .map(|row| {
            let mut labels = Vec::new();
            set.write_labels(row, &mut labels);
            (labels, row)
        })
        .collect();
    rows.sort_unstable();
    rows.into_iter().map(|(_, row)| row).collect()
}
