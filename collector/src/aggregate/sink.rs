//! The sink that counts records.

use std::sync::Arc;

use super::detail::Detail;
use super::edges::{DetailedEdge, EdgeBatch, EdgeTable};
use super::health_addition::HealthAddition;
use super::host_wildcards::HostWildcards;
use super::needs::FamilyNeeds;
use super::observer::EdgeObserver;
use super::open_connections::{
    ConnectionEnds, ConnectionEvent, OpenConnectionCounts, OpenConnectionSettings, OpenConnections,
    OpenEdge,
};
use super::series::SeriesTable;
use crate::clock::Now;
use crate::inventory::EndpointId;
use crate::pipeline::{ConnectionHealth, DecidedRecord, FlowHealth, Initiator, Measures};
use crate::snapshots::Snapshots;

/// Port of DNS servers.
const DNS_PORT: u16 = 53;

/// Counts the records of one pipeline by their endpoints.
#[derive(Debug)]
pub struct EdgeSink {
    batch: EdgeBatch,
    table: EdgeTable,
    series: Arc<SeriesTable>,
    observer: Option<Arc<dyn EdgeObserver>>,
    needs: FamilyNeeds,
    /// The needs from the next exchange of tables on: the edges of a table have the same details.
    next_needs: FamilyNeeds,
    wildcards: Arc<HostWildcards>,
    full_drains: u64,
    open_connections: OpenConnections,
    /// What the records of the current block report of connections.
    connection_events: Vec<(ConnectionEnds, ConnectionEvent)>,
}

/// An edge between the endpoints of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EdgeDirection {
    /// In the direction of its packets.
    Own,
    /// In the opposite direction.
    Opposite,
}

impl EdgeDirection {
    /// The direction of the initiator's packets.
    fn of_initiator(initiator: Initiator) -> Self {
        match initiator {
            Initiator::Source | Initiator::Unknown => Self::Own,
            Initiator::Destination => Self::Opposite,
        }
    }
}

impl EdgeSink {
    /// Creates a sink for `max_edges`. A full table is merged into `series`.
    #[must_use]
    pub fn new(max_edges: usize, series: Arc<SeriesTable>) -> Self {
        let needs = series.needs();
        Self {
            batch: EdgeBatch::new(needs.health),
            table: EdgeTable::new(max_edges),
            needs,
            next_needs: needs,
            wildcards: Arc::default(),
            series,
            observer: None,
            full_drains: 0,
            open_connections: OpenConnections::new(OpenConnectionSettings::default()),
            connection_events: Vec::new(),
        }
    }

    /// Also hands the edges of a full table to `observer`, with the health that it needs.
    #[must_use]
    pub fn with_observer(mut self, observer: Option<Arc<dyn EdgeObserver>>) -> Self {
        self.observer = observer;
        self.set_needs(self.needs);
        self.begin_table();
        self
    }

    /// Sets the bounds of open connections.
    #[must_use]
    pub fn with_open_connections(self, settings: OpenConnectionSettings) -> Self {
        Self {
            open_connections: OpenConnections::new(settings),
            ..self
        }
    }

    /// Counts host names that match a wildcard under the wildcard.
    #[must_use]
    pub fn with_host_wildcards(self, wildcards: Arc<HostWildcards>) -> Self {
        Self { wildcards, ..self }
    }

    /// Counts a record, if it is to be counted.
    #[inline]
    pub fn accept(&mut self, record: &DecidedRecord<'_>) {
        // Another sink may need it.
        if let Some(health) = record.health {
            if self.needs.health.is_needed {
                self.accept_health(record, health);
            }
            if self.needs.health.has_open_connections {
                self.accept_open_connection(record, &health.connection);
            }
        }
        if let Some(end) = record.compared {
            let addition = HealthAddition::Comparison(end, record.flow.path_count());
            self.push_health(record, EdgeDirection::Own, addition);
        }
        if !record.verdict.is_counted() {
            return;
        }
        let measures = record.flow.measures;
        if self.needs.details.is_empty() {
            let endpoints = record.endpoints;
            self.count(endpoints.source.id, endpoints.destination.id, measures);
        } else {
            let edge = self.edge(record, EdgeDirection::Own);
            if self.has_detail(&edge) {
                self.batch.push_detailed(edge, measures);
            } else {
                self.count(edge.source, edge.destination, measures);
            }
        }
    }

    /// Counts the health of a record. That of its packets belongs to its direction, that of the
    /// connection to the direction of the initiator.
    fn accept_health(&mut self, record: &DecidedRecord<'_>, health: &FlowHealth) {
        let of_initiator = EdgeDirection::of_initiator(health.connection.initiator);
        if record.verdict.is_counted() {
            let packets = HealthAddition::Packets(health.packets, health.round_trip_time);
            self.push_health(record, EdgeDirection::Own, packets);
            let flow = record.flow;
            let is_response = flow.source_port == DNS_PORT && flow.destination_port != DNS_PORT;
            let of_query = if is_response {
                EdgeDirection::Opposite
            } else {
                EdgeDirection::Own
            };
            self.push_health(record, of_query, HealthAddition::Dns(health.dns));
            self.push_health(record, of_initiator, HealthAddition::Http(health.http));
        }
        if record.is_connection_counted {
            let connection = HealthAddition::Connection(health.connection);
            self.push_health(record, of_initiator, connection);
        }
    }

