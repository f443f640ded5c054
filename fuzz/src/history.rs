//! The file of the history.

use std::sync::LazyLock;

use flowproto::Address;
use kipfix_collector::aggregate::field::Field;
use kipfix_collector::aggregate::{EdgeObserver as _, EdgeTable};
use kipfix_collector::history::{
    EdgesQuery, History, HistorySettings, Order, RingSettings, TimeBounds,
};
use kipfix_collector::inventory::TimeRange;
use kipfix_collector::pipeline::Measures;

use crate::pipeline::snapshot_store;

/// Time of the file, milliseconds since the epoch.
const NOW: u64 = 1_700_000_000_000;

fn empty(now: u64) -> History {
    let settings = HistorySettings {
        max_octets: 1 << 20,
        counts_health: true,
        rings: RingSettings::DEFAULT.to_vec(),
    };
    History::new(settings, now)
}

/// A history file without its checksum, which is added: a history within its memory that answers
/// queries, or an error.
pub(crate) fn history(data: &[u8]) {
    let checksum = crc32c::crc32c(data).to_be_bytes();
    let octets = [data, &checksum].concat();
    let history = empty(NOW);
    if history.restore(&octets, NOW).is_err() {
        assert_eq!(history.counts().intervals, 0);
        return;
    }
    static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
        let names = [
            "src.namespace",
            "src.pod",
            "dst.workload",
            "external.name",
            "class",
        ];
        names.map(|name| name.parse().unwrap()).to_vec()
    });
    for (from, points) in [(-60_000, 0), (0, 10), (-86_400_000, 2)] {
        let query = EdgesQuery {
            time: TimeBounds { from, to: None },
            group_by: FIELDS.clone(),
            filter: None,
            order: Order::Bytes,
            limit: 100,
            points,
        };
        let answer = query.run(&history.snapshot());
        assert!(answer.is_ok_and(|answer| answer.edges.len() <= 100));
    }
    assert!(history.counts().octets <= 2 << 20);
    // What was read is written so that it is read again.
    let mut written = Vec::new();
    history.write(&mut written).unwrap();
    assert!(empty(NOW).restore(&written, NOW).is_ok());
}

/// Files without their checksums.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let snapshots = snapshot_store().load();
    let span = TimeRange {
        start_milliseconds: 0,
        end_milliseconds: 1,
    };
    let endpoint = |bits| {
        let address = Address::from_v4_bits(bits);
        snapshots.index.lookup(address, span).endpoint
    };
    let endpoints = [
        0x0a01_010a,
        0x0a01_020a,
        0x0a09_0001,
        0xc000_0207,
        0x0808_0808,
    ]
    .map(endpoint);
    let history = empty(NOW - 600_000);
    for drains in 1..=60 {
        let mut edges = EdgeTable::new(1 << 10);
        for (at, source) in endpoints.iter().enumerate() {
            let measures = Measures {
                bytes: 1000 * drains,
                packets: 10,
                connections: 1,
            };
            assert!(edges.add(*source, endpoints[(at + 1) % endpoints.len()], &measures));
        }
        let now = NOW - 600_000 + drains * 10_000;
        history.observe(&snapshots, &edges, history.time_of_drain(now));
        history.end_drain(now);
    }
    let mut file = Vec::new();
    history.write(&mut file).unwrap();
    file.truncate(file.len() - 4);
    let mut short = file.clone();
    short.truncate(file.len() / 2);
    vec![file, short]
}
