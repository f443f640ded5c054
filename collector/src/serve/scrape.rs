//! A scrape: drain every worker, bring the self-metrics up to date, write all families.
//!
//! A worker is held up only for the swap of its edge table; the edges become series, and the series
//! text, without it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowproto::collector::{Counters, Occupancy};
use kipfix_service::exposition::{self, Format};

use super::info;
use crate::aggregate::EdgeTable;
use crate::emit::FlowLogCounts;
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::ReplicaCounts;
use crate::inventory::cluster::Health;
use crate::live;
use crate::metrics::{Exporters, Metrics, Reception, Totals};
use crate::receive::connections::Connections;
use crate::receive::savefile::SavefileCounts;
use crate::receive::senders::Senders;
use crate::receive::tcp::StreamListener;
use crate::receive::udp::UdpReceiver;
use crate::worker::{RecordCounts, Shared, Worker, WorkerCounts};

/// What time it is for the series.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The wall's.
    Wall,
    /// That of the packets in a savefile: the last time seen, milliseconds since the epoch.
    Packets(Arc<AtomicU64>),
}

impl Clock {
    /// Milliseconds since the epoch.
    #[must_use]
    pub fn now_milliseconds(&self) -> u64 {
        match self {
            Self::Wall => live::now_milliseconds(),
            Self::Packets(last) => last.load(Ordering::Relaxed),
        }
    }
}

/// All that a scrape looks at.
pub struct Scrape {
    /// Self-metrics.
    pub metrics: Metrics,
    /// What the workers share.
    pub shared: Arc<Shared>,
    /// The workers.
    pub workers: Vec<Arc<Mutex<Worker>>>,
    /// The sockets of datagrams.
    pub sockets: Vec<Arc<UdpReceiver>>,
    /// The sockets that connections come to.
    pub listeners: Vec<Arc<StreamListener>>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// Who may send.
    pub senders: Arc<Senders>,
    /// Exporters that have series of their own at the most, for each worker.
    pub max_exporter_series: usize,
    /// The flow log, if there is one.
    pub flow_log: Option<Box<dyn Fn() -> FlowLogCounts + Send + Sync>>,
    /// What became of replicated datagrams, if there are targets.
    pub replicas: Option<Box<dyn Fn() -> Vec<ReplicaCounts> + Send + Sync>>,
    /// What became of forwarded records, if there are targets.
    pub forward: Option<Box<dyn Fn() -> ForwardCounts + Send + Sync>>,
    /// What savefiles held.
    pub savefile: Arc<Mutex<SavefileCounts>>,
    /// What time it is.
    pub clock: Clock,
    /// The table that a worker gets for its own; one drain at a time.
    pub spare: Mutex<EdgeTable>,
    /// How the watches of Kubernetes fare, if it is watched.
    pub kubernetes: OnceLock<Arc<Health>>,
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrape")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Scrape {
    /// Turns what the workers counted into series and returns all counts.
    pub fn drain(&self) -> Totals {
        let now = self.clock.now_milliseconds();
        // Before the workers: what a connection brought was counted, and what it taught forgotten, before it
        // counts as gone.
        let reception = self.reception();
        let mut spare = lock(&self.spare);
        let mut sum = WorkerCounts::default();
        let mut skews = Vec::new();
        let mut exporters =
            Exporters::new(self.max_exporter_series.saturating_mul(self.workers.len()));
        for worker in &self.workers {
            let mut locked = lock(worker);
            let counts = locked.drain(&mut spare);
            skews.extend(locked.skewed_exporters());
            for domain in locked.domains() {
                exporters.add(&domain);
            }
            drop(locked);
            self.shared.merge(&mut spare, now);
            add(&mut sum, &counts);
        }
        drop(spare);
        let mut series = lock(&self.shared.series);
        series.expire(now);
        let counts = series.counts();
        drop(series);
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        Totals {
            worker: sum,
            series: counts,
            flow_log: self
                .flow_log
                .as_ref()
                .map(|counts| counts())
                .unwrap_or_default(),
            forward: self
                .forward
                .as_ref()
                .map(|counts| counts())
                .unwrap_or_default(),
            replicas: self
                .replicas
                .as_ref()
                .map(|counts| counts())
                .unwrap_or_default(),
            savefile: *lock(&self.savefile),
            sockets: self
                .sockets
                .iter()
                .map(|socket| {
                    socket.read_drops();
                    let octets = size(socket.receive_buffer_octets());
                    (socket.name().to_owned(), socket.drops(), octets)
                })
                .collect(),
            inventory: self.shared.index.load().sizes(),
            outside: self.shared.outside.counts(),
            kubernetes: self
                .kubernetes
                .get()
                .map(|health| health.counts().collect())
                .unwrap_or_default(),
            skews,
            reception,
            exporters,
            observed_nodes: size(self.shared.observers.observed_nodes(now)),
        }
    }

