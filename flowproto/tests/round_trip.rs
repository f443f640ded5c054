//! What the Exporting Process writes, the Collecting Process and a foreign decoder read back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::net::SocketAddr;

use flowproto::collector::Fields;
use flowproto::collector::{
    CollectingProcess, Limits, Message, RecordSink, SequenceCounts, Version,
};
use flowproto::dns::DnsHealth;
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::http::HttpHealth;
use flowproto::record::{BiflowDirection, FlowKey, SecurityProtocol, Translation};
use flowproto::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
use flowproto::{Address, FlowRecord};
use proptest::prelude::*;
use records::{NOW, a_record};

mod records;

#[derive(Default)]
struct Taken {
    records: Vec<FlowRecord>,
    json: Vec<serde_json::Value>,
    names: Vec<Option<String>>,
    addresses: Vec<Address>,
}

impl RecordSink for Taken {
    fn message(&mut self, message: &Message<'_>) {
        self.names.push(
            message
                .domain
                .observation_domain_name
                .as_deref()
                .map(str::to_owned),
        );
        self.addresses.push(message.domain.exporter_address);
    }
    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        assert_eq!(message.version, Version::Ipfix);
        self.records.push(record.clone());
        let mut text = vec![b'{'];
        fields.write_json(usize::MAX, &mut text);
        text.push(b'}');
        self.json.push(serde_json::from_slice(&text).unwrap());
    }
}

fn exporter() -> SocketAddr {
    "192.0.2.1:40000".parse().unwrap()
}

fn session() -> ExportSession {
    ExportSession::new(ExportSettings {
        observation_domain_id: 77,
        observation_domain_name: "node-a".to_owned(),
        exporter_address: Address::from_v4_bits(0xc000_0201),
        ..ExportSettings::default()
    })
}

fn send_all(session: &mut ExportSession, records: &[FlowRecord]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for record in records {
        session
            .add(record, NOW, &mut |m| datagrams.push(m.octets.to_vec()))
            .unwrap();
    }
    session.flush(NOW, &mut |m| datagrams.push(m.octets.to_vec()));
    datagrams
}

fn receive_all(datagrams: &[Vec<u8>]) -> (Taken, CollectingProcess) {
    let mut process = CollectingProcess::new(Limits::default());
    let mut taken = Taken::default();
    for datagram in datagrams {
        process.receive(exporter(), datagram, NOW, &mut taken);
    }
    (taken, process)
}

/// The record without what only enterprise elements carry about its connection.
fn without_tcp(record: &FlowRecord) -> FlowRecord {
    FlowRecord {
        connection_sum_duration_milliseconds: 0,
        tcp_connection_state: ConnectionState::Unknown,
        tcp_handshake: Handshake::default(),
        tcp_health: TcpHealth::default(),
        tcp_round_trip_time: RoundTripTime::default(),
        ..record.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_comes_back_whole(records in prop::collection::vec(a_record(), 1..200)) {
        let datagrams = send_all(&mut session(), &records);
        prop_assert!(datagrams.iter().all(|d| d.len() <= 1400));
        let (taken, process) = receive_all(&datagrams);
        prop_assert_eq!(taken.records, records);
        prop_assert_eq!(process.counters().sequence, SequenceCounts::default());
        prop_assert_eq!(process.counters().unusable.total(), 0);
    }

    #[test]
    fn a_foreign_decoder_reads_as_many_records(
        mut records in prop::collection::vec(a_record(), 1..100),
    ) {
        use netflow_parser::{NetflowPacket, NetflowParser};
        // netflow_parser 1.0 reads an empty Set, without an error, if a template has enterprise
        // elements that it does not know.
        for record in &mut records {
            record.tunnel = None;
            record.security_protocol = SecurityProtocol::None;
            record.dns = DnsHealth::default();
            record.http = HttpHealth::default();
            *record = without_tcp(record);
        }
        let mut parser = NetflowParser::default();
        let mut read = 0;
        for datagram in send_all(&mut session(), &records) {
            let result = parser.parse_bytes(&datagram);
            prop_assert!(result.error.is_none());
            for packet in result.packets {
                let NetflowPacket::IPFix(message) = packet else { panic!("not IPFIX") };
                for set in message.flowsets {
                    use netflow_parser::variable_versions::ipfix::FlowSetBody;
                    if let FlowSetBody::Data(data) = set.body {
                        read += data.fields.len();
                    }
                }
            }
        }
        prop_assert_eq!(read, records.len());
    }

    #[test]
    fn octets_of_any_kind_are_counted_and_never_fatal(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        version in prop::sample::select(vec![5_u8, 7, 9, 10]),
    ) {
        let mut process = CollectingProcess::new(Limits::default());
        let mut taken = Taken::default();
        for mut datagram in datagrams {
            if datagram.len() > 1 {
                datagram[0] = 0;
                datagram[1] = version;
            }
            process.receive("192.0.2.1:1".parse().unwrap(), &datagram, NOW, &mut IgnoreVersion(&mut taken));
        }
    }

    #[test]
    fn a_damaged_message_is_never_fatal(
        records in prop::collection::vec(a_record(), 1..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut process = CollectingProcess::new(Limits::default());
        let mut taken = Taken::default();
        for mut datagram in send_all(&mut session(), &records) {
            for (at, octet) in &damage {
                let at = at.index(datagram.len());
                datagram[at] = *octet;
            }
            process.receive(exporter(), &datagram, NOW, &mut IgnoreVersion(&mut taken));
            let cut = cut.index(datagram.len());
            process.receive(exporter(), &datagram[..cut], NOW, &mut IgnoreVersion(&mut taken));
        }
    }
}

/// Takes records of any version.
struct IgnoreVersion<'a>(&'a mut Taken);

impl RecordSink for IgnoreVersion<'_> {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        let mut text = Vec::new();
        fields.write_json(usize::MAX, &mut text);
        self.0.records.push(record.clone());
    }
}

