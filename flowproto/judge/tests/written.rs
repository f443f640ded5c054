//! What the Exporting Process writes, netgauze-flow-pkt reads with the same values.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use flowproto::dns::DnsHealth;
use flowproto::element;
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, Profile, Statistics,
};
use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::record::Sampling;
use flowproto::{Address, FlowRecord};
use flowproto_judge::{Judge, Record};
use proptest::prelude::*;
use records::{NOW, a_record};
use serde_json::{Map, Value, json};

#[path = "../../tests/records/mod.rs"]
mod records;

/// Sends the records in a session, and returns flow records and options data as the foreign decoder
/// reads them.
fn judged(settings: ExportSettings, facts: Facts, flows: &[FlowRecord]) -> [Vec<Record>; 2] {
    let mut session = ExportSession::new(settings);
    session.renew(facts);
    let (mut messages, mut sent) = (Vec::new(), 0);
    let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
        sent += message.weight.records + message.weight.split;
        messages.push(message.octets.to_vec());
    };
    for flow in flows {
        session.add(flow, NOW, &mut send).unwrap();
    }
    session.flush(NOW, &mut send);

    let mut judge = Judge::default();
    let (mut flows, mut options) = (Vec::new(), Vec::new());
    for message in messages {
        let message = judge.read(&message).unwrap();
        assert_eq!(message.domain, 77);
        assert_eq!(
            usize::try_from(message.sequence).unwrap(),
            flows.len() + options.len(),
            "the sequence number counts the Data Records before the Message"
        );
        for record in message.records {
            match record.scope.is_empty() {
                true => flows.push(record),
                false => options.push(record),
            }
        }
    }
    assert_eq!(sent, u64::try_from(flows.len()).unwrap());
    [flows, options]
}

fn settings(profile: Profile) -> ExportSettings {
    ExportSettings {
        observation_domain_id: 77,
        observation_domain_name: "node-a".to_owned(),
        exporter_address: Address::from_v4_bits(0xc000_0201),
        profile,
        ..ExportSettings::default()
    }
}

/// Elements that the JSON form of a record does not have, or only if they are not empty, or for one
/// protocol.
const LEFT_OUT: [&str; 5] = [
    "basicList",
    "icmpTypeCodeIPv4",
    "icmpTypeCodeIPv6",
    "CLIENT_NW_LATENCY_MS",
    "SERVER_NW_LATENCY_MS",
];

/// A record of which the foreign decoder can read all fields: version 0.13.0 does not read elements
/// of variable length that are not in its registries, such as the names of DNS queries
/// (findings/netgauze-flow-pkt-0.13.0-variable-length.sh).
fn a_judged_record() -> impl Strategy<Value = FlowRecord> {
    a_record().prop_map(|mut flow| {
        flow.dns = DnsHealth::default();
        // The type and code of ICMP is an element of the family of the addresses.
        if matches!(flow.key.protocol_identifier, 1 | 58) {
            let is_ipv4 = flow.key.source_address.is_ipv4();
            flow.key.protocol_identifier = if is_ipv4 { 1 } else { 58 };
        }
        flow
    })
}

/// The members of a record that are the same as `judged`, in which elements without a foreign data
/// type are octets.
fn assert_same(flow: &FlowRecord, judged: &Record) {
    let mut json = vec![b'{'];
    flowproto::json::write_record(flow, &mut json);
    json.push(b'}');
    let expected: Map<String, Value> = serde_json::from_slice(&json).unwrap();
    for (name, value) in &expected {
        // The foreign decoder does not look into lists.
        if name == "basicList" {
            continue;
        }
        let read = judged.get(name);
        let read = read.unwrap_or_else(|| panic!("no {name} in {:?}", judged.fields));
        assert_eq!(&in_form_of(read, value), value, "{name}");
    }
    for member in &judged.fields {
        let is_left_out = LEFT_OUT.contains(&member.name.as_str())
            || matches!(&member.value, Value::Number(number) if number.as_u64() == Some(0))
            || member.value.as_str().is_some_and(is_empty);
        assert!(
            expected.contains_key(&member.name) || is_left_out,
            "{member:?} is not in {flow:?}"
        );
    }
}

