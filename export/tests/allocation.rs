//! Warm targets allocate nothing for a record, over UDP and spread over several addresses.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::UdpSocket;
use std::sync::Arc;

use flowproto::exporter::{ExportSession, ExportSettings, Version};
use flowproto::{Address, FlowKey, FlowRecord};
use kipfix_export::counters::TargetFamilies;
use kipfix_export::destination::Destination;
use kipfix_export::names::TargetName;
use kipfix_export::spread::{OpenDestination, SpreadExporter};
use kipfix_export::udp::{UdpExporter, UdpSettings};
use kipfix_export::{Encoding, Exporter, SessionStart};

#[derive(Clone, Debug)]
struct In(Version);

impl Encoding for In {
    type Session = ExportSession;

    fn begin(&self, start: SessionStart) -> ExportSession {
        ExportSession::new(ExportSettings {
            version: self.0,
            max_message_octets: start.max_message_octets,
            ..ExportSettings::default()
        })
    }

    fn flow_key(record: &FlowRecord) -> FlowKey {
        record.key
    }
}

fn records() -> Vec<FlowRecord> {
    let record = |n: u32| FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(n),
            destination_address: Address::from_v4_bits(n % 7 + 1),
            ..FlowKey::default()
        },
        ..FlowRecord::default()
    };
    (1..=1000).map(record).collect()
}

/// Exports twice; the second time is measured.
fn allocations(mut target: impl Exporter<FlowRecord>) -> u64 {
    let records = records();
    let mut pass = || {
        target.export(&records, 1_700_000_000_000);
        target.flush(1_700_000_000_000);
    };
    pass();
    allocation_counter::measure(pass).count_total
}

#[test]
fn a_warm_target_allocates_nothing() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port();
    let families =
        TargetFamilies::register(&kipfix_service::metric_maker::MetricMaker::new("test")).unwrap();
    let counters = families.target("target");
    let settings = UdpSettings {
        max_message_octets: 1400,
        records_per_second: 0,
        wait: false,
        source_port: 0,
    };
    for version in [Version::Ipfix, Version::Netflow9, Version::Netflow5] {
        let name = TargetName::new("127.0.0.1", port);
        let counted = counters.clone();
        let open = move |name| {
            let destination = Destination {
                name,
                deadline: Default::default(),
                own_endpoints: Arc::default(),
                counters: counted.clone(),
            };
            UdpExporter::new(destination, In(version), settings)
        };
        assert_eq!(allocations(open(name.clone())), 0, "{version:?}");
        let one: OpenDestination<FlowRecord> = Box::new(move |address| {
            let target: Box<dyn Exporter<FlowRecord>> =
                Box::new(open(TargetName::fixed("127.0.0.1", address)));
            Ok(target)
        });
        let spread = SpreadExporter::<In>::new(name, one, counters.clone());
        assert_eq!(allocations(spread), 0, "{version:?}, spread");
    }
}
