//! The lists of a kind, and since when an object of an update may have what it has.

/// The lists of one kind. Times are in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListState {
    /// Number of the latest list.
    pub(super) number: u32,
    /// Whether a list was loaded.
    listed: bool,
    /// Time of the first failure since the latest event. 0 if there was none.
    failed: u64,
    /// Time of the latest event.
    latest_event: u64,
}

impl ListState {
    /// A list starts.
    pub(super) const fn on_list_start(&mut self) {
        self.number = self.number.wrapping_add(1);
    }

    /// A list is complete.
    pub(super) const fn on_list_end(&mut self, now: u64) {
        self.listed = true;
        self.on_event(now);
    }

    /// An object has changed.
    pub(super) const fn on_event(&mut self, now: u64) {
        self.failed = 0;
        self.latest_event = now;
    }

    /// The watch failed.
    pub(super) const fn on_failure(&mut self, now: u64) {
        if self.failed == 0 {
            self.failed = now;
        }
    }

    /// Returns the context of an object in a list. It may have changed at any time since the watch
    /// failed or since the latest event, and in the first list at any time at all.
    pub(super) const fn of_initial(&self, now: u64) -> UpdateContext {
        let earliest = match (self.listed, self.failed) {
            (false, _) => 0,
            (true, 0) => self.latest_event,
            (true, failed) => failed,
        };
        UpdateContext {
            now,
            list: self.number,
            earliest,
            is_initial: true,
        }
    }

    /// Returns the context of an object that has changed now.
    pub(super) const fn of_change(&self, now: u64) -> UpdateContext {
        UpdateContext {
            now,
            list: self.number,
            earliest: now,
            is_initial: false,
        }
    }
}

/// When an update was received and what it is part of. Times are in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpdateContext {
    pub(super) now: u64,
    /// Number of the latest list of the kind.
    pub(super) list: u32,
    /// Earliest time when the change may have happened.
    earliest: u64,
    /// The object is part of a list.
    pub(super) is_initial: bool,
}

impl UpdateContext {
    /// Returns the earliest time when the change may have happened.
    pub(super) fn since(self) -> u64 {
        self.earliest.min(self.now)
    }

    /// Returns when an object that started at `started` got what is new in the update, and how
    /// long before that time it may have used it.
    pub(super) fn begin(self, started: u64) -> (u64, u64) {
        let from = self.earliest.max(started).min(self.now);
        (from, from.saturating_sub(started))
    }
}

/// Since when a pod or node has what is new in an update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    pub(super) from: u64,
    pub(super) lead: u64,
    /// The next one gets it: the pod is in deletion, or the node is unreachable.
    pub(super) is_yielding: bool,
    /// The object is received for the first time.
    pub(super) is_new: bool,
}
