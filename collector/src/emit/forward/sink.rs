//! The sink of one pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kipfix_export::wall_clock_milliseconds;

use super::messages::MessageSink;
use super::record::ForwardedRecord;
use crate::emit::EmittedRecords;
use crate::emit::delivery::DeliverySink;
use crate::emit::enriched::EnrichedRecord;
use crate::emit::record::reverse;
use crate::pipeline::{DecidedRecord, RecordDirection};
use crate::snapshots::Snapshots;

/// The records of one pipeline on their way to the targets.
#[derive(Debug)]
pub struct ForwardSink {
    pub(super) filter: EmittedRecords,
    /// Records of all pipelines.
    pub(super) records: Arc<AtomicU64>,
    /// Records since the last flush.
    pub(super) staged: u64,
    pub(super) messages: Option<MessageSink>,
    pub(super) engines: Vec<DeliverySink>,
    /// The time of the first record since the last flush, milliseconds since the epoch.
    pub(super) collected_milliseconds: Option<u64>,
}

impl ForwardSink {
    /// True if [`DecidedRecord::health`] is needed: engines receive it, Messages do not have it.
    #[must_use]
    pub const fn need_health(&self) -> bool {
        !self.engines.is_empty()
    }

    /// Takes a record, if it is one of those that are forwarded.
    pub fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        let is_wanted = self.filter.include(record.verdict);
        let Some(whole) = record.whole.filter(|_| is_wanted) else {
            return;
        };
        self.staged = self.staged.saturating_add(1);
        let mut is_full = false;
        if let Some(messages) = &mut self.messages {
            messages.accept(ForwardedRecord::new(record, &whole));
            is_full = messages.is_full();
        }
        if !self.engines.is_empty() {
            let now = *self
                .collected_milliseconds
                .get_or_insert_with(wall_clock_milliseconds);
            let reversed;
            let of_direction = match record.flow.direction {
                RecordDirection::Forward => whole.record,
                RecordDirection::Reverse => {
                    reversed = reverse(whole.record);
                    &reversed
                }
            };
            let enriched = EnrichedRecord::new(record, of_direction, snapshots, now);
            for engine in &mut self.engines {
                engine.accept(&enriched);
                is_full |= engine.is_full();
            }
        }
        if is_full {
            self.flush();
        }
    }

    /// Hands the records over.
    pub fn flush(&mut self) {
        if self.staged == 0 {
            return;
        }
        self.records.fetch_add(self.staged, Ordering::AcqRel);
        self.staged = 0;
        self.collected_milliseconds = None;
        if let Some(messages) = &mut self.messages {
            messages.flush();
        }
        for engine in &mut self.engines {
            engine.flush();
        }
    }
}
