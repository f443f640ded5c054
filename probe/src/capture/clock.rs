//! The wall clock, with which the kernel stamps packets.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "live capture is where wall time enters"
)]
pub(crate) fn wall_clock_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}
