//! What cannot be decided yet, and is decided when it is due or its room is needed: records whose addresses the
//! inventory does not know, whole; directions whose authoritative observer is not known.

use flowproto::FlowRecord;
use flowproto::collector::Message;
use flowproto::template::Fields;

use super::Intermediate;
use super::exporter::Located;
use super::lines::Line;
use crate::aggregate::Measures;
use crate::dedup::{self, Held};
use crate::emit::line;
use crate::enrich::Ends;
use crate::inventory::{NodeId, TimeRange};

/// A record that waits for the inventory.
#[derive(Debug)]
pub(super) struct Unattributed {
    record: FlowRecord,
    span: TimeRange,
    domain_index: usize,
    /// Of the domain: another one means that the domain was forgotten meanwhile, as with its connection.
    revision: u32,
    /// Where its exporter was when it came, for that case.
    exporter: Located,
    /// Its line of the flow log as far as it came; empty where there is none.
    line: Vec<u8>,
    /// [`line::brings_names`] of it.
    brings_names: bool,
}

impl Intermediate {
    /// Records and directions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.unattributed.len() + self.held.len()
    }

    /// Keeps a record until the inventory may have heard of its ends.
    pub(super) fn wait(
        &mut self,
        message: &Message<'_>,
        record: &FlowRecord,
        fields: Fields<'_>,
        span: TimeRange,
    ) {
        let mut line = Vec::new();
        if self.log.is_some() {
            line::begin(message, fields, &mut line);
        }
        self.counts.held += 1;
        let crowded_out = self.unattributed.hold(
            Unattributed {
                record: record.clone(),
                span,
                domain_index: message.domain_index,
                revision: message.domain.revision,
                exporter: self.exporter,
                line,
                brings_names: line::brings_names(fields),
            },
            self.now_milliseconds,
        );
        if let Some(waited) = crowded_out {
            self.counts.settled_early += 1;
            self.attribute(waited);
        }
    }

    /// Decides who a record that waited is by what is known now.
    fn attribute(&mut self, waited: Unattributed) {
        let current = self.domain_index;
        self.domain_index = waited.domain_index;
        let exporter = match self.exporters.get_mut(waited.domain_index) {
            Some(Some(exporter)) if exporter.revision == waited.revision => {
                exporter.locate(&self.index);
                exporter.located
            }
            _ => waited.exporter,
        };
        let exporter = self.exporter_of(exporter, &waited.record);
        if let Some(node) = exporter {
            self.shared.observers.heard(node, self.now_milliseconds);
        }
        let ends = self.ends(&waited.record, waited.span);
        let line = Line::Begun(waited.line, waited.brings_names);
        self.attributed(&waited.record, ends, exporter, line);
        self.domain_index = current;
    }

    /// Decides what has waited for long enough.
    pub(crate) fn settle_due(&mut self) {
        let now = self.now_milliseconds;
        if !self.awaits_inventory() {
            let wait = self.settings.attribution_wait_milliseconds;
            while let Some(waited) = self.unattributed.due(now, wait) {
                self.attribute(waited);
            }
        }
        // Offline, nothing is over before the end.
        if self.settings.began_milliseconds.is_some() {
            let wait = self.settings.observer_wait_milliseconds;
            while let Some(held) = self.held.due(now, wait) {
                self.settle(held);
            }
        }
    }

    /// Decides all that waits.
    pub(crate) fn settle_all(&mut self) {
        while let Some(waited) = self.unattributed.take() {
            self.attribute(waited);
        }
        while let Some(held) = self.held.take() {
            self.settle(held);
        }
    }

    /// Keeps a direction until it is known whose word counts.
    pub(super) fn hold(
        &mut self,
        exporter: NodeId,
        (record, ends, way_back): (&FlowRecord, Ends, bool),
        measures: Measures,
        line: Vec<u8>,
    ) {
        self.counts.held += 1;
        let forward = self
            .forward
            .as_ref()
            .and_then(|forward| forward.enriched(record, ends, self.domain_index, way_back));
        let crowded_out = self.held.hold(
            Held {
                exporter,
                source: ends.source,
                destination: ends.destination,
                measures,
                line,
                forward: forward.map(Box::new),
            },
            self.now_milliseconds,
        );
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
        if let Some(forward) = &mut self.forward {
            forward.push(held.forward.take().map(|held| *held), counts);
        }
        self.count(held.source, held.destination, &held.measures, counts);
    }
}
