//! What of a record is counted.

use std::net::SocketAddr;

use flowproto::FlowRecord;
use flowproto::record::Sampling;
use kipfix_collector::clock::Now;
use kipfix_collector::pipeline::{PipelineSettings, Reason};
use kipfix_collector::receive::Ingest;

use crate::harness::{
    DB, Exporter, LOG, NODE_A, NODE_B, OFFICE, START, Setup, WEB, address, collector, record,
    settings,
};

#[test]
fn traffic_within_a_node_is_left_out_and_logged() {
    for intra_node in [false, true] {
        let mut collector = collector(PipelineSettings {
            intra_node,
            ..settings()
        });
        let mut a = Exporter::new("node-a", "172.16.0.1");
        let inside = [record(WEB, LOG, 100), record(WEB, NODE_A, 100)];
        a.export(&mut collector.pipeline, &inside, START);
        let end = collector.end();
        let left_out = end.not_counted(Reason::IntraNode);
        assert_eq!(left_out, if intra_node { 0 } else { 2 });
        assert_eq!(
            end.sum("kipfix_bytes_total"),
            if intra_node { 200 } else { 0 }
        );
        assert_eq!(end.lines[1]["trafficClass"], "intra_node");
    }
}

#[test]
fn a_record_without_octets_and_packets_is_not_counted() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    a.export(&mut collector.pipeline, &[record(WEB, DB, 0)], START);
    let end = collector.end();
    assert_eq!(
        (end.not_counted(Reason::NoCounters), end.counts.counted),
        (1, 0)
    );
    assert_eq!(end.lines.len(), 1);
}

#[test]
fn a_full_edge_table_is_drained_and_nothing_is_lost() {
    let mut collector = Setup {
        max_edges: 2,
        ..Setup::new(settings())
    }
    .start();
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let to = [DB, NODE_B, OFFICE, "198.51.100.9", DB, OFFICE];
    let records: Vec<FlowRecord> = to.iter().map(|to| record(WEB, to, 100)).collect();
    a.export(&mut collector.pipeline, &records, START);
    let end = collector.end();
    assert!(end.outputs.full_drains > 0);
    assert_eq!(end.sum("kipfix_bytes_total"), 600);
    assert_eq!(end.sum("kipfix_connections_total"), 6);
}

#[test]
fn connections_are_taken_from_flows_only_by_the_setting() {
    for (from_flows, connections) in [(false, 0), (true, 1)] {
        let mut collector = collector(PipelineSettings {
            connections_from_flows: from_flows,
            ..settings()
        });
        let exporter = SocketAddr::new(NODE_A.parse().unwrap(), 2055);
        let datagram = biflow(WEB, DB, [100, 1, 0, 0]);
        collector
            .pipeline
            .datagram(exporter, &datagram, Now::of_packet(START));
        assert_eq!(collector.end().sum("kipfix_connections_total"), connections);
    }
}

/// An IPFIX Message by hand: template 256 with these fields, and one record of these octets.
fn message(fields: &[(u16, u16, u32)], values: &[u8]) -> Vec<u8> {
    let mut template = Vec::new();
    for (id, length, enterprise) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        template.extend((id | bit).to_be_bytes());
        template.extend(length.to_be_bytes());
        if *enterprise != 0 {
            template.extend(enterprise.to_be_bytes());
        }
    }
    let short = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let mut out = vec![0, 10];
    out.extend(short(16 + 8 + template.len() + 4 + values.len()));
    out.extend(1_700_000_000_u32.to_be_bytes());
    out.extend([0; 8]);
    out.extend([0, 2]);
    out.extend(short(8 + template.len()));
    out.extend([1, 0]);
    out.extend(short(fields.len()));
    out.extend(template);
    out.extend([1, 0]);
    out.extend(short(4 + values.len()));
    out.extend(values);
    out
}

const BIFLOW: [(u16, u16, u32); 6] = [
    (8, 4, 0),
    (12, 4, 0),
    (1, 4, 0),
    (2, 4, 0),
    (1, 4, 29305),
    (2, 4, 29305),
];

