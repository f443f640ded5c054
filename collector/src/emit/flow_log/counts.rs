//! Counts of lines, and what sinks and writer share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::line::MAX_LINE_OCTETS;
use super::lines::Lines;
use crate::emit::double_buffer::DoubleBuffer;
use enum_map::{Enum, EnumMap};
use strum::IntoStaticStr;

/// Why no line is written for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LeftOut {
    /// It is not counted, and only counted records are logged.
    NotCounted,
    /// The filter does not select it.
    Filter,
    /// Its flow is not in the sample.
    Sample,
    /// The format has no line for it.
    Format,
}

/// Counts of lines: `lines` = `written` + `queue_full` + `write_failed` + `queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowLogCounts {
    /// Lines handed to the log.
    pub lines: u64,
    /// Lines written.
    pub written: u64,
    /// Lines dropped because the queue was full.
    pub queue_full: u64,
    /// Lines lost because a write failed.
    pub write_failed: u64,
    /// Lines that were truncated because they were too long.
    pub truncated: u64,
    /// Lines in the queue, or being written.
    pub queued: u64,
    /// Octets of these.
    pub queued_octets: u64,
    /// Records without a line.
    pub left_out: EnumMap<LeftOut, u64>,
    /// Files that were complete and renamed.
    pub rotated: u64,
    /// Times that the file was opened again on request.
    pub reopened: u64,
    /// Times that a file could not be renamed or opened again.
    pub rotation_failed: u64,
}

/// What sinks and writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: DoubleBuffer<Lines>,
    pub(super) lines: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) write_failed: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) queued_octets: AtomicU64,
    pub(super) left_out: EnumMap<LeftOut, AtomicU64>,
    pub(super) rotated: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) rotation_failed: AtomicU64,
    /// The reader of stdout has gone.
    pub(super) is_closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(queue_octets: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            // Of the two buffers one is filled while the other is written.
            queue: DoubleBuffer::new((queue_octets / 2).max(MAX_LINE_OCTETS)),
            lines: zero(),
            written: zero(),
            queue_full: zero(),
            write_failed: zero(),
            truncated: zero(),
            queued: zero(),
            queued_octets: zero(),
            left_out: EnumMap::default(),
            rotated: zero(),
            reopened: zero(),
            rotation_failed: zero(),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(super) fn counts(&self) -> FlowLogCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        FlowLogCounts {
            lines: read(&self.lines),
            written: read(&self.written),
            queue_full: read(&self.queue_full),
            write_failed: read(&self.write_failed),
            truncated: read(&self.truncated),
            queued: read(&self.queued),
            queued_octets: read(&self.queued_octets),
            left_out: EnumMap::from_fn(|reason| read(&self.left_out[reason])),
            rotated: read(&self.rotated),
            reopened: read(&self.reopened),
            rotation_failed: read(&self.rotation_failed),
        }
    }
}
