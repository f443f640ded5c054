//! State of the watches, for the metrics and `/readyz`.

use std::sync::{Mutex, MutexGuard};

use enum_map::EnumMap;
use kipfix_service::sync::lock;

use super::resource_kind::ResourceKind;
use super::update::WatchFailure;

/// State of one watch.
#[derive(Debug, Default)]
struct WatchState {
    counts: WatchCounts,
    /// The server refused the first request. The watch may still start.
    refused: bool,
    absent: bool,
}

impl WatchState {
    /// Returns whether it was not up before.
    fn set_up(&mut self, now_milliseconds: u64) -> bool {
        let was_up = std::mem::replace(&mut self.counts.up, true);
        if !was_up {
            self.counts.since_milliseconds = now_milliseconds;
        }
        (self.refused, self.counts.forbidden, self.absent) = (false, false, false);
        !was_up
    }

    /// Returns whether the watch has never worked because the kind or the right is missing.
    const fn is_off(&self) -> bool {
        !self.counts.listed && (self.refused || self.counts.forbidden || self.absent)
    }
}

/// State and counts of one watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// Whether the watch is established.
    pub up: bool,
    /// Whether the API server denies the watch.
    pub forbidden: bool,
    /// Whether the initial list was loaded at least once.
    pub listed: bool,
    /// Time of the last change of `up`, milliseconds since the epoch. 0 before the first event or
    /// failure.
    pub since_milliseconds: u64,
    /// Time of the last event, milliseconds since the epoch.
    pub last_event_milliseconds: u64,
    /// Objects received.
    pub events: u64,
    /// Failures.
    pub errors: u64,
    /// Objects with an annotation or field that cannot be read.
    pub malformed: u64,
}

impl WatchCounts {
    /// Which objects of the kind are in use while the watch is down.
    pub const fn objects_in_use(&self) -> &'static str {
        if self.listed {
            "serving from cache"
        } else {
            "no object of this kind is known yet"
        }
    }
}

/// State of all watches.
#[derive(Debug)]
pub struct WatchHealth {
    watches: EnumMap<ResourceKind, Mutex<WatchState>>,
    kinds: Vec<ResourceKind>,
}

impl WatchHealth {
    /// Creates the state of the watches of these kinds, before their first event.
    #[must_use]
    pub fn new(kinds: Vec<ResourceKind>) -> Self {
        Self {
            watches: EnumMap::default(),
            kinds,
        }
    }

    fn watch(&self, kind: ResourceKind) -> MutexGuard<'_, WatchState> {
        lock(&self.watches[kind])
    }

    /// Changes the state of an established watch. Like all others, it logs without the lock: who
    /// reads the log may be slow, and a scrape takes the lock.
    fn establish(
        &self,
        kind: ResourceKind,
        now_milliseconds: u64,
        change: impl FnOnce(&mut WatchCounts),
    ) {
        let mut watch = self.watch(kind);
        let is_new = watch.set_up(now_milliseconds);
        change(&mut watch.counts);
        drop(watch);
        if is_new {
            tracing::info!(%kind, "watch established");
        }
    }

    /// The watch received an object.
    pub(super) fn on_object(&self, kind: ResourceKind, now_milliseconds: u64) {
        self.establish(kind, now_milliseconds, |counts| {
            counts.last_event_milliseconds = now_milliseconds;
            counts.events += 1;
        });
    }

    /// The watch received a complete list.
    pub(super) fn on_list(&self, kind: ResourceKind, now_milliseconds: u64) {
        self.establish(kind, now_milliseconds, |counts| {
            counts.listed = true;
            counts.last_event_milliseconds = now_milliseconds;
        });
    }

    /// The server answers, and there is no event.
    pub(super) fn on_idle(&self, kind: ResourceKind, now_milliseconds: u64) {
        // A pending list ends with `on_list`.
        let is_listed = self.watch(kind).counts.listed;
        if is_listed {
            self.establish(kind, now_milliseconds, |_| ());
        }
    }

    /// The cluster does not have the kind.
    pub(super) fn on_absent(&self, kind: ResourceKind) {
        let mut watch = self.watch(kind);
        watch.counts.up = false;
        let was_absent = std::mem::replace(&mut watch.absent, true);
        drop(watch);
        if !was_absent {
            tracing::debug!(%kind, "the cluster does not have this kind");
        }
    }

    /// The watch failed. Logged when it was up before, not at each attempt.
    pub(super) fn on_failure(
        &self,
        kind: ResourceKind,
        error: &str,
        failure: WatchFailure,
        now_milliseconds: u64,
    ) {
        let mut watch = self.watch(kind);
        watch.counts.errors += 1;
        let was_up = watch.counts.up || watch.counts.since_milliseconds == 0;
        if was_up {
            watch.counts.up = false;
            watch.counts.since_milliseconds = now_milliseconds.max(1);
        }
        watch.refused |= failure == WatchFailure::Refused;
        let is_forbidden = failure == WatchFailure::Forbidden;
        let was_forbidden = watch.counts.forbidden;
        watch.counts.forbidden |= is_forbidden;
        let objects = watch.counts.objects_in_use();
        drop(watch);
        let is_missing = failure != WatchFailure::Unavailable;
        if was_up && (!is_missing || !kind.is_optional() && failure == WatchFailure::Refused) {
            tracing::warn!(%kind, error, "watch failed; {objects}");
        }
        if is_forbidden && !was_forbidden {
            if kind.is_optional() {
                tracing::info!(
                    %kind,
                    error,
                    "no permission to list and watch this optional kind; it is not used"
                );
            } else {
                tracing::warn!(
                    %kind,
                    error,
                    "no permission to list and watch this kind; it is off until a ClusterRole \
                     allows it"
                );
            }
        }
    }

    /// An object has an annotation or field that cannot be read. Logged once per kind.
    pub(super) fn on_malformed(&self, kind: ResourceKind, name: &str, field: &str) {
        let mut watch = self.watch(kind);
        watch.counts.malformed += 1;
        let is_first = watch.counts.malformed == 1;
        drop(watch);
        if is_first {
            tracing::warn!(
                %kind,
                name,
                field,
                "cannot read a field of an object; further ones are only counted"
            );
        }
    }

    /// Returns the state and counts of each watch. An optional kind is left out until it was listed
    /// once: the cluster may not have it, or not grant the right.
    pub fn counts(&self) -> impl Iterator<Item = (ResourceKind, WatchCounts)> {
        let kinds = self.kinds.iter();
        let all = kinds.map(|kind| (*kind, self.watch(*kind).counts));
        all.filter(|(kind, counts)| !kind.is_optional() || counts.listed)
    }

    /// Returns whether records can be attributed: Nodes and Pods are listed or forbidden. Other
    /// kinds are listed or have failed twice, since a server that has just started refuses the
    /// first request.
    pub(super) fn is_complete(&self) -> bool {
        self.kinds.iter().all(|kind| {
            let watch = self.watch(*kind);
            let is_off = match kind {
                ResourceKind::Nodes | ResourceKind::Pods => watch.counts.forbidden,
                kind if kind.is_optional() && watch.is_off() => true,
                _ => watch.counts.errors > 1,
            };
            is_off || watch.counts.listed
        })
    }
}
