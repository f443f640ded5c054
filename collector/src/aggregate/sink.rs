//! The sink that counts records.

use std::sync::Arc;

use super::detail::{Detail, DetailParts};
use super::edges::{DetailedEdge, EdgeBatch, EdgeTable};
use super::host_wildcards::HostWildcards;
use super::observer::EdgeObserver;
use super::series::SeriesTable;
use crate::clock::Now;
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// Counts the records of one pipeline by their endpoints.
#[derive(Debug)]
pub struct EdgeSink {
    batch: EdgeBatch,
    table: EdgeTable,
    series: Arc<SeriesTable>,
    observer: Option<Arc<dyn EdgeObserver>>,
    details: DetailParts,
    /// The details from the next exchange of tables on: the edges of a table have the same ones.
    next_details: DetailParts,
    wildcards: Arc<HostWildcards>,
    full_drains: u64,
}

impl EdgeSink {
    /// Creates a sink for `max_edges`. A full table is merged into `series`.
    #[must_use]
    pub fn new(max_edges: usize, series: Arc<SeriesTable>) -> Self {
        Self {
            batch: EdgeBatch::default(),
            table: EdgeTable::new(max_edges),
            details: series.details(),
            next_details: series.details(),
            wildcards: Arc::default(),
            series,
            observer: None,
            full_drains: 0,
        }
    }

    /// Also hands the edges of a full table to `observer`.
    #[must_use]
    pub fn with_observer(self, observer: Option<Arc<dyn EdgeObserver>>) -> Self {
        Self { observer, ..self }
    }

    /// Counts host names that match a wildcard under the wildcard.
    #[must_use]
    pub fn with_host_wildcards(self, wildcards: Arc<HostWildcards>) -> Self {
        Self { wildcards, ..self }
    }

    /// Counts a record, if it is to be counted.
    #[inline]
    pub fn accept(&mut self, record: &DecidedRecord<'_>) {
        if !record.verdict.is_counted() {
            return;
        }
        let endpoints = record.endpoints;
        let (source, destination) = (endpoints.source.id, endpoints.destination.id);
        let measures = record.flow.measures;
        if self.details.is_empty() {
            self.batch.push(source, destination, measures);
        } else {
            let edge = DetailedEdge {
                source,
                destination,
                detail: Detail::of(record, self.details, &self.wildcards),
            };
            self.batch.push_detailed(edge, measures);
        }
    }

    /// True if [`DecidedRecord::extras`] are needed of every record.
    #[inline]
    #[must_use]
    pub const fn need_details(&self) -> bool {
        self.details.need_extras()
    }

    /// Adds the records of a block to the table.
    #[inline]
    pub fn end_block(&mut self, snapshots: &Snapshots, now: Now) {
        let Self {
            batch,
            table,
            series,
            observer,
            full_drains,
            ..
        } = self;
        batch.add_to(table, |table| {
            *full_drains = full_drains.wrapping_add(1);
            series.merge(snapshots, table, now);
            if let Some(observer) = observer {
                observer.observe(snapshots, table, now.wall_milliseconds);
            }
            table.clear();
        });
    }

    /// Exchanges the table for an empty one.
    pub const fn swap(&mut self, empty: &mut EdgeTable) {
        std::mem::swap(&mut self.table, empty);
        self.details = self.next_details;
    }

    /// Sets the details of edges that are counted after the next [`Self::swap`].
    pub const fn set_details(&mut self, details: DetailParts) {
        self.next_details = details;
    }

    /// Number of edges in the table.
    #[must_use]
    pub const fn edges(&self) -> usize {
        self.table.len()
    }

    /// Number of merges because the table was full.
    #[must_use]
    pub const fn full_drains(&self) -> u64 {
        self.full_drains
    }
}
