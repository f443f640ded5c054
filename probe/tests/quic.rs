//! Names that clients of QUIC request: from datagrams to records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::sync::Arc;
use std::time::Instant;

use flowproto::host_name::NameSource;
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::inspect::InspectorCounters;
use kipfix_probe::inspect::quic::UnreadHandshake;
use kipfix_probe::pipeline::Pipeline;
use packets::quic::{Initial, client_config, client_hello, crypto};
use packets::*;
use proptest::prelude::*;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use rustls::quic::Version;

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const PEER: [u8; 4] = [192, 0, 2, 7];
const ID: &[u8] = &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
const NAME: &str = "api.example.org";

/// A pipeline that learns names, and the records that it makes.
struct Probe {
    pipeline: Pipeline,
    records: Records,
    time_ns: u64,
}

impl Probe {
    fn new() -> Self {
        let settings = CacheSettings {
            max_names: 16.try_into().ok(),
            ..cache_settings()
        };
        Self {
            pipeline: Pipeline::new(pipeline_settings(settings)),
            records: Records::default(),
            time_ns: 1_700_000_000 * SECOND,
        }
    }

    fn ip(&mut self, packet: &[u8]) {
        self.time_ns += 1_000_000;
        let captured = ethernet(0x0800, packet);
        let frame = frame(&captured, self.time_ns);
        let point = ObservationPoint::default();
        self.pipeline.frame(&frame, point, &mut self.records);
    }

    /// A datagram of the client, from a port.
    fn send(&mut self, port: u16, datagram: &[u8]) {
        self.ip(&ipv4(17, CLIENT, PEER, &udp(port, 443, datagram)));
    }

    /// A datagram of the server, to a port.
    fn answer(&mut self, port: u16, datagram: &[u8]) {
        self.ip(&ipv4(17, PEER, CLIENT, &udp(443, port, datagram)));
    }

    fn counters(&self) -> InspectorCounters {
        self.pipeline.counters().inspected
    }

    fn unread(&self, reason: UnreadHandshake) -> u64 {
        self.counters().unread_quic[reason]
    }

    /// The names of all records of a conversation, by the port of the client.
    fn names(mut self, port: u16) -> Vec<Option<String>> {
        self.pipeline.finish(&mut self.records);
        let records = self.records.0.into_iter();
        let records =
            records.filter(|r| [r.key.source_port, r.key.destination_port].contains(&port));
        records
            .map(|record| {
                let name = record.responder_name?;
                assert_eq!(name.source, NameSource::Tls);
                Some(name.name.as_str().to_owned())
            })
            .collect()
    }
}

fn named() -> Vec<Option<String>> {
    vec![Some(NAME.to_owned())]
}

/// The frames of a hello whose second part is in front, and whose name is cut.
fn mixed(hello: &[u8]) -> Vec<u8> {
    let at = hello
        .windows(NAME.len())
        .position(|part| part == NAME.as_bytes())
        .unwrap()
        + 5;
    let (first, second) = (crypto(hello, 0, at), crypto(hello, at, hello.len()));
    [&second[..], &[0; 20], &[1], &first].concat()
}

#[test]
fn a_client_of_version_1_or_2_names_its_peer() {
    for version in [Version::V1, Version::V2] {
        let hello = client_hello(NAME, 0);
        let mut probe = Probe::new();
        let initial = Initial::first(version, ID);
        probe.send(5000, &initial.packet(&crypto(&hello, 0, hello.len())));
        probe.send(6000, &initial.packet(&mixed(&hello)));
        let counters = probe.counters();
        assert_eq!(
            (counters.quic, counters.tls, counters.tls_encrypted),
            (2, 0, 0)
        );
        assert_eq!(counters.unread_quic.values().sum::<u64>(), 0);
        // The capture begins with the packet: it shows who opens the connection.
        assert_eq!(probe.names(5000), named());
    }
}

#[test]
fn a_hello_in_several_datagrams_is_put_together_in_any_order() {
    let hello = client_hello(NAME, 2400);
    let end = hello.len();
    assert!(end > 2400, "{end}");
    let parts = [
        crypto(&hello, 0, 1100),
        crypto(&hello, 1100, 2200),
        crypto(&hello, 2200, end),
    ];
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut probe = Probe::new();
        for (number, part) in (0..).zip(order) {
            // The server has answered: its connection ID is that of later packets.
            let server_id = [9; 8];
            let destination_id = if number == 2 { &server_id } else { ID };
            let initial = Initial {
                number,
                destination_id,
                ..Initial::first(Version::V1, ID)
            };
            probe.send(5000, &initial.packet(&parts[part]));
        }
        assert_eq!(probe.counters().quic, 1);
        assert_eq!(probe.names(5000), named(), "{order:?}");
    }
}

