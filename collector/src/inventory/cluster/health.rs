//! How the watches fare, for the self-metrics and for `/readyz`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// EndpointSlices: where Services lead that have no pods.
    EndpointSlices,
    /// Metadata of Namespaces, if a label of theirs is asked for.
    Namespaces,
    /// Metadata of ReplicaSets.
    ReplicaSets,
    /// Metadata of Jobs.
    Jobs,
}

impl ResourceKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nodes,
        Self::Pods,
        Self::Services,
        Self::EndpointSlices,
        Self::Namespaces,
        Self::ReplicaSets,
        Self::Jobs,
    ];

    /// As a label value, and as the name of the resource.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Namespaces => "namespaces",
            Self::ReplicaSets => "replicasets",
            Self::Jobs => "jobs",
        }
    }
}

/// One watch.
#[derive(Debug, Default)]
struct Watch {
    up: AtomicBool,
    forbidden: AtomicBool,
    listed: AtomicBool,
    /// When it went up or down; 0 before the first word.
    since_milliseconds: AtomicU64,
    last_event_milliseconds: AtomicU64,
    events: AtomicU64,
    errors: AtomicU64,
}

impl Watch {
    fn rises(&self, kind: ResourceKind, now_milliseconds: u64) {
        if !self.up.swap(true, Ordering::Relaxed) {
            self.since_milliseconds
                .store(now_milliseconds, Ordering::Relaxed);
            tracing::info!(kind = kind.as_str(), "Kubernetes tells");
        }
        self.forbidden.store(false, Ordering::Relaxed);
    }
}

/// What is to be told of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// It runs.
    pub up: bool,
    /// The API server does not allow it.
    pub forbidden: bool,
    /// All objects were told at least once.
    pub listed: bool,
    /// When it went up or down, milliseconds since the epoch.
    pub since_milliseconds: u64,
    /// When it last told something, milliseconds since the epoch.
    pub last_event_milliseconds: u64,
    /// Objects told.
    pub events: u64,
    /// Failures.
    pub errors: u64,
}

/// One value for each kind.
#[derive(Debug, Default)]
pub(super) struct PerKind<T>([T; ResourceKind::ALL.len()]);

impl<T> PerKind<T> {
    fn get(&self, kind: ResourceKind) -> &T {
        let [
            nodes,
            pods,
            services,
            slices,
            namespaces,
            replica_sets,
            jobs,
        ] = &self.0;
        match kind {
            ResourceKind::Nodes => nodes,
            ResourceKind::Pods => pods,
            ResourceKind::Services => services,
            ResourceKind::EndpointSlices => slices,
            ResourceKind::Namespaces => namespaces,
            ResourceKind::ReplicaSets => replica_sets,
            ResourceKind::Jobs => jobs,
        }
    }

    pub(super) fn get_mut(&mut self, kind: ResourceKind) -> &mut T {
        let [
            nodes,
            pods,
            services,
            slices,
            namespaces,
            replica_sets,
            jobs,
        ] = &mut self.0;
        match kind {
            ResourceKind::Nodes => nodes,
            ResourceKind::Pods => pods,
            ResourceKind::Services => services,
            ResourceKind::EndpointSlices => slices,
            ResourceKind::Namespaces => namespaces,
            ResourceKind::ReplicaSets => replica_sets,
            ResourceKind::Jobs => jobs,
        }
    }
}

/// The watches.
#[derive(Debug)]
pub struct Health {
    watches: PerKind<Watch>,
    kinds: Vec<ResourceKind>,
}

impl Health {
    /// Nothing was heard of these kinds.
    #[must_use]
    pub fn new(kinds: Vec<ResourceKind>) -> Self {
        Self {
            watches: PerKind::default(),
            kinds,
        }
    }

    fn watch(&self, kind: ResourceKind) -> &Watch {
        self.watches.get(kind)
    }

    /// The watch told of an object, or that it told of all.
    pub(super) fn told(&self, kind: ResourceKind, all: bool, now_milliseconds: u64) {
        let watch = self.watch(kind);
        watch.rises(kind, now_milliseconds);
        watch.listed.fetch_or(all, Ordering::Relaxed);
        watch
            .last_event_milliseconds
            .store(now_milliseconds, Ordering::Relaxed);
        watch.events.fetch_add(u64::from(!all), Ordering::Relaxed);
    }

    /// The watch had nothing to tell, and the server answers.
    pub(super) fn silent(&self, kind: ResourceKind, now_milliseconds: u64) {
        let watch = self.watch(kind);
        // A list that is still awaited says for itself when it is there.
        if watch.listed.load(Ordering::Relaxed) {
            watch.rises(kind, now_milliseconds);
        }
    }

    /// The watch failed. It is said when it had been up, not at every further attempt.
    pub(super) fn failed(
        &self,
        kind: ResourceKind,
        error: &str,
        forbidden: bool,
        now_milliseconds: u64,
    ) {
        let watch = self.watch(kind);
        watch.errors.fetch_add(1, Ordering::Relaxed);
        let first = watch.since_milliseconds.load(Ordering::Relaxed) == 0;
        if watch.up.swap(false, Ordering::Relaxed) || first {
            watch
                .since_milliseconds
                .store(now_milliseconds.max(1), Ordering::Relaxed);
            if !forbidden {
                tracing::warn!(
                    kind = kind.as_str(),
                    error,
                    "Kubernetes does not answer; going on with what is known"
                );
            }
        }
        if forbidden && !watch.forbidden.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                kind = kind.as_str(),
                error,
                "Kubernetes forbids to list and watch this kind: it is off until a ClusterRole allows it"
            );
        }
    }

    /// What is to be told of each watch.
    pub fn counts(&self) -> impl Iterator<Item = (ResourceKind, WatchCounts)> {
        self.kinds.iter().map(|kind| {
            let kind = *kind;
            let watch = self.watch(kind);
            let counts = WatchCounts {
                up: watch.up.load(Ordering::Relaxed),
                forbidden: watch.forbidden.load(Ordering::Relaxed),
                listed: watch.listed.load(Ordering::Relaxed),
                since_milliseconds: watch.since_milliseconds.load(Ordering::Relaxed),
                last_event_milliseconds: watch.last_event_milliseconds.load(Ordering::Relaxed),
                events: watch.events.load(Ordering::Relaxed),
                errors: watch.errors.load(Ordering::Relaxed),
            };
            (kind, counts)
        })
    }

    /// Whether nothing more is to be waited for before records count: nodes and pods were told, or are
    /// forbidden; the others were told, or failed twice: once may be a server that has just started.
    pub(super) fn is_complete(&self) -> bool {
        self.counts().all(|(kind, watch)| match kind {
            ResourceKind::Nodes | ResourceKind::Pods => watch.listed || watch.forbidden,
            _ => watch.listed || watch.errors > 1,
        })
    }
}