#[test]
fn the_exporter_introduces_itself_before_any_record() {
    let record = FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(1),
            ..FlowKey::default()
        },
        ..FlowRecord::default()
    };
    let (taken, process) = receive_all(&send_all(&mut session(), &[record]));
    // The first Message has nothing but templates.
    let name = Some("node-a".to_owned());
    assert_eq!(taken.names[0], None);
    assert!(taken.names[1..].iter().all(|taken| *taken == name));
    let address = Address::from_v4_bits(0xc000_0201);
    assert!(taken.addresses[1..].iter().all(|taken| *taken == address));
    // Exporter, statistics, reliability, 70 types of elements, and the keys of two templates.
    assert_eq!(process.counters().options_records, 75);
}

#[test]
fn addresses_of_both_families_in_one_record_come_back_whole() {
    let v4 = |host: u32| Address::from_v4_bits(0x0a00_0000 | host);
    let v6 = |host: u128| Address::from_v6_bits(0x2001_0db8 << 96 | host);
    let record = |source_address, destination_address, after: Option<(Address, Address)>| {
        let mut record = FlowRecord {
            biflow_direction: Some(BiflowDirection::Arbitrary),
            new_connection_delta_count: Some(0),
            connection_sum_duration_seconds: Some(0),
            ..FlowRecord::default()
        };
        record.key.source_address = source_address;
        record.key.destination_address = destination_address;
        record.translation = after.map(|(source, destination)| Translation {
            post_nat_source_address: source,
            post_nat_destination_address: destination,
            ..Translation::default()
        });
        record
    };
    // A template with the halves of two families, and NAT64 both ways.
    let records = [
        record(v4(1), v6(2), None),
        record(v6(1), v4(2), None),
        record(v4(1), v4(2), Some((v6(1), v6(2)))),
        record(v6(1), v6(2), Some((v4(1), v4(2)))),
    ];
    let (taken, _) = receive_all(&send_all(&mut session(), &records));
    assert_eq!(taken.records, records);
    let mut session = ExportSession::new(ExportSettings {
        version: flowproto::exporter::Version::Netflow9,
        ..ExportSettings::default()
    });
    let mut process = CollectingProcess::new(Limits::default());
    let mut taken = Taken::default();
    for datagram in send_all(&mut session, &records) {
        process.receive(exporter(), &datagram, NOW, &mut IgnoreVersion(&mut taken));
    }
    let keys = |records: &[FlowRecord]| -> Vec<FlowKey> { records.iter().map(|r| r.key).collect() };
    assert_eq!(keys(&taken.records), keys(&records));
}
