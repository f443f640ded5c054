//! The clocks of this crate.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch, for the export time of Messages.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the Exporting Process is where wall time enters: the export time of RFC 7011 §3.1"
)]
pub fn wall_clock_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "rates, retries and timeouts depend on this machine's time; no record does"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
