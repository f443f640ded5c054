//! The Intermediate Process (RFC 6183): what happens to a record once it is decoded.
//!
//! What cannot be decided yet is [`held`]; what is told of a record is in [`lines`].

mod exporter;
mod held;
mod lines;

use std::sync::Arc;

use flowproto::collector::{Message, RecordSink};
use flowproto::template::Fields;
use flowproto::{Address, FlowRecord};

use crate::aggregate::{EdgeTable, Measures};
use crate::dedup::{self, Held, OBSERVED_MILLISECONDS, Verdict};
use crate::emit::LineBuffer;
use crate::emit::forward::ForwardStage;
use crate::enrich::{self, Clock, Ends, Known, Recent, TrafficClass};
use crate::inventory::external::ExternalSnapshot;
use crate::inventory::{EndpointId, IndexSnapshot, NodeId, TimeRange};
use crate::waiting::Waiting;
use crate::worker::{RecordCounts, Shared, WorkerSettings};

use exporter::{Exporter, Located};
use held::Unattributed;
use lines::Line;

/// The Intermediate Process of one worker.
#[derive(Debug)]
pub(super) struct Intermediate {
    pub(super) settings: WorkerSettings,
    pub(super) shared: Arc<Shared>,
    index: Arc<IndexSnapshot>,
    outside: Arc<ExternalSnapshot>,
    recent: Recent,
    pub(super) edges: EdgeTable,
    unattributed: Waiting<Unattributed>,
    held: Waiting<Held>,
    /// By [`Message::domain_index`].
    pub(super) exporters: Vec<Option<Exporter>>,
    exporter: Located,
    domain_index: usize,
    pub(super) log: Option<LineBuffer>,
    /// Where records are passed on, if they are.
    pub(super) forward: Option<ForwardStage>,
    pub(super) counts: RecordCounts,
    pub(super) now_milliseconds: u64,
}

impl RecordSink for Intermediate {
    fn message(&mut self, message: &Message<'_>) {
        self.domain_index = message.domain_index;
        if let Some(forward) = &mut self.forward {
            forward.message(message);
        }
        if self.index.is_empty() {
            return;
        }
        if self.exporters.len() <= message.domain_index {
            self.exporters
                .resize(message.domain_index.saturating_add(1), None);
        }
        let Some(slot) = self.exporters.get_mut(message.domain_index) else {
            return;
        };
        let known = slot
            .as_ref()
            .is_some_and(|exporter| exporter.revision == message.domain.revision);
        if !known {
            let address = Address::from(message.exporter.ip());
            let same = slot.as_ref().filter(|exporter| exporter.address == address);
            let clock = same.map_or_else(Clock::default, |exporter| exporter.clock);
            *slot = Some(Exporter::of(message, clock));
        }
        let Some(exporter) = slot else { return };
        exporter.locate(&self.index);
        exporter
            .clock
            .observe(self.now_milliseconds, message.export_time_milliseconds);
        exporter.located.skew_milliseconds = exporter.clock.skew_milliseconds();
        self.exporter = exporter.located;
        if let Some(node) = self.exporter.node {
            self.shared.observers.heard(node, self.now_milliseconds);
        }
    }

    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        self.counts.records += 1;
        let span = enrich::span(
            record,
            self.exporter.skew_milliseconds,
            self.settings.max_clock_skew_milliseconds,
            self.now_milliseconds,
        );
        let ends = self.ends(record, span);
        if self.index.is_watched() && (ends.unreported || self.awaits_inventory()) {
            self.wait(message, record, fields, span);
        } else {
            let exporter = self.exporter_of(self.exporter, record);
            self.attributed(record, ends, exporter, Line::Fields(message, fields));
        }
    }
}

impl Intermediate {
    pub(super) fn new(
        settings: WorkerSettings,
        shared: Arc<Shared>,
        log: Option<LineBuffer>,
    ) -> Self {
        Self {
            index: shared.index.load_full(),
            outside: shared.outside.load_full(),
            recent: Recent::default(),
            edges: EdgeTable::new(settings.max_edges),
            unattributed: Waiting::new(settings.held_records),
            held: Waiting::new(settings.held_records),
            exporters: Vec::new(),
            exporter: Located::default(),
            domain_index: 0,
            counts: RecordCounts::default(),
            now_milliseconds: 0,
            settings,
            shared,
            log,
            forward: None,
        }
    }

