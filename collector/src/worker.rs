//! One worker's whole path: datagram → records → who it was → whether it counts → edges.
//!
//! A worker owns its templates, its held records and its edges; workers share only the [`Shared`]
//! index, who was heard, and the series that edges are drained into. Whoever drives it (a socket
//! thread, the savefile reader) holds the worker's mutex for one batch; a scrape takes the same mutex
//! for as long as it takes to swap the edge table and to copy the counts, so that the counts of one
//! scrape add up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use flowproto::Address;
use flowproto::collector::{
    CollectingProcess, Counters, DomainReport, Limits, Occupancy, Unusable,
};

use crate::aggregate::{EdgeTable, SeriesTable};
use crate::dedup::Observers;
use crate::emit::LineBuffer;
use crate::emit::forward::ForwardStage;
use crate::emit::replicate::Stage;
use crate::enrich::Known;
use crate::intermediate::Intermediate;
use crate::inventory::IndexSnapshot;
use crate::inventory::external::PublishedExternal;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Who holds an address: the newest snapshot. A worker takes it once a datagram, without a lock.
    pub index: ArcSwap<IndexSnapshot>,
    /// Who is who outside.
    pub outside: Arc<PublishedExternal>,
    /// Which nodes were heard.
    pub observers: Observers,
    /// Name of the cluster; empty where it has none.
    pub cluster_name: Box<str>,
    /// Where edges are drained into. A worker that needs it holds its own mutex already; whoever
    /// holds this one must not ask for a worker's.
    pub series: Mutex<SeriesTable>,
}

impl Shared {
    /// Nothing heard, nothing counted.
    #[must_use]
    pub fn new(index: IndexSnapshot, outside: Arc<PublishedExternal>, series: SeriesTable) -> Self {
        Self {
            observers: Observers::new(index.node_bound()),
            index: ArcSwap::from_pointee(index),
            outside,
            cluster_name: Box::default(),
            series: Mutex::new(series),
        }
    }

    /// The same, of a cluster that has a name.
    #[must_use]
    pub fn of_cluster(mut self, name: &str) -> Self {
        self.cluster_name = name.into();
        self
    }

    /// Adds drained edges to the series.
    pub fn merge(&self, edges: &mut EdgeTable, now_milliseconds: u64) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Known {
            index: &self.index.load(),
            outside: &self.outside.load(),
        };
        series.merge(known, edges.drain(), now_milliseconds);
    }
}

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Bounds of the Collecting Process.
    pub limits: Limits,
    /// Edges between two drains, ≥ 2.
    pub max_edges: usize,
    /// Records that wait for their verdict at the most.
    pub held_records: usize,
    /// How long they wait, milliseconds.
    pub observer_wait_milliseconds: u64,
    /// How long a record waits for the pod whose address it names, milliseconds.
    pub attribution_wait_milliseconds: u64,
    /// How long records wait for the first word of Kubernetes, milliseconds after the beginning.
    pub inventory_wait_milliseconds: u64,
    /// An exporter's clock that is off by more is of no use, milliseconds.
    pub max_clock_skew_milliseconds: u64,
    /// Whether traffic inside a node counts.
    pub intra_node: bool,
    /// Whether a record of an exporter that counts no connections is one.
    pub connections_from_flows: bool,
    /// 61 `flowDirection` of the records that count, of exporters that are no known node: 0 ingress, 1
    /// egress; `None` for both.
    pub flow_direction: Option<u8>,
    /// The same of exporters on known nodes.
    pub node_flow_direction: Option<u8>,
    /// When the collector began, milliseconds since the epoch; `None` from savefiles, which are not
    /// over before their end: a silent node may be heard yet.
    pub began_milliseconds: Option<u64>,
}

impl WorkerSettings {
    /// Whether it is early enough for Kubernetes to tell of its nodes and pods for the first time.
    /// Offline it was waited for before the first record.
    #[must_use]
    pub fn awaits_inventory(&self, now_milliseconds: u64) -> bool {
        self.began_milliseconds.is_some_and(|began| {
            now_milliseconds.saturating_sub(began) < self.inventory_wait_milliseconds
        })
    }
}

/// What a worker counted after decoding. A *direction* is a record, or the opposite direction that a
/// biflow record carries besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Data Records.
    pub records: u64,
    /// Opposite directions in biflow records.
    pub reverse_directions: u64,
    /// Directions counted in the families.
    pub counted: u64,
    /// Directions whose record of another observer counts.
    pub other_observer: u64,
    /// Directions inside one node.
    pub intra_node: u64,
    /// Records that carry neither octets nor packets.
    pub no_counters: u64,
    /// Records of the direction that does not count, by the setting for exporters that are no node.
    pub other_direction: u64,
    /// Records an address of which changed hands while their packets ran.
    pub ambiguous: u64,
    /// Records decided though a pod's address was reported by no pod.
    pub unreported: u64,
    /// Records decided before Kubernetes had told of all nodes and pods.
    pub before_inventory: u64,
    /// Directions that had to wait for their verdict, and records that had to wait for the inventory.
    pub held: u64,
    /// Of these, settled early because their room was needed.
    pub settled_early: u64,
    /// Directions and records waiting now.
    pub waiting: u64,
    /// Directions of exporters that are no known node, where nodes are known.
    pub foreign: u64,
    /// Edges now.
    pub edges: u64,
    /// Drains because the edge table was full.
    pub full_drains: u64,
}

