//! A warm decoder and a warm encoder allocate nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings, Version};
use flowproto::record::FlowKey;
use flowproto::template::Fields;
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
