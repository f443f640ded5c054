//! Merging, bounds and exposition of series.

mod expiry;
mod health;
mod replace;

use std::sync::Arc;

use kipfix_service::exposition::{CHUNK_OCTETS, Chunks, Format};
use kipfix_service::settings::Span;

use super::*;
use crate::aggregate::{Preset, families};
use crate::inventory::external::{ExternalSources, ExternalWatcher};
use crate::inventory::{Endpoint, EndpointId, EndpointKind, IndexSnapshot, IndexWriter, Node};
use crate::pipeline::Measures;
use crate::snapshots::SnapshotStore;

/// A pod in each of two zones, and one whose names need escaping and whose zone is unknown.
fn index() -> (IndexSnapshot, [EndpointId; 3]) {
    let mut writer = IndexWriter::default();
    let ids = ["a", "b", "c\"\\\n"].map(|name| {
        let node = writer
            .add_node(Node {
                name: format!("node-{name}").into(),
                zone: if name == "c\"\\\n" { "" } else { name }.into(),
                ..Node::default()
            })
            .unwrap();
        writer.add_endpoint(Endpoint {
            kind: EndpointKind::Pod,
            namespace: "ns".into(),
            name: name.into(),
            workload_kind: "Pod".into(),
            workload_name: name.into(),
            node: Some(node),
            ..Endpoint::default()
        })
    });
    (writer.current(), ids)
}

/// The index alone: nothing is known of external addresses.
fn snapshots(index: IndexSnapshot) -> Snapshots {
    SnapshotStore::new(index, Default::default(), "").load()
}

fn table(presets: &[Preset], max_series: usize, cluster_name: &str) -> Arc<SeriesTable> {
    let settings = SeriesSettings {
        cluster_name: cluster_name.into(),
        ..SeriesSettings::default()
    };
    table_with(presets, max_series, settings)
}

fn table_with(presets: &[Preset], max_series: usize, settings: SeriesSettings) -> Arc<SeriesTable> {
    let families = families(presets, &[], max_series, Span::from_secs(1)).unwrap();
    Arc::new(SeriesTable::new(&families, settings))
}

fn measures(bytes: u64) -> Measures {
    Measures {
        bytes,
        packets: bytes / 10,
        connections: 1,
    }
}

fn merge(
    table: &Arc<SeriesTable>,
    snapshots: &Snapshots,
    edges: &[(EndpointId, EndpointId, u64)],
    time: u64,
) {
    let mut batch = EdgeTable::new(100);
    for (source, destination, bytes) in edges {
        assert!(batch.add(*source, *destination, &measures(*bytes)));
    }
    table.merge(snapshots, &batch, Now::of_packet(time));
}

fn text(table: &Arc<SeriesTable>, format: Format) -> String {
    String::from_utf8(exposition(table, format, ShownValues::Final)).unwrap()
}

fn exposition(table: &Arc<SeriesTable>, format: Format, shown: ShownValues) -> Vec<u8> {
    let mut chunks = SeriesChunks::new(Arc::clone(table), format, shown);
    let mut all = Vec::new();
    loop {
        let mut chunk = Vec::new();
        let is_more = chunks.write_chunk(&mut chunk);
        all.append(&mut chunk);
        if !is_more {
            return all;
        }
    }
}

#[test]
fn an_edge_appears_in_every_family_that_it_belongs_to() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let table = table(&Preset::DEFAULT, 10, "");
    merge(&table, &snapshots, &[(a, b, 1000)], 5);
    merge(&table, &snapshots, &[(a, b, 500)], 6);

    let workload = r#"{src_namespace="ns",src_kind="Pod",src_workload="a",dst_namespace="ns",dst_kind="Pod",dst_workload="b",class="pod_to_pod"}"#;
    let node = r#"{src_node="node-a",dst_node="node-b",class="pod_to_pod",scope="internal"}"#;
    let zone = r#"{src_zone="a",dst_zone="b",src_namespace="ns",src_workload="a",dst_namespace="ns",dst_workload="b"}"#;
    let expected = format!(
        "\
# HELP kipfix_bytes_total Octets of IP packets from one workload to another.
# TYPE kipfix_bytes_total counter
kipfix_bytes_total{workload} 1500
# HELP kipfix_packets_total IP packets from one workload to another.
# TYPE kipfix_packets_total counter
kipfix_packets_total{workload} 150
# HELP kipfix_connections_total Connections opened by one workload to another, of which the start was observed.
# TYPE kipfix_connections_total counter
kipfix_connections_total{workload} 2
# HELP kipfix_node_bytes_total Octets of IP packets from one node, or its pods, to another.
# TYPE kipfix_node_bytes_total counter
kipfix_node_bytes_total{node} 1500
# HELP kipfix_node_packets_total IP packets from one node, or its pods, to another.
# TYPE kipfix_node_packets_total counter
kipfix_node_packets_total{node} 150
# HELP kipfix_zone_bytes_total Octets of IP packets from a workload in one zone to a workload in another.
# TYPE kipfix_zone_bytes_total counter
kipfix_zone_bytes_total{zone} 1500
"
    );
    assert_eq!(text(&table, Format::Text), expected);
    assert_eq!(table.counts().series, 6);
}

