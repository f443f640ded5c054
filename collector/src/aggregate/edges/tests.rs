//! Edges are summed, kept in a table that grows, and drained when it is full.

use super::*;
use crate::aggregate::health::HealthCount;
use crate::pipeline::FlowHealth;

fn bytes(bytes: u64) -> Measures {
    Measures {
        bytes,
        ..Measures::default()
    }
}

fn sorted(table: &EdgeTable) -> Vec<(u32, u32, u64)> {
    let edge = |e: CountedEdge<'_>| (e.source.0, e.destination.0, e.measures.bytes);
    let mut edges: Vec<_> = table.iter().map(edge).collect();
    edges.sort_unstable();
    edges
}

#[test]
fn an_edge_is_the_sum_of_its_records_and_has_a_direction() {
    let mut table = EdgeTable::new(8);
    assert!(table.add(EndpointId(1), EndpointId(2), &bytes(10)));
    assert!(table.add(EndpointId(1), EndpointId(2), &bytes(5)));
    assert!(table.add(EndpointId(2), EndpointId(1), &bytes(1)));
    assert_eq!(sorted(&table), [(1, 2, 15), (2, 1, 1)]);
    table.clear();
    assert!(table.is_empty());
    assert_eq!(sorted(&table), []);
}

#[test]
fn all_endpoints_can_be_counted() {
    let mut table = EdgeTable::new(8);
    let ends = [0, 1, u32::MAX - 2, u32::MAX - 1].map(EndpointId);
    for (source, destination) in [(0, 0), (0, 3), (3, 0), (3, 2)] {
        assert!(table.add(ends[source], ends[destination], &bytes(1)));
    }
    let last = u32::MAX - 1;
    let wanted = [(0, 0, 1), (0, last, 1), (last, 0, 1), (last, last - 1, 1)];
    assert_eq!(sorted(&table), wanted);
}

