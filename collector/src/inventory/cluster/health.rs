//! State of the watches, for the metrics and `/readyz`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::resource_kind::ResourceKind;
use super::update::WatchFailure;
use enum_map::EnumMap;

/// State of one watch.
#[derive(Debug, Default)]
struct WatchState {
    up: AtomicBool,
    /// The server refused the first request. The watch may still start.
    refused: AtomicBool,
    forbidden: AtomicBool,
    absent: AtomicBool,
    listed: AtomicBool,
    /// Time of the last change of `up`. 0 before the first event or failure.
    since_milliseconds: AtomicU64,
    last_event_milliseconds: AtomicU64,
    events: AtomicU64,
    errors: AtomicU64,
    malformed: AtomicU64,
}

impl WatchState {
    fn set_up(&self, kind: ResourceKind, now_milliseconds: u64) {
        if !self.up.swap(true, Ordering::Relaxed) {
            self.since_milliseconds
                .store(now_milliseconds, Ordering::Relaxed);
            tracing::info!(%kind, "watch established");
        }
        for flag in [&self.refused, &self.forbidden, &self.absent] {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// Returns whether the watch has never worked because the kind or the right is missing.
    fn is_off(&self) -> bool {
        let off = [&self.refused, &self.forbidden, &self.absent];
        !self.listed.load(Ordering::Relaxed) && off.iter().any(|flag| flag.load(Ordering::Relaxed))
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
    /// Time of the last change of `up`, milliseconds since the epoch.
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

/// State of all watches.
#[derive(Debug)]
pub struct Health {
    watches: EnumMap<ResourceKind, WatchState>,
    kinds: Vec<ResourceKind>,
}

impl Health {
    /// Creates the state of the watches of these kinds, before their first event.
    #[must_use]
    pub fn new(kinds: Vec<ResourceKind>) -> Self {
        Self {
            watches: EnumMap::default(),
            kinds,
        }
    }

    fn watch(&self, kind: ResourceKind) -> &WatchState {
        &self.watches[kind]
    }

    /// The watch received an object.
    pub(super) fn on_object(&self, kind: ResourceKind, now_milliseconds: u64) {
        let watch = self.watch(kind);
        watch.set_up(kind, now_milliseconds);
        watch
            .last_event_milliseconds
            .store(now_milliseconds, Ordering::Relaxed);
        watch.events.fetch_add(1, Ordering::Relaxed);
    }

    /// The watch received a complete list.
    pub(super) fn on_list(&self, kind: ResourceKind, now_milliseconds: u64) {
        let watch = self.watch(kind);
        watch.set_up(kind, now_milliseconds);
        watch.listed.store(true, Ordering::Relaxed);
        watch
            .last_event_milliseconds
            .store(now_milliseconds, Ordering::Relaxed);
    }

    /// The server answers, and there is no event.
    pub(super) fn on_idle(&self, kind: ResourceKind, now_milliseconds: u64) {
        let watch = self.watch(kind);
        // A pending list ends with `on_list`.
        if watch.listed.load(Ordering::Relaxed) {
            watch.set_up(kind, now_milliseconds);
        }
    }

    /// The cluster does not have the kind.
    pub(super) fn on_absent(&self, kind: ResourceKind) {
        let watch = self.watch(kind);
        watch.up.store(false, Ordering::Relaxed);
        if !watch.absent.swap(true, Ordering::Relaxed) {
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
        let watch = self.watch(kind);
        watch.errors.fetch_add(1, Ordering::Relaxed);
        let first = watch.since_milliseconds.load(Ordering::Relaxed) == 0;
        if watch.up.swap(false, Ordering::Relaxed) || first {
            watch
                .since_milliseconds
                .store(now_milliseconds.max(1), Ordering::Relaxed);
            let is_missing = failure != WatchFailure::Unavailable;
            if !is_missing || !kind.is_optional() && failure == WatchFailure::Refused {
                tracing::warn!(
                    %kind,
                    error,
                    "watch failed; serving from cache"
                );
            }
        }
        if failure == WatchFailure::Refused {
            watch.refused.store(true, Ordering::Relaxed);
        }
        if failure == WatchFailure::Forbidden && !watch.forbidden.swap(true, Ordering::Relaxed) {
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
        if self.watch(kind).malformed.fetch_add(1, Ordering::Relaxed) == 0 {
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
        let all = self.kinds.iter().map(|kind| (*kind, self.watch(*kind)));
        let used =
            all.filter(|(kind, watch)| !kind.is_optional() || watch.listed.load(Ordering::Relaxed));
        used.map(|(kind, watch)| {
            let counts = WatchCounts {
                up: watch.up.load(Ordering::Relaxed),
                forbidden: watch.forbidden.load(Ordering::Relaxed),
                listed: watch.listed.load(Ordering::Relaxed),
                since_milliseconds: watch.since_milliseconds.load(Ordering::Relaxed),
                last_event_milliseconds: watch.last_event_milliseconds.load(Ordering::Relaxed),
                events: watch.events.load(Ordering::Relaxed),
                errors: watch.errors.load(Ordering::Relaxed),
                malformed: watch.malformed.load(Ordering::Relaxed),
            };
            (kind, counts)
        })
    }

    /// Returns whether records can be attributed: Nodes and Pods are listed or forbidden. Other
    /// kinds are listed or have failed twice, since a server that has just started refuses the
    /// first request.
    pub(super) fn is_complete(&self) -> bool {
        self.kinds.iter().all(|kind| {
            let watch = self.watch(*kind);
            let is_off = match kind {
                ResourceKind::Nodes | ResourceKind::Pods => watch.forbidden.load(Ordering::Relaxed),
                kind if kind.is_optional() && watch.is_off() => true,
                _ => watch.errors.load(Ordering::Relaxed) > 1,
            };
            is_off || watch.listed.load(Ordering::Relaxed)
        })
    }
}