#[test]
fn openmetrics_has_the_time_of_creation_if_that_is_set() {
    let (index, [a, b, _]) = index();
    let snapshots = snapshots(index);
    let time = 1_700_000_000_007;
    let text = |created_samples| {
        let settings = SeriesSettings {
            created_samples,
            ..SeriesSettings::default()
        };
        let table = table_with(&[Preset::Zones], 10, settings);
        merge(&table, &snapshots, &[(a, b, 1)], time);
        assert!(!text(&table, Format::Text).contains("_created"));
        text(&table, Format::OpenMetrics)
    };
    let with = text(true);
    assert!(with.contains("# TYPE kipfix_zone_bytes counter\nkipfix_zone_bytes_total{"));
    assert!(with.contains("kipfix_zone_bytes_created{src_zone="));
    assert!(with.ends_with("} 1700000000.007\n"));
    assert!(!text(false).contains("_created"));
}

#[test]
fn protobuf_has_the_families_the_values_and_the_time_of_creation() {
    let (index, [a, b, _]) = index();
    let table = table(&[Preset::Nodes], 10, "c1");
    merge(
        &table,
        &snapshots(index),
        &[(a, b, 1000)],
        1_700_000_000_007,
    );
    let octets = exposition(&table, Format::Protobuf, ShownValues::Final);
    let contains = |part: &[u8]| octets.windows(part.len()).any(|window| window == part);
    for text in [
        "kipfix_node_bytes_total",
        "kipfix_node_packets_total",
        "cluster",
        "c1",
        "node-a",
    ] {
        assert!(contains(text.as_bytes()), "{text}");
    }
    // Field 1 of the counter, a double; field 3, a timestamp.
    let value = [&[0x09][..], &1000_f64.to_le_bytes()].concat();
    assert!(
        contains(&[&value[..], &[0x1a, 11, 0x08]].concat()),
        "{octets:?}"
    );
}

#[test]
fn chunks_together_are_the_whole_and_each_is_bounded() {
    let (snapshots, edges) = many();
    let table = table(&[Preset::Workloads, Preset::Nodes], 10_000, "");
    table.merge(&snapshots, &edges, Now::of_packet(5));
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let shown = ShownValues::Scrape(Now::of_packet(5));
        let mut chunks = SeriesChunks::new(Arc::clone(&table), format, shown);
        let (mut all, mut is_more) = (Vec::new(), true);
        while is_more {
            let mut chunk = Vec::new();
            is_more = chunks.write_chunk(&mut chunk);
            assert!(chunk.len() < CHUNK_OCTETS + 1024, "{}", chunk.len());
            all.append(&mut chunk);
        }
        assert!(all.len() > 5 * CHUNK_OCTETS);
        if format == Format::Protobuf {
            continue;
        }
        let lines = |text: Vec<u8>| -> Vec<String> {
            let text = String::from_utf8(text).unwrap();
            let mut lines: Vec<String> = text.lines().map(String::from).collect();
            lines.sort_unstable();
            lines
        };
        let whole = lines(exposition(&table, format, ShownValues::Final));
        assert_eq!(lines(all), whole);
    }
}

