//! The Exporting Process: flow records → every target. Last stage of the path, in a thread of its own, so
//! that no target can keep packets waiting.
//!
//! * [`batch`]: how records come over from the metering thread;
//! * [`target`]: what `--export` may say;
//! * [`udp`]: IPFIX Messages in datagrams (RFC 7011 §10.3), and what becomes of them;
//! * [`names`]: host names of targets, looked up apart from all else;
//! * [`json`]: one JSON object a record on stdout.

pub mod batch;
pub mod json;
pub mod names;
pub mod target;
pub mod udp;

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::metrics::TargetMetrics;
use batch::FilledBatches;
use json::JsonTarget;
use udp::UdpTarget;

/// How long a record may wait for others to fill its Message, and how soon a template refresh is noticed.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// One target, ready to take records.
#[derive(Debug)]
pub enum Exporter {
    /// IPFIX over UDP.
    Udp(Box<UdpTarget>),
    /// JSON lines on stdout.
    Json(JsonTarget),
}

impl Exporter {
    /// Counts a record that this target will not get.
    fn metrics(&self) -> &TargetMetrics {
        match self {
            Self::Udp(target) => target.metrics(),
            Self::Json(target) => target.metrics(),
        }
    }
}

/// Exports batches until the metering thread has no more, then sends what is left.
pub fn run(mut exporters: Vec<Exporter>, batches: &FilledBatches) {
    let mut flushed = wall_clock_milliseconds();
    loop {
        match batches.next(FLUSH_INTERVAL) {
            Ok(batch) => {
                let now = wall_clock_milliseconds();
                for exporter in &mut exporters {
                    exporter
                        .metrics()
                        .records_received(u64::try_from(batch.len()).unwrap_or(u64::MAX));
                    match exporter {
                        Exporter::Udp(target) => target.export(&batch, now),
                        Exporter::Json(target) => target.export(&batch),
                    }
                }
                batches.give_back(batch);
                // A trickle of records must not wait until a Message is full, nor until a clock that was set
                // back is where it was.
                if u128::from(now.abs_diff(flushed)) >= FLUSH_INTERVAL.as_millis() {
                    flush(&mut exporters);
                    flushed = now;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // What was sent before this quiet time has been refused by now, or not at all.
                settle(&mut exporters);
                flush(&mut exporters);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    flush(&mut exporters);
    settle(&mut exporters);
}

fn settle(exporters: &mut [Exporter]) {
    for exporter in exporters {
        if let Exporter::Udp(target) = exporter {
            target.settle();
        }
    }
}

fn flush(exporters: &mut [Exporter]) {
    let now = wall_clock_milliseconds();
    for exporter in exporters {
        match exporter {
            Exporter::Udp(target) => target.flush(now),
            Exporter::Json(target) => target.flush(),
        }
    }
}

/// Milliseconds since the epoch, for the export time of Messages.
#[expect(
    clippy::disallowed_methods,
    reason = "the Exporting Process is where wall time enters: RFC 7011 §3.1 asks when a Message left"
)]
fn wall_clock_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
