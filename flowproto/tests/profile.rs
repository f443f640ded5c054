//! The profile of registered elements: no enterprise-specific elements, no variable length, the
//! same counts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::net::SocketAddr;

use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, OutgoingMessage, Profile, Weight,
};
use flowproto::record::{BiflowDirection, FlowKey, Interfaces, Sampling, Tunnel, TunnelType};
use flowproto::{Address, FlowRecord};

const NOW: u64 = 1_700_000_000_000;

/// A record that has every group of fields.
fn record(source_port: u16) -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(0x0a02_0304),
            destination_address: Address::from_v4_bits(0x0a02_0506),
            source_port,
            destination_port: 8443,
            protocol_identifier: 6,
        },
        octet_delta_count: 500,
        packet_delta_count: 5,
        reverse_octet_delta_count: 700,
        reverse_packet_delta_count: 7,
        flow_start_milliseconds: NOW - 900,
        flow_end_milliseconds: NOW - 100,
        reverse_flow_start_milliseconds: NOW - 800,
        reverse_flow_end_milliseconds: NOW - 200,
        biflow_direction: Some(BiflowDirection::Initiator),
        new_connection_delta_count: Some(1),
        connection_sum_duration_seconds: Some(2),
        connection_sum_duration_milliseconds: 2100,
        interfaces: Some(Interfaces::default()),
        tunnel: Some(Tunnel {
            tunnel_type: TunnelType::Vxlan,
            tunnel_key: 42,
            tunnel_source_address: Address::from_v4_bits(0xc000_0207),
            tunnel_destination_address: Address::from_v4_bits(0xc000_0208),
            tunnel_protocol_identifier: 17,
            tunnel_source_port: 40_000,
            tunnel_destination_port: 4789,
        }),
        ..FlowRecord::default()
    }
}

/// Sends records with a profile; returns the Messages and the sum of their weights.
fn export(profile: Profile, reliable: bool, records: &[FlowRecord]) -> (Vec<Vec<u8>>, Weight) {
    let mut session = ExportSession::new(ExportSettings {
        profile,
        reliable,
        observation_domain_id: 9,
        observation_domain_name: "node-b".to_owned(),
        max_message_octets: 512,
        ..ExportSettings::default()
    });
    session.renew(Facts {
        sampling: Sampling::one_in(100),
        interfaces: [InterfaceName {
            index: 3,
            name: "ens3".to_owned(),
            description: "uplink".to_owned(),
        }]
        .into(),
        ..Facts::default()
    });
    let (mut sent, mut weight) = (Vec::new(), Weight::default());
    let mut send = |message: OutgoingMessage<'_>| {
        sent.push(message.octets.to_vec());
        weight.records += message.weight.records;
        weight.split += message.weight.split;
        weight.octets += message.weight.octets;
    };
    for record in records {
        session.add(record, NOW, &mut send).unwrap();
    }
    session.close(NOW, &mut send);
    (sent, weight)
}

fn number(octets: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([octets[0], octets[1]]))
}

/// The element identifiers, with the enterprise bit, and lengths of all templates of Messages.
fn fields(messages: &[Vec<u8>]) -> Vec<(usize, usize)> {
    let mut fields = Vec::new();
    for message in messages {
        let mut sets = &message[16..];
        while !sets.is_empty() {
            let (mut set, next) = sets.split_at(number(&sets[2..]));
            sets = next;
            let header = match number(set) {
                2 => 4,
                3 => 6,
                _ => continue,
            };
            set = &set[4..];
            while !set.is_empty() {
                // A withdrawal has no fields and no scope.
                let count = number(&set[2..]);
                set = &set[if count == 0 { 4 } else { header }..];
                for _ in 0..count {
                    let id = number(set);
                    fields.push((id, number(&set[2..])));
                    set = &set[if id & 0x8000 == 0 { 4 } else { 8 }..];
                }
            }
        }
    }
    fields
}

#[derive(Default)]
struct Taken(Vec<FlowRecord>);

impl RecordSink for Taken {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0.push(record.clone());
    }
}

#[test]
fn the_registered_profile_has_only_registered_elements_of_fixed_length() {
    let is_readable = |field: &(usize, usize)| field.0 & 0x8000 == 0 && field.1 != 0xffff;
    for reliable in [false, true] {
        let all = export(Profile::All, reliable, &[record(1)]).0;
        assert!(!fields(&all).iter().all(is_readable));
        let registered = export(Profile::Registered, reliable, &[record(1)]).0;
        let fields = fields(&registered);
        assert!(fields.iter().all(is_readable), "{fields:?}");
        // The sampling is announced: counts without it would be wrong.
        assert!(fields.contains(&(305, 4)), "{fields:?}");
    }
}

#[test]
fn a_biflow_is_two_records_of_the_registered_profile_and_no_count_is_lost() {
    let records: Vec<FlowRecord> = (0..40).map(record).collect();
    let (messages, weight) = export(Profile::Registered, false, &records);
    assert_eq!((weight.records, weight.split), (40, 40));
    assert_eq!(weight.octets, 40 * (500 + 700));
    let mut process = CollectingProcess::new(Limits::default());
    let exporter: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    let mut taken = Taken::default();
    for message in &messages {
        process.receive(exporter, message, NOW, &mut taken);
    }
    process.expire(u64::MAX);
    assert_eq!(process.counters().unusable.total(), 0);
    assert_eq!(process.counters().sequence.gaps, 0);
    for (sent, read) in records.iter().zip(taken.0.chunks(2)) {
        let [forward, reverse] = sent.directions();
        for (direction, read) in [forward, reverse].iter().zip(read) {
            assert_eq!(read.key, direction.key);
            assert_eq!(read.octet_delta_count, direction.octet_delta_count);
            assert_eq!(read.packet_delta_count, direction.packet_delta_count);
            assert_eq!(read.flow_end_milliseconds, direction.flow_end_milliseconds);
            assert_eq!(read.tunnel, None);
        }
    }
    assert_eq!(taken.0.len(), 80);
}