#[test]
fn a_scrape_shows_a_series_once_while_others_come_and_go() {
    let (snapshots, edges) = many();
    let families = families(&[Preset::Workloads], &[], 10_000, Span::from_secs(1)).unwrap();
    let table = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
    table.merge(&snapshots, &edges, Now::of_packet(5000));
    let shown = ShownValues::Scrape(Now::of_packet(5000));
    exposition(&table, Format::Text, shown);
    let mut chunks = SeriesChunks::new(Arc::clone(&table), Format::Text, shown);
    let mut all = Vec::new();
    assert!(chunks.write_chunk(&mut all));
    // All series go, and half of them begin again.
    table.expire(Now::of_packet(9000));
    assert_eq!(table.counts().series, 0);
    let mut half = EdgeTable::new(10_000);
    for edge in edges.iter().step_by(2) {
        assert!(half.add(edge.source, edge.destination, &edge.measures));
    }
    table.merge(&snapshots, &half, Now::of_packet(9000));
    let mut is_more = true;
    while is_more {
        let mut chunk = Vec::new();
        is_more = chunks.write_chunk(&mut chunk);
        all.append(&mut chunk);
    }
    let text = String::from_utf8(all).unwrap();
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    // A series that began again may have got the place of one that was shown already.
    assert!(count - lines.len() < 400, "{} of {count}", lines.len());
}

#[test]
fn traffic_within_a_zone_or_of_an_unknown_zone_is_not_cross_zone() {
    let (index, [a, b, nowhere]) = index();
    let table = table(&[Preset::Zones], 10, "");
    let edges = [
        (a, a, 1),
        (a, nowhere, 1),
        (nowhere, b, 1),
        (EndpointId::EXTERNAL, a, 1),
    ];
    merge(&table, &snapshots(index), &edges, 5);
    assert_eq!(table.counts().series, 0);
}

