use enum_map::enum_map;

use super::follower::{QUEUE_OCTETS, StagedLines};
use super::ring::RecentRecord;
use super::*;
use crate::aggregate::RecordFields;
use crate::inventory::{Endpoint, IndexWriter};
use crate::snapshots::SnapshotStore;

const START: u64 = 1_700_000_000_000;

/// A record that was decided `milliseconds` after the start.
fn record(milliseconds: u64, port: u16) -> RecentRecord {
    let mut writer = IndexWriter::default();
    let endpoint = writer.add_endpoint(Endpoint::default());
    RecentRecord {
        time: Now::of_packet(START + milliseconds),
        fields: RecordFields::to_port(endpoint, endpoint, port),
        line: format!("{{\"port\":{port}}}\n").into_bytes().into(),
    }
}

fn snapshots() -> Snapshots {
    let mut writer = IndexWriter::default();
    writer.add_endpoint(Endpoint::default());
    SnapshotStore::new(writer.current(), Default::default(), "").load()
}

fn selected(recent: &RecentRecords, query: RecordsQuery<'_>, milliseconds: u64) -> String {
    let now = Now::of_packet(START + milliseconds);
    String::from_utf8(recent.select(query, &snapshots(), now)).unwrap()
}

const ALL: RecordsQuery<'_> = RecordsQuery {
    time: (0, u64::MAX),
    filter: None,
    limit: 100,
    max_octets: usize::MAX,
};

#[test]
fn records_are_selected_by_time_filter_and_limit() {
    let recent = RecentRecords::new(1 << 20);
    for (at, port) in [(0, 80), (10, 443), (20, 80), (30, 8080)] {
        lock(&recent.ring).push(record(at, port));
    }
    let lines = |ports: &[u16]| -> String {
        let lines = ports.iter().map(|port| format!("{{\"port\":{port}}}\n"));
        lines.collect()
    };
    assert_eq!(selected(&recent, ALL, 50), lines(&[80, 443, 80, 8080]));
    let newest = RecordsQuery { limit: 2, ..ALL };
    assert_eq!(selected(&recent, newest, 50), lines(&[80, 8080]));
    let time = (START + 10, START + 30);
    assert_eq!(
        selected(&recent, RecordsQuery { time, ..ALL }, 50),
        lines(&[443, 80])
    );
    let filter = "dst.port < 500".parse().unwrap();
    let filtered = RecordsQuery {
        filter: Some(&filter),
        ..ALL
    };
    assert_eq!(selected(&recent, filtered, 50), lines(&[80, 443, 80]));
    let octets = lines(&[80, 8080]).len();
    let bounded = RecordsQuery {
        max_octets: octets,
        ..ALL
    };
    assert_eq!(selected(&recent, bounded, 50), lines(&[80, 8080]));
    // Older than the ring keeps them.
    let later = MAX_AGE_MILLISECONDS + 20;
    assert_eq!(selected(&recent, ALL, later), lines(&[80, 8080]));
    assert_eq!(recent.counts().records, 2);
}

#[test]
fn the_oldest_records_make_room() {
    let size = {
        let recent = RecentRecords::new(1 << 20);
        lock(&recent.ring).push(record(0, 80));
        usize::try_from(recent.counts().octets).unwrap()
    };
    let recent = RecentRecords::new(3 * size);
    for at in 0..10 {
        lock(&recent.ring).push(record(at, 80));
    }
    let counts = recent.counts();
    assert_eq!((counts.records, counts.octets), (3, to_u64(3 * size)));
    // A record that has no room at all removes nothing.
    let mut large = record(10, 80);
    large.line = vec![b'x'; 4 * size].into();
    lock(&recent.ring).push(large);
    assert_eq!(recent.counts().records, 3);
}

fn staged(lines: usize, octets: usize) -> StagedLines {
    let mut line = vec![b'x'; octets - 1];
    line.push(b'\n');
    let mut staged = StagedLines::default();
    for _ in 0..lines {
        staged.add(&line);
    }
    staged
}

fn next(followed: &FollowedRecords) -> FollowedBatch {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(followed.next())
}

#[test]
fn what_has_no_room_in_the_queue_is_lost_and_reported() {
    let recent = Arc::new(RecentRecords::new(1 << 20));
    let followed = recent.follow(None).unwrap();
    let follower = Arc::clone(&lock(&recent.followers)[0]);
    let fitting = QUEUE_OCTETS / 1000;
    let mut lines = staged(fitting + 5, 1000);
    lines.rate_limited = 2;
    lines.not_filtered = 3;
    follower.push(&mut lines, &recent);
    assert!(lines.is_empty());
    // There is room for this one, but it would hide where the gap is.
    follower.push(&mut staged(1, 10), &recent);
    let batch = next(&followed);
    assert_eq!(batch.records, to_u64(fitting));
    assert_eq!(batch.text.len(), fitting * 1000);
    let lost = LostRecords {
        queue_full: 6,
        rate_limit: 2,
        filter_time: 3,
    };
    assert_eq!(batch.lost, lost);
    follower.push(&mut staged(3, 10), &recent);
    let batch = next(&followed);
    assert_eq!((batch.records, batch.lost.is_none()), (3, true));
    let counts = recent.counts();
    assert_eq!(counts.sent, to_u64(fitting) + 3);
    let lost = enum_map! {
        LossReason::QueueFull => 6,
        LossReason::RateLimit => 2,
        LossReason::FilterTime => 3,
        LossReason::Disconnected => 0,
    };
    assert_eq!(counts.lost, lost);
}

#[test]
fn records_for_a_client_that_disconnects_are_counted() {
    let recent = Arc::new(RecentRecords::new(1 << 20));
    let followed = recent.follow(None).unwrap();
    let follower = Arc::clone(&lock(&recent.followers)[0]);
    follower.push(&mut staged(3, 10), &recent);
    drop(followed);
    // A pipeline has not noticed yet.
    follower.push(&mut staged(2, 10), &recent);
    let counts = recent.counts();
    assert_eq!((counts.followers, counts.sent), (0, 0));
    let lost = enum_map! { LossReason::Disconnected => 5, _ => 0 };
    assert_eq!(counts.lost, lost);
}

#[test]
fn a_batch_is_cut_behind_a_line() {
    for (most, octets) in [(0, 0), (1, 10), (2, 20), (3, 30), (9, 30)] {
        let mut batch = FollowedBatch {
            text: b"123456789\n".repeat(3),
            records: 3,
            ..Default::default()
        };
        batch.truncate(most);
        assert_eq!((batch.text.len(), batch.records), (octets, most.min(3)));
    }
}
