//! First packets of many connections, interleaved at random, are matched to the connections that
//! they belong to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::collections::{HashMap, HashSet};

use flowproto::protocol::{TCP, UDP};
use flowproto::{Address, FlowKey};
use kipfix_probe::decode::{PacketContents, PacketInfo, Signal};
use kipfix_probe::translation::table::MAX_TRANSLATIONS;
use kipfix_probe::translation::{
    FirstPacket, Legs, PacketIdentity, Translation, TranslationMatcher, TranslationTable,
};
use proptest::prelude::*;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn key(source: (u32, u16), destination: (u32, u16), protocol: u8) -> FlowKey {
    FlowKey {
        source_address: Address::from_v4_bits(source.0),
        destination_address: Address::from_v4_bits(destination.0),
        source_port: source.1,
        destination_port: destination.1,
        protocol_identifier: protocol,
    }
}

/// A connection: its keys along its way, and what its first packet contains.
#[derive(Clone, Debug)]
struct Connection {
    keys: Vec<FlowKey>,
    number: u32,
}

/// A connection of a pod. The node may translate its source, its destination, or both.
fn connection() -> impl Strategy<Value = Connection> {
    let ports = (1024..65535_u16, 1024..65535_u16);
    (any::<u32>(), 0..200_u32, ports, 0..4_u8, any::<bool>()).prop_map(
        |(number, pod, (port, wire_port), kind, is_tcp)| {
            let protocol = if is_tcp { TCP } else { UDP };
            let pod = (0x0a01_0100 + pod, port);
            let node = (0xc633_6401, wire_port);
            let (service, backend) = ((0x0a60_000a, 80), (0xcb00_7150, 8080));
            let keys: &[_] = match kind {
                0 => &[(pod, backend)],
                1 => &[(pod, backend), (node, backend)],
                2 => &[(pod, service), (pod, backend)],
                _ => &[(pod, service), (pod, backend), (node, backend)],
            };
            let keys = keys.iter().map(|(s, d)| key(*s, *d, protocol)).collect();
            Connection { keys, number }
        },
    )
}

fn identity(key: FlowKey, number: u32) -> PacketIdentity {
    let is_tcp = key.protocol_identifier == TCP;
    PacketIdentity::of(&PacketInfo {
        key,
        signal: if is_tcp { Signal::Open } else { Signal::None },
        sequence_number: number,
        contents: PacketContents {
            hash: number.into(),
            ..PacketContents::default()
        },
        ..PacketInfo::default()
    })
    .unwrap()
}

/// The observations of a connection: each side on one or two interfaces.
fn observations(connection: &Connection, start_ns: u64) -> Vec<FirstPacket> {
    let mut observations = Vec::new();
    let last = connection.keys.len() - 1;
    for (at, key) in connection.keys.iter().enumerate() {
        for repetition in 0..2 {
            let place = u32::try_from(2 * at + repetition).unwrap();
            observations.push(FirstPacket {
                key: *key,
                identity: identity(*key, connection.number),
                time_ns: start_ns + u64::from(place) * 20_000,
                interface: if at == last { 2 } else { 10 + place },
                is_outside: at == last,
                egress: Some(at == last),
            });
        }
    }
    observations
}

proptest! {
    #[test]
    fn sides_of_random_connections_are_never_mixed_up(
        connections in prop::collection::vec((connection(), 0..2000_u64), 1..300)
    ) {
        let mut seen = HashSet::new();
        let unique: Vec<_> = connections
            .into_iter()
            .filter(|(c, _)| seen.insert(c.number) && seen.insert(u32::from(c.keys[0].source_port)))
            .collect();
        let mut packets: Vec<FirstPacket> = unique
            .iter()
            .flat_map(|(c, start)| observations(c, SECOND + start * MILLISECOND))
            .collect();
        packets.sort_by_key(|packet| packet.time_ns);
        let mut matcher = TranslationMatcher::default();
        let mut learned: HashMap<FlowKey, Legs> = HashMap::new();
        for packet in &packets {
            if let Some(legs) = matcher.observe(packet) {
                learned.insert(legs.original(), legs);
            }
        }
        prop_assert_eq!(matcher.counters().ambiguous, 0);
        let expected: HashMap<FlowKey, Vec<FlowKey>> = unique
            .iter()
            .filter(|(c, _)| c.keys.len() > 1)
            .map(|(c, _)| (c.keys[0], c.keys.clone()))
            .collect();
        let found: HashMap<FlowKey, Vec<FlowKey>> =
            learned.into_iter().map(|(key, legs)| (key, legs.as_slice().to_vec())).collect();
        prop_assert_eq!(found, expected);
    }

    /// Whatever is observed, the sides of a translation have the same identity, and memory is
    /// limited.
    #[test]
    fn arbitrary_first_packets_are_matched_by_identity_only(
        packets in prop::collection::vec(
            (0..4_u32, 1..5_u16, 0..4_u32, 0..3_u32, 0..200_u64, any::<[bool; 3]>()),
            0..400,
        )
    ) {
        let mut matcher = TranslationMatcher::default();
        let mut table = TranslationTable::default();
        let mut numbers: HashMap<FlowKey, HashSet<u32>> = HashMap::new();
        let mut time_ns = SECOND;
        for (source, port, destination, number, step, [is_tcp, is_outside, egress]) in packets {
            time_ns += step * MILLISECOND;
            let protocol = if is_tcp { TCP } else { UDP };
            let key = key((source, port), (destination, 80), protocol);
            numbers.entry(key).or_default().insert(number);
            let legs = matcher.observe(&FirstPacket {
                key,
                identity: identity(key, number),
                time_ns,
                interface: source,
                is_outside,
                egress: Some(egress),
            });
            let Some(legs) = legs else { continue };
            prop_assert_eq!(legs.translated(), key);
            prop_assert!(legs.as_slice().len() > 1);
            for leg in legs.as_slice() {
                prop_assert_eq!(leg.protocol_identifier, protocol);
                prop_assert!(numbers[leg].contains(&number));
            }
            table.insert(Translation { legs, sequence_number: None, learned_ns: time_ns, is_exact: false }, time_ns);
            let found = table.find(key.reversed()).unwrap().legs;
            let has = |leg: &FlowKey| {
                let mut sides = found.as_slice().iter();
                sides.any(|side| side == leg || *side == leg.reversed())
            };
            let has_all = legs.as_slice().iter().all(has);
            prop_assert!(has_all);
        }
    }
}

