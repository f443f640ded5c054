//! One worker's whole path: datagram → records → who it was → whether it counts → edges.
//!
//! A worker owns its templates, its held records and its edges; workers share only the [`Shared`]
//! index, who was heard, and the series that edges are drained into. Whoever drives it (a socket
//! thread, the savefile reader) holds the worker's mutex for one batch; a scrape takes the same mutex
//! for as long as it takes to swap the edge table and to copy the counts, so that the counts of one
//! scrape add up.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use std::sync::Arc;

use flowproto::FlowRecord;
use flowproto::collector::{CollectingProcess, Counters, Limits, Message, Occupancy, RecordSink};
use flowproto::template::Fields;

use crate::aggregate::{EdgeTable, Measures, SeriesTable};
use crate::dedup::{self, Held, HeldRecords, OBSERVED_MILLISECONDS, Observers, Verdict};
use crate::emit::{LineBuffer, line};
use crate::enrich::{self, Ends, TrafficClass};
use crate::inventory::{EndpointId, Index, NodeId};

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Who holds an address.
    pub index: Index,
    /// Which nodes were heard.
    pub observers: Observers,
    /// Where edges are drained into. A worker that needs it holds its own mutex already; whoever
    /// holds this one must not ask for a worker's.
    pub series: Mutex<SeriesTable>,
}

impl Shared {
    /// Nothing heard, nothing counted.
    #[must_use]
    pub fn new(index: Index, series: SeriesTable) -> Self {
        Self {
            observers: Observers::new(index.nodes()),
            index,
            series: Mutex::new(series),
        }
    }

    /// Adds drained edges to the series.
    pub fn merge(&self, edges: &mut EdgeTable, now_milliseconds: u64) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.merge(&self.index, edges.drain(), now_milliseconds);
    }
}

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Bounds of the Collecting Process.
    pub limits: Limits,
    /// Edges between two drains, ≥ 2.
    pub max_edges: usize,
    /// Records that wait for their verdict at the most.
    pub held_records: usize,
    /// How long they wait, milliseconds.
    pub observer_wait_milliseconds: u64,
    /// Whether traffic inside a node counts.
    pub intra_node: bool,
    /// Whether a record of an exporter that counts no connections is one.
    pub connections_from_flows: bool,
    /// When the collector began, milliseconds since the epoch; `None` from savefiles, which are not
    /// over before their end: a silent node may be heard yet.
    pub began_milliseconds: Option<u64>,
}

/// What a worker counted after decoding. A *direction* is a record, or the opposite direction that a
/// biflow record carries besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Data Records.
    pub records: u64,
    /// Opposite directions in biflow records.
    pub reverse_directions: u64,
    /// Directions counted in the families.
    pub counted: u64,
    /// Directions whose record of another observer counts.
    pub other_observer: u64,
    /// Directions inside one node.
    pub intra_node: u64,
    /// Records that carry neither octets nor packets.
    pub no_counters: u64,
    /// Directions that had to wait for their verdict, in all.
    pub held: u64,
    /// Of these, settled early because their room was needed.
    pub settled_early: u64,
    /// Directions waiting now.
    pub waiting: u64,
    /// Directions of exporters that are no known node, where nodes are known.
    pub foreign: u64,
    /// Edges now.
    pub edges: u64,
    /// Drains because the edge table was full.
    pub full_drains: u64,
}

/// Everything a worker counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerCounts {
    /// The Collecting Process.
    pub decoding: Counters,
    /// Its sizes.
    pub occupancy: Occupancy,
    /// What came after.
    pub records: RecordCounts,
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    collecting: CollectingProcess,
    intermediate: Intermediate,
}

impl Worker {
    /// A worker that has heard nothing. `log`: where lines go, if there is a flow log.
    #[must_use]
    pub fn new(settings: WorkerSettings, shared: Arc<Shared>, log: Option<LineBuffer>) -> Self {
        Self {
            collecting: CollectingProcess::new(settings.limits),
            intermediate: Intermediate {
                enriching: !shared.index.is_empty(),
                edges: EdgeTable::new(settings.max_edges),
                held: HeldRecords::new(settings.held_records, settings.observer_wait_milliseconds),
                exporters: Vec::new(),
                exporter: Exporter::default(),
                counts: RecordCounts::default(),
                now_milliseconds: 0,
                settings,
                shared,
                log,
            },
        }
    }

    /// Takes one datagram.
    pub fn receive(&mut self, exporter: SocketAddr, datagram: &[u8], now_milliseconds: u64) {
        self.intermediate.now_milliseconds = now_milliseconds;
        self.collecting
            .receive(exporter, datagram, now_milliseconds, &mut self.intermediate);
    }

