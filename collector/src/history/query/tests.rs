use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::history::{RingSettings, StoredEndpoint};
use crate::pipeline::Measures;

const STEP: u64 = 10_000;

fn bytes(bytes: u64) -> Measures {
    Measures {
        bytes,
        packets: 1,
        connections: 0,
    }
}

/// Two pods of a Deployment, a database and a named external address.
fn endpoints() -> EndpointList {
    let all = [
        StoredEndpoint::of_pod("shop", "web", "web-1", "node-a"),
        StoredEndpoint::of_pod("shop", "web", "web-2", "node-b"),
        StoredEndpoint::of_pod("data", "db", "db-0", "node-a"),
        StoredEndpoint::of_external("office", 64_500),
    ];
    Arc::new(all.map(|endpoint| Some(Arc::new(endpoint))).into())
}

fn ring(step: u64, from: u64, intervals: Vec<Interval>) -> RingSnapshot {
    RingSnapshot {
        settings: RingSettings {
            step,
            length: 90 * step,
        },
        from,
        intervals: intervals.into_iter().map(Arc::new).collect(),
    }
}

/// Five intervals of 10 s from 100 s on. In the interval number N, each edge has N bytes.
fn snapshot() -> Snapshot {
    let intervals = (0..5).map(|number| {
        let edges = [(0, 2), (0, 3), (1, 2), (3, 0)].map(|edge| (edge, bytes(number + 1)));
        Interval::new(100_000 + number * STEP, edges, [])
    });
    Snapshot {
        endpoints: endpoints(),
        rings: vec![ring(STEP, 100_000, intervals.collect())],
        to: 148_000,
        gaps: Vec::new(),
        generation: 1,
    }
}

/// The same, with health of two edges in the first interval and of one without traffic in the last.
fn with_health() -> Snapshot {
    let mut snapshot = snapshot();
    let health = |retransmitted_packets, rtt_min_microseconds| Health {
        retransmitted_packets,
        rtt_count: 1,
        rtt_sum_microseconds: rtt_min_microseconds,
        rtt_min_microseconds,
        ..Health::default()
    };
    let intervals = &mut snapshot.rings[0].intervals;
    let list = [((0, 2), health(1, 800)), ((1, 2), health(2, 600))];
    let first = Interval::new(100_000, intervals[0].traffic(), list);
    let refused = Health {
        refused_connections: 5,
        ..Health::default()
    };
    let list = [((0, 2), health(4, 700)), ((2, 0), refused)];
    let last = Interval::new(140_000, intervals[4].traffic(), list);
    intervals[0] = Arc::new(first);
    intervals[4] = Arc::new(last);
    snapshot
}

fn query(group_by: &[&str], filter: &str) -> EdgesQuery {
    EdgesQuery {
        time: TimeBounds {
            from: -900_000,
            to: None,
        },
        group_by: group_by.iter().map(|name| name.parse().unwrap()).collect(),
        filter: (!filter.is_empty()).then(|| filter.parse().unwrap()),
        order: Order::Bytes,
        limit: 100,
        points: 0,
    }
}

fn rows(answer: &EdgesAnswer) -> Vec<(String, u64)> {
    let row = |edge: &GroupedEdge| (edge.labels.join(" "), edge.sum.traffic.bytes);
    answer.edges.iter().map(row).collect()
}

