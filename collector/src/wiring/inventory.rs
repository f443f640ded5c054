//! Starts the inventory: the file, the Kubernetes watches, and the sources of external address
//! enrichment.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use kipfix_service::exit::{BadSettings, Failure};
use kipfix_service::signals::{Stop, StopAtEnd};

use crate::clock;
use crate::inventory::cluster::{self, Access, LabelSelectors, ProbeStatus, WatchHealth};
use crate::inventory::external::{ExternalError, ExternalWatcher, NamedCidr};
use crate::inventory::file::{self, Inventory};
use crate::inventory::{IndexSnapshot, IndexWriter, NodeId};
use crate::pipeline::Observers;
use crate::serve::Scrape;
use crate::settings::Settings;
use crate::snapshots::SnapshotStore;

/// Interval at which files of external addresses are checked for changes.
const FILES_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which the completeness of the inventory is checked before a savefile is read.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The access to Kubernetes, if it is used. With savefiles it is used only if a kubeconfig is
/// given, because the cluster in which the collector happens to run is unrelated to a savefile.
pub(super) fn access(settings: &Settings) -> Result<Option<Access>, Failure> {
    if settings.attribution.kubernetes == "auto" && !settings.input.read.is_empty() {
        return Ok(None);
    }
    let access = Access::of(&settings.attribution.kubernetes).map_err(BadSettings::new)?;
    if access.is_none() && settings.attribution.inventory.is_none() {
        tracing::info!(
            "no Kubernetes and no inventory: flows are counted by address only; for names, set \
             --kubernetes KUBECONFIG or --inventory FILE"
        );
    }
    Ok(access)
}

/// Reads the inventory file, if there is one.
pub(super) fn read(settings: &Settings) -> Result<Inventory, Failure> {
    let Some(path) = &settings.attribution.inventory else {
        return Ok(Inventory {
            writer: IndexWriter::new(settings.bounds()),
            cidrs: Vec::new(),
        });
    };
    let mut inventory = file::read_keeping(path, settings.bounds(), &settings.kept_labels()?)
        .map_err(BadSettings::new)?;
    let sizes = inventory.writer.current().sizes();
    tracing::info!(
        nodes = sizes.nodes,
        endpoints = sizes.endpoints,
        cidrs = inventory.cidrs.len(),
        "inventory file loaded"
    );
    Ok(inventory)
}

/// Reads the files of external addresses. `cidrs` are those of the inventory file.
pub(super) fn external(
    settings: &Settings,
    cidrs: Vec<NamedCidr>,
) -> Result<ExternalWatcher, BadSettings> {
    ExternalWatcher::new(&settings.external_sources(cidrs)).map_err(|error| {
        let setting = match &error {
            ExternalError::File { path, .. } if settings.external.geoip.contains(path) => "geoip",
            ExternalError::File { .. } => "cloud_ranges",
            ExternalError::Cidr { .. } => "cidr",
        };
        BadSettings::new(format!("{setting}: {error}"))
    })
}

/// Reloads changed files of external addresses until the stop.
pub(super) fn watch_files(external: ExternalWatcher, stop: Stop) -> Result<(), Failure> {
    if !external.has_files() {
        return Ok(());
    }
    std::thread::Builder::new()
        .name("external".into())
        .spawn(move || external.run(FILES_INTERVAL, &stop))
        .context("cannot start a thread for files of external addresses")?;
    Ok(())
}

/// What the Kubernetes watches update.
struct Publisher {
    store: Arc<SnapshotStore>,
    observers: Arc<Observers>,
}

impl cluster::Publish for Publisher {
    fn index(&self, index: IndexSnapshot) {
        self.store.publish(index);
    }

    fn new_node(&self, node: NodeId) {
        self.observers.reset(node);
    }

    fn probe(&self, node: NodeId, status: ProbeStatus) {
        match status {
            ProbeStatus::Absent => self.observers.set_absent(node),
            ProbeStatus::NotReady => self.observers.set_ready(node, false),
            ProbeStatus::Ready => self.observers.set_ready(node, true),
        }
    }
}

/// Starts the Kubernetes watches. Returns when they run; before savefiles, when the initial lists
/// are complete or the wait for them is over.
pub(super) fn watch_kubernetes(
    access: Access,
    writer: IndexWriter,
    settings: &Settings,
    scrape: &Scrape,
    stop: StopAtEnd,
) -> Result<JoinHandle<()>, Failure> {
    let selectors = LabelSelectors {
        workload_labels: settings.attribution.workload_labels.clone(),
        probe_labels: settings.attribution.probe_selector.labels().to_vec(),
        probe_namespace: match settings.attribution.probe_namespace.as_str() {
            "" => access.namespace().to_owned(),
            namespace => namespace.to_owned(),
        },
        node_pool_labels: settings.attribution.node_pool_labels.clone(),
        namespace_label: settings.attribution.namespace_label.clone(),
        kept: settings.kept_labels()?,
    };
    let health = Arc::new(WatchHealth::new(selectors.kinds()));
    scrape.kubernetes.get_or_init(|| Arc::clone(&health));
    let publisher = Publisher {
        store: Arc::clone(&scrape.store),
        observers: Arc::clone(&scrape.observers),
    };
    let asked = stop.as_ref().clone();
    let thread = cluster::start(access, writer, selectors, health, publisher, stop)
        .context("cannot start a thread for Kubernetes")?;
    let began = clock::monotonic();
    let timeout = settings.attribution.inventory_wait.duration();
    let is_complete = || {
        let index = scrape.store.load().index;
        index.is_watched() && index.is_complete()
    };
    while !settings.input.read.is_empty() && !is_complete() && began.elapsed() < timeout {
        if asked.wait_timeout(POLL_INTERVAL) {
            break;
        }
    }
    Ok(thread)
}
