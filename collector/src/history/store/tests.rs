use std::collections::BTreeSet;

use super::*;
use crate::aggregate::field::EndpointField;
use crate::history::{EdgesQuery, Order, TimeBounds};
use crate::inventory::{Endpoint, EndpointKind, IndexWriter};
use crate::pipeline::{FlowHealth, Measures};
use crate::snapshots::SnapshotStore;

const START: u64 = 1_700_000_000_000;

fn settings(max_octets: usize) -> HistorySettings {
    HistorySettings {
        max_octets,
        counts_health: true,
        rings: RingSettings::DEFAULT.to_vec(),
    }
}

/// An index with a number of pods.
fn pods(count: usize) -> (Snapshots, Vec<EndpointId>) {
    let mut writer = IndexWriter::default();
    let ids = (0..count).map(|number| {
        writer.add_endpoint(Endpoint {
            kind: EndpointKind::Pod,
            namespace: "ns".into(),
            name: format!("pod-{number}").into(),
            workload_kind: "Deployment".into(),
            workload_name: "web".into(),
            ..Endpoint::default()
        })
    });
    let ids = ids.collect();
    let snapshots = SnapshotStore::new(writer.current(), Default::default(), "").load();
    (snapshots, ids)
}

fn table(edges: impl IntoIterator<Item = (EndpointId, EndpointId)>) -> EdgeTable {
    let mut table = EdgeTable::new(1 << 20);
    for (source, destination) in edges {
        let measures = Measures {
            bytes: 10,
            packets: 1,
            connections: 0,
        };
        assert!(table.add(source, destination, &measures));
    }
    table
}

/// Health of a flow with a number of retransmitted packets, and two round-trip times.
fn health(retransmitted: u64) -> FlowHealth {
    let mut health = FlowHealth::default();
    health.packets.retransmitted = retransmitted;
    health.round_trip_time.add(110);
    health.round_trip_time.add(90);
    health
}

fn drain(history: &History, snapshots: &Snapshots, edges: &EdgeTable, now: u64) {
    let time = history.time_of_drain(now);
    history.observe(snapshots, edges, time);
    history.end_drain(now);
}

fn total_bytes(history: &History, from: i64) -> (u64, u64) {
    let query = EdgesQuery {
        time: TimeBounds { from, to: None },
        group_by: vec!["src.pod".parse().unwrap()],
        filter: None,
        order: Order::Bytes,
        limit: 10,
        points: 0,
    };
    let answer = query.run(&history.snapshot()).unwrap();
    (answer.total.traffic.bytes, answer.step)
}

#[test]
fn what_is_drained_is_answered_at_once_and_kept_over_all_rings() {
    let history = History::new(settings(64 << 20), START);
    let (snapshots, ids) = pods(3);
    let edges = table([(ids[0], ids[1]), (ids[1], ids[2])]);
    let mut now = START;
    for drains in 1..=400 {
        now += 10_000;
        drain(&history, &snapshots, &edges, now);
        // From the start on.
        let from = i64::try_from(START).unwrap();
        let (bytes, step) = total_bytes(&history, from);
        assert_eq!(bytes, drains * 20, "after {drains} drains");
        let minutes = (now - START) / 60_000;
        let wanted = if minutes > 15 || drains > 90 {
            60_000
        } else {
            10_000
        };
        assert_eq!(step, wanted, "after {drains} drains");
    }
    // The last minute, of the finest ring.
    assert_eq!(total_bytes(&history, -60_000), (6 * 20, 10_000));
}

#[test]
fn edges_belong_to_the_interval_in_which_they_were_counted() {
    let history = History::new(settings(1 << 20), START);
    let (snapshots, ids) = pods(2);
    let edges = table([(ids[0], ids[1])]);
    // The drain is late, and a scrape comes in between.
    drain(&history, &snapshots, &edges, START + 4_000);
    drain(&history, &snapshots, &edges, START + 10_900);
    drain(&history, &snapshots, &edges, START + 12_000);
    let snapshot = history.snapshot();
    let begins: Vec<u64> = snapshot.rings[0]
        .intervals
        .iter()
        .map(|i| i.begin)
        .collect();
    assert_eq!(begins, [START, START + 10_000]);
    let bytes = |at: usize| {
        let interval: &Interval = &snapshot.rings[0].intervals[at];
        interval.traffic().map(|(_, m)| m.bytes).sum::<u64>()
    };
    assert_eq!((bytes(0), bytes(1)), (20, 10));
}

