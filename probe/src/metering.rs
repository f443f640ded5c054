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
use crate::export::flows::{MeteringCounts, MeteringReport};
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, PipelineCounters};

/// Interval between publications of the counts.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// The clock of the flow cache stays behind the wall clock by this, because packets may still be in
/// the kernel.
const CLOCK_LAG_NS: u64 = 1_000_000_000;

/// The state of a metering thread.
pub(crate) struct Metering {
    /// Number of the thread, from 0.
    thread: usize,
    pipeline: Pipeline,
    records: RecordBatches,
    own_endpoints: Arc<OwnEndpoints>,
    own_endpoints_revision: u64,
    metrics: Arc<Metrics>,
    report: Arc<MeteringReport>,
    stop: Stop,
}

/// Totals of metering threads.
#[derive(Default)]
pub(crate) struct MeteringOutcome {
    /// The exporting thread ended before all records were handed to it.
    pub(crate) is_broken: bool,
    pub(crate) records_made: u64,
    pub(crate) records_lost: u64,
}

/// Context that the metering threads share.
#[derive(Clone)]
pub(crate) struct MeteringContext {
    pub(crate) own_endpoints: Arc<OwnEndpoints>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) report: Arc<MeteringReport>,
    pub(crate) stop: Stop,
}

impl MeteringOutcome {
    /// Adds the totals of another thread.
    pub(crate) const fn add(&mut self, other: Self) {
        self.is_broken |= other.is_broken;
        self.records_made += other.records_made;
        self.records_lost += other.records_lost;
    }
}

impl Metering {
    pub(crate) fn new(
        thread: usize,
        pipeline: Pipeline,
        records: RecordBatches,
        shared: &MeteringContext,
    ) -> Self {
        let MeteringContext {
            own_endpoints,
            metrics,
            report,
            stop,
        } = shared.clone();
        Self {
            thread,
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
            self.learn(&mut capture);
            let (pipeline, records) = (&mut self.pipeline, &mut self.records);
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
        self.learn(&mut capture);
        let (pipeline, records) = (&mut self.pipeline, &mut self.records);
        capture.drain(|frame, point| pipeline.enqueue(frame, point, records));
        pipeline.flush(records);
        self.publish_live(&mut capture);
    }

    /// Reads translations and names, which are to be known before their conversation begins.
    fn learn(&mut self, capture: &mut LiveCapture) {
        let pipeline = &mut self.pipeline;
        capture.dispatch_conntrack(|event, time| pipeline.conntrack(event, time));
        capture.dispatch_first_packets(|frame, point| pipeline.enqueue_first_packet(frame, point));
        pipeline.flush_first_packets();
        capture.dispatch_dns_answers(|frame| pipeline.dns_answer(frame));
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
                self.metrics
                    .publish_capture(self.thread, savefile.counters());
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
        log_counts(self.thread, &counters, flushed_conversations);
        MeteringOutcome {
            records_made: counters.cache.records.values().sum(),
            records_lost: self.records.lost(),
            is_broken: !self.records.close(),
        }
    }

    fn follow_interfaces(&mut self, capture: &LiveCapture) {
        // The captures of all threads have the same interfaces.
        if self.thread == 0 {
            self.report.set_interfaces(capture.interfaces().into());
        }
        self.pipeline.set_stacked(capture.stacked());
        self.pipeline.set_outside(capture.outside());
    }

    fn publish_live(&self, capture: &mut LiveCapture) {
        let _consistent = self.metrics.lock();
        self.metrics
            .publish_capture(self.thread, capture.counters());
        self.publish();
    }

    /// Publishes the counts for the scrape and for options data.
    fn publish(&self) {
        let counters = self.pipeline.counters();
        self.metrics
            .publish(self.thread, &counters, self.records.lost());
        let counts = MeteringCounts {
            observed_flows: counters.cache.records.values().sum(),
            ignored_packets: counters.undecodable.values().sum(),
            ignored_octets: counters.ignored_octets,
        };
        self.report.set_counts(self.thread, counts);
    }

    fn changed_own_endpoints(&mut self) -> Option<Vec<OwnEndpoint>> {
        let revision = self.own_endpoints.revision();
        (revision != self.own_endpoints_revision).then(|| {
            self.own_endpoints_revision = revision;
            self.own_endpoints.all()
        })
    }
}

fn log_counts(thread: usize, counters: &PipelineCounters, flushed_conversations: u32) {
    let cache = &counters.cache;
    info!(
        thread,
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
