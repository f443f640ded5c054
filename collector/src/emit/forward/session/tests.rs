//! Messages of a session: templates, names, refresh and bounds.

use flowproto::FlowRecord;
use flowproto::collector::Version;

use super::*;
use crate::emit::forward::layouts::MAX_LAYOUTS;
use crate::emit::forward::shape::{HOP_V6, IPV6, NAT_V6, ORIGIN_V6};
mod octets;

use crate::inventory::{self, Bounds};
use crate::pipeline::Origin;
use crate::pipeline::enrich::{Endpoints, ResolvedEndpoint, TunnelUse};

const NOW: u64 = 1_700_000_000_000;

/// A cluster of one pod whose names have this number of letters.
fn store(letters: usize) -> Arc<SnapshotStore> {
    let name = "n".repeat(letters);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    let text = format!(
        "nodes: [{{name: {name}, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: {name}}}]\n\
         pods: [{{name: {name}, namespace: shop, addresses: [10.1.1.1], node: {name}, \
         workload: {{kind: Deployment, name: {name}}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut inventory = inventory::file::read(&path, Bounds::default()).unwrap();
    let index = inventory.writer.current();
    Arc::new(SnapshotStore::new(index, Arc::default(), &name))
}

fn record(store: &SnapshotStore, octets: u64) -> ForwardedRecord {
    let mut record = FlowRecord {
        octet_delta_count: octets,
        packet_delta_count: 1,
        flow_start_milliseconds: NOW,
        flow_end_milliseconds: NOW,
        ..FlowRecord::default()
    };
    record.key.source_address = std::net::Ipv4Addr::new(10, 1, 1, 1).into();
    record.key.destination_address = std::net::Ipv4Addr::new(192, 0, 2, 1).into();
    let snapshots = store.load();
    let resolve = |address| {
        let found = snapshots
            .index
            .lookup(address, inventory::TimeRange::instant(NOW));
        ResolvedEndpoint::new(
            found.endpoint,
            snapshots.place(found.endpoint),
            found.certainty,
        )
    };
    ForwardedRecord {
        endpoints: Endpoints {
            source: resolve(record.key.source_address),
            destination: resolve(record.key.destination_address),
            tunnel: TunnelUse::None,
        },
        record,
        origin: Arc::new(Origin {
            source_address: std::net::Ipv4Addr::new(192, 0, 2, 9).into(),
            reported_address: flowproto::Address::UNSPECIFIED,
            observation_domain_id: 7,
            version: Version::Ipfix,
            name: "edge".into(),
        }),
    }
}

fn session(store: &Arc<SnapshotStore>, octets: usize, reliable: bool) -> Forwarding {
    let enrichment = Enrichment {
        store: Arc::clone(store),
        profile: Profile::All,
    };
    enrichment.begin(SessionStart {
        exporter_address: flowproto::Address::UNSPECIFIED,
        max_message_octets: octets,
        reliable,
        now_milliseconds: NOW,
    })
}

/// Set numbers of a Message, in order.
fn sets(message: &[u8]) -> Vec<u16> {
    let (mut at, mut sets) = (16, Vec::new());
    while at < message.len() {
        sets.push(u16::from_be_bytes([message[at], message[at + 1]]));
        at += usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
    }
    sets
}

#[test]
fn long_names_are_truncated_so_that_a_record_fits_its_message() {
    let store = store(250);
    for octets in [512, 1400] {
        let mut session = session(&store, octets, false);
        let mut sent = Vec::new();
        let record = record(&store, 1);
        for _ in 0..10 {
            session
                .add(&record, NOW, &mut |m| sent.push(m.octets.to_vec()))
                .unwrap();
        }
        session.flush(NOW, &mut |m| sent.push(m.octets.to_vec()));
        let longest = sent.iter().map(Vec::len).max().unwrap();
        assert!(longest <= octets, "{longest} of {octets}");
    }
}

#[test]
fn a_warm_session_allocates_nothing_per_record() {
    let store = store(20);
    let mut session = session(&store, 1400, true);
    let record = record(&store, 1);
    let mut records = 0;
    let mut add = |times| {
        for _ in 0..times {
            session
                .add(&record, NOW, &mut |m| records += m.weight.records)
                .unwrap();
        }
    };
    add(100);
    let measured = allocation_counter::measure(|| add(10_000));
    assert_eq!(measured.count_total, 0);
    assert!(records > 9_000);
}

#[test]
fn templates_are_repeated_over_udp_and_withdrawn_on_a_stream() {
    let store = store(5);
    let sent = |reliable| {
        let mut session = session(&store, 65_535, reliable);
        let mut sent = Vec::new();
        let mut send = |m: flowproto::exporter::OutgoingMessage<'_>| sent.push(sets(m.octets));
        for now in [NOW, NOW + 1000, NOW + 61_000] {
            session.add(&record(&store, 1), now, &mut send).unwrap();
            session.flush(now, &mut send);
        }
        session.close(NOW + 61_000, &mut send);
        sent
    };
    let start: [&[u16]; 4] = [&[3, 524], &[2], &[1024], &[1024]];
    // After a refresh, the record follows the descriptions in their Message.
    let refreshed: [&[u16]; 2] = [&[2], &[3, 524, 1024]];
    assert_eq!(sent(false), [&start[..], &refreshed[..]].concat());
    let closed: [&[u16]; 2] = [&[1024], &[2, 3]];
    assert_eq!(sent(true), [&start[..], &closed[..]].concat());
}

#[test]
fn only_templates_that_were_sent_are_withdrawn() {
    let store = store(5);
    let sent = |is_flushed| {
        let mut session = session(&store, 1400, true);
        let mut sent = Vec::new();
        if is_flushed {
            session.flush(NOW, &mut |_| {});
        }
        session.close(NOW, &mut |m| sent.push(sets(m.octets)));
        sent
    };
    assert_eq!(sent(false), [[0_u16; 0]; 0]);
    assert_eq!(sent(true), [vec![3]]);
}

#[test]
fn the_family_of_an_address_after_translation_does_not_depend_on_the_one_before() {
    let store = store(5);
    let mut record = record(&store, 1);
    let after = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
    record.record.translation = Some(flowproto::record::Translation {
        post_nat_source_address: after,
        ..Default::default()
    });
    record.record.ip_next_hop_address = after;
    let elements = elements_of(&store, &record, Profile::All);
    for id in [8, 12, 281, 62] {
        assert!(elements.contains(&(0, id)), "{id}");
    }
    for id in [27, 28, 225, 226, 282, 15] {
        assert!(!elements.contains(&(0, id)), "{id}");
    }
}

/// The elements of the template with which a record is sent.
fn elements_of(
    store: &Arc<SnapshotStore>,
    record: &ForwardedRecord,
    profile: Profile,
) -> Vec<(u32, u16)> {
    let snapshots = store.load();
    let names = match profile {
        Profile::All => Names::of(record, &snapshots),
        Profile::Registered => Names::default(),
    };
    let shape = Shape {
        fields: fields_of(record, &names),
        names: names.known,
    };
    let source = Source {
        record,
        names: &names,
    };
    let mut layouts = Layouts::new(profile);
    let fields = layouts.create(shape, &source).fields.iter();
    fields.map(|field| (field.enterprise, field.id)).collect()
}

#[test]
fn a_template_has_neither_unknown_times_nor_empty_names() {
    let store = store(5);
    let mut record = record(&store, 1);
    record.record.flow_start_milliseconds = 0;
    let elements = elements_of(&store, &record, Profile::All);
    assert!(!elements.contains(&(0, 152)) && elements.contains(&(0, 153)));
    // The source is a pod, the destination is external and has no name.
    for (id, is_there) in [
        (100, true),
        (101, true),
        (102, false),
        (103, false),
        (105, false),
    ] {
        assert_eq!(elements.contains(&(56_506, id)), is_there, "{id}");
    }
    for id in [4, 6, 8, 13, 14] {
        assert!(
            !elements.contains(&(flowproto::element::KIPFIX_ENTERPRISE, id)),
            "{id}"
        );
    }
    assert!(elements.contains(&(0, 300)));
    record.record.flow_end_milliseconds = 0;
    Arc::make_mut(&mut record.origin).name = "".into();
    let elements = elements_of(&store, &record, Profile::All);
    assert!(!elements.contains(&(0, 153)) && !elements.contains(&(0, 300)));
    for id in [58, 136, 61, 10, 225, 32, 6, 16] {
        assert!(!elements.contains(&(0, id)), "{id}");
    }
}

#[test]
fn the_profile_of_registered_elements_has_no_options_data_and_no_variable_length() {
    let store = store(5);
    let mut record = record(&store, 1);
    record.record.tunnel = Some(flowproto::record::Tunnel {
        tunnel_source_address: std::net::Ipv4Addr::new(10, 9, 0, 1).into(),
        tunnel_destination_address: std::net::Ipv4Addr::new(10, 9, 0, 2).into(),
        tunnel_type: flowproto::record::TunnelType::Vxlan,
        tunnel_key: 7,
        tunnel_protocol_identifier: 17,
        tunnel_source_port: 40_000,
        tunnel_destination_port: 4789,
    });
    let enrichment = Enrichment {
        store: Arc::clone(&store),
        profile: Profile::Registered,
    };
    let mut session = enrichment.begin(SessionStart {
        exporter_address: flowproto::Address::UNSPECIFIED,
        max_message_octets: 1400,
        reliable: true,
        now_milliseconds: NOW,
    });
    let mut sent = Vec::new();
    let mut send = |m: flowproto::exporter::OutgoingMessage<'_>| sent.push(m.octets.to_vec());
    session.add(&record, NOW, &mut send).unwrap();
    session.close(NOW, &mut send);
    let numbers: Vec<Vec<u16>> = sent.iter().map(|message| sets(message)).collect();
    assert_eq!(numbers, [vec![2], vec![1024, 2]]);
    let fields = elements_of(&store, &record, Profile::Registered);
    assert!(
        fields
            .iter()
            .all(|(enterprise, id)| (*enterprise, *id != 300) == (0, true))
    );
    assert!(fields.len() > 10);
}

#[test]
fn no_record_has_more_octets_of_fixed_length_than_the_maximum() {
    let store = store(5);
    let source = Source {
        record: &record(&store, 1),
        names: &Names::default(),
    };
    for lacks in [0, IPV6, NAT_V6, HOP_V6, ORIGIN_V6] {
        let octets = fixed_octets(!lacks, &source);
        assert!(octets > 200 && octets <= MAX_FIXED_OCTETS, "{octets}");
    }
}

#[test]
fn more_shapes_than_there_is_room_for_replace_all_templates() {
    let store = store(5);
    let mut session = session(&store, 1400, true);
    let mut template_sets = 0;
    let mut send = |m: flowproto::exporter::OutgoingMessage<'_>| {
        template_sets += sets(m.octets).iter().filter(|set| **set == 2).count();
    };
    let mut record = record(&store, 1);
    let shapes = 3 * MAX_LAYOUTS;
    for bits in 0..shapes {
        let has = |bit: usize| bits >> bit & 1 == 1;
        let time = |bit| if has(bit) { NOW } else { 0 };
        record.record.flow_start_milliseconds = time(0);
        record.record.flow_end_milliseconds = time(1);
        record.record.vlan_id = u16::from(has(2));
        record.record.key.source_port = u16::from(has(3));
        record.record.tcp_control_bits = u16::from(has(4));
        record.record.icmp_type_code = u16::from(has(5));
        record.record.bgp_source_as_number = u32::from(has(6));
        record.record.bgp_destination_as_number = u32::from(has(7));
        record.record.source_prefix_length = u8::from(has(8));
        record.record.destination_prefix_length = u8::from(has(9));
        record.record.new_connection_delta_count = has(10).then_some(1);
        record.record.connection_sum_duration_seconds = has(11).then_some(1);
        session.add(&record, NOW, &mut send).unwrap();
    }
    session.flush(NOW, &mut send);
    // One for each template, and two that withdraw all.
    assert_eq!(template_sets, shapes + 2);
}