#[test]
fn label_values_are_escaped() {
    let (index, [a, _, odd]) = index();
    let table = table(&[Preset::Nodes], 10, "");
    merge(&table, &snapshots(index), &[(odd, a, 1)], 5);
    assert!(text(&table, Format::Text).contains(r#"{src_node="node-c\"\\\n",dst_node="node-a""#));
}

#[test]
fn a_full_family_counts_new_edges_as_other_and_loses_no_bytes() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let table = table(&[Preset::Workloads], 1, "");
    for (source, destination) in [(a, b), (a, c), (b, c), (a, b)] {
        merge(&table, &snapshots, &[(source, destination, 100)], 5);
    }
    let text = text(&table, Format::Text);
    assert!(
        text.contains(r#"dst_workload="b",class="pod_to_pod"} 200"#),
        "{text}"
    );
    assert!(text.contains(
        r#"kipfix_bytes_total{src_namespace="other",src_kind="other",src_workload="other",dst_namespace="other",dst_kind="other",dst_workload="other",class="other"} 200"#
    ));
    assert_eq!(table.counts().other, 2);
}

#[test]
fn a_name_that_changes_begins_another_series() {
    let named = |name: &str| {
        let mut writer = IndexWriter::default();
        let id = writer.add_endpoint(Endpoint {
            kind: EndpointKind::Pod,
            workload_name: name.into(),
            ..Endpoint::default()
        });
        (snapshots(writer.current()), id)
    };
    let table = table(&[Preset::Workloads], 10, "");
    for name in ["before", "after", "before"] {
        let (snapshots, id) = named(name);
        merge(&table, &snapshots, &[(id, id, 10)], 5);
    }
    let text = text(&table, Format::Text);
    for (name, bytes) in [("before", 20), ("after", 10)] {
        let end = format!(r#"dst_workload="{name}",class="pod_to_pod"}} {bytes}"#);
        assert!(text.contains(&end), "{end} is not in\n{text}");
    }
}

#[test]
fn labels_whose_concatenation_is_equal_are_different_series() {
    let mut writer = IndexWriter::default();
    let mut pod = |namespace: &str, name: &str| {
        writer.add_endpoint(Endpoint {
            kind: EndpointKind::Pod,
            namespace: namespace.into(),
            workload_kind: "Pod".into(),
            workload_name: name.into(),
            ..Endpoint::default()
        })
    };
    let (one, two) = (pod("team-a", "b-x"), pod("team-ab", "-x"));
    let table = table(&[Preset::Workloads], 10, "");
    let edges = [(one, two, 1), (two, one, 1)];
    merge(&table, &snapshots(writer.current()), &edges, 5);
    assert_eq!(table.counts().series, 6);
}

#[test]
fn traffic_across_the_border_is_counted_by_external_endpoint_and_direction() {
    let (index, [a, b, _]) = index();
    let sources = ExternalSources {
        cidrs: vec!["192.0.2.0/24=office".parse().unwrap()],
        ..ExternalSources::default()
    };
    let external = ExternalWatcher::new(&sources).unwrap().published();
    let address = flowproto::Address::from(std::net::Ipv4Addr::new(192, 0, 2, 1));
    let office = EndpointId::from_external(external.load().lookup(address));
    let snapshots = SnapshotStore::new(index, external, "").load();
    let table = table(&[Preset::External], 10, "c1");
    let edges = [
        (a, office, 10),
        (office, a, 20),
        (a, b, 40),
        (office, office, 80),
    ];
    merge(&table, &snapshots, &edges, 5);
    let text = text(&table, Format::Text);
    for (direction, bytes) in [("egress", 10), ("ingress", 20)] {
        let line = format!(
            r#"kipfix_external_bytes_total{{cluster="c1",workload_namespace="ns",workload_kind="Pod",workload="a",direction="{direction}",name="office",as_number="",as_name="",country="",cloud_provider="",cloud_service="",cloud_region=""}} {bytes}"#
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert_eq!(table.counts().series, 6);
}

/// An edge between every two of 60 workloads.
fn many() -> (Snapshots, EdgeTable) {
    let mut writer = IndexWriter::default();
    let pods: Vec<EndpointId> = (0..60)
        .map(|number| {
            writer.add_endpoint(Endpoint {
                kind: EndpointKind::Pod,
                namespace: "ns".into(),
                workload_kind: "Pod".into(),
                workload_name: format!("w{number}").into(),
                ..Endpoint::default()
            })
        })
        .collect();
    let mut edges = EdgeTable::new(10_000);
    for source in &pods {
        for destination in &pods {
            assert!(edges.add(*source, *destination, &measures(10)));
        }
    }
    (snapshots(writer.current()), edges)
}

#[test]
fn more_edges_than_a_chunk_are_all_added() {
    let (snapshots, edges) = many();
    let table = table(&[Preset::Workloads], 10_000, "");
    assert!(edges.len() > 3 * CHUNK_EDGES);
    table.merge(&snapshots, &edges, Now::of_packet(5));
    assert_eq!(table.counts().series, 3 * 3600);
    let text = text(&table, Format::Text);
    let bytes = text
        .lines()
        .filter(|line| line.starts_with("kipfix_bytes_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(bytes.sum::<u64>(), 36_000);
}

#[test]
fn a_new_series_of_every_family_shows_0_until_it_is_older_than_the_birth_time() {
    let (index, [a, b, c]) = index();
    let snapshots = snapshots(index);
    let settings = SeriesSettings {
        birth_milliseconds: 100,
        ..SeriesSettings::default()
    };
    let table = table_with(&Preset::DEFAULT, 2, settings);
    let sum = |time| {
        let shown = ShownValues::Scrape(Now::of_packet(time));
        let text = String::from_utf8(exposition(&table, Format::Text, shown)).unwrap();
        let values = text
            .lines()
            .filter(|line| line.starts_with("kipfix_bytes_total{"));
        let values: Vec<u64> = values
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        (values.len(), values.iter().sum::<u64>())
    };
    merge(&table, &snapshots, &[(a, b, 1000)], 1000);
    assert_eq!(sum(1000), (1, 0));
    merge(&table, &snapshots, &[(a, b, 500), (b, a, 70)], 1050);
    assert_eq!(sum(1099), (2, 0));
    assert_eq!(sum(1100), (2, 1500));
    assert_eq!(sum(1150), (2, 1570));
    // The series that stands for those without room begins at 0, too.
    merge(&table, &snapshots, &[(a, c, 9)], 1200);
    assert_eq!(sum(1299), (3, 1570));
    assert_eq!(sum(1300), (3, 1579));
    // The values at the end are complete.
    let all = text(&table, Format::Text);
    assert!(all.contains("} 1500\n") && all.contains("} 9\n"), "{all}");
}
