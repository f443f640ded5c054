//! The Metering Process: owns the loop that takes frames from a capture, runs them through the
//! pipeline and hands records to the exporting thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kipfix_export::own_endpoints::{OwnEndpoint, OwnEndpoints};
use kipfix_service::signals::Stop;
use tracing::info;

use crate::capture::clock::wall_clock_ns;
use crate::capture::live::LiveCapture;
use crate::capture::savefile::{Savefile, SavefileError};
use crate::export::batch::RecordBatches;
use crate::export::flows::MeteringReport;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, PipelineCounters};

/// Interval between publications of the counts.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// The clock of the flow cache stays behind the wall clock by this, because packets may still be in
/// the kernel.
const CLOCK_LAG_NS: u64 = 1_000_000_000;

/// The state of the metering thread.
pub(crate) struct Metering {
    pipeline: Pipeline,
    records: RecordBatches,
    own_endpoints: Arc<OwnEndpoints>,
    own_endpoints_revision: u64,
    metrics: Metrics,
    report: Arc<MeteringReport>,
    stop: Stop,
}

/// What the Metering Process leaves behind.
pub(crate) struct MeteringOutcome {
    /// All records were handed to the exporting thread or counted as lost.
    pub(crate) delivered: bool,
    pub(crate) records_made: u64,
    pub(crate) records_lost: u64,
}

impl Metering {
    pub(crate) fn new(
        pipeline: Pipeline,
        records: RecordBatches,
        own_endpoints: Arc<OwnEndpoints>,
        metrics: Metrics,
        report: Arc<MeteringReport>,
        stop: Stop,
    ) -> Self {
        Self {
            pipeline,
            records,
            own_endpoints,
            own_endpoints_revision: 0,
            metrics,
            report,
            stop,
        }
    }

    /// Meters the node's interfaces until the stop.
    pub(crate) fn run_live(&mut self, mut capture: LiveCapture) {
        self.follow_interfaces(&capture);
        let mut next_publish = now();
        let mut more = false;
        while !self.stop.is_set() {
            if !more {
                capture.poll(&self.stop);
            }
            let (pipeline, records) = (&mut self.pipeline, &mut self.records);
            // Translations and names are to be known before the conversation begins.
            capture.dispatch_conntrack(|event, time_ns| pipeline.conntrack(event, time_ns));
            capture.dispatch_first_packets(|frame, point| pipeline.first_packet(frame, point));
            capture.dispatch_dns_answers(|frame| pipeline.dns_answer(frame));
            more = capture.dispatch(|frame, point| pipeline.enqueue(frame, point, records));
            pipeline.tick(wall_clock_ns().saturating_sub(CLOCK_LAG_NS), records);
            records.cycle();
            if self.records.is_broken() {
                self.stop.set();
            }
            if now() >= next_publish {
                next_publish = now() + PUBLISH_INTERVAL;
                self.publish_live(&mut capture);
            }
            if let Some(own_endpoints) = self.changed_own_endpoints() {
                self.pipeline.exclude(own_endpoints.clone());
                capture.exclude(own_endpoints);
            }
            if capture.rescan() {
                self.follow_interfaces(&capture);
            }
        }
        let (pipeline, records) = (&mut self.pipeline, &mut self.records);
        capture.dispatch_conntrack(|event, time_ns| pipeline.conntrack(event, time_ns));
        capture.dispatch_first_packets(|frame, point| pipeline.first_packet(frame, point));
        capture.dispatch_dns_answers(|frame| pipeline.dns_answer(frame));
        capture.drain(|frame, point| pipeline.enqueue(frame, point, records));
        pipeline.flush(records);
        self.publish_live(&mut capture);
    }

    /// Meters a savefile to its end, or until the stop.
    ///
    /// # Errors
    /// The file is truncated or corrupt. It was metered up to there.
    pub(crate) fn run_savefile(&mut self, mut savefile: Savefile) -> Result<(), SavefileError> {
        loop {
            let (pipeline, records) = (&mut self.pipeline, &mut self.records);
            let outcome = savefile.dispatch(|frame, point| pipeline.enqueue(frame, point, records));
            pipeline.flush(records);
            self.records.cycle();
            {
                let _consistent = self.metrics.lock();
                self.metrics.publish_capture(savefile.counters());
                self.publish();
            }
            if !outcome? || self.stop.is_set() || self.records.is_broken() {
                return Ok(());
            }
        }
    }

    /// Reports all conversations and closes the queue.
    pub(crate) fn finish(mut self) -> MeteringOutcome {
        let flushed_conversations = self.pipeline.counters().conversations;
        self.records.wait_for_room();
        self.pipeline.finish(&mut self.records);
        let counters = self.pipeline.counters();
        self.publish();
        log_counts(&counters, flushed_conversations);
        MeteringOutcome {
            records_made: counters.cache.records.values().sum(),
            records_lost: self.records.lost(),
            delivered: self.records.close(),
        }
    }

    fn follow_interfaces(&mut self, capture: &LiveCapture) {
        self.report.set_interfaces(capture.interfaces().into());
        self.pipeline.set_stacked(capture.stacked());
        self.pipeline.set_outside(capture.outside());
    }

    fn publish_live(&self, capture: &mut LiveCapture) {
        let _consistent = self.metrics.lock();
        self.metrics.publish_capture(capture.counters());
        self.publish();
    }

    /// Publishes the counts for the scrape and for options data.
    fn publish(&self) {
        let counters = self.pipeline.counters();
        self.metrics.publish(&counters, self.records.lost());
        self.report.set_counts(
            counters.cache.records.values().sum(),
            counters.undecodable.values().sum(),
            counters.ignored_octets,
        );
    }

    fn changed_own_endpoints(&mut self) -> Option<Vec<OwnEndpoint>> {
        let revision = self.own_endpoints.revision();
        (revision != self.own_endpoints_revision).then(|| {
            self.own_endpoints_revision = revision;
            self.own_endpoints.all()
        })
    }
}

fn log_counts(counters: &PipelineCounters, flushed_conversations: u32) {
    let cache = &counters.cache;
    info!(
        frames = counters.frames,
        metered = cache.packets,
        not_selected = counters.not_selected,
        undecodable = counters.undecodable.values().sum::<u64>(),
        own_export = counters.own_export,
        duplicates = counters.duplicate_packets,
        packets_corrected = cache.packets_corrected,
        record_packets = cache.record_packets,
        record_octets = cache.record_octets,
        flushed_conversations,
        "frames in = not selected + metered + undecodable + own export + duplicates"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "when to publish depends on this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}