    fn reception(&self) -> Reception {
        let mut certificate_loads = (0, 0);
        let mut counted: Vec<*const _> = Vec::new();
        for certificates in self.listeners.iter().filter_map(|l| l.certificates()) {
            // The listeners of several workers share theirs.
            if !counted.contains(&Arc::as_ptr(certificates)) {
                counted.push(Arc::as_ptr(certificates));
                let (loaded, failed) = certificates.loads();
                certificate_loads.0 += loaded;
                certificate_loads.1 += failed;
            }
        }
        Reception {
            connections: self.connections.counts(),
            refused_datagrams: self.senders.refused_datagrams(),
            certificate_loads,
        }
    }

    /// Whether records still wait for the first word of Kubernetes.
    #[must_use]
    pub fn inventory_is_awaited(&self, now_milliseconds: u64) -> bool {
        let worker = self.workers.first();
        worker.is_some_and(|worker| lock(worker).inventory_is_awaited(now_milliseconds))
    }

    /// Writes all families, without the end mark. `ordered`: the same counts are the same text.
    pub fn write(&self, format: Format, ordered: bool, out: &mut Vec<u8>) {
        let began = live::monotonic();
        self.metrics.publish(&self.drain());
        exposition::write_registry(self.metrics.registry(), format, out);
        let index = self.shared.index.load();
        info::write(&index, &self.shared.cluster_name, format, out);
        lock(&self.shared.series).write(format, ordered, out);
        self.metrics.scraped(began.elapsed().as_secs_f64());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(sum: &mut WorkerCounts, counts: &WorkerCounts) {
    let WorkerCounts {
        decoding,
        occupancy,
        records,
    } = sum;
    let Counters {
        datagrams,
        octets,
        messages,
        records: decoded,
        options_records,
        templates,
        sets_held,
        sets_released,
        sequence,
        domains_crowded_out,
        domains_idle,
        templates_withdrawn,
        templates_idle,
        words_refused,
        totals_forgotten,
        unusable,
    } = counts.decoding;
    decoding.sequence.add(sequence);
    for (sum, more) in [
        (&mut decoding.datagrams, datagrams),
        (&mut decoding.octets, octets),
        (&mut decoding.records, decoded),
        (&mut decoding.options_records, options_records),
        (&mut decoding.templates, templates),
        (&mut decoding.sets_held, sets_held),
        (&mut decoding.sets_released, sets_released),
        (&mut decoding.domains_crowded_out, domains_crowded_out),
        (&mut decoding.domains_idle, domains_idle),
        (&mut decoding.templates_withdrawn, templates_withdrawn),
        (&mut decoding.templates_idle, templates_idle),
        (&mut decoding.words_refused, words_refused),
        (&mut decoding.totals_forgotten, totals_forgotten),
    ] {
        *sum += more;
    }
    for (sum, more) in decoding.messages.iter_mut().zip(messages) {
        *sum += more;
    }
    for (sum, more) in decoding.unusable.iter_mut().zip(unusable) {
        *sum += more;
    }
    let Occupancy {
        domains,
        templates,
        held_sets,
        held_octets,
        words,
        totals,
    } = counts.occupancy;
    occupancy.words += words;
    occupancy.totals += totals;
    occupancy.domains += domains;
    occupancy.templates += templates;
    occupancy.held_sets += held_sets;
    occupancy.held_octets += held_octets;
    let RecordCounts {
        records: seen,
        reverse_directions,
        counted,
        other_observer,
        intra_node,
        no_counters,
        other_direction,
        ambiguous,
        unreported,
        before_inventory,
        held,
        settled_early,
        waiting,
        foreign,
        edges,
        full_drains,
    } = counts.records;
    for (sum, more) in [
        (&mut records.records, seen),
        (&mut records.reverse_directions, reverse_directions),
        (&mut records.counted, counted),
        (&mut records.other_observer, other_observer),
        (&mut records.intra_node, intra_node),
        (&mut records.no_counters, no_counters),
        (&mut records.other_direction, other_direction),
        (&mut records.ambiguous, ambiguous),
        (&mut records.unreported, unreported),
        (&mut records.before_inventory, before_inventory),
        (&mut records.held, held),
        (&mut records.settled_early, settled_early),
        (&mut records.waiting, waiting),
        (&mut records.foreign, foreign),
        (&mut records.edges, edges),
        (&mut records.full_drains, full_drains),
    ] {
        *sum += more;
    }
}