fn translation(number: u32) -> Translation {
    let remote = (0xcb00_7150, 443);
    let port = u16::try_from(number % 60_000).unwrap();
    let mut legs = Legs::new(key((0x0a00_0000 + number, port), remote, TCP));
    legs.push(key((0xc600_0000 + number, port), remote, TCP));
    Translation {
        legs,
        sequence_number: Some(number),
        learned_ns: SECOND,
        is_exact: false,
    }
}

#[test]
fn the_table_has_a_limit_and_forgets_the_oldest_translation_first() {
    let mut table = TranslationTable::default();
    let limit = u32::try_from(MAX_TRANSLATIONS).unwrap();
    for number in 0..limit + 10 {
        assert!(table.insert(translation(number), SECOND));
    }
    assert_eq!(table.len(), MAX_TRANSLATIONS);
    assert_eq!(table.counters().expired, 10);
    for number in 0..limit + 10 {
        let found = table.find(translation(number).legs.translated());
        assert_eq!(found.is_some(), number >= 10, "{number}");
    }
}

#[test]
fn sides_that_are_learned_later_do_not_change_the_metered_one() {
    let keys = [
        key((1, 40000), (9, 80), UDP),
        key((1, 40000), (2, 8080), UDP),
        key((5, 50000), (2, 8080), UDP),
    ];
    let translation = |keys: &[FlowKey]| {
        let mut legs = Legs::new(keys[0]);
        assert!(keys[1..].iter().all(|key| legs.push(*key)));
        Translation {
            legs,
            sequence_number: None,
            learned_ns: SECOND,
            is_exact: false,
        }
    };
    let answers = [2, 1, 0].map(|at| keys[at].reversed());
    for metered in keys {
        let mut table = TranslationTable::default();
        assert!(table.insert(translation(&keys[..2]), SECOND));
        if metered != keys[2] {
            assert!(table.choose(metered));
        }
        assert!(table.insert(translation(&keys), SECOND));
        assert!(table.choose(metered));
        for partial in [2, 3] {
            assert!(!table.insert(translation(&answers[..partial]), 2 * SECOND));
            for key in keys {
                assert_eq!(table.choose(key), key == metered);
                // Answers have a side of their own.
                assert_eq!(table.choose(key.reversed()), key == keys[0]);
                assert_eq!(table.find(key).unwrap().legs.original(), keys[0]);
            }
        }
        assert_eq!(table.counters().learned, 1);
    }
}

#[test]
fn a_translation_expires_unless_it_is_observed_again() {
    let mut table = TranslationTable::default();
    for number in [1, 2] {
        table.insert(translation(number), SECOND);
    }
    let key = |number| translation(number).legs.original();
    assert!(table.choose(key(1)));
    assert!(!table.choose(translation(1).legs.translated()));
    table.insert(translation(1), 20 * SECOND);
    table.expire(32 * SECOND);
    assert_eq!(
        (table.find(key(1)).is_some(), table.find(key(2))),
        (true, None)
    );
    // The renewed one keeps its side.
    assert!(!table.choose(translation(1).legs.translated()));
    table.expire(60 * SECOND);
    assert!(table.is_empty());
    let counters = table.counters();
    assert_eq!((counters.learned, counters.expired), (2, 1));
}