#[test]
fn a_full_table_takes_known_edges_but_no_new_one() {
    let mut table = EdgeTable::new(1);
    assert!(table.add(EndpointId(1), EndpointId(2), &bytes(1)));
    assert!(!table.add(EndpointId(3), EndpointId(4), &bytes(1)));
    assert!(table.add(EndpointId(1), EndpointId(2), &bytes(1)));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_table_grows_and_keeps_every_sum() {
    let mut table = EdgeTable::new(100_000);
    for round in 1..=3 {
        for source in 0..100 {
            for destination in 0..200 {
                let measures = bytes(u64::from(source * destination));
                assert!(table.add(EndpointId(source), EndpointId(destination), &measures));
            }
        }
        assert_eq!(table.len(), 20_000);
        for edge in table.iter() {
            let wanted = u64::from(edge.source.0 * edge.destination.0) * round;
            assert_eq!(edge.measures.bytes, wanted, "{edge:?}");
        }
    }
}

#[test]
fn a_batch_drains_a_full_table_and_loses_nothing() {
    let mut table = EdgeTable::new(2);
    let mut batch = EdgeBatch::default();
    for number in 0..10 {
        batch.push(EndpointId(number), EndpointId(0), bytes(1));
    }
    let mut drained = 0;
    batch.add_to(&mut table, |table| {
        drained += table.len();
        table.clear();
    });
    assert_eq!(drained + table.len(), 10);
    batch.add_to(&mut table, |_| unreachable!());
    assert_eq!(table.iter().map(|edge| edge.measures.bytes).sum::<u64>(), 2);
}

#[test]
fn edges_with_a_detail_are_told_apart_by_it() {
    let edge = |source, port| DetailedEdge {
        source: EndpointId(source),
        destination: EndpointId(2),
        detail: Detail {
            server_port: Some(port),
            ..Detail::default()
        },
    };
    let add = |table: &mut EdgeTable, edge: DetailedEdge, octets| {
        let hash = table.detailed.hash(&edge);
        table.add_detailed(&edge, hash, &bytes(octets))
    };
    let mut table = EdgeTable::new(3);
    for (edge, octets) in [(edge(1, 53), 1), (edge(1, 80), 2), (edge(3, 53), 4)] {
        assert!(add(&mut table, edge, octets));
    }
    assert!(add(&mut table, edge(1, 80), 8));
    assert!(!add(&mut table, edge(3, 80), 1));
    assert!(!table.add(EndpointId(1), EndpointId(2), &bytes(1)));
    let mut found: Vec<_> = table
        .iter()
        .map(|edge| {
            (
                edge.source.0,
                edge.detail.unwrap().server_port,
                edge.measures.bytes,
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [(1, Some(53), 1), (1, Some(80), 10), (3, Some(53), 4)]
    );
    table.clear();
    assert!(table.add(EndpointId(0), EndpointId(0), &bytes(1)));
    assert_eq!(sorted(&table), [(0, 0, 1)]);
}

#[test]
fn edges_with_and_without_a_detail_share_a_table() {
    let edge = || DetailedEdge {
        source: EndpointId(0),
        destination: EndpointId(0),
        detail: Detail {
            server_port: Some(53),
            ..Detail::default()
        },
    };
    let (mut table, mut batch) = (EdgeTable::new(8), EdgeBatch::default());
    for octets in [1, 4] {
        batch.push(EndpointId(0), EndpointId(0), bytes(octets));
        batch.push_detailed(edge(), bytes(2 * octets));
    }
    batch.add_to(&mut table, |_| unreachable!());
    let port = |edge: CountedEdge<'_>| edge.detail.map(|detail| detail.server_port);
    let found = table.iter().map(|edge| (port(edge), edge.measures.bytes));
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    assert_eq!(found, [(None, 5), (Some(Some(53)), 10)]);
    assert_eq!(table.len(), 2);
}

#[test]
fn a_table_is_drained_before_a_sum_of_connections_is_too_large() {
    let mut table = EdgeTable::new(2);
    let mut batch = EdgeBatch::default();
    let many = Measures {
        connections: u64::from(u32::MAX - 1),
        ..Measures::default()
    };
    for _ in 0..3 {
        batch.push(EndpointId(1), EndpointId(2), many);
    }
    let mut connections = 0;
    let mut add = |table: &EdgeTable| {
        let sums = table.iter().map(|edge| edge.measures.connections);
        connections += sums.sum::<u64>();
    };
    batch.add_to(&mut table, |table| {
        add(table);
        table.clear();
    });
    add(&table);
    assert_eq!(connections, 3 * u64::from(u32::MAX - 1));
}

#[test]
fn health_is_drained_with_its_edges_and_nothing_is_lost() {
    let mut health = FlowHealth::default();
    health.packets.retransmitted = 3;
    let addition = HealthAddition::Packets(health.packets, health.round_trip_time);
    let edge = |source| DetailedEdge {
        source: EndpointId(source),
        destination: EndpointId(0),
        detail: Detail {
            protocol: Some(6),
            ..Detail::default()
        },
    };
    for is_detailed in [false, true] {
        let mut table = EdgeTable::new(2);
        let mut batch = EdgeBatch::new(HealthParts::default());
        for source in 0..10 {
            if is_detailed {
                batch.push_detailed(edge(source), bytes(1));
                batch.push_detailed_health(edge(source), addition);
            } else {
                batch.push(EndpointId(source), EndpointId(0), bytes(1));
                batch.push_health(EndpointId(source), EndpointId(0), addition);
            }
        }
        let (mut octets, mut retransmitted) = (0, Vec::new());
        let mut take = |table: &EdgeTable| {
            for edge in table.iter() {
                assert_eq!(edge.detail.is_some(), is_detailed);
                octets += edge.measures.bytes;
                if let Some(health) = edge.health {
                    let count = health.count(HealthCount::RetransmittedPackets);
                    retransmitted.push((edge.source.0, count));
                }
            }
        };
        batch.add_to(&mut table, |table| {
            take(table);
            table.clear();
        });
        assert!(!table.is_empty());
        take(&table);
        retransmitted.sort_unstable();
        assert_eq!(octets, 10);
        assert_eq!(
            retransmitted,
            (0..10).map(|source| (source, 3)).collect::<Vec<_>>()
        );
    }
}
