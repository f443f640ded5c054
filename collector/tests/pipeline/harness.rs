//! A collector of one inventory, exporters that send to it, and what it leaves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{
    EdgeSink, EdgeTable, Preset, SeriesChunks, SeriesSettings, SeriesTable, ShownValues,
};
use kipfix_collector::clock::Now;
use kipfix_collector::emit::OverflowPolicy;
use kipfix_collector::emit::flow_log::{
    FlowLog, FlowLogCounts, FlowLogFormat, FlowLogSettings, LineSettings,
};
use kipfix_collector::inventory;
use kipfix_collector::inventory::external::ExternalWatcher;
use kipfix_collector::outputs::{OutputCounts, Outputs};
use kipfix_collector::pipeline::enrich::TunnelNetworks;
use kipfix_collector::pipeline::{
    ExporterPolicies, ObserverTimeouts, Pipeline, PipelineContext, PipelineSettings, Reason,
    RecordCounts,
};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::SnapshotStore;
use kipfix_service::exposition::{Chunks, Format};
use kipfix_service::signals::{Hangups, Stop};

pub(crate) const INVENTORY: &str = "
nodes:
- {name: node-a, addresses: [10.9.0.1, 'fd09::1'], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
- {name: node-b, addresses: [10.9.0.2, 'fd09::2'], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
- name: web-1
  namespace: shop
  addresses: [10.1.1.10, 'fd01::10']
  node: node-a
  workload: {kind: Deployment, name: web}
  labels: {app: storefront, name: unused, tier: front}
- name: db-0
  namespace: shop
  addresses: [10.1.2.10]
  node: node-b
  workload: {kind: StatefulSet, name: db}
  labels: {app.kubernetes.io/name: postgres, tier: back}
- {name: log-1, namespace: ops, addresses: [10.1.1.11], node: node-a, workload: {kind: DaemonSet, name: log}}
namespaces:
- {name: shop, labels: {team: sales, secret: x}}
services:
- {name: web, namespace: shop, addresses: [10.96.0.10]}
cidrs:
- {cidr: 192.0.2.0/24, name: office}
";
pub(crate) const WEB: &str = "10.1.1.10";
pub(crate) const DB: &str = "10.1.2.10";
pub(crate) const LOG: &str = "10.1.1.11";
pub(crate) const NODE_A: &str = "10.9.0.1";
pub(crate) const NODE_B: &str = "10.9.0.2";
pub(crate) const NODE_A_V6: &str = "fd09::1";
pub(crate) const NODE_B_V6: &str = "fd09::2";
pub(crate) const WEB_V6: &str = "fd01::10";
pub(crate) const OFFICE: &str = "192.0.2.7";

const PRESETS: [Preset; 4] = [
    Preset::Workloads,
    Preset::Nodes,
    Preset::Zones,
    Preset::External,
];

pub(crate) const START: u64 = 1_700_000_000_000;
pub(crate) const WAIT: u64 = 10_000;
pub(crate) const ACTIVE: u64 = 60_000;
pub(crate) const SILENCE: u64 = WAIT + ACTIVE;

pub(crate) fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

pub(crate) fn record(source: &str, destination: &str, octets: u64) -> FlowRecord {
    let mut record = FlowRecord {
        octet_delta_count: octets,
        packet_delta_count: octets / 100,
        new_connection_delta_count: Some(1),
        flow_start_milliseconds: START - 1000,
        flow_end_milliseconds: START,
        ..FlowRecord::default()
    };
    record.key.source_address = address(source);
    record.key.destination_address = address(destination);
    record.key.protocol_identifier = 6;
    record
}

/// A probe that reports its node, or an exporter that reports nothing of itself.
pub(crate) struct Exporter {
    pub(crate) session: ExportSession,
    pub(crate) address: SocketAddr,
}

impl Exporter {
    pub(crate) fn new(name: &str, address: &str) -> Self {
        let settings = ExportSettings {
            observation_domain_id: 1,
            observation_domain_name: name.to_owned(),
            ..ExportSettings::default()
        };
        Self {
            session: ExportSession::new(settings),
            address: SocketAddr::new(address.parse().unwrap(), 40_000),
        }
    }

    pub(crate) fn export(
        &mut self,
        pipeline: &mut Pipeline<Outputs>,
        records: &[FlowRecord],
        now: u64,
    ) {
        let exporter = self.address;
        let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
            pipeline.datagram(exporter, message.octets, Now::of_packet(now));
        };
        for record in records {
            self.session.add(record, now, &mut send).unwrap();
        }
        self.session.flush(now, &mut send);
        pipeline.flush();
    }
}

pub(crate) struct Collector {
    pub(crate) pipeline: Pipeline<Outputs>,
    pub(crate) store: Arc<SnapshotStore>,
    pub(crate) series: Arc<SeriesTable>,
    pub(crate) log: FlowLog,
    pub(crate) format: FlowLogFormat,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn settings() -> PipelineSettings {
    Settings::default().pipeline(Some(START))
}

pub(crate) fn offline() -> PipelineSettings {
    PipelineSettings {
        started_milliseconds: None,
        ..settings()
    }
}

pub(crate) fn collector(settings: PipelineSettings) -> Collector {
    Setup::new(settings).start()
}

/// What tests set of a collector.
pub(crate) struct Setup {
    pub(crate) settings: PipelineSettings,
    pub(crate) max_edges: usize,
    pub(crate) policies: ExporterPolicies,
    pub(crate) tunnels: TunnelNetworks,
    pub(crate) presets: Vec<Preset>,
    pub(crate) lines: LineSettings,
    /// Families as YAML.
    pub(crate) metrics: &'static str,
    pub(crate) pod_labels: &'static [&'static str],
    pub(crate) wildcards: Vec<&'static str>,
}

impl Setup {
    pub(crate) fn new(settings: PipelineSettings) -> Self {
        Self {
            settings,
            max_edges: 1000,
            policies: ExporterPolicies::default(),
            tunnels: TunnelNetworks::default(),
            presets: PRESETS.to_vec(),
            lines: LineSettings::default(),
            metrics: "[]",
            pod_labels: &[],
            wildcards: Vec::new(),
        }
    }

    pub(crate) fn start(self) -> Collector {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yaml");
        std::fs::write(&path, INVENTORY).unwrap();
        let mut settings = Settings::default();
        settings.metrics.preset = self.presets;
        settings.metrics.metrics = serde_saphyr::from_str(self.metrics).unwrap();
        let pod_labels = self.pod_labels.iter().map(ToString::to_string);
        settings.attribution.pod_labels = pod_labels.collect();
        let kept = settings.kept_labels().unwrap();
        let bounds = inventory::Bounds::default();
        let mut inventory = inventory::file::read_keeping(&path, bounds, &kept).unwrap();
        let sources = settings.external_sources(inventory.cidrs);
        let external = ExternalWatcher::new(&sources).unwrap().published();
        let families = settings.families().unwrap();
        let series = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
        let index = inventory.writer.current();
        let store = Arc::new(SnapshotStore::new(index, external, ""));
        let timeouts = ObserverTimeouts {
            wait_milliseconds: WAIT,
            active_milliseconds: ACTIVE,
        };
        let context = PipelineContext {
            policies: Arc::new(self.policies),
            tunnels: Arc::new(self.tunnels),
            ..PipelineContext::new(Arc::clone(&store), timeouts)
        };
        let path = folder.path().join("flows.json");
        let format = self.lines.format;
        let log = FlowLogSettings {
            target: format!("file:{}", path.display()).parse().unwrap(),
            queue_octets: 1 << 20,
            policy: OverflowPolicy::Block,
            lines: self.lines,
        };
        let stop = Stop::new().unwrap();
        let log = FlowLog::open(log, Hangups::default(), &stop).unwrap();
        let wildcards = self.wildcards.iter().map(|text| text.parse().unwrap());
        let edges = EdgeSink::new(self.max_edges, Arc::clone(&series))
            .with_host_wildcards(Arc::new(wildcards.collect()));
        let outputs = Outputs {
            flow_log: Some(log.sink()),
            ..Outputs::new(edges)
        };
        Collector {
            pipeline: Pipeline::new(self.settings, context, outputs),
            store,
            series,
            log,
            format,
            folder,
        }
    }
}

/// What a collector leaves.
pub(crate) struct End {
    pub(crate) counts: RecordCounts,
    pub(crate) outputs: OutputCounts,
    pub(crate) scrape: String,
    /// Lines of the flow log, if they are JSON.
    pub(crate) lines: Vec<serde_json::Value>,
    /// The flow log.
    pub(crate) text: String,
    pub(crate) log: FlowLogCounts,
}

impl Collector {
    pub(crate) fn end(mut self) -> End {
        self.pipeline.finish();
        let mut edges = EdgeTable::new(16);
        let (now, mut open) = (Now::of_packet(START), Vec::new());
        let sinks = self.pipeline.sinks_mut();
        let outputs = sinks.drain(now, &mut edges, &mut open);
        let counts = self.pipeline.counts();
        let snapshots = self.store.load();
        self.series.merge(&snapshots, &edges, now);
        self.series.replace_open_connections(&snapshots, &open, now);
        let log = self.log.counts();
        let is_directional = self.format == FlowLogFormat::Kubezonnet;
        self.log.finish(None);
        let mut chunks = SeriesChunks::new(self.series, Format::Text, ShownValues::Final);
        let mut scrape = Vec::new();
        let mut is_more = true;
        while is_more {
            let mut chunk = Vec::new();
            is_more = chunks.write_chunk(&mut chunk);
            scrape.append(&mut chunk);
        }
        let text = std::fs::read_to_string(self.folder.path().join("flows.json")).unwrap();
        let is_json = self.format == FlowLogFormat::Json;
        let lines = text.lines().filter(|_| is_json);
        let end = End {
            lines: lines
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            counts: counts.records,
            outputs,
            scrape: String::from_utf8(scrape).unwrap(),
            text,
            log: log(),
        };
        let c = end.counts;
        assert_eq!(counts.decoding.records, c.records);
        assert_eq!(
            c.records + c.reverse_directions,
            c.counted + c.not_counted.values().sum::<u64>()
        );
        assert_eq!((c.pending, c.pending_octets, c.unconfirmed), (0, 0, 0));
        let ignored = end.not_counted(Reason::Ignore);
        let lines = u64::try_from(end.text.lines().count()).unwrap();
        assert_eq!(lines, end.log.written);
        let left_out = end.log.left_out.values().sum::<u64>();
        if !is_directional {
            assert_eq!(lines + left_out, c.records - ignored);
        }
        end
    }
}

impl End {
    pub(crate) fn not_counted(&self, reason: Reason) -> u64 {
        self.counts.not_counted[reason]
    }

    /// Sum of a family.
    pub(crate) fn sum(&self, family: &str) -> u64 {
        self.scrape
            .lines()
            .filter(|line| line.starts_with(&format!("{family}{{")))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Sum of the workloads family of octets, of the series with this text in their labels.
    pub(crate) fn octets(&self, label: &str) -> u64 {
        let lines = self.scrape.lines();
        lines
            .filter(|line| line.starts_with("kipfix_bytes_total{") && line.contains(label))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    pub(crate) fn counted(&self) -> Vec<bool> {
        self.lines
            .iter()
            .map(|line| line["counted"].as_bool().unwrap())
            .collect()
    }
}
