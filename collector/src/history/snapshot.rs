//! What the history holds at one moment, to be read without a lock.

use std::sync::Arc;

use super::endpoints::EndpointList;
use super::interval::Interval;
use super::ring_settings::RingSettings;

/// The time that a ring covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSpan {
    /// Length of its intervals, milliseconds.
    pub step: u64,
    /// The first time that it covers, milliseconds since the epoch.
    pub from: u64,
    /// The end of what it covers, milliseconds since the epoch.
    pub to: u64,
}

/// The history at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) endpoints: EndpointList,
    /// The finest ring first. Each has intervals up to [`Self::to`].
    pub(super) rings: Vec<RingSnapshot>,
    pub(super) to: u64,
    /// Times in which no collector ran: begin and end.
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) generation: u64,
}

/// A ring at one moment.
#[derive(Debug)]
pub(super) struct RingSnapshot {
    pub(super) settings: RingSettings,
    pub(super) from: u64,
    /// In the order of their time. The last ones may be parts of one interval.
    pub(super) intervals: Vec<Arc<Interval>>,
}

impl Snapshot {
    /// The time of the last drain, milliseconds since the epoch.
    #[must_use]
    pub const fn to(&self) -> u64 {
        self.to
    }

    /// A number that is different for each drain.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}
