//! The short cut of records of which only the traffic is needed: most records of most collectors.
//!
//! Such a record is not made into a [`Flow`](super::Flow) and does not pass the stages one by one.
//! It is resolved, decided and counted at once, by the same rules: both endpoints come from the
//! cache, and the decision is [`Decider::decide_packets`](super::decide::Decider). If anything
//! about it is not plain, it takes the way of all other records: an endpoint that is not in the
//! cache, is not certain or depends on the time or port; a decision that has to wait; a record that
//! a sink needs as it was received.

use flowproto::TrafficRecord;

use super::Stages;
use super::decide::FlowCriteria;
use super::decided::Sinks;
use super::enrich::time_range;
use super::flow::Measures;
use super::health::reports_connection;
use super::policy::RecordPolicy;

impl<S: Sinks> Stages<S> {
    /// True if records of the Message at hand can be counted by their traffic. `have_health`: they
    /// can have the health of a connection, too.
    pub(super) fn can_count_traffic(&self, have_health: bool) -> bool {
        self.sinks.need_traffic_only()
            && !(have_health && self.sinks.need_health())
            && self.snapshots.index.is_complete()
            && self.exporter.policy.records != RecordPolicy::Ignore
    }

    /// Counts a record by its traffic. False if that is not enough: nothing was counted.
    #[inline(always)]
    pub(super) fn count_traffic(&mut self, record: &TrafficRecord) -> bool {
        let needs_whole_record = self.sinks.need_whole_record();
        let is_counted = !needs_whole_record && self.try_count_traffic(record).is_some();
        if !is_counted {
            self.needs_whole_record = Some(needs_whole_record);
        }
        is_counted
    }

    #[inline(always)]
    fn try_count_traffic(&mut self, record: &TrafficRecord) -> Option<()> {
        if self.sinks.need_health() && reports_connection(record) {
            return None;
        }
        let (node, policy) = (self.exporter.node, self.exporter.policy);
        let times = (record.flow_start_milliseconds, record.flow_end_milliseconds);
        let time = time_range(
            times,
            self.exporter.clock_offset,
            self.settings.max_clock_skew_milliseconds,
            self.now.wall_milliseconds,
        );
        let source = self.cache.recent(record.source_address, time)?;
        let destination = self.cache.recent(record.destination_address, time)?;
        self.observe_packets(node, time);
        let criteria = FlowCriteria {
            time,
            places: [source.place, destination.place],
            node,
            reported_direction: record.flow_direction,
            counted_direction: policy.direction,
            policy: policy.records,
            has_counters: record.packet_delta_count != 0 || record.octet_delta_count != 0,
            addresses: [record.source_address, record.destination_address],
        };
        let decider = self.decider(self.now, self.exporter.stage);
        let decision = decider.decide_packets(&criteria).ok()?;
        self.counts.records = self.counts.records.wrapping_add(1);
        self.count_decision(node, decision);
        if decision.verdict.is_counted() {
            let connections = u64::from(self.settings.connections_from_flows);
            let measures = Measures::of_traffic(record, connections);
            self.sinks.count(source.id, destination.id, measures);
            self.on_taken();
        }
        Some(())
    }
}
