//! A warm decoder and a warm encoder allocate nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

mod exporter;

use exporter::{ipfix, netflow9, numbers, template};
use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings, Version};
use flowproto::record::FlowKey;
use flowproto::{Address, FlowRecord};

struct Sum(u64);

impl RecordSink for Sum {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0 += record.octet_delta_count;
    }
}

fn record() -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(1),
            destination_address: Address::from_v4_bits(2),
            ..FlowKey::default()
        },
        octet_delta_count: 1,
        ..FlowRecord::default()
    }
}

fn session(version: Version) -> ExportSession {
    ExportSession::new(ExportSettings {
        version,
        ..ExportSettings::default()
    })
}

/// Sends a thousand records.
fn pass(session: &mut ExportSession, now: u64, send: &mut flowproto::exporter::Send<'_>) {
    for _ in 0..1000 {
        session.add(&record(), now, send).unwrap();
    }
    session.flush(now, send);
}

#[test]
fn no_encoder_allocates_for_a_record_a_message_or_a_refresh() {
    for version in [Version::Ipfix, Version::Netflow9, Version::Netflow5] {
        let mut session = session(version);
        let mut octets = 0;
        let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
            octets += message.octets.len();
        };
        pass(&mut session, 1_700_000_000_000, &mut send);
        let info = allocation_counter::measure(|| {
            pass(&mut session, 1_700_000_000_001, &mut send);
            pass(&mut session, 1_700_000_060_001, &mut send);
        });
        assert_eq!(info.count_total, 0, "{version:?}");
        assert!(octets > 100_000);
    }
}

#[test]
fn neither_a_record_nor_a_message_allocates() {
    for version in [Version::Ipfix, Version::Netflow9] {
        let mut session = session(version);
        let mut process = CollectingProcess::new(Limits::default());
        let mut sum = Sum(0);
        let mut both = |now: u64| {
            pass(&mut session, now, &mut |message| {
                let exporter = "192.0.2.1:1".parse().unwrap();
                process.receive(exporter, message.octets, now, &mut sum);
            });
        };
        both(1_700_000_000_000);
        let info = allocation_counter::measure(|| both(1_700_000_000_001));
        assert_eq!(info.count_total, 0, "{version:?}");
        assert_eq!(sum.0, 2000);
    }
}

/// A warm process reads these again without an allocation; how many octets it counted in one pass.
fn reads_without_allocation(messages: &[Vec<u8>], connection: Option<u64>) -> u64 {
    let from = "192.0.2.1:1".parse().unwrap();
    let mut process = CollectingProcess::new(Limits::default());
    let mut sum = Sum(0);
    let mut pass = |sum: &mut Sum| {
        for message in messages {
            match connection {
                None => process.receive(from, message, 0, sum),
                Some(connection) => process
                    .receive_over(connection, from, message, 0, sum)
                    .unwrap(),
            }
        }
    };
    pass(&mut sum);
    pass(&mut sum);
    let before = sum.0;
    let info = allocation_counter::measure(|| pass(&mut sum));
    assert_eq!(info.count_total, 0);
    sum.0 - before
}

#[test]
fn no_kind_of_message_allocates() {
    let record = numbers(&[(5, 4), (7, 2)]);
    let v9 = [
        (0, template(300, &[(1, 4), (7, 2)])),
        (300, record.repeat(20)),
    ];
    assert_eq!(reads_without_allocation(&[netflow9(&v9)], None), 100);

    // Variable lengths, and over a connection.
    let variable = [&[3][..], b"eth", &record].concat();
    let fields = template(300, &[(82, 65_535), (1, 4), (7, 2)]);
    let sets = [(2, fields), (300, variable.repeat(20))];
    for connection in [None, Some(1)] {
        assert_eq!(
            reads_without_allocation(&[ipfix(0, &sets)], connection),
            100
        );
    }

    // Running totals of known flows, which ran no further.
    let sets = [
        (2, template(300, &[(85, 4), (7, 2)])),
        (300, record.repeat(20)),
    ];
    assert_eq!(reads_without_allocation(&[ipfix(0, &sets)], None), 0);

    // v5: 30 records of 7 octets.
    let mut v5 = [0, 5, 0, 30].to_vec();
    v5.resize(24, 1);
    let mut flow = [0; 48];
    flow[23] = 7;
    v5.extend(flow.repeat(30));
    assert_eq!(reads_without_allocation(&[v5], None), 210);
}