    /// Hands over the lines of the flow log, unless its writer is busy. To be called after every batch.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.intermediate.log {
            log.flush_if_idle();
        }
    }

    /// Gives up on what waited for too long. To be called about once a second.
    pub fn tick(&mut self, now_milliseconds: u64) {
        self.collecting.expire(now_milliseconds);
        self.flush_log();
        self.intermediate.now_milliseconds = now_milliseconds;
        // Offline, nothing is over before the end.
        if self.intermediate.settings.began_milliseconds.is_some() {
            while let Some(held) = self.intermediate.held.due(now_milliseconds) {
                self.intermediate.settle(held);
            }
        }
    }

    /// The end: nothing more comes, so nothing waits any longer.
    pub fn finish(&mut self) {
        self.collecting.expire(u64::MAX);
        while let Some(held) = self.intermediate.held.take() {
            self.intermediate.settle(held);
        }
        // Dropped, it hands over its last lines.
        self.intermediate.log = None;
    }

    /// Swaps the edges against an empty table and returns the counts as they are at that moment.
    pub fn drain(&mut self, edges: &mut EdgeTable) -> WorkerCounts {
        std::mem::swap(&mut self.intermediate.edges, edges);
        self.counts()
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> WorkerCounts {
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        WorkerCounts {
            decoding: *self.collecting.counters(),
            occupancy: self.collecting.occupancy(),
            records: RecordCounts {
                waiting: size(self.intermediate.held.len()),
                edges: size(self.intermediate.edges.len()),
                ..self.intermediate.counts
            },
        }
    }

    /// Whether the reader of the flow log went away.
    #[must_use]
    pub fn log_is_closed(&self) -> bool {
        self.intermediate
            .log
            .as_ref()
            .is_some_and(LineBuffer::is_closed)
    }
}

/// The exporter of the Message at hand, as far as dedup is concerned.
#[derive(Clone, Copy, Debug, Default)]
struct Exporter {
    /// Revision of the domain that this was derived from.
    revision: u32,
    /// The node it is on.
    node: Option<NodeId>,
    /// The node is known by name: what a record says of its exporter's address adds nothing.
    by_name: bool,
}

/// The Intermediate Process (RFC 6183): what happens to a record once it is decoded.
#[derive(Debug)]
struct Intermediate {
    settings: WorkerSettings,
    shared: Arc<Shared>,
    /// Whether anything is known of a cluster, so that there is something to add to a record.
    enriching: bool,
    edges: EdgeTable,
    held: HeldRecords,
    /// By [`Message::domain_index`].
    exporters: Vec<Option<Exporter>>,
    exporter: Exporter,
    log: Option<LineBuffer>,
    counts: RecordCounts,
    now_milliseconds: u64,
}

impl RecordSink for Intermediate {
    fn message(&mut self, message: &Message<'_>) {
        if !self.enriching {
            return;
        }
        if self.exporters.len() <= message.domain_index {
            self.exporters
                .resize(message.domain_index.saturating_add(1), None);
        }
        let Some(known) = self.exporters.get_mut(message.domain_index) else {
            return;
        };
        self.exporter = match *known {
            Some(exporter) if exporter.revision == message.domain.revision => exporter,
            _ => *known.insert(locate(&self.shared.index, message)),
        };
        if let Some(node) = self.exporter.node {
            self.shared.observers.heard(node, self.now_milliseconds);
        }
    }

    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        self.counts.records += 1;
        let ends = enrich::ends(&self.shared.index, record);
        let exporter = self.exporter_of(record);
        let reverse_carried =
            record.reverse_packet_delta_count != 0 || record.reverse_octet_delta_count != 0;
        let forward_carried = record.packet_delta_count != 0 || record.octet_delta_count != 0;

        let verdict = if forward_carried || reverse_carried {
            self.judge(exporter, ends)
        } else {
            self.counts.no_counters += 1;
            self.log(message, ends, exporter, fields, true);
            return;
        };
        let measures = self.measures(record);
        match (verdict, exporter) {
            (Verdict::Undecided, Some(node)) => {
                let line = self.open_line(message, ends, fields);
                self.hold(node, ends, measures, line);
            }
            (verdict, _) => {
                let counts = verdict != Verdict::OtherObserver;
                self.log(message, ends, exporter, fields, counts);
                self.count(ends.source, ends.destination, &measures, counts);
            }
        }
        if !reverse_carried {
            return;
        }
        self.counts.reverse_directions += 1;
        let measures = reverse_measures(record);
        let ends = ends.reversed();
        match (self.judge(exporter, ends), exporter) {
            (Verdict::Undecided, Some(node)) => self.hold(node, ends, measures, Vec::new()),
            (verdict, _) => {
                let counts = verdict != Verdict::OtherObserver;
                self.count(ends.source, ends.destination, &measures, counts);
            }
        }
    }
}

