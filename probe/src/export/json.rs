//! Flow records as JSON lines on stdout: one object per record, with the names of the IANA
//! registry.

use std::io::Write;

use flowproto::exporter::Weight;
use flowproto::record::Sampling;
use flowproto::{FlowRecord, json};
use kipfix_export::Exporter;
use kipfix_export::counters::{LossReason, TargetCounters};
use tracing::warn;

/// Octets that are buffered before they are written.
const BUFFER_OCTETS: usize = 64 << 10;

/// stdout as a target. Writing can block, so it needs a thread of its own.
#[derive(Debug)]
pub struct JsonExporter {
    buffer: Vec<u8>,
    buffered: Weight,
    failed: bool,
    counters: TargetCounters,
}

impl JsonExporter {
    /// Creates a target that has written nothing.
    #[must_use]
    pub fn new(counters: TargetCounters) -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER_OCTETS + 4096),
            buffered: Weight::default(),
            failed: false,
            counters,
        }
    }

    /// Writes the buffer. A closed pipe or a full disk is logged once. The counters have every
    /// loss.
    fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let octets = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let mut out = std::io::stdout().lock();
        match out.write_all(&self.buffer).and_then(|()| out.flush()) {
            Ok(()) => self.counters.message_sent(self.buffered, octets),
            Err(error) => {
                self.counters.lost(LossReason::Failed, self.buffered);
                if !self.failed {
                    warn!(%error, "cannot write to stdout, flow records are lost");
                    self.failed = true;
                }
            }
        }
        self.buffer.clear();
        self.buffered = Weight::default();
    }
}

impl Exporter<FlowRecord> for JsonExporter {
    fn export(&mut self, records: &[FlowRecord], _now_milliseconds: u64) {
        for record in records {
            self.buffer.push(b'{');
            json::write_record(record, &mut self.buffer);
            if record.sampling != Sampling::NONE {
                let Sampling { interval, space } = record.sampling;
                let names = if record.flow_sampling == Sampling::NONE {
                    ["samplingPacketInterval", "samplingPacketSpace"]
                } else {
                    ["samplingFlowInterval", "samplingFlowSpacing"]
                };
                for (name, number) in names.into_iter().zip([interval, space]) {
                    // Writing to memory cannot fail.
                    write!(self.buffer, ",\"{name}\":{number}").ok();
                }
            }
            self.buffer.extend_from_slice(b"}\n");
            self.buffered.add(record);
            if self.buffer.len() >= BUFFER_OCTETS {
                self.write();
            }
        }
    }

    fn flush(&mut self, _now_milliseconds: u64) {
        self.write();
    }

    fn finish(&mut self, _now_milliseconds: u64) {
        self.write();
    }
}
