//! Connection health: which record counts it, on which edge, with exact values.

use flowproto::FlowRecord;
use flowproto::exporter::Facts;
use flowproto::record::{BiflowDirection, Sampling};
use flowproto::tcp::{ConnectionState, Handshake};
use kipfix_collector::aggregate::{EdgeObserver as _, EdgeTable, Preset};
use kipfix_collector::history::{
    EdgeValues, EdgesQuery, Health, History, HistorySettings, Order, RingSettings, TimeBounds,
};
use kipfix_collector::pipeline::Measures;

use kipfix_collector::clock::Now;

use super::harness::*;

/// The collector's families of health, and those between workloads.
fn end_of(records: &[(&str, FlowRecord)]) -> End {
    let mut collector = Setup {
        presets: vec![Preset::Workloads, Preset::Health],
        ..Setup::new(offline())
    }
    .start();
    let mut exporters = [("node-a", NODE_A), ("node-b", NODE_B)]
        .map(|(name, address)| (name, Exporter::new(name, address)));
    for (node, record) in records {
        let exporter = exporters.iter_mut().find(|(name, _)| name == node);
        let record = std::slice::from_ref(record);
        let (_, exporter) = exporter.unwrap();
        exporter.export(&mut collector.pipeline, record, START);
    }
    collector.end()
}

/// The values of a sample, by the workloads that send and receive. 0 are left out.
fn values(end: &End, name: &str) -> Vec<(String, String, String)> {
    let lines = end.scrape.lines();
    let lines = lines.filter(|line| line.starts_with(&format!("{name}{{")));
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let mut values: Vec<_> = lines
        .map(|line| {
            let value = line.rsplit_once(' ').unwrap().1.to_owned();
            (
                label(line, "src_workload"),
                label(line, "dst_workload"),
                value,
            )
        })
        .filter(|(_, _, value)| value != "0")
        .collect();
    values.sort_by_key(|(from, to, _)| (from.clone(), to.clone()));
    values
}