    /// Takes the newest snapshots. Ids mean the same in them.
    pub(super) fn adopt_snapshots(&mut self) {
        let newest = self.shared.index.load();
        if !Arc::ptr_eq(&newest, &self.index) {
            self.index = Arc::clone(&newest);
            self.recent.forget();
        }
        let newest = self.shared.outside.load();
        if !Arc::ptr_eq(&newest, &self.outside) {
            self.outside = Arc::clone(&newest);
            self.recent.forget();
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            index: &self.index,
            outside: &self.outside,
        }
    }

    fn ends(&mut self, record: &FlowRecord, span: TimeRange) -> Ends {
        let known = Known {
            index: &self.index,
            outside: &self.outside,
        };
        enrich::ends(known, &mut self.recent, record, span)
    }

    /// Whether a known node has this address.
    pub(super) fn is_node(&self, address: Address) -> bool {
        self.index.is_node_address(address)
    }

    /// Whether the record is one of two that an exporter makes of the same packets, where they enter and
    /// where they leave, and not the one that counts.
    fn is_other_direction(&self, record: &FlowRecord, exporter: Option<NodeId>) -> bool {
        let said = record.interfaces.and_then(|i| i.flow_direction);
        let counts = match exporter {
            Some(_) => self.settings.node_flow_direction,
            None => self.settings.flow_direction,
        };
        counts
            .zip(said)
            .is_some_and(|(counts, said)| counts != said)
    }

    fn awaits_inventory(&self) -> bool {
        !self.index.is_complete() && self.settings.awaits_inventory(self.now_milliseconds)
    }

    fn attributed(
        &mut self,
        record: &FlowRecord,
        ends: Ends,
        exporter: Option<NodeId>,
        line: Line<'_>,
    ) {
        self.counts.ambiguous += u64::from(ends.ambiguous);
        self.counts.unreported += u64::from(ends.unreported);
        self.counts.before_inventory += u64::from(!self.index.is_complete());
        let reverse_carried =
            record.reverse_packet_delta_count != 0 || record.reverse_octet_delta_count != 0;
        let forward_carried = record.packet_delta_count != 0 || record.octet_delta_count != 0;

        if self.is_other_direction(record, exporter) {
            self.counts.other_direction += 1;
            self.log(ends, exporter, line, false);
            return;
        }
        let verdict = if forward_carried || reverse_carried {
            self.judge(exporter, ends)
        } else {
            self.counts.no_counters += 1;
            self.log(ends, exporter, line, true);
            self.pass_on(record, ends, false, true);
            return;
        };
        let measures = self.measures(record);
        match (verdict, exporter) {
            (Verdict::Undecided, Some(node)) => {
                let line = self.open_line(ends, line);
                self.hold(node, (record, ends, false), measures, line);
            }
            (verdict, _) => {
                let counts = verdict != Verdict::OtherObserver;
                self.log(ends, exporter, line, counts);
                self.pass_on(record, ends, false, counts);
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
            (Verdict::Undecided, Some(node)) => {
                self.hold(node, (record, ends, true), measures, Vec::new());
            }
            (verdict, _) => {
                let counts = verdict != Verdict::OtherObserver;
                self.pass_on(record, ends, true, counts);
                self.count(ends.source, ends.destination, &measures, counts);
            }
        }
    }

    /// The node of the record's exporter.
    fn exporter_of(&self, exporter: Located, record: &FlowRecord) -> Option<NodeId> {
        if record.exporter_address.is_unspecified() || exporter.by_name || self.index.is_empty() {
            return exporter.node;
        }
        match self.index.node_at(record.exporter_address) {
            Some(node) => {
                self.shared.observers.heard(node, self.now_milliseconds);
                Some(node)
            }
            None => exporter.node,
        }
    }

    fn nodes(&self, source: EndpointId, destination: EndpointId) -> [Option<NodeId>; 2] {
        [
            self.index.place(source).node,
            self.index.place(destination).node,
        ]
    }

    fn judge(&mut self, exporter: Option<NodeId>, ends: Ends) -> Verdict {
        if exporter.is_none() {
            if !self.index.is_empty() {
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

    /// Forwards one direction of a record, where records are forwarded.
    fn pass_on(&mut self, record: &FlowRecord, ends: Ends, way_back: bool, counts: bool) {
        if let Some(forward) = &mut self.forward {
            let enriched = forward.enriched(record, ends, self.domain_index, way_back);
            forward.push(enriched, counts);
        }
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
            let (from, to) = (self.index.place(source), self.index.place(destination));
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
}

fn reverse_measures(record: &FlowRecord) -> Measures {
    Measures {
        bytes: record.sampling.scale(record.reverse_octet_delta_count),
        packets: record.sampling.scale(record.reverse_packet_delta_count),
        connections: 0,
    }
}
