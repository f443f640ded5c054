//! The edges of a block of records, added to a table together.

use super::{DetailedEdge, EdgeTable, Key};
use crate::aggregate::health::HealthParts;
use crate::aggregate::health_addition::HealthAddition;
use crate::inventory::EndpointId;
use crate::pipeline::Measures;

/// The edges of a block of records, added together.
#[derive(Debug, Default)]
pub struct EdgeBatch {
    edges: Vec<(Key, Measures)>,
    detailed: Vec<DetailedRecord>,
    health: Vec<(Key, HealthAddition)>,
    detailed_health: Vec<(DetailedEdge, HealthAddition)>,
    health_parts: HealthParts,
}

/// The traffic of a record with a detail.
#[derive(Debug)]
struct DetailedRecord {
    edge: DetailedEdge,
    /// The hash of the edge, once it is needed.
    hash: u64,
    measures: Measures,
}

impl EdgeBatch {
    /// Creates an empty batch that counts these parts of connection health.
    #[must_use]
    pub(in crate::aggregate) fn new(health_parts: HealthParts) -> Self {
        Self {
            health_parts,
            ..Self::default()
        }
    }

    /// Sets the parts of connection health that are counted of the next records.
    pub(in crate::aggregate) const fn set_health(&mut self, parts: HealthParts) {
        self.health_parts = parts;
    }

    /// Adds a record to the batch.
    #[inline]
    pub fn push(&mut self, source: EndpointId, destination: EndpointId, measures: Measures) {
        self.edges
            .push((EdgeTable::key(source, destination), measures));
    }

    /// Adds a record with a detail to the batch.
    #[inline]
    pub(in crate::aggregate) fn push_detailed(&mut self, edge: DetailedEdge, measures: Measures) {
        self.detailed.push(DetailedRecord {
            edge,
            hash: 0,
            measures,
        });
    }

    /// Adds the health of an edge to the batch.
    pub(in crate::aggregate) fn push_health(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        addition: HealthAddition,
    ) {
        self.health
            .push((EdgeTable::key(source, destination), addition));
    }

    /// Adds the health of an edge with a detail to the batch.
    pub(in crate::aggregate) fn push_detailed_health(
        &mut self,
        edge: DetailedEdge,
        addition: HealthAddition,
    ) {
        self.detailed_health.push((edge, addition));
    }

    /// Adds the batch to a table. `drain` empties the table when it is full.
    #[inline]
    pub fn add_to(&mut self, table: &mut EdgeTable, mut drain: impl FnMut(&mut EdgeTable)) {
        let mut touched = 0;
        for (key, _) in &self.edges {
            touched ^= table.touch(*key);
        }
        std::hint::black_box(touched);
        for (key, measures) in &self.edges {
            if !table.add_key(*key, measures) {
                drain(table);
                let is_added = table.add_key(*key, measures);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
        self.edges.clear();
        self.add_detailed_to(table, &mut drain);
        self.add_health_to(table, drain);
    }

    fn add_detailed_to(&mut self, table: &mut EdgeTable, mut drain: impl FnMut(&mut EdgeTable)) {
        let mut touched = 0;
        for record in &mut self.detailed {
            record.hash = table.detailed.hash(&record.edge);
            touched ^= table.detailed.touch(record.hash);
        }
        std::hint::black_box(touched);
        for DetailedRecord {
            edge,
            hash,
            measures,
        } in self.detailed.drain(..)
        {
            if !table.add_detailed(&edge, hash, &measures) {
                drain(table);
                let is_added = table.add_detailed(&edge, hash, &measures);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
    }

    fn add_health_to(&mut self, table: &mut EdgeTable, mut drain: impl FnMut(&mut EdgeTable)) {
        let parts = self.health_parts;
        let mut touched = 0;
        for (key, _) in &self.health {
            touched ^= table.health.touch(*key);
        }
        std::hint::black_box(touched);
        for (key, addition) in self.health.drain(..) {
            if !table.add_health(key, &addition, parts) {
                drain(table);
                let is_added = table.add_health(key, &addition, parts);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
        for (edge, addition) in self.detailed_health.drain(..) {
            if !table.add_detailed_health(&edge, &addition, parts) {
                drain(table);
                let is_added = table.add_detailed_health(&edge, &addition, parts);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
    }
}