impl Intermediate {
    /// The node of the record's exporter.
    fn exporter_of(&self, record: &FlowRecord) -> Option<NodeId> {
        if record.exporter_address.is_unspecified() || self.exporter.by_name || !self.enriching {
            return self.exporter.node;
        }
        match self.shared.index.node_at(record.exporter_address) {
            Some(node) => {
                self.shared.observers.heard(node, self.now_milliseconds);
                Some(node)
            }
            None => self.exporter.node,
        }
    }

    fn nodes(&self, source: EndpointId, destination: EndpointId) -> [Option<NodeId>; 2] {
        let index = &self.shared.index;
        [index.place(source).node, index.place(destination).node]
    }

    fn judge(&mut self, exporter: Option<NodeId>, ends: Ends) -> Verdict {
        if exporter.is_none() {
            if self.enriching {
                self.counts.foreign += 1;
            }
            return Verdict::Counts;
        }
        let now = self.now_milliseconds;
        let young = self
            .settings
            .began_milliseconds
            .is_none_or(|began| now.saturating_sub(began) < OBSERVED_MILLISECONDS);
        let nodes = self.nodes(ends.source, ends.destination);
        dedup::judge(&self.shared.observers, exporter, nodes, now, young)
    }

    fn measures(&self, record: &FlowRecord) -> Measures {
        let sampling = record.sampling;
        Measures {
            bytes: sampling.scale(record.octet_delta_count),
            packets: sampling.scale(record.packet_delta_count),
            connections: match record.new_connection_delta_count {
                Some(connections) => connections.into(),
                None => u64::from(self.settings.connections_from_flows),
            },
        }
    }

    fn hold(&mut self, exporter: NodeId, ends: Ends, measures: Measures, line: Vec<u8>) {
        self.counts.held += 1;
        let crowded_out = self.held.hold(Held {
            exporter,
            source: ends.source,
            destination: ends.destination,
            measures,
            since_milliseconds: self.now_milliseconds,
            line,
        });
        if let Some(held) = crowded_out {
            self.counts.settled_early += 1;
            self.settle(held);
        }
    }

    fn settle(&mut self, mut held: Held) {
        let nodes = self.nodes(held.source, held.destination);
        let counts = dedup::settle(&self.shared.observers, held.exporter, nodes);
        if let Some(log) = self.log.as_mut().filter(|_| !held.line.is_empty()) {
            line::add_counted(counts, &mut held.line);
            line::end(&mut held.line);
            log.text().extend_from_slice(&held.line);
            log.end_line();
        }
        self.count(held.source, held.destination, &held.measures, counts);
    }

    /// Counts one direction, or why it does not count.
    fn count(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        measures: &Measures,
        authoritative: bool,
    ) {
        if !authoritative {
            self.counts.other_observer += 1;
            return;
        }
        if !self.settings.intra_node {
            let index = &self.shared.index;
            let (from, to) = (index.place(source), index.place(destination));
            if TrafficClass::between(from, to) == TrafficClass::IntraNode {
                self.counts.intra_node += 1;
                return;
            }
        }
        self.counts.counted += 1;
        if !self.edges.count(source, destination, measures) {
            self.counts.full_drains += 1;
            self.shared.merge(&mut self.edges, self.now_milliseconds);
            let counted = self.edges.count(source, destination, measures);
            debug_assert!(counted, "an empty table takes an edge");
        }
    }

    fn log(
        &mut self,
        message: &Message<'_>,
        ends: Ends,
        exporter: Option<NodeId>,
        fields: Fields<'_>,
        counted: bool,
    ) {
        let Some(log) = &mut self.log else { return };
        let out = log.text();
        line::begin(message, fields, out);
        if self.enriching {
            line::add_ends(&self.shared.index, ends, message, exporter.is_none(), out);
            line::add_counted(counted, out);
        }
        line::end(out);
        log.end_line();
    }

    /// A line that lacks only whether the record counts; empty where there is no flow log.
    fn open_line(&self, message: &Message<'_>, ends: Ends, fields: Fields<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if self.log.is_some() {
            line::begin(message, fields, &mut out);
            line::add_ends(&self.shared.index, ends, message, false, &mut out);
        }
        out
    }
}

fn reverse_measures(record: &FlowRecord) -> Measures {
    Measures {
        bytes: record.sampling.scale(record.reverse_octet_delta_count),
        packets: record.sampling.scale(record.reverse_packet_delta_count),
        connections: 0,
    }
}

/// The node that the exporter of a Message is on: by the name it says, else by the address it says,
/// else by the address it sent from. A domain id alone never identifies.
fn locate(index: &Index, message: &Message<'_>) -> Exporter {
    let domain = message.domain;
    let named = domain
        .observation_domain_name
        .as_deref()
        .and_then(|name| index.node_named(name));
    Exporter {
        revision: domain.revision,
        by_name: named.is_some(),
        node: named
            .or_else(|| index.node_at(domain.exporter_address))
            .or_else(|| index.node_at(message.exporter.ip().into())),
    }
}
