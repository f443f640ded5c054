//! The octets of forwarded records, as a digest: a change of them is never an accident.

use flowproto::Address;
use flowproto::record::{
    BiflowDirection, FlowEndReason, Interfaces, Sampling, SecurityProtocol, Translation, Tunnel,
    TunnelType,
};

use super::*;

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn rarely(&mut self) -> bool {
        self.next().is_multiple_of(4)
    }

    fn u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap() * u32::from(!self.rarely())
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.next() >> 48).unwrap() * u16::from(!self.rarely())
    }

    fn u8(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap() * u8::from(!self.rarely())
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.rarely().then(|| make(self))
    }

    fn address(&mut self) -> Address {
        match self.next() % 4 {
            0 => Address::UNSPECIFIED,
            1 => Address::from_v6_bits(u128::from(self.next()) << 64 | 1),
            _ => Address::from_v4_bits(self.u32()),
        }
    }

    fn vary(&mut self, record: &mut FlowRecord) {
        record.key.source_port = self.u16();
        record.key.destination_port = self.u16();
        record.key.protocol_identifier = [1, 6, 17, 58][usize::from(self.u8() % 4)];
        if self.rarely() {
            record.key.source_address = self.address();
            record.key.destination_address = self.address();
        }
        record.flow_end_milliseconds = self.next();
        record.flow_start_milliseconds = NOW * u64::from(!self.rarely());
        record.tcp_control_bits = self.u16();
        record.ip_class_of_service = self.u8();
        record.flow_end_reason = FlowEndReason::from(self.u8() % 8);
        record.biflow_direction = self.some(|numbers| {
            BiflowDirection::from_repr(numbers.u8() % 4).unwrap_or(BiflowDirection::Arbitrary)
        });
        record.new_connection_delta_count = self.some(Self::u32);
        record.connection_sum_duration_seconds = self.some(Self::next);
        record.icmp_type_code = self.u16() * u16::from(self.rarely());
        record.vlan_id = self.u16();
        record.interfaces = self.some(|numbers| Interfaces {
            ingress_interface: numbers.u32(),
            egress_interface: numbers.u32(),
            flow_direction: numbers.some(Self::u8),
        });
        record.tunnel = self.some(|numbers| Tunnel {
            tunnel_type: TunnelType::ALL[usize::from(numbers.u8()) % TunnelType::ALL.len()],
            tunnel_key: numbers.u32(),
            tunnel_source_address: numbers.address(),
            tunnel_destination_address: numbers.address(),
            tunnel_protocol_identifier: numbers.u8(),
            tunnel_source_port: numbers.u16(),
            tunnel_destination_port: numbers.u16(),
        });
        record.security_protocol = SecurityProtocol::from(self.u8() % 8);
        record.translation = self.some(|numbers| Translation {
            post_nat_source_address: numbers.address(),
            post_nat_destination_address: numbers.address(),
            post_napt_source_port: numbers.u16(),
            post_napt_destination_port: numbers.u16(),
        });
        record.bgp_source_as_number = self.u32();
        record.bgp_destination_as_number = self.u32();
        record.source_prefix_length = self.u8();
        record.destination_prefix_length = self.u8();
        record.ip_next_hop_address = self.address();
        record.sampling = Sampling::one_in(self.u32() % 3);
        record.exporter_address = self.address();
    }
}

fn digest(profile: Profile, reliable: bool, max_message_octets: usize) -> String {
    let store = store(30);
    let enrichment = Enrichment {
        store: Arc::clone(&store),
        profile,
    };
    let mut session = enrichment.begin(SessionStart {
        exporter_address: Address::UNSPECIFIED,
        max_message_octets,
        reliable,
        now_milliseconds: NOW,
    });
    let mut numbers = Numbers(3);
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
        for octet in message.octets {
            digest = (digest ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut now = NOW;
    for at in 0..4000 {
        now += numbers.next() % 50;
        let mut record = record(&store, numbers.next() >> 20);
        numbers.vary(&mut record.record);
        session.add(&record, now, &mut send).unwrap();
        if at % 100 == 7 {
            session.flush(now, &mut send);
        }
    }
    session.close(now, &mut send);
    format!("{digest:016x}")
}

#[test]
fn the_octets_of_forwarded_records_are_stable() {
    let digests = [
        digest(Profile::All, false, 1400),
        digest(Profile::All, true, 512),
        digest(Profile::Registered, false, 1400),
        digest(Profile::Registered, true, 65_535),
    ];
    let expected = [
        "45306fd169f2dacc",
        "43e30f1a92c68252",
        "5753624188d7884c",
        "9d2db6a6a81dfbcb",
    ];
    assert_eq!(digests, expected);
}
