//! The records of one pipeline on their way to the writer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use enum_map::EnumMap;
use kipfix_export::spread::hash_of_flow;

use super::counts::{LeftOut, Shared};
use super::format::{FlowLogFormat, LineFormat, SelectedMembers, Written};
use super::lines::Lines;
use super::to_u64;
use crate::aggregate::RecordFilter;
use crate::emit::double_buffer::Batch as _;
use crate::emit::{EmittedRecords, OverflowPolicy};
use crate::pipeline::{DecidedRecord, WholeRecord};
use crate::snapshots::Snapshots;

/// Octets of lines that a sink collects before it hands them over.
const STAGE_OCTETS: usize = 64 << 10;
/// Room of a stage; more is released after a line of unusual length.
const MAX_STAGE_OCTETS: usize = 4 * STAGE_OCTETS;

/// Which records have a line, and what it contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// The format.
    pub format: FlowLogFormat,
    /// The members of a line.
    pub members: SelectedMembers,
    /// The records by their verdict.
    pub records: EmittedRecords,
    /// The records by their fields; all of them without a filter.
    pub filter: Option<RecordFilter>,
    /// One in N flows is logged, with all of its records; all flows without it.
    pub sample: Option<NonZeroU32>,
}

/// Every record as JSON.
impl Default for LineSettings {
    fn default() -> Self {
        Self {
            format: FlowLogFormat::default(),
            members: SelectedMembers::default(),
            records: EmittedRecords::All,
            filter: None,
            sample: None,
        }
    }
}

/// The records of one pipeline on their way to the writer.
#[derive(Debug)]
pub struct FlowLogSink {
    settings: Arc<LineSettings>,
    stage: Lines,
    scratch: Vec<u8>,
    /// Records without a line that are not in the shared counts yet.
    left_out: EnumMap<LeftOut, u64>,
    shared: Arc<Shared>,
    policy: OverflowPolicy,
}

impl FlowLogSink {
    pub(super) fn new(
        settings: Arc<LineSettings>,
        shared: Arc<Shared>,
        policy: OverflowPolicy,
    ) -> Self {
        Self {
            settings,
            stage: Lines::default(),
            scratch: Vec::new(),
            left_out: EnumMap::default(),
            shared,
            policy,
        }
    }

    /// Applies other settings from the next record on.
    pub fn set_lines(&mut self, settings: Arc<LineSettings>) {
        self.settings = settings;
    }

    /// True if [`DecidedRecord::extras`] are needed of every record.
    #[must_use]
    pub fn need_details(&self) -> bool {
        let filter = self.settings.filter.as_ref();
        filter.is_some_and(RecordFilter::need_details)
    }

    /// True if the names of the interfaces of every record are needed.
    #[must_use]
    pub fn need_interfaces(&self) -> bool {
        let filter = self.settings.filter.as_ref();
        filter.is_some_and(RecordFilter::need_interfaces)
    }

    /// Writes the line of a record, if it has one. Unless the format has a line for each direction,
    /// the opposite direction of a biflow is part of its record's line.
    pub fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        let is_of_record = self.settings.format.is_directional() || record.flow.is_forward();
        let Some(whole) = record.whole.filter(|_| is_of_record) else {
            return;
        };
        if let Err(reason) = self.write(record, &whole, snapshots) {
            self.left_out[reason] = self.left_out[reason].saturating_add(1);
        }
    }

    fn write(
        &mut self,
        record: &DecidedRecord<'_>,
        whole: &WholeRecord<'_>,
        snapshots: &Snapshots,
    ) -> Result<(), LeftOut> {
        let settings = &self.settings;
        // Two nodes observe traffic between zones.
        let records = match settings.format {
            FlowLogFormat::Kubezonnet => EmittedRecords::Counted,
            FlowLogFormat::Json | FlowLogFormat::Logfmt => settings.records,
        };
        if !records.include(record.verdict) {
            return Err(LeftOut::NotCounted);
        }
        let is_in_sample = |one_in: NonZeroU32| {
            hash_of_flow(&whole.record.key).is_multiple_of(u64::from(one_in.get()))
        };
        if settings.sample.is_some_and(|one_in| !is_in_sample(one_in)) {
            return Err(LeftOut::Sample);
        }
        let filter = settings.filter.as_ref();
        if filter.is_some_and(|filter| !filter.matches(record, snapshots)) {
            return Err(LeftOut::Filter);
        }
        let format = LineFormat {
            format: settings.format,
            members: &settings.members,
            sample: settings.sample,
        };
        let out = &mut self.stage.text;
        match format.write(record, whole, snapshots, &mut self.scratch, out) {
            Written::Nothing => return Err(LeftOut::Format),
            Written::Truncated => drop(self.shared.truncated.fetch_add(1, Ordering::AcqRel)),
            Written::Complete => {}
        }
        self.end_line();
        Ok(())
    }

    fn end_line(&mut self) {
        self.stage.ends.push(self.stage.text.len());
        if self.stage.text.len() >= STAGE_OCTETS {
            self.flush();
        }
    }

    /// Hands the lines over.
    pub fn flush(&mut self) {
        let shared = &self.shared;
        for (reason, count) in &mut self.left_out {
            if *count > 0 {
                shared.left_out[reason].fetch_add(std::mem::take(count), Ordering::AcqRel);
            }
        }
        let staged = self.stage.len();
        if staged == 0 {
            return;
        }
        shared.queue.push(&self.stage, self.policy, |added| {
            shared.lines.fetch_add(to_u64(staged), Ordering::AcqRel);
            shared.queued.fetch_add(to_u64(added), Ordering::AcqRel);
            let octets = to_u64(self.stage.octets_of(added));
            shared.queued_octets.fetch_add(octets, Ordering::AcqRel);
            let dropped = to_u64(staged.saturating_sub(added));
            shared.queue_full.fetch_add(dropped, Ordering::AcqRel);
        });
        self.stage.clear();
        for buffer in [&mut self.stage.text, &mut self.scratch] {
            if buffer.capacity() > MAX_STAGE_OCTETS {
                buffer.clear();
                buffer.shrink_to(MAX_STAGE_OCTETS);
            }
        }
    }

    /// True if the reader of stdout has gone, so that no line will be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn write_line(&mut self, line: &[u8]) {
        self.stage.text.extend_from_slice(line);
        self.stage.text.push(b'\n');
        self.end_line();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::emit::flow_log::line::MAX_LINE_OCTETS;

    #[test]
    fn a_full_queue_drops_whole_lines_and_counts_them() {
        let shared = Arc::new(Shared::new(0));
        let settings = Arc::default();
        let mut sink = FlowLogSink::new(settings, Arc::clone(&shared), OverflowPolicy::Drop);
        for _ in 0..100 {
            sink.write_line(&[b'x'; 999]);
        }
        sink.flush();
        let counts = shared.counts();
        let fitting = u64::try_from(MAX_LINE_OCTETS).unwrap() / 1000;
        assert_eq!((counts.lines, counts.queued), (100, fitting));
        assert_eq!(counts.queued_octets, fitting * 1000);
        assert_eq!(counts.queue_full, 100 - fitting);
        let mut queued = Lines::default();
        assert!(shared.queue.swap(&mut queued, Duration::ZERO));
        assert!(queued.text.ends_with(b"x\n"));
    }
}