fn biflow(source: &str, destination: &str, counters: [u32; 4]) -> Vec<u8> {
    let mut values = Vec::new();
    for end in [source, destination] {
        values.extend(address(end).v4_bits().to_be_bytes());
    }
    for counter in counters {
        values.extend(counter.to_be_bytes());
    }
    message(&BIFLOW, &values)
}

#[test]
fn each_direction_of_a_biflow_counts_by_its_own_authoritative_observer() {
    let mut collector = collector(settings());
    // Both nodes are observed. Each exports the conversation as a biflow and takes its own pod for
    // the source.
    for (node, source, destination, counters) in [
        (NODE_A, WEB, DB, [1000, 10, 300, 3]),
        (NODE_B, DB, WEB, [300, 3, 1000, 10]),
        (NODE_A, WEB, DB, [1, 1, 2, 2]),
    ] {
        let exporter = SocketAddr::new(node.parse().unwrap(), 2055);
        let datagram = biflow(source, destination, counters);
        collector
            .pipeline
            .datagram(exporter, &datagram, Now::of_packet(START));
    }
    let end = collector.end();
    assert_eq!((end.counts.records, end.counts.reverse_directions), (3, 3));
    // Node B was not observed before the first record: its direction waited and was not counted.
    assert_eq!(
        (end.counts.counted, end.not_counted(Reason::OtherObserver)),
        (3, 3)
    );
    assert_eq!(end.sum("kipfix_bytes_total"), 1301);
    assert_eq!(end.sum("kipfix_packets_total"), 14);
}

#[test]
fn a_record_without_addresses_is_not_counted_and_one_with_a_single_address_is() {
    let counters = [(1, 4, 0), (2, 4, 0)];
    // An ARP frame of a switch, totals of an AS, an empty IPv6 address, and a source.
    for (field, counted) in [
        ((256, 4, 0), 0),
        ((16, 4, 0), 0),
        ((27, 16, 0), 0),
        ((8, 4, 0), 100),
    ] {
        let mut collector = collector(settings());
        let (id, length, _) = field;
        let mut values = vec![0; usize::from(length)];
        if id == 8 {
            values = address(WEB).v4_bits().to_be_bytes().to_vec();
        }
        values.extend([0, 0, 0, 100, 0, 0, 0, 1]);
        let datagram = message(&[field, counters[0], counters[1]], &values);
        let router = SocketAddr::new("192.0.2.250".parse().unwrap(), 2055);
        let now = Now::of_packet(START);
        collector.pipeline.datagram(router, &datagram, now);
        let end = collector.end();
        assert_eq!(end.sum("kipfix_bytes_total"), counted, "{id}");
        let left_out = u64::from(counted == 0);
        assert_eq!(end.not_counted(Reason::NoAddresses), left_out, "{id}");
        assert_eq!(end.lines.len(), 1);
    }
}

#[test]
fn sampling_scales_the_scrape_and_leaves_the_flow_log_raw() {
    let mut collector = collector(settings());
    let fields = [(8, 4, 0), (12, 4, 0), (1, 4, 0), (2, 4, 0), (34, 4, 0)];
    let mut values = Vec::new();
    for end in [WEB, DB] {
        values.extend(address(end).v4_bits().to_be_bytes());
    }
    for number in [1000_u32, 10, 100] {
        values.extend(number.to_be_bytes());
    }
    let exporter = SocketAddr::new(NODE_A.parse().unwrap(), 2055);
    collector
        .pipeline
        .datagram(exporter, &message(&fields, &values), Now::of_packet(START));
    let end = collector.end();
    assert_eq!(
        end.sum("kipfix_bytes_total"),
        Sampling::one_in(100).scale(1000)
    );
    assert_eq!(end.sum("kipfix_packets_total"), 1000);
    assert_eq!(end.lines[0]["octetDeltaCount"], 1000);
}
