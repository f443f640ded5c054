//! The time in which the packets of a record were observed.

/// The time between the first and the last packet of a record, inclusive, by the collector's
/// clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Time of the first packet, milliseconds since the epoch.
    pub start_milliseconds: u64,
    /// Time of the last packet, milliseconds since the epoch.
    pub end_milliseconds: u64,
}

impl TimeRange {
    /// Returns the range of a single packet.
    #[must_use]
    pub const fn instant(milliseconds: u64) -> Self {
        Self {
            start_milliseconds: milliseconds,
            end_milliseconds: milliseconds,
        }
    }
}