#[test]
fn the_memory_is_limited_and_nothing_of_the_current_interval_is_lost() {
    let max_octets = 1 << 20;
    let history = History::new(settings(max_octets), START);
    let mut now = START;
    // Too many edges, then too many endpoints.
    for (count, rounds) in [(800, 40), (3000, 10)] {
        let (snapshots, ids) = pods(count);
        for round in 0..rounds {
            now += 10_000;
            let pairs: BTreeSet<(u32, u32)> = (0..4 * count)
                .map(|at| (at % count, (at * (round + 1) + at / count + 1) % count))
                .map(|(source, destination)| (ids[source].0, ids[destination].0))
                .collect();
            let edges = pairs
                .iter()
                .map(|pair| (EndpointId(pair.0), EndpointId(pair.1)));
            drain(&history, &snapshots, &table(edges), now);
            let counts = history.counts();
            assert!(
                counts.octets <= max_octets.try_into().unwrap(),
                "{counts:?}"
            );
            let bytes = 10 * u64::try_from(pairs.len()).unwrap();
            assert_eq!(total_bytes(&history, -10_000).0, bytes);
        }
    }
    let counts = history.counts();
    assert!(counts.intervals_discarded > 0, "{counts:?}");
    assert!(
        counts.endpoints_other > 0 && counts.edges_other > 0,
        "{counts:?}"
    );
}

#[test]
fn the_memory_is_limited_with_health_and_edges_without_health_do_not_pay_for_it() {
    let max_octets = 1 << 20;
    let fill = |with_health: bool| {
        let history = History::new(settings(max_octets), START);
        let (snapshots, ids) = pods(300);
        for round in 0..60_usize {
            let pairs = (0..900).map(|at| (ids[at % 300], ids[(at * 7 + at / 300 + round) % 300]));
            let mut edges = table(pairs.clone());
            for (source, destination) in pairs {
                let count = u64::try_from(round % 3).unwrap();
                let is_added =
                    with_health && edges.add_flow_health(source, destination, &health(count));
                assert_eq!(is_added, with_health);
            }
            let now = START + u64::try_from(round + 1).unwrap() * 10_000;
            drain(&history, &snapshots, &edges, now);
            let counts = history.counts();
            assert!(
                counts.octets <= u64::try_from(max_octets).unwrap(),
                "{counts:?}"
            );
            // Nothing of the current interval is lost.
            let query = EdgesQuery {
                time: TimeBounds {
                    from: -10_000,
                    to: None,
                },
                group_by: vec!["class".parse().unwrap()],
                filter: None,
                order: Order::Bytes,
                limit: 10,
                points: 0,
            };
            let total = query.run(&history.snapshot()).unwrap().total;
            assert_eq!(total.traffic.bytes, 9000);
            let retransmitted = 900 * u64::try_from(round % 3).unwrap();
            let health = with_health.then_some((retransmitted, 1800, 90));
            let found = total.health.map(|health| {
                let rtt = (health.rtt_count, health.rtt_min_microseconds);
                (health.retransmitted_packets, rtt.0, rtt.1)
            });
            assert_eq!(found, health);
        }
        let counts = history.counts();
        let (_, snapshot) = lock(&history.state).copy();
        let intervals = snapshot.rings.iter().flat_map(|ring| &ring.intervals);
        let lists = intervals.map(|interval| interval.encoded().map(<[u8]>::len));
        let octets = lists.fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]]);
        (counts, octets)
    };
    let (_, [_, health_octets]) = fill(false);
    assert_eq!(health_octets, 0);
    let (with, [traffic_octets, health_octets]) = fill(true);
    // Too many edges with health for the current interval, too.
    assert!(with.edges_other > 0, "{with:?}");
    assert!(health_octets < 2 * traffic_octets, "{health_octets}");
}