/// Sends flow records, which must be read with the same values.
fn assert_all_same(flows: &[FlowRecord]) {
    let [judged, _] = judged(settings(Profile::All), Facts::default(), flows);
    assert_eq!(judged.len(), flows.len());
    for (flow, judged) in flows.iter().zip(&judged) {
        assert_same(flow, judged);
    }
}

/// Values that the JSON form leaves out.
fn is_empty(text: &str) -> bool {
    text.bytes()
        .all(|octet| matches!(octet, b'0' | b'.' | b':'))
}

/// The octets of an element that the foreign registry does not have, in the form of `value`.
fn in_form_of(read: &Value, value: &Value) -> Value {
    match (read, value) {
        _ if read == value => read.clone(),
        (Value::String(octets), Value::Number(_)) => {
            u64::from_str_radix(octets, 16).unwrap().into()
        }
        (Value::String(octets), Value::String(text))
            if octets.len() == 8 && text.parse::<Ipv4Addr>().is_ok() =>
        {
            let bits = u32::from_str_radix(octets, 16).unwrap();
            Ipv4Addr::from_bits(bits).to_string().into()
        }
        (Value::String(octets), Value::String(text))
            if octets.len() == 32 && text.parse::<Ipv6Addr>().is_ok() =>
        {
            let bits = u128::from_str_radix(octets, 16).unwrap();
            Ipv6Addr::from_bits(bits).to_string().into()
        }
        _ => read.clone(),
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let interface = (any::<u32>(), "[a-z0-9@.]{1,15}", "\\PC{0,40}");
    let interface = interface.prop_map(|(index, name, description)| InterfaceName {
        index,
        name,
        description,
    });
    let interfaces = prop::collection::vec(interface, 0..30);
    (interfaces, any::<[u64; 6]>(), 1..1000_u32, any::<u32>()).prop_map(
        |(interfaces, counts, interval, space)| Facts {
            sampling: Sampling { interval, space },
            flow_selection: None,
            interfaces: interfaces.into(),
            statistics: Statistics {
                observed_flows: counts[0],
                ignored_packets: counts[1],
                ignored_octets: counts[2],
                not_sent_flows: counts[3],
                not_sent_packets: counts[4],
                not_sent_octets: counts[5],
            },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flow_records_have_the_values_that_were_sent(flows in prop::collection::vec(a_judged_record(), 1..40)) {
        assert_all_same(&flows);
    }

    #[test]
    fn a_biflow_has_the_values_of_both_directions(
        flows in prop::collection::vec((a_judged_record(), 1..u64::MAX, any::<[u64; 3]>(), any::<u8>()), 1..30),
    ) {
        let flows: Vec<FlowRecord> = flows
            .into_iter()
            .map(|(flow, packets, [octets, ..], flags)| FlowRecord {
                reverse_packet_delta_count: packets,
                reverse_octet_delta_count: octets,
                reverse_flow_start_milliseconds: NOW - 4000,
                reverse_flow_end_milliseconds: NOW - 2,
                reverse_tcp_control_bits: flags.into(),
                reverse_tcp_health: flow.tcp_health,
                reverse_tcp_round_trip_time: flow.tcp_round_trip_time,
                ..flow
            })
            .collect();
        assert_all_same(&flows);
    }

    #[test]
    fn a_name_of_variable_length_has_the_text_that_was_sent(
        flows in prop::collection::vec((a_judged_record(), "[a-z]{1,40}(\\.[a-z]{1,40}){1,4}"), 1..30),
    ) {
        // The other sources of names have an element of variable length that it does not read, see
        // above.
        let mut names = HostNames::new(1 << 20);
        let flows: Vec<FlowRecord> = flows
            .into_iter()
            .map(|(flow, name)| FlowRecord {
                responder_name: Some(ResponderName {
                    name: names.intern(name.as_bytes()).unwrap(),
                    source: NameSource::Http,
                }),
                ..flow
            })
            .collect();
        assert_all_same(&flows);
    }

    #[test]
    fn registered_elements_of_fixed_length_are_all_that_the_smaller_profile_sends(
        flows in prop::collection::vec(a_judged_record(), 1..50), facts in any_facts(),
    ) {
        let [judged, options] = judged(settings(Profile::Registered), facts, &flows);
        prop_assert_eq!(judged.len(), flows.len());
        for member in judged.iter().chain(&options).flat_map(|r| r.scope.iter().chain(&r.fields)) {
            prop_assert!(element::ELEMENTS.iter().any(|e| e.enterprise == 0 && e.name == member.name));
        }
    }

    #[test]
    fn options_data_have_the_values_that_were_sent(facts in any_facts()) {
        let [_, options] = judged(settings(Profile::All), facts.clone(), &[]);
        let with = |name: &str| options.iter().filter(|r| r.get(name).is_some()).collect::<Vec<_>>();

        let exporter = with("observationDomainName")[0];
        prop_assert_eq!(exporter.get("observationDomainId").unwrap(), 77);
        prop_assert_eq!(exporter.get("observationDomainName").unwrap(), "node-a");
        prop_assert_eq!(exporter.get("exporterIPv4Address").unwrap(), "192.0.2.1");

        let statistics = [with("observedFlowTotalCount")[0], with("notSentFlowTotalCount")[0]];
        let counts = [
            ("observedFlowTotalCount", facts.statistics.observed_flows),
            ("ignoredPacketTotalCount", facts.statistics.ignored_packets),
            ("ignoredOctetTotalCount", facts.statistics.ignored_octets),
            ("notSentFlowTotalCount", facts.statistics.not_sent_flows),
            ("notSentPacketTotalCount", facts.statistics.not_sent_packets),
            ("notSentOctetTotalCount", facts.statistics.not_sent_octets),
        ];
        for (name, count) in counts {
            prop_assert!(statistics.iter().any(|r| r.get(name) == Some(&json!(count))), "{}", name);
        }

        let sampling = with("samplingPacketInterval");
        prop_assert_eq!(sampling[0].get("samplingPacketInterval").unwrap(), &json!(facts.sampling.interval));
        prop_assert_eq!(sampling[0].get("samplingPacketSpace").unwrap(), &json!(facts.sampling.space));

        let read: Vec<_> = with("interfaceName").into_iter().map(|r| InterfaceName {
            index: r.get("ingressInterface").unwrap().as_u64().unwrap().try_into().unwrap(),
            name: r.get("interfaceName").unwrap().as_str().unwrap().to_owned(),
            description: r.get("interfaceDescription").unwrap().as_str().unwrap().to_owned(),
        }).collect();
        prop_assert_eq!(Arc::from(read), facts.interfaces);
    }
}

#[test]
fn the_types_of_enterprise_elements_are_those_of_the_registry() {
    let [_, options] = judged(settings(Profile::All), Facts::default(), &[]);
    let number = |record: &Record, name: &str| record.get(name).unwrap().as_u64().unwrap();
    let mut types = 0;
    for record in options
        .iter()
        .filter(|r| r.get("informationElementName").is_some())
    {
        let enterprise = number(record, "privateEnterpriseNumber")
            .try_into()
            .unwrap();
        let id = number(record, "informationElementId").try_into().unwrap();
        let element = element::find(enterprise, id).unwrap();
        let name = record
            .get("informationElementName")
            .unwrap()
            .as_str()
            .unwrap();
        assert!(
            name.to_lowercase().ends_with(&element.name.to_lowercase()),
            "{name}"
        );
        let data_type = number(record, "informationElementDataType");
        assert_eq!(
            element::DataType::of_number(data_type),
            Some(element.data_type),
            "{name}"
        );
        types += 1;
    }
    assert!(types > 60, "{types}");
}