/// Everything a worker counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerCounts {
    /// The Collecting Process.
    pub decoding: Counters,
    /// Its sizes.
    pub occupancy: Occupancy,
    /// What came after.
    pub records: RecordCounts,
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    collecting: CollectingProcess,
    intermediate: Intermediate,
    /// Where datagrams are passed on, if they are.
    replicas: Option<Stage>,
}

impl Worker {
    /// A worker that has heard nothing. `log`: where lines go, if there is a flow log.
    #[must_use]
    pub fn new(settings: WorkerSettings, shared: Arc<Shared>, log: Option<LineBuffer>) -> Self {
        Self {
            collecting: CollectingProcess::new(settings.limits),
            intermediate: Intermediate::new(settings, shared, log),
            replicas: None,
        }
    }

    /// Passes datagrams on from now on.
    pub fn replicate(&mut self, replicas: Stage) {
        self.replicas = Some(replicas);
    }

    /// Forwards records from now on.
    pub fn forward(&mut self, forward: ForwardStage) {
        self.intermediate.forward = Some(forward);
    }

    /// Takes one datagram.
    pub fn receive(&mut self, exporter: SocketAddr, datagram: &[u8], now_milliseconds: u64) {
        if let Some(replicas) = &mut self.replicas {
            replicas.add(exporter, datagram);
        }
        self.intermediate.now_milliseconds = now_milliseconds;
        self.intermediate.adopt_snapshots();
        self.collecting
            .receive(exporter, datagram, now_milliseconds, &mut self.intermediate);
    }

    /// Takes one IPFIX Message that came over a connection, known by its number.
    ///
    /// # Errors
    /// The Message is malformed: the connection is of no use any more.
    pub fn receive_over(
        &mut self,
        connection: u64,
        exporter: SocketAddr,
        message: &[u8],
        now_milliseconds: u64,
    ) -> Result<(), Unusable> {
        if let Some(replicas) = &mut self.replicas {
            replicas.add(exporter, message);
        }
        self.intermediate.now_milliseconds = now_milliseconds;
        self.intermediate.adopt_snapshots();
        let sink = &mut self.intermediate;
        self.collecting
            .receive_over(connection, exporter, message, now_milliseconds, sink)
    }

    /// A connection is over, and with it what it said.
    pub fn close(&mut self, connection: u64) {
        self.collecting.close(connection);
    }

    /// Whether a known node has this address.
    #[must_use]
    pub fn is_node(&self, address: Address) -> bool {
        self.intermediate.is_node(address)
    }

    /// What is known of each Observation Domain.
    pub fn domains(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.collecting.domains()
    }

    /// Hands over what was gathered for others: datagrams, records, and the lines of the flow log unless its
    /// writer is busy. To be called after every batch.
    pub fn flush(&mut self) {
        if let Some(replicas) = &mut self.replicas {
            replicas.flush();
        }
        if let Some(forward) = &mut self.intermediate.forward {
            forward.flush();
        }
        if let Some(log) = &mut self.intermediate.log {
            log.flush_if_idle();
        }
    }

    /// Gives up on what waited for too long. To be called about once a second.
    pub fn tick(&mut self, now_milliseconds: u64) {
        self.collecting.expire(now_milliseconds);
        self.flush();
        self.intermediate.now_milliseconds = now_milliseconds;
        self.intermediate.adopt_snapshots();
        self.intermediate.settle_due();
    }

    /// The end: nothing more comes, so nothing waits any longer.
    pub fn finish(&mut self) {
        self.intermediate.adopt_snapshots();
        self.collecting.expire(u64::MAX);
        self.intermediate.settle_all();
        self.flush();
        // Dropped, it hands over its last lines.
        self.intermediate.log = None;
    }

    /// Whether records still wait for the first word of Kubernetes.
    #[must_use]
    pub fn inventory_is_awaited(&self, now_milliseconds: u64) -> bool {
        self.intermediate
            .settings
            .awaits_inventory(now_milliseconds)
    }

    /// Exporters whose clock is off: where they send from, and by how many milliseconds they are behind.
    pub fn skewed_exporters(&self) -> impl Iterator<Item = (Address, i64)> {
        let exporters = self.intermediate.exporters.iter().flatten();
        exporters
            .map(|exporter| (exporter.address, exporter.clock.skew_milliseconds()))
            .filter(|(_, skew)| *skew != 0)
    }

    /// Swaps the edges against an empty table and returns the counts as they are at that moment.
    pub fn drain(&mut self, edges: &mut EdgeTable) -> WorkerCounts {
        std::mem::swap(&mut self.intermediate.edges, edges);
        self.counts()
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> WorkerCounts {
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        WorkerCounts {
            decoding: *self.collecting.counters(),
            occupancy: self.collecting.occupancy(),
            records: RecordCounts {
                waiting: size(self.intermediate.waiting()),
                edges: size(self.intermediate.edges.len()),
                ..self.intermediate.counts
            },
        }
    }

    /// Whether the reader of the flow log went away.
    #[must_use]
    pub fn log_is_closed(&self) -> bool {
        self.intermediate
            .log
            .as_ref()
            .is_some_and(LineBuffer::is_closed)
    }
}