/// The names of all sources.
fn source_pods(history: &History) -> Vec<String> {
    let snapshot = history.snapshot();
    let intervals = snapshot.rings.iter().flat_map(|ring| &ring.intervals);
    let slots = intervals.flat_map(|interval| interval.keys());
    let names = slots.map(|(source, _)| {
        let endpoint = crate::history::endpoints::get(&snapshot.endpoints, source);
        endpoint.unwrap().text(EndpointField::Pod).to_owned()
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn endpoints_are_forgotten_with_their_last_interval() {
    let rings = vec!["10s/1m".parse().unwrap()];
    let history = History::new(
        HistorySettings {
            max_octets: 1 << 20,
            counts_health: true,
            rings,
        },
        START,
    );
    let (snapshots, ids) = pods(4);
    drain(
        &history,
        &snapshots,
        &table([(ids[0], ids[1])]),
        START + 10_000,
    );
    assert_eq!(history.counts().endpoints, 2);
    for at in 2..12 {
        let edges = table([(ids[2], ids[3])]);
        drain(&history, &snapshots, &edges, START + at * 10_000);
    }
    assert_eq!(history.counts().endpoints, 2);
    assert_eq!(source_pods(&history), ["pod-2"]);
    // One is used again after it was forgotten. Nothing changed in the snapshots.
    let edges = table([(ids[0], ids[3])]);
    drain(&history, &snapshots, &edges, START + 12 * 10_000);
    assert_eq!(history.counts().endpoints, 3);
    assert_eq!(source_pods(&history), ["pod-0", "pod-2"]);
    for at in 13..30 {
        drain(&history, &snapshots, &table([]), START + at * 10_000);
    }
    let counts = history.counts();
    assert_eq!((counts.endpoints, counts.intervals), (0, 0), "{counts:?}");
}

#[test]
fn a_clock_that_is_set_back_loses_nothing() {
    let history = History::new(settings(1 << 20), START);
    let (snapshots, ids) = pods(2);
    let edges = table([(ids[0], ids[1])]);
    drain(&history, &snapshots, &edges, START + 10_000);
    drain(&history, &snapshots, &edges, START - 3_600_000);
    drain(&history, &snapshots, &edges, START + 20_000);
    assert_eq!(total_bytes(&history, -60_000).0, 30);
}

fn octets_of(history: &History) -> Vec<u8> {
    let mut octets = Vec::new();
    history.write(&mut octets).unwrap();
    octets
}

/// A history of some minutes, with the time of its end.
fn filled() -> (History, u64) {
    let history = History::new(settings(64 << 20), START);
    let (snapshots, ids) = pods(20);
    let mut now = START;
    for drains in 0..100_usize {
        let at = drains % 19;
        now += 10_000;
        let mut edges = table([(ids[at], ids[at + 1]), (ids[0], ids[at])]);
        assert!(edges.add_flow_health(ids[at], ids[at + 1], &health(7)));
        drain(&history, &snapshots, &edges, now);
    }
    (history, now)
}

#[test]
fn a_restored_history_has_the_same_answers_and_a_gap() {
    let (history, now) = filled();
    let octets = octets_of(&history);
    let started = now + 25_000;
    let restored = History::new(settings(64 << 20), started);
    assert_eq!(restored.restore(&octets, started), Ok(START));
    let (snapshots, ids) = pods(2);
    let edges = table([(ids[0], ids[1])]);
    drain(&restored, &snapshots, &edges, started + 10_000);
    let from = i64::try_from(START).unwrap();
    for from in [from, -60_000, -600_000] {
        let query = |history: &History| {
            let query = EdgesQuery {
                time: TimeBounds {
                    from,
                    to: Some(now),
                },
                group_by: vec!["src.pod".parse().unwrap(), "dst.pod".parse().unwrap()],
                filter: None,
                order: Order::Bytes,
                limit: 1000,
                points: 0,
            };
            query.run(&history.snapshot()).unwrap()
        };
        let (before, after) = (query(&history), query(&restored));
        let rows = |answer: &crate::history::EdgesAnswer| -> BTreeSet<(Vec<String>, u64, u64)> {
            let edges = answer.edges.iter();
            let row = |edge: &crate::history::GroupedEdge| {
                let health = edge.sum.health.unwrap_or_default();
                let values = (edge.sum.traffic.bytes, health.retransmitted_packets);
                (edge.labels.clone(), values.0, values.1)
            };
            edges.map(row).collect()
        };
        let health = before.total.health.unwrap();
        assert!(health.retransmitted_packets > 0 && health.rtt_min_microseconds == 90);
        assert_eq!(rows(&before), rows(&after));
        assert_eq!(after.gaps, []);
    }
    assert_eq!(total_bytes(&restored, from).0, 100 * 20 + 10);
    let answer = EdgesQuery {
        time: TimeBounds { from, to: None },
        group_by: vec!["class".parse().unwrap()],
        filter: None,
        order: Order::Bytes,
        limit: 10,
        points: 0,
    };
    let answer = answer.run(&restored.snapshot()).unwrap();
    assert_eq!(answer.gaps, [(now, started)]);
    // The slots of its endpoints are used again like those of any other.
    for minutes in 1..3000 {
        let now = started + minutes * 60_000;
        drain(&restored, &snapshots, &edges, now);
    }
    assert_eq!(restored.counts().endpoints, 2);
    assert!(!octets_of(&restored).is_empty());
}

#[test]
fn a_history_that_cannot_be_used_is_refused_with_its_reason() {
    let (history, now) = filled();
    let octets = octets_of(&history);
    let restore = |octets: &[u8], settings: HistorySettings, now: u64| {
        let history = History::new(settings, now);
        let result = history.restore(octets, now);
        assert_eq!(history.counts().intervals > 0, result.is_ok());
        result
    };
    let all = settings(64 << 20);
    assert_eq!(restore(&octets, all.clone(), now), Ok(START));
    assert_eq!(restore(b"", all.clone(), now), Err(SavedError::Format));
    assert_eq!(
        restore(b"kipfix history 1\n", all.clone(), now),
        Err(SavedError::Format)
    );
    let short = &octets[..octets.len() - 1];
    assert_eq!(restore(short, all.clone(), now), Err(SavedError::Corrupt));
    let later = now + 49 * 3_600_000;
    let too_old = SavedError::TooOld(49 * 3_600_000);
    assert_eq!(restore(&octets, all.clone(), later), Err(too_old));
    assert_eq!(
        restore(&octets, all.clone(), START),
        Err(SavedError::Future)
    );
    let other = HistorySettings {
        rings: vec!["10s/15m".parse().unwrap()],
        ..all.clone()
    };
    assert_eq!(restore(&octets, other, now), Err(SavedError::OtherRings));
    assert_eq!(
        restore(&octets, settings(8192), now),
        Err(SavedError::TooLarge)
    );
    for at in (0..octets.len()).step_by(7) {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x10;
        assert!(restore(&damaged, all.clone(), now).is_err(), "{at}");
    }
}

#[test]
fn damage_that_the_checksum_does_not_detect_does_not_panic() {
    let (history, now) = filled();
    let octets = octets_of(&history);
    let content = octets.len() - 4;
    for at in (17..content).step_by(5) {
        let mut damaged = octets[..content].to_vec();
        damaged[at] = damaged[at].wrapping_add(u8::try_from(at % 251).unwrap() | 1);
        let checksum = crc32c::crc32c(&damaged);
        damaged.extend_from_slice(&checksum.to_be_bytes());
        let history = History::new(settings(64 << 20), now);
        if history.restore(&damaged, now).is_ok() {
            let (snapshots, ids) = pods(2);
            drain(
                &history,
                &snapshots,
                &table([(ids[0], ids[1])]),
                now + 10_000,
            );
            total_bytes(&history, -3_600_000);
        }
    }
}