    /// Adds to the health of the edge of a record, or of the opposite one.
    #[inline]
    fn push_health(
        &mut self,
        record: &DecidedRecord<'_>,
        direction: EdgeDirection,
        addition: HealthAddition,
    ) {
        if addition.is_empty() {
            return;
        }
        let edge = self.edge(record, direction);
        if self.has_detail(&edge) {
            self.batch.push_detailed_health(edge, addition);
        } else {
            self.batch
                .push_health(edge.source, edge.destination, addition);
        }
    }

    /// True if an edge is counted with its detail. A detail is large: it is looked at only if few
    /// records have one.
    #[inline]
    fn has_detail(&self, edge: &DetailedEdge) -> bool {
        let details = self.needs.details;
        details.are_in_traffic() || !details.is_empty() && !edge.detail.is_empty()
    }

    /// Keeps what a record reports of a connection for the end of the block.
    fn accept_open_connection(
        &mut self,
        record: &DecidedRecord<'_>,
        connection: &ConnectionHealth,
    ) {
        let edge = || self.edge(record, EdgeDirection::of_initiator(connection.initiator));
        let event = ConnectionEvent::of(connection, record.is_connection_counted, edge);
        if let Some(event) = event {
            let ends = ConnectionEnds::of(record.flow);
            self.connection_events.push((ends, event));
        }
    }

    /// The edge of a record, or the opposite one, with the details that families need.
    #[inline]
    fn edge(&self, record: &DecidedRecord<'_>, direction: EdgeDirection) -> DetailedEdge {
        let endpoints = record.endpoints;
        let is_opposite = direction == EdgeDirection::Opposite;
        let (mut source, mut destination) = (endpoints.source.id, endpoints.destination.id);
        if is_opposite {
            std::mem::swap(&mut source, &mut destination);
        }
        let mut edge = DetailedEdge {
            source,
            destination,
            detail: Detail::default(),
        };
        if !self.needs.details.is_empty() {
            let detail = &mut edge.detail;
            detail.fill(record, self.needs.details, &self.wildcards);
            if is_opposite {
                *detail = std::mem::take(detail).reversed();
            }
        }
        edge
    }

    /// True if [`DecidedRecord::health`] is needed.
    #[inline]
    #[must_use]
    pub const fn need_health(&self) -> bool {
        self.needs.health.is_needed || self.needs.health.has_open_connections
    }

    /// True if [`DecidedRecord::compared`] is needed.
    #[inline]
    #[must_use]
    pub const fn need_comparison(&self) -> bool {
        self.needs.health.compares
    }

    /// True if [`DecidedRecord::extras`] are needed of every record.
    #[inline]
    #[must_use]
    pub const fn need_details(&self) -> bool {
        self.needs.details.need_extras()
    }

    /// True if the names of the interfaces of every record are needed.
    #[inline]
    #[must_use]
    pub const fn need_interfaces(&self) -> bool {
        self.needs.details.need_interfaces()
    }

    /// True if [`Self::count`] is enough for records that have nothing but traffic.
    #[inline]
    #[must_use]
    pub const fn need_traffic_only(&self) -> bool {
        !self.needs.details.are_in_traffic() && !self.needs.health.compares
    }

    /// Counts the traffic of a record between two endpoints, if [`Self::need_traffic_only`].
    #[inline]
    pub fn count(&mut self, source: EndpointId, destination: EndpointId, measures: Measures) {
        self.batch.push(source, destination, measures);
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
            open_connections,
            connection_events,
            ..
        } = self;
        for (ends, event) in connection_events.drain(..) {
            open_connections.apply(ends, event, now.monotonic_milliseconds);
        }
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
    pub fn swap(&mut self, empty: &mut EdgeTable) {
        std::mem::swap(&mut self.table, empty);
        self.begin_table();
        if !self.needs.health.has_open_connections {
            self.open_connections.clear();
        }
    }

    fn begin_table(&mut self) {
        self.needs = self.next_needs;
        self.batch.set_health(self.needs.health);
    }

    /// Appends the edges with open connections to `edges`.
    pub fn read_open_connections(&mut self, now: Now, edges: &mut Vec<OpenEdge>) {
        self.open_connections.expire(now.monotonic_milliseconds);
        edges.extend(self.open_connections.edges());
    }

    /// Counts of the open connections.
    #[must_use]
    pub fn open_connections(&self) -> OpenConnectionCounts {
        self.open_connections.counts()
    }

    /// Sets what families need of records after the next [`Self::swap`].
    pub fn set_needs(&mut self, needs: FamilyNeeds) {
        let observer = self.observer.as_ref().map(|observer| observer.needs());
        self.next_needs = FamilyNeeds {
            health: needs.health.and(observer.unwrap_or_default()),
            ..needs
        };
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
