//! Open connections as a level: from the record that reports them to the one that reports their
//! end, with exact values.

use std::num::NonZeroU32;

use flowproto::FlowRecord;
use flowproto::exporter::Facts;
use flowproto::flow_selection::FlowHashSelection;
use flowproto::record::{BiflowDirection, FlowEndReason};
use flowproto::tcp::ConnectionState::{self, Closed, Open, Refused, ResetByResponder, Unknown};
use kipfix_collector::aggregate::{EdgeTable, SeriesChunks, ShownValues};
use kipfix_collector::clock::Now;
use kipfix_service::exposition::{Chunks as _, Format};

use super::harness::*;

const FAMILIES: &str = "
- name: open_connections
  help: Open connections.
  value: open_connections
  type: gauge
  labels: [src.workload, dst.workload]
";

/// A collector, and the probes of both nodes.
struct Peers {
    collector: Collector,
    exporters: [Exporter; 2],
}

impl Peers {
    fn start() -> Self {
        let collector = Setup {
            presets: Vec::new(),
            metrics: FAMILIES,
            ..Setup::new(offline())
        }
        .start();
        let exporters = [("node-a", NODE_A), ("node-b", NODE_B)];
        Self {
            collector,
            exporters: exporters.map(|(name, address)| Exporter::new(name, address)),
        }
    }

    /// The probe of the client's node exports a record.
    fn export(&mut self, record: FlowRecord, seconds: u64) {
        self.export_of(0, record, seconds);
    }

    fn export_of(&mut self, node: usize, record: FlowRecord, seconds: u64) {
        let pipeline = &mut self.collector.pipeline;
        let now = START + seconds * 1000;
        self.exporters[node].export(pipeline, std::slice::from_ref(&record), now);
    }

    /// The samples of a scrape, without their name: client, server and value.
    fn scrape(&mut self, seconds: u64) -> Vec<String> {
        let now = Now::of_packet(START + seconds * 1000);
        let (mut edges, mut open) = (EdgeTable::new(1000), Vec::new());
        let sinks = self.collector.pipeline.sinks_mut();
        sinks.drain(now, &mut edges, &mut open);
        let (series, snapshots) = (&self.collector.series, self.collector.store.load());
        series.merge(&snapshots, &edges, now);
        series.replace_open_connections(&snapshots, &open, now);
        let shown = ShownValues::Scrape(now);
        let mut chunks = SeriesChunks::new(series.clone(), Format::Text, shown);
        let mut text = Vec::new();
        while chunks.write_chunk(&mut text) {}
        let text = String::from_utf8(text).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let mut samples: Vec<_> = samples
            .map(|line| line.replace("open_connections", ""))
            .collect();
        samples.sort();
        samples
    }
}

/// A record of the client at WEB, from a port, to the server at DB.
fn request(port: u16, state: ConnectionState) -> FlowRecord {
    let mut record = FlowRecord {
        biflow_direction: Some(BiflowDirection::Initiator),
        tcp_connection_state: state,
        ..record(WEB, DB, 1000)
    };
    record.key.source_port = port;
    record.key.destination_port = 5432;
    record.key.protocol_identifier = 6;
    record
}

fn to_database(value: u32) -> Vec<String> {
    vec![format!(
        r#"{{src_workload="web",dst_workload="db"}} {value}"#
    )]
}

#[test]
fn a_connection_is_open_from_its_first_record_to_its_end() {
    let mut peers = Peers::start();
    peers.export(request(1001, Open), 0);
    peers.export(request(1002, Open), 0);
    assert_eq!(peers.scrape(1), to_database(2));
    // Reported again, and a scrape without any record.
    peers.export(request(1001, Open), 60);
    assert_eq!(peers.scrape(61), to_database(2));
    assert_eq!(peers.scrape(70), to_database(2));
    peers.export(request(1001, Closed), 80);
    peers.export(request(1003, Refused), 80);
    assert_eq!(peers.scrape(81), to_database(1));
    peers.export(request(1002, ResetByResponder), 90);
    assert_eq!(peers.scrape(91), to_database(0));
}

#[test]
fn both_observers_of_a_connection_count_it_once() {
    let mut peers = Peers::start();
    for node in [0, 1] {
        peers.export_of(node, request(1001, Open), 0);
    }
    assert_eq!(peers.scrape(1), to_database(1));
    // The observer of the server does not decide on its end.
    peers.export_of(1, request(1001, Closed), 2);
    assert_eq!(peers.scrape(3), to_database(1));
    peers.export_of(0, request(1001, Closed), 4);
    assert_eq!(peers.scrape(5), to_database(0));
}

#[test]
fn the_record_of_the_responder_counts_for_the_edge_of_the_initiator() {
    let mut peers = Peers::start();
    // Node b observes the packets, and so node a is not presumed to count for it.
    peers.export_of(1, request(1002, Unknown), 0);
    let mut answer = request(1001, Open);
    answer.key = answer.key.reversed();
    answer.biflow_direction = Some(BiflowDirection::ReverseInitiator);
    peers.export(answer, 0);
    assert_eq!(peers.scrape(1), to_database(1));
    peers.export(request(1001, Closed), 2);
    assert_eq!(peers.scrape(3), to_database(0));
}

#[test]
fn a_connection_whose_end_is_not_received_leaves_after_the_timeout() {
    let mut peers = Peers::start();
    peers.export(request(1001, Open), 0);
    peers.export(request(1002, Open), 60);
    assert_eq!(peers.scrape(3599), to_database(2));
    assert_eq!(peers.scrape(3600), to_database(1));
    assert_eq!(peers.scrape(3660), to_database(0));
    let counts = peers.collector.pipeline.sinks().edges.open_connections();
    assert_eq!((counts.open, counts.expired, counts.forgotten), (0, 2, 0));
}

#[test]
fn a_restarted_probe_ends_a_connection_whose_start_it_did_not_observe() {
    let mut peers = Peers::start();
    peers.export(request(1001, Open), 0);
    peers.export(request(1002, Open), 0);
    let unknown = |reason| FlowRecord {
        biflow_direction: Some(BiflowDirection::Arbitrary),
        flow_end_reason: reason,
        ..request(1001, Unknown)
    };
    peers.export(unknown(FlowEndReason::ActiveTimeout), 60);
    assert_eq!(peers.scrape(61), to_database(2));
    peers.export(unknown(FlowEndReason::EndOfFlowDetected), 70);
    assert_eq!(peers.scrape(71), to_database(1));
}

#[test]
fn a_restarted_collector_counts_a_connection_from_its_next_record() {
    let mut peers = Peers::start();
    peers.export(request(1001, Closed), 0);
    assert_eq!(peers.scrape(1), Vec::<String>::new());
    peers.export(request(1002, Open), 60);
    assert_eq!(peers.scrape(61), to_database(1));
}

#[test]
fn a_selected_connection_stands_for_those_that_were_not_selected() {
    let mut peers = Peers::start();
    let flow_selection = NonZeroU32::new(10).map(FlowHashSelection::one_in);
    peers.exporters[0].session.renew(Facts {
        flow_selection,
        ..Facts::default()
    });
    let mut open = request(1001, Open);
    peers.export(open.clone(), 0);
    assert_eq!(peers.scrape(1), to_database(10));
    open.tcp_connection_state = Closed;
    peers.export(open, 2);
    assert_eq!(peers.scrape(3), to_database(0));
}