#[test]
fn connection_health_is_grouped_with_traffic_and_absent_where_no_record_had_any() {
    let snapshot = with_health();
    let mut query = query(&["src.workload", "dst.workload"], "");
    (query.order, query.points) = (Order::RetransmittedPackets, 5);
    let answer = query.run(&snapshot).unwrap();
    let web = &answer.edges[0];
    assert_eq!(web.labels, ["web", "db"]);
    let expected = Health {
        retransmitted_packets: 7,
        rtt_count: 3,
        rtt_sum_microseconds: 2100,
        rtt_min_microseconds: 600,
        ..Health::default()
    };
    assert_eq!(web.sum.health, Some(expected));
    assert_eq!(web.sum.traffic.bytes, 2 * 15);
    let points = |edge: &GroupedEdge| -> Vec<Option<u64>> {
        let points = edge.points.iter();
        let value = |health: Health| health.retransmitted_packets;
        points.map(|(_, sum)| sum.health.map(value)).collect()
    };
    assert_eq!(points(web), [Some(3), None, None, None, Some(4)]);
    // An edge that has nothing but refused connections.
    let refused = answer
        .edges
        .iter()
        .find(|edge| edge.labels == ["db", "web"]);
    let refused = refused.unwrap().sum;
    assert_eq!(refused.traffic, Measures::default());
    assert_eq!(refused.health.unwrap().refused_connections, 5);
    assert_eq!(answer.total_edges, 4);
    assert_eq!(answer.total.health.unwrap().retransmitted_packets, 7);
    let mut others = answer
        .edges
        .iter()
        .filter(|edge| edge.labels.contains(&String::new()));
    assert!(others.all(|edge| edge.sum.health.is_none()));
    query.order = Order::FailedConnections;
    assert_eq!(query.run(&snapshot).unwrap().edges[0].labels, ["db", "web"]);
    query.filter = Some(r#"src.workload == "db""#.parse().unwrap());
    assert_eq!(query.run(&snapshot).unwrap().total_edges, 1);
}

#[test]
fn edges_are_grouped_and_added_up() {
    let answer = query(&["src.workload", "dst.workload"], "")
        .run(&snapshot())
        .unwrap();
    let wanted = [("web db", 30), ("web office", 15), ("office web", 15)];
    assert_eq!(
        rows(&answer),
        wanted.map(|(labels, sum)| (labels.to_owned(), sum))
    );
    assert_eq!((answer.total_edges, answer.total.traffic.bytes), (3, 60));
    assert_eq!(
        (answer.from, answer.to, answer.step),
        (100_000, 148_000, STEP)
    );
    assert!(!answer.is_truncated());
}

#[test]
fn a_filter_selects_single_edges_before_they_are_grouped() {
    let filter = r#"src.pod == "web-1" && dst.class =~ "(?i)POD""#;
    let answer = query(&["src.workload"], filter).run(&snapshot()).unwrap();
    assert_eq!(rows(&answer), [("web".to_owned(), 15)]);
    assert_eq!(answer.total.traffic.packets, 5);
}

#[test]
fn a_limit_returns_the_largest_edges_and_the_total_of_all() {
    let mut limited = query(&["src.workload", "dst.workload"], "");
    limited.limit = 1;
    let answer = limited.run(&snapshot()).unwrap();
    assert_eq!(rows(&answer), [("web db".to_owned(), 30)]);
    assert_eq!((answer.total_edges, answer.total.traffic.bytes), (3, 60));
    assert!(answer.is_truncated());
}

#[test]
fn a_range_includes_every_interval_that_it_touches() {
    let mut part = query(&["src.kind"], "");
    part.time = TimeBounds {
        from: 115_000,
        to: Some(125_000),
    };
    let answer = part.run(&snapshot()).unwrap();
    // Intervals 2 and 3, four edges each.
    assert_eq!(answer.total.traffic.bytes, 4 * (2 + 3));
    assert_eq!((answer.from, answer.to), (110_000, 130_000));
}

#[test]
fn points_are_the_values_of_each_interval() {
    let mut with_points = query(&["src.workload"], r#"dst.workload == "db""#);
    with_points.points = 500;
    let answer = with_points.run(&snapshot()).unwrap();
    let points: Vec<_> = answer.edges[0]
        .points
        .iter()
        .map(|(begin, sum)| (*begin, sum.traffic.bytes))
        .collect();
    let wanted = (0..5).map(|number| (100_000 + number * STEP, 2 * (number + 1)));
    assert_eq!(points, wanted.collect::<Vec<_>>());
}

#[test]
fn a_range_without_data_has_an_empty_answer() {
    for time in [
        TimeBounds {
            from: 1,
            to: Some(99_999),
        },
        TimeBounds {
            from: 150_000,
            to: Some(160_000),
        },
    ] {
        let mut early = query(&["src.kind"], "");
        early.time = time;
        let answer = early.run(&snapshot()).unwrap();
        assert_eq!((answer.total_edges, answer.edges.len()), (0, 0));
    }
    let mut reversed = query(&["src.kind"], "");
    reversed.time = TimeBounds {
        from: 5,
        to: Some(5),
    };
    let answer = reversed.run(&snapshot());
    assert!(matches!(answer, Err(HistoryError::EmptyRange)));
}

#[test]
fn a_long_range_is_answered_by_a_coarser_ring() {
    let mut both = snapshot();
    let minutes = (0..2).map(|at| Interval::new(60_000 * at, [((0, 2), bytes(1000))], []));
    both.rings.push(ring(60_000, 0, minutes.collect()));
    let mut long = query(&["src.workload"], "");
    long.time.from = -100_000;
    let answer = long.run(&both).unwrap();
    assert_eq!((answer.step, answer.total.traffic.bytes), (60_000, 2000));
    // The finest ring has the last minute.
    long.time.from = -40_000;
    assert_eq!(long.run(&both).unwrap().step, STEP);
}

#[test]
fn an_edge_between_endpoints_that_are_not_stored_any_more_is_left_out() {
    let mut snapshot = snapshot();
    snapshot.rings[0]
        .intervals
        .push(Arc::new(Interval::new(140_000, [((9, 9), bytes(1))], [])));
    let answer = query(&["src.kind"], "").run(&snapshot).unwrap();
    assert_eq!(answer.total.traffic.bytes, 60);
}

proptest! {
    #[test]
    fn points_are_never_more_than_asked_for_and_add_up_to_the_sum(
        from in 0_u64..200_000, length in 1_u64..200_000, points in 2_usize..12
    ) {
        let mut with_points = query(&["src.kind"], "");
        with_points.time = TimeBounds {
            from: i64::try_from(from).unwrap(),
            to: Some(from + length),
        };
        with_points.points = points;
        let answer = with_points.run(&snapshot()).unwrap();
        for edge in &answer.edges {
            prop_assert!(edge.points.len() <= points, "{:?}", edge.points);
            let sum: u64 = edge.points.iter().map(|(_, sum)| sum.traffic.bytes).sum();
            prop_assert_eq!(sum, edge.sum.traffic.bytes);
            for (begin, _) in &edge.points {
                prop_assert_eq!(begin % answer.step, 0);
                prop_assert!(begin + answer.step > answer.from && *begin < answer.to);
            }
        }
    }
}
