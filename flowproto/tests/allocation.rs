//! A warm decoder and a warm encoder allocate nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings};
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

#[test]
fn neither_a_record_nor_a_message_allocates() {
    let record = FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(1),
            ..FlowKey::default()
        },
        octet_delta_count: 1,
        ..FlowRecord::default()
    };
    let mut session = ExportSession::new(ExportSettings::default());
    let mut process = CollectingProcess::new(Limits::default());
    let mut sum = Sum(0);
    let mut pass = |now: u64| {
        for _ in 0..1000 {
            session
                .add(&record, now, &mut |message| {
                    process.receive(
                        "192.0.2.1:1".parse().unwrap(),
                        message.octets,
                        now,
                        &mut sum,
                    );
                })
                .unwrap();
        }
        session.flush(now, &mut |message| {
            process.receive(
                "192.0.2.1:1".parse().unwrap(),
                message.octets,
                now,
                &mut sum,
            );
        });
    };
    pass(1_700_000_000_000);
    let info = allocation_counter::measure(|| pass(1_700_000_000_001));
    assert_eq!(info.count_total, 0);
    assert_eq!(sum.0, 2000);
}