fn assert_values(end: &End, name: &str, expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(from, to, value)| ((*from).to_owned(), (*to).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(values(end, name), expected, "{name}\n{}", end.scrape);
}

/// Packets from the client to the server.
fn request() -> FlowRecord {
    FlowRecord {
        biflow_direction: Some(BiflowDirection::Initiator),
        ..record(WEB, DB, 1000)
    }
}

/// Packets from the server to the client.
fn response() -> FlowRecord {
    FlowRecord {
        biflow_direction: Some(BiflowDirection::ReverseInitiator),
        new_connection_delta_count: Some(0),
        ..record(DB, WEB, 500)
    }
}

fn with_state(record: FlowRecord, state: ConnectionState, milliseconds: u64) -> FlowRecord {
    FlowRecord {
        tcp_connection_state: state,
        connection_sum_duration_milliseconds: milliseconds,
        connection_sum_duration_seconds: Some(milliseconds / 1000),
        ..record
    }
}

fn with_losses(mut record: FlowRecord, packets: u32) -> FlowRecord {
    record.tcp_health.retransmitted_packets = packets;
    record.tcp_health.retransmitted_octets = u64::from(packets) * 1000;
    record.tcp_health.out_of_order_packets = packets + 1;
    record
}

#[test]
fn losses_count_once_by_the_node_of_the_sender() {
    let end = end_of(&[
        ("node-a", with_losses(request(), 3)),
        ("node-b", with_losses(request(), 2)),
        ("node-a", with_losses(response(), 10)),
        ("node-b", with_losses(response(), 20)),
    ]);
    for (name, of_response, of_request) in [
        ("kipfix_retransmitted_packets_total", "20", "3"),
        ("kipfix_retransmitted_bytes_total", "20000", "3000"),
        ("kipfix_out_of_order_packets_total", "21", "4"),
    ] {
        let expected = [("db", "web", of_response), ("web", "db", of_request)];
        assert_values(&end, name, &expected);
    }
}

#[test]
fn losses_are_multiplied_by_packet_sampling() {
    let mut collector = Setup {
        presets: vec![Preset::Health],
        ..Setup::new(offline())
    }
    .start();
    let mut exporter = Exporter::new("node-a", NODE_A);
    exporter.session.renew(Facts {
        sampling: Sampling::one_in(10),
        ..Facts::default()
    });
    let lost = with_state(with_losses(request(), 3), ConnectionState::Closed, 10);
    exporter.export(&mut collector.pipeline, &[lost], START);
    let end = collector.end();
    let name = "kipfix_retransmitted_packets_total";
    assert_values(&end, name, &[("web", "db", "30")]);
    // Connections are not multiplied.
    let name = "kipfix_closed_connections_total";
    assert_values(&end, name, &[("web", "db", "1")]);
}

#[test]
fn a_connection_counts_by_the_node_of_the_initiator_in_whichever_direction_it_is_reported() {
    use ConnectionState::{Closed, Refused, ResetByResponder, Unanswered};
    let end = end_of(&[
        // Both nodes report each connection. Both report the first two in the direction of the
        // server's packets, of which only those of node-b count.
        ("node-a", with_state(response(), Closed, 1500)),
        ("node-b", with_state(response(), Closed, 1400)),
        ("node-a", with_state(response(), Refused, 0)),
        ("node-b", with_state(response(), Refused, 0)),
        ("node-a", with_state(request(), ResetByResponder, 20)),
        ("node-b", with_state(response(), ResetByResponder, 20)),
        ("node-a", with_state(request(), Unanswered, 3000)),
        ("node-b", with_state(request(), Unanswered, 3000)),
    ]);
    for state in ["closed", "refused", "reset", "unanswered"] {
        let name = format!("kipfix_{state}_connections_total");
        assert_values(&end, &name, &[("web", "db", "1")]);
    }
    let name = "kipfix_connection_duration_seconds";
    assert_values(&end, &format!("{name}_count"), &[("web", "db", "4")]);
    assert_values(&end, &format!("{name}_sum"), &[("web", "db", "4.52")]);
    let buckets: Vec<String> = values(&end, &format!("{name}_bucket"))
        .into_iter()
        .map(|(_, _, value)| value)
        .collect();
    assert_eq!(buckets, ["1", "1", "2", "2", "4", "4", "4", "4", "4", "4"]);
}

#[test]
fn round_trips_have_their_sum_and_count_and_are_in_the_bucket_of_their_mean() {
    let mut first = request();
    for microseconds in [300, 500, 400] {
        first.tcp_round_trip_time.add(microseconds);
    }
    first.tcp_handshake = Handshake {
        client_microseconds: 40,
        server_microseconds: 410,
    };
    let mut second = request();
    second.tcp_round_trip_time.add(2_000_000);
    let mut half = request();
    half.tcp_handshake.server_microseconds = 100;
    let end = end_of(&[("node-a", first), ("node-a", second), ("node-a", half)]);
    assert_values(&end, "kipfix_rtt_seconds_sum", &[("web", "db", "2.0012")]);
    assert_values(&end, "kipfix_rtt_seconds_count", &[("web", "db", "4")]);
    let line = |name: &str, bound: &str, value: u64| {
        let labels = r#"{src_namespace="shop",src_kind="Deployment",src_workload="web",dst_namespace="shop",dst_kind="StatefulSet",dst_workload="db",class="pod_to_pod","#;
        let line = format!("{name}_bucket{labels}le=\"{bound}\"}} {value}");
        assert!(
            end.scrape.lines().any(|other| other == line),
            "{line}\n{}",
            end.scrape
        );
    };
    line("kipfix_rtt_seconds", "0.00025", 0);
    line("kipfix_rtt_seconds", "0.0005", 3);
    line("kipfix_rtt_seconds", "1.0", 3);
    line("kipfix_rtt_seconds", "+Inf", 4);
    line("kipfix_handshake_rtt_seconds", "0.00025", 0);
    line("kipfix_handshake_rtt_seconds", "0.0005", 1);
    line("kipfix_handshake_rtt_seconds", "+Inf", 1);
}

#[test]
fn a_biflow_has_the_health_of_both_directions_and_one_connection() {
    let mut both = with_state(with_losses(request(), 2), ConnectionState::Closed, 100);
    both.reverse_packet_delta_count = 5;
    both.reverse_octet_delta_count = 500;
    both.reverse_tcp_health.retransmitted_packets = 7;
    let mut collector = Setup {
        presets: vec![Preset::Health],
        ..Setup::new(offline())
    }
    .start();
    // Over an exporter on no node, both directions count.
    let mut exporter = Exporter::new("router", "198.51.100.1");
    exporter.export(&mut collector.pipeline, &[both], START);
    let end = collector.end();
    let name = "kipfix_closed_connections_total";
    assert_values(&end, name, &[("web", "db", "1")]);
}

#[test]
fn health_changes_nothing_of_what_is_counted_of_traffic() {
    let records = [
        (
            "node-a",
            with_state(with_losses(request(), 3), ConnectionState::Closed, 10),
        ),
        (
            "node-b",
            with_state(with_losses(response(), 3), ConnectionState::Closed, 10),
        ),
    ];
    let end = end_of(&records);
    assert_values(
        &end,
        "kipfix_bytes_total",
        &[("db", "web", "500"), ("web", "db", "1000")],
    );
    assert_values(&end, "kipfix_connections_total", &[("web", "db", "1")]);
    assert_eq!(end.counts.counted, 2);
}

#[test]
fn records_without_health_have_no_series_of_it() {
    let end = end_of(&[("node-a", request()), ("node-b", response())]);
    let samples = end
        .scrape
        .lines()
        .filter(|line| line.starts_with("kipfix_r"));
    assert_eq!(samples.count(), 0, "{}", end.scrape);
}

#[test]
fn the_history_has_the_health_of_edges() {
    let mut collector = Setup {
        presets: vec![Preset::Health],
        ..Setup::new(offline())
    }
    .start();
    let mut exporter = Exporter::new("node-a", NODE_A);
    let mut lost = with_state(with_losses(request(), 3), ConnectionState::Refused, 20);
    lost.tcp_round_trip_time.add(300);
    lost.tcp_round_trip_time.add(500);
    for _ in 0..2 {
        exporter.export(&mut collector.pipeline, std::slice::from_ref(&lost), START);
    }
    collector.pipeline.finish();
    let mut edges = EdgeTable::new(16);
    let now = Now::of_packet(START);
    collector
        .pipeline
        .sinks_mut()
        .drain(now, &mut edges, &mut Vec::new());
    let settings = HistorySettings {
        max_octets: 1 << 20,
        counts_health: true,
        rings: RingSettings::DEFAULT.to_vec(),
    };
    let history = History::new(settings, START);
    history.observe(&collector.store.load(), &edges, START + 1000);
    history.end_drain(START + 2000);
    // Closed into the first ring.
    history.observe(&collector.store.load(), &EdgeTable::new(16), START + 20_000);
    history.end_drain(START + 20_000);
    let query = EdgesQuery {
        time: TimeBounds {
            from: i64::try_from(START).unwrap(),
            to: None,
        },
        group_by: vec!["src.workload".parse().unwrap()],
        filter: None,
        order: Order::Bytes,
        limit: 10,
        points: 0,
    };
    let answer = query.run(&history.snapshot()).unwrap();
    let expected = EdgeValues {
        traffic: Measures {
            bytes: 2000,
            packets: 20,
            connections: 2,
        },
        health: Some(Health {
            retransmitted_packets: 6,
            refused_connections: 2,
            rtt_count: 4,
            rtt_sum_microseconds: 1600,
            rtt_min_microseconds: 300,
            duration_count: 2,
            duration_sum_milliseconds: 40,
            ..Health::default()
        }),
    };
    assert_eq!(answer.total, expected);
    assert_eq!(answer.edges[0].labels, ["web"]);
    assert_eq!(answer.edges[0].sum, expected);
}
