//! The deadline of a target when the process stops.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use kipfix_service::sync::lock;

use crate::clock::monotonic;
use crate::exporter::SHUTDOWN_TIMEOUT;

/// Ends the thread of a target, and limits the time until then. Clones share the deadline.
#[derive(Clone, Debug, Default)]
pub struct ShutdownDeadline(Arc<(Mutex<Option<Instant>>, Condvar)>);

impl ShutdownDeadline {
    /// Starts the shutdown: [`SHUTDOWN_TIMEOUT`] is left from now on.
    pub fn begin(&self) {
        let (deadline, changed) = &*self.0;
        let mut deadline = lock(deadline);
        deadline.get_or_insert_with(|| monotonic() + SHUTDOWN_TIMEOUT);
        changed.notify_all();
    }

    /// The time that is left; `None` before the shutdown.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let deadline = *lock(&self.0.0);
        deadline.map(|deadline| deadline.saturating_duration_since(monotonic()))
    }

    /// True if no time is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Sleeps, until the shutdown starts at most.
    pub fn sleep(&self, duration: Duration) {
        let (deadline, changed) = &*self.0;
        let guard = lock(deadline);
        if let Some(deadline) = *guard {
            drop(guard);
            let left = deadline.saturating_duration_since(monotonic());
            std::thread::sleep(duration.min(left));
        } else {
            drop(changed.wait_timeout(guard, duration));
        }
    }
}
