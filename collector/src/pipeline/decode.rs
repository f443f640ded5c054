//! Decode: Messages and records from flowproto → flows with an exporter, a node and a time.
//!
//! [`Stages`] is the sink of the Collecting Process. It gathers flows in a block and processes the block when it is
//! full, or at the end of a batch. If a sink needs the records as they were received, the flows of
//! each are processed at once, because its octets are valid only until the next one.

use flowproto::collector::{Fields, Message, RecordSink};
use flowproto::{Address, FlowRecord, TrafficRecord};

use super::Stages;
use super::decided::{Reason, Sinks, WholeRecord};
use super::dedup::Stage;
use super::enrich::{ClockOffset, time_range};
use super::flow::{Flow, FlowExtras};
use super::health::FlowHealth;
use super::policy::{ExporterPolicy, RecordPolicy};
use crate::inventory::{NodeId, TimeRange};

/// The exporter of the Message at hand, as its records need it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MessageExporter {
    pub(super) domain: u32,
    pub(super) node: Option<NodeId>,
    pub(super) clock_offset: ClockOffset,
    pub(super) policy: ExporterPolicy,
    /// Its node has been observed for a short time only.
    is_new: bool,
    pub(super) stage: Stage,
}

impl<S: Sinks> RecordSink for Stages<S> {
    fn message(&mut self, message: &Message<'_>) {
        if !self.exporters.is_current(message) {
            // The flows in the block belong to the exporter that is replaced.
            self.run_block();
            self.exporters.update(message, &self.policies);
        }
        let Some(exporter) = self.exporters.get_mut(message.domain_index) else {
            return;
        };
        exporter.locate(&self.snapshots.index);
        exporter
            .skew
            .observe(self.now, message.export_time_milliseconds);
        self.exporter = MessageExporter {
            domain: u32::try_from(message.domain_index).unwrap_or(u32::MAX),
            node: exporter.node,
            clock_offset: exporter.skew.offset(),
            policy: exporter.policy,
            is_new: false,
            stage: Stage::default(),
        };
        if let Some(node) = exporter.node {
            let now = self.now.monotonic_milliseconds;
            self.observers.on_message(node, now);
            self.exporter.is_new = self.observers.is_new(node, now);
        }
        self.exporter.stage = self.stage();
    }

    #[inline]
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        let needs_whole_record = self.needs_whole_record.take();
        let needs_whole_record =
            needs_whole_record.unwrap_or_else(|| self.sinks.need_whole_record());
        if needs_whole_record {
            // Only flows of this record may be in its block.
            self.process_flows(None);
        }
        self.gather(record, &fields);
        if needs_whole_record {
            self.process_flows(Some(WholeRecord { record, fields }));
            self.on_taken();
        } else if self.block.is_full() {
            self.run_block();
        }
    }

    fn takes_traffic(&self, have_health: bool) -> bool {
        self.can_count_traffic(have_health)
    }

    #[inline]
    fn read_ahead(&self, [source, destination]: [Address; 2]) {
        std::hint::black_box(self.cache.touch(source) ^ self.cache.touch(destination));
    }

    // Inlined into the loop over the records of a Set, so that a record stays in registers and
    // nothing is checked that its layout does not have.
    #[inline(always)]
    fn traffic(&mut self, record: &TrafficRecord) -> bool {
        self.count_traffic(record)
    }
}

impl<S: Sinks> Stages<S> {
    /// Adds the directions of a record to the block.
    #[inline]
    fn gather(&mut self, record: &FlowRecord, fields: &Fields<'_>) {
        self.counts.records = self.counts.records.wrapping_add(1);
        if self.exporter.policy.records == RecordPolicy::Ignore {
            let reverse = u64::from(record.is_biflow());
            self.counts.reverse_directions = self.counts.reverse_directions.wrapping_add(reverse);
            self.counts
                .leave_out(Reason::Ignore, reverse.wrapping_add(1));
            return;
        }
        let time = time_range(
            (record.flow_start_milliseconds, record.flow_end_milliseconds),
            self.exporter.clock_offset,
            self.settings.max_clock_skew_milliseconds,
            self.now.wall_milliseconds,
        );
        let connections = u64::from(self.settings.connections_from_flows);
        let mut flow = Flow::forward(record, time, connections);
        flow.domain = self.exporter.domain;
        flow.node = self.exporter.node;
        flow.policy = self.exporter.policy.records;
        flow.counted_direction = self.exporter.policy.direction;
        if FlowExtras::are_in(record) || self.sinks.need_details() {
            self.gather_extras(record, fields, &mut flow);
        }
        self.observe_packets(flow.node, flow.time);
        let has_health = self.sinks.need_health() && FlowHealth::may_be_in(record, fields);
        if has_health {
            flow.health = self.block.keep_health(FlowHealth::forward(record));
        }
        self.block.push(flow);
        if record.is_biflow() {
            let mut reverse = flow.reverse(record);
            if has_health {
                reverse.health = self.block.keep_health(FlowHealth::reverse(record));
            }
            self.block.push(reverse);
            self.counts.reverse_directions = self.counts.reverse_directions.wrapping_add(1);
        }
    }

    /// Records packets that a node has observed before its first Message.
    #[inline]
    pub(super) fn observe_packets(&self, node: Option<NodeId>, time: TimeRange) {
        if self.exporter.is_new
            && let Some(node) = node
        {
            let start = self.now.to_monotonic(time.start_milliseconds);
            self.observers.on_earlier_packets(node, start);
        }
    }

    /// Keeps the extras of a record in the block. They may name the node of its exporter.
    #[inline(never)]
    fn gather_extras(&mut self, record: &FlowRecord, fields: &Fields<'_>, flow: &mut Flow) {
        let mut extras = FlowExtras::of(record);
        if self.sinks.need_interfaces() {
            extras.interfaces = self.interface_names.of(record, fields);
        }
        flow.node = self.node_of_record(&extras).or(flow.node);
        flow.extras = self.block.keep_extras(extras);
    }

    /// The node of a record that names its exporter itself.
    fn node_of_record(&self, extras: &FlowExtras) -> Option<NodeId> {
        if extras.exporter_address.is_unspecified() {
            return None;
        }
        let domain = usize::try_from(self.exporter.domain).ok()?;
        let exporter = self.exporters.get(domain)?;
        let index = &self.snapshots.index;
        let node = exporter.origin.node(index, extras.exporter_address)?;
        let now = self.now.monotonic_milliseconds;
        self.observers.on_message(node, now);
        Some(node)
    }
}