#[test]
fn datagrams_that_are_captured_as_one_are_read() {
    let hello = client_hello(NAME, 1200);
    let mut probe = Probe::new();
    let initial = Initial::first(Version::V1, ID);
    let second = Initial {
        number: 1,
        ..initial
    };
    let first = initial.packet(&crypto(&hello, 0, 900));
    let both = [first, second.packet(&crypto(&hello, 900, hello.len()))].concat();
    probe.send(5000, &both);
    assert_eq!(probe.names(5000), named());
}

#[test]
fn a_retry_begins_with_other_keys() {
    let hello = client_hello(NAME, 0);
    let frames = crypto(&hello, 0, hello.len());
    let mut probe = Probe::new();
    probe.send(5000, &Initial::first(Version::V1, ID).packet(&frames));
    probe.send(5000, &Initial::first(Version::V1, &[7; 18]).packet(&frames));
    assert_eq!(probe.counters().quic, 2);
    assert_eq!(probe.counters().unread_quic.values().sum::<u64>(), 0);
    assert_eq!(probe.names(5000), named());
}

#[test]
fn packets_of_the_server_and_later_ones_of_the_client_are_not_counted_as_unread() {
    let hello = client_hello(NAME, 0);
    let mut probe = Probe::new();
    let first = Initial::first(Version::V1, ID);
    probe.send(5000, &first.packet(&crypto(&hello, 0, hello.len())));
    let server = Initial {
        is_from_server: true,
        destination_id: &[3; 8],
        ..first
    };
    probe.answer(5000, &server.packet(&crypto(&[2; 90], 0, 90)));
    let acknowledgment = Initial {
        destination_id: &[9; 8],
        number: 1,
        ..first
    };
    probe.send(5000, &acknowledgment.packet(&[2, 0, 0, 0, 0]));
    assert_eq!(probe.counters().quic, 1);
    assert_eq!(probe.counters().unread_quic.values().sum::<u64>(), 0);
    let names = probe.names(5000);
    assert_eq!(names, [named(), named()].concat());
}

#[test]
fn handshakes_without_a_hello_are_counted_by_reason() {
    let hello = client_hello(NAME, 2400);
    let first = Initial::first(Version::V1, ID);
    let mut probe = Probe::new();
    let other = Initial {
        original_id: &[1; 8],
        ..first
    };
    probe.send(5000, &other.packet(&crypto(&hello, 0, 900)));
    assert_eq!(probe.unread(UnreadHandshake::Undecryptable), 1);
    probe.send(5001, &first.packet(&crypto(&[2; 100], 0, 100)));
    assert_eq!(probe.unread(UnreadHandshake::NoHello), 1);
    let mut long = hello.clone();
    long[1..4].copy_from_slice(&[0, 0x20, 0]);
    probe.send(5002, &first.packet(&crypto(&long, 0, 900)));
    assert_eq!(probe.unread(UnreadHandshake::TooLong), 1);
    // A part is missing when the client begins again.
    probe.send(5003, &first.packet(&crypto(&hello, 0, 900)));
    let again = Initial::first(Version::V1, &[5; 8]);
    probe.send(5003, &again.packet(&crypto(&hello, 0, 900)));
    assert_eq!(probe.unread(UnreadHandshake::Incomplete), 1);
    // The rest comes too late.
    probe.time_ns += 10 * SECOND;
    let late = Initial { number: 1, ..again };
    probe.send(5003, &late.packet(&crypto(&hello, 900, hello.len())));
    assert_eq!(probe.counters().quic, 0);
    assert_eq!(probe.names(5003), [None]);
}

#[test]
fn a_real_client_names_its_peer() {
    for protocol_octets in [0, 1500] {
        let crypto = QuicClientConfig::try_from(client_config(protocol_octets)).unwrap();
        let config = ClientConfig::new(Arc::new(crypto));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
        #[expect(clippy::disallowed_methods, reason = "time of the client")]
        let now = Instant::now();
        let peer = "192.0.2.7:443".parse().unwrap();
        let (_, mut connection) = endpoint.connect(now, config, peer, NAME).unwrap();
        let mut probe = Probe::new();
        let mut datagrams = 0;
        let mut datagram = Vec::new();
        while connection.poll_transmit(now, 1, &mut datagram).is_some() {
            probe.send(5000, &datagram);
            datagram.clear();
            datagrams += 1;
        }
        assert_eq!(datagrams, if protocol_octets == 0 { 1 } else { 2 });
        assert_eq!(probe.counters().quic, 1);
        assert_eq!(probe.names(5000), named());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_of_a_packet_is_survived(
        changes in prop::collection::vec((0_usize..1200, any::<u8>()), 1..4),
        frames in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let hello = client_hello(NAME, 0);
        let initial = Initial::first(Version::V1, ID);
        let mut datagram = initial.packet(&crypto(&hello, 0, hello.len()));
        for (at, value) in changes {
            datagram[at] ^= value;
        }
        let mut probe = Probe::new();
        probe.send(5000, &datagram);
        // Authentic, but the frames are anything.
        probe.send(5001, &initial.packet(&frames));
        prop_assert!(probe.counters().quic <= 2);
    }
}
