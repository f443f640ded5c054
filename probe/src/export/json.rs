//! Flow records as JSON lines on stdout: one object a record, keys spelled as in the IANA registry.

use std::io::Write;

use flowproto::{FlowRecord, json};
use tracing::warn;

use crate::metrics::{Loss, TargetMetrics};

/// Octets gathered before they are written.
const BUFFER_OCTETS: usize = 64 << 10;

/// stdout as a target.
#[derive(Debug)]
pub struct JsonTarget {
    buffer: Vec<u8>,
    buffered_records: u64,
    failed: bool,
    metrics: TargetMetrics,
}

impl JsonTarget {
    /// A target that has written nothing.
    #[must_use]
    pub fn new(metrics: TargetMetrics) -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER_OCTETS + 4096),
            buffered_records: 0,
            failed: false,
            metrics,
        }
    }

    pub(super) const fn metrics(&self) -> &TargetMetrics {
        &self.metrics
    }

    /// Writes records, sooner or later.
    pub fn export(&mut self, records: &[FlowRecord]) {
        for record in records {
            self.buffer.push(b'{');
            json::write_record(record, &mut self.buffer);
            self.buffer.extend_from_slice(b"}\n");
            self.buffered_records += 1;
            if self.buffer.len() >= BUFFER_OCTETS {
                self.flush();
            }
        }
    }

    /// Writes what is gathered. A closed pipe or a full disk is said once; the counters say how much it cost.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let octets = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let mut out = std::io::stdout().lock();
        match out.write_all(&self.buffer).and_then(|()| out.flush()) {
            Ok(()) => self.metrics.message_sent(self.buffered_records, octets),
            Err(error) => {
                self.metrics
                    .records_lost(Loss::Failed, self.buffered_records);
                if !self.failed {
                    warn!(%error, "stdout cannot be written: its flow records are lost");
                    self.failed = true;
                }
            }
        }
        self.buffer.clear();
        self.buffered_records = 0;
    }
}
