//! The octets of exported records, as digests: a change of them is never an accident. When one is
//! intended, the failing assertion shows the new digests.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::num::NonZeroU32;

use flowproto::dns::{DnsHealth, DnsQuery};
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, OutgoingMessage, Profile, Statistics,
    Version,
};
use flowproto::flow_selection::FlowHashSelection;
use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::http::{
    GrpcStatus, GrpcStatusCounts, HttpHealth, HttpMethod, HttpRequest, HttpVersion,
};
use flowproto::protocol::TCP;
use flowproto::record::{
    BiflowDirection, FlowEndReason, FlowKey, Interfaces, Sampling, SecurityProtocol, Translation,
    Tunnel, TunnelType,
};
use flowproto::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
use flowproto::{Address, FlowRecord};

const NOW: u64 = 1_700_000_000_000;
const RECORDS: usize = 1000;

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.u64() % end
    }

    /// Any number of 32 bits.
    fn u32(&mut self) -> u32 {
        u32::try_from(self.u64() >> 32).unwrap()
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.u64() >> 48).unwrap()
    }

    fn u8(&mut self) -> u8 {
        u8::try_from(self.u64() >> 56).unwrap()
    }

    /// One time in three.
    fn rarely(&mut self) -> bool {
        self.below(3) == 0
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.rarely().then(|| make(self))
    }

    fn address(&mut self, is_ipv6: bool) -> Address {
        match (is_ipv6, self.below(20)) {
            (_, 0) => Address::UNSPECIFIED,
            (true, _) => {
                let high = u128::from(self.u64()) << 64;
                Address::from_v6_bits(high | u128::from(self.u64()))
            }
            (false, _) => Address::from_v4_bits(self.u32()),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len().try_into().unwrap());
        *all.get(usize::try_from(at).unwrap()).unwrap()
    }

    fn times(&mut self) -> RoundTripTime {
        RoundTripTime {
            sum_microseconds: self.u64(),
            minimum_microseconds: self.u32(),
            samples: self.u32(),
        }
    }

    fn health(&mut self) -> TcpHealth {
        TcpHealth {
            retransmitted_octets: self.u64() >> (self.below(2) * 40),
            retransmitted_packets: self.u32(),
            timeout_retransmitted_packets: self.u32(),
            spurious_retransmitted_packets: self.u32(),
            syn_retransmitted_packets: self.u32(),
            out_of_order_packets: self.u32(),
            duplicate_acknowledgments: self.u32(),
            zero_window_packets: self.u32(),
        }
    }

    fn name(&mut self, names: &mut HostNames) -> flowproto::host_name::HostName {
        let letters = 1 + self.below(60);
        let label = "x".repeat(letters.try_into().unwrap());
        let text = match self.below(4) {
            0 => format!("{label}.{label}.{label}.{label}"),
            _ => format!("{label}.example"),
        };
        names.intern(text.as_bytes()).unwrap()
    }

    fn tunnel(&mut self) -> Tunnel {
        let is_ipv6 = self.rarely();
        Tunnel {
            tunnel_type: self.one_of(TunnelType::ALL),
            tunnel_key: self.u32(),
            tunnel_source_address: self.address(is_ipv6),
            tunnel_destination_address: self.address(is_ipv6),
            tunnel_protocol_identifier: self.u8(),
            tunnel_source_port: self.u16(),
            tunnel_destination_port: self.u16(),
        }
    }

    fn dns(&mut self) -> DnsHealth {
        DnsHealth {
            queries: self.u32(),
            unanswered_queries: self.u32(),
            no_error_responses: self.u32(),
            name_error_responses: self.u32(),
            server_failure_responses: self.u32(),
            other_error_responses: self.u32(),
            response_time: self.times(),
        }
    }

    fn http(&mut self) -> HttpHealth {
        let mut grpc = GrpcStatusCounts::default();
        if self.rarely() {
            grpc.count(self.one_of(&[GrpcStatus::Ok, GrpcStatus::NotFound]));
        }
        HttpHealth {
            grpc,
            requests: self.u32(),
            unanswered_requests: self.u32(),
            responses: [(); 5].map(|()| self.u32()),
            response_time: self.times(),
        }
    }

    fn http_request(&mut self) -> HttpRequest {
        HttpRequest {
            method: self.one_of(&[HttpMethod::Get, HttpMethod::Options, HttpMethod::Other]),
            target: self.some(|numbers| {
                let length = usize::try_from(numbers.below(300)).unwrap();
                "/".repeat(length).into()
            }),
            version: self.one_of(&[HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2]),
            status_code: self.u16() % 600,
        }
    }

    /// A record with any of the groups of fields.
    fn record(&mut self, names: &mut HostNames, now: u64) -> FlowRecord {
        let is_ipv6 = self.rarely();
        let is_biflow = self.rarely();
        let reverse = u64::from(is_biflow);
        let age = self.below(8) * self.below(10_000_000);
        let end = now.saturating_sub(age) * u64::from(self.below(30) > 0);
        let mut record = FlowRecord {
            key: FlowKey {
                source_address: self.address(is_ipv6),
                destination_address: self.address(is_ipv6),
                source_port: self.u16(),
                destination_port: self.u16(),
                protocol_identifier: self.one_of(&[1, 6, 17, 58]),
            },
            octet_delta_count: self.u64() >> 31,
            packet_delta_count: self.u64() >> 40,
            reverse_octet_delta_count: (self.u64() >> 31) * reverse,
            reverse_packet_delta_count: (self.u64() >> 40) * reverse,
            reverse_flow_start_milliseconds: end.saturating_sub(self.below(5000)) * reverse,
            reverse_flow_end_milliseconds: end * reverse,
            reverse_tcp_control_bits: self.u16(),
            flow_start_milliseconds: end.saturating_sub(self.below(100_000)),
            flow_end_milliseconds: end,
            tcp_control_bits: self.u16(),
            ip_class_of_service: self.u8(),
            flow_end_reason: FlowEndReason::from(self.u8() % 6),
            biflow_direction: self.some(|numbers| {
                numbers.one_of(&[
                    BiflowDirection::Arbitrary,
                    BiflowDirection::Initiator,
                    BiflowDirection::ReverseInitiator,
                ])
            }),
            new_connection_delta_count: self.some(Self::u32),
            connection_sum_duration_seconds: self.some(Self::u64),
            connection_sum_duration_milliseconds: self.some(Self::u64).unwrap_or(0),
            tcp_connection_state: ConnectionState::from(self.u8() % 30),
            tcp_handshake: self
                .some(|numbers| Handshake {
                    client_microseconds: numbers.u32(),
                    server_microseconds: numbers.u32(),
                })
                .unwrap_or_default(),
            dns: self.some(Self::dns).unwrap_or_default(),
            dns_query: self.some(|numbers| DnsQuery {
                name: numbers.some(|numbers| numbers.name(names)),
                query_type: numbers.u16(),
                response_code: numbers.u8(),
            }),
            http: self.some(Self::http).unwrap_or_default(),
            http_request: self.some(Self::http_request),
            tcp_health: self.some(Self::health).unwrap_or_default(),
            reverse_tcp_health: self.some(Self::health).unwrap_or_default(),
            tcp_round_trip_time: self.some(Self::times).unwrap_or_default(),
            reverse_tcp_round_trip_time: self.some(Self::times).unwrap_or_default(),
            icmp_type_code: self.u16(),
            vlan_id: self.u16(),
            interfaces: self.some(|numbers| Interfaces {
                ingress_interface: numbers.u32(),
                egress_interface: numbers.u32(),
                flow_direction: numbers.some(|numbers| numbers.u8() % 2),
            }),
            tunnel: self.some(Self::tunnel),
            security_protocol: SecurityProtocol::from(self.u8() % 8),
            translation: self.some(|numbers| {
                let is_ipv6 = numbers.rarely();
                Translation {
                    post_nat_source_address: numbers.address(is_ipv6),
                    post_nat_destination_address: numbers.address(is_ipv6),
                    post_napt_source_port: numbers.u16(),
                    post_napt_destination_port: numbers.u16(),
                }
            }),
            responder_name: self.some(|numbers| ResponderName {
                source: numbers.one_of(&[NameSource::Dns, NameSource::Tls, NameSource::Http]),
                name: numbers.name(names),
            }),
            bgp_source_as_number: self.u32(),
            ip_next_hop_address: self.address(false),
            ..FlowRecord::default()
        };
        if record.key.protocol_identifier == TCP {
            record.transport_octet_delta_count = Some(record.octet_delta_count / 2);
            record.reverse_transport_octet_delta_count =
                is_biflow.then_some(record.reverse_octet_delta_count / 3);
        }
        record
    }

    fn facts(&mut self) -> Facts {
        Facts {
            sampling: Sampling::one_in(1 + u32::from(self.u8())),
            flow_selection: NonZeroU32::new(u32::from(self.u8() % 4))
                .map(FlowHashSelection::one_in),
            interfaces: (0..self.below(4))
                .map(|index| InterfaceName {
                    index: u32::try_from(index).unwrap(),
                    name: "interface".repeat(usize::try_from(1 + index * 10).unwrap()),
                    description: "d".repeat(usize::from(self.u8())),
                })
                .collect(),
            statistics: Statistics {
                observed_flows: self.u64(),
                ignored_packets: self.u64(),
                ignored_octets: self.u64(),
                not_sent_flows: self.u64(),
                not_sent_packets: self.u64(),
                not_sent_octets: self.u64(),
            },
        }
    }
}

