//! The Exporting Process: flow records → every target. Last stage of the path, in a thread of its
//! own, so that no target delays packets.
//!
//! * [`batch`]: the queue of records from the metering threads;
//! * [`flows`]: flow records as IPFIX or NetFlow, and the options data of this probe;
//! * [`json`]: JSON lines on stdout.
//!
//! Targets and transports are those of [`kipfix_export`].

pub mod batch;
pub mod flows;
pub mod json;

use std::sync::mpsc::RecvTimeoutError;

use flowproto::FlowRecord;
use kipfix_export::counters::TargetCounters;
use kipfix_export::{Exporter, FLUSH_INTERVAL, finish_all, wall_clock_milliseconds};

use batch::FilledBatches;

/// One open target and its counters.
pub type OpenTarget = (Box<dyn Exporter<FlowRecord>>, TargetCounters);

/// Exports batches until no metering thread has more, then sends what is left.
pub fn run(mut targets: Vec<OpenTarget>, batches: &FilledBatches) {
    let mut flushed = wall_clock_milliseconds();
    loop {
        match batches.next(FLUSH_INTERVAL) {
            Ok(batch) => {
                let now = wall_clock_milliseconds();
                for (exporter, counters) in &mut targets {
                    counters.records_received(batch.records().len());
                    exporter.export(batch.records(), now);
                }
                batches.give_back(batch);
                // A few records must not wait until a Message is full. The difference is absolute
                // because the clock may be set back.
                if u128::from(now.abs_diff(flushed)) >= FLUSH_INTERVAL.as_millis() {
                    flush(&mut targets);
                    flushed = now;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // A Message sent before this pause has been refused by now, or was not refused.
                for (exporter, _) in &mut targets {
                    exporter.settle();
                }
                flush(&mut targets);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let exporters = targets.iter_mut().map(|(exporter, _)| exporter);
    finish_all(exporters, wall_clock_milliseconds());
}

fn flush(targets: &mut [OpenTarget]) {
    let now = wall_clock_milliseconds();
    for (exporter, _) in targets {
        exporter.flush(now);
    }
}