/// FNV-1a of Messages, and of what they carry.
struct Digest(u64);

impl Digest {
    fn octets(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = (self.0 ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn message(&mut self, message: OutgoingMessage<'_>) {
        let weight = message.weight;
        self.octets(&u64::try_from(message.octets.len()).unwrap().to_be_bytes());
        self.octets(message.octets);
        for count in [weight.records, weight.packets, weight.octets] {
            self.octets(&count.to_be_bytes());
        }
    }
}

fn digest(settings: ExportSettings) -> u64 {
    let mut numbers = Numbers(7);
    let mut names = HostNames::new(1 << 20);
    let mut session = ExportSession::new(settings);
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    let mut now = NOW;
    for at in 0..RECORDS {
        if at % 100 == 7 {
            session.renew(numbers.facts());
        }
        if at % 170 == 8 {
            session.refresh();
        }
        if at % 250 == 9 {
            session.limit_message_octets(512 + usize::from(numbers.u16()) % 2000);
        }
        now += numbers.below(2) * numbers.below(300);
        let record = numbers.record(&mut names, now);
        // NetFlow v5 refuses IPv6.
        session
            .add(&record, now, &mut |message| digest.message(message))
            .ok();
        if numbers.below(40) == 0 {
            session.flush(now, &mut |message| digest.message(message));
        }
    }
    session.close(now, &mut |message| digest.message(message));
    digest.0
}

#[test]
fn the_octets_of_exported_records_are_stable() {
    let settings = |version, profile, reliable| ExportSettings {
        version,
        profile,
        reliable,
        observation_domain_id: 77,
        observation_domain_name: "node-a".to_owned(),
        exporter_address: Address::from_v4_bits(0xc000_0201),
        template_refresh_milliseconds: 20_000,
        template_refresh_messages: 150,
        template_idle_milliseconds: 30_000,
        ..ExportSettings::default()
    };
    let digests = [
        digest(settings(Version::Ipfix, Profile::All, false)),
        digest(settings(Version::Ipfix, Profile::All, true)),
        digest(settings(Version::Ipfix, Profile::Registered, false)),
        digest(settings(Version::Ipfix, Profile::Registered, true)),
        digest(settings(Version::Netflow9, Profile::All, false)),
        digest(settings(Version::Netflow9, Profile::All, true)),
        digest(settings(Version::Netflow5, Profile::All, false)),
    ];
    let expected = [
        "b7964cb69d2c7dea",
        "0f60a213efdd117e",
        "9f0e1b53c5909e45",
        "67ffe24a9d4bbbfd",
        "281a94473e40f940",
        "281a94473e40f940",
        "4170eed6e94f7388",
    ];
    assert_eq!(digests.map(|digest| format!("{digest:016x}")), expected);
}
