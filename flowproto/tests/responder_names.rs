//! Names of responders: exported, collected, and read from other exporters.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{EXPORTED, exporter, ipfix, numbers, template_of};
use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::dns::DnsQuery;
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::http::{GrpcStatus, HttpMethod, HttpRequest, HttpVersion};
use flowproto::record::{BiflowDirection, FlowKey};
use flowproto::{Address, FlowRecord, json};

const SOURCES: [(NameSource, &str); 3] = [
    (NameSource::Dns, "responderDnsName"),
    (NameSource::Tls, "SSL_SERVER_NAME"),
    (NameSource::Http, "httpRequestHost"),
];

fn name(text: &str, source: NameSource) -> Option<ResponderName> {
    let name = HostNames::default().intern(text.as_bytes()).unwrap();
    Some(ResponderName { name, source })
}

fn record(responder_name: Option<ResponderName>) -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(1),
            destination_address: Address::from_v4_bits(2),
            ..FlowKey::default()
        },
        octet_delta_count: 1,
        biflow_direction: Some(BiflowDirection::Initiator),
        responder_name,
        ..FlowRecord::default()
    }
}

fn send(records: &[FlowRecord], max_message_octets: usize) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings {
        max_message_octets,
        ..ExportSettings::default()
    });
    let mut datagrams = Vec::new();
    let mut keep = |message: flowproto::exporter::OutgoingMessage<'_>| {
        assert!(message.octets.len() <= max_message_octets);
        datagrams.push(message.octets.to_vec());
    };
    for record in records {
        session.add(record, EXPORTED, &mut keep).unwrap();
    }
    session.flush(EXPORTED, &mut keep);
    datagrams
}

#[derive(Default)]
struct Names(Vec<Option<ResponderName>>);

impl RecordSink for Names {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0.push(record.responder_name.clone());
    }
}

#[test]
fn a_name_is_exported_by_its_source_and_collected() {
    let names = SOURCES.map(|(source, _)| name("api.example.org", source));
    let records: Vec<FlowRecord> = names.iter().cloned().chain([None]).map(record).collect();
    let mut collector = exporter();
    for datagram in send(&records, 1400) {
        collector.send(&datagram);
    }
    let collected: Vec<_> = collector
        .taken
        .records
        .iter()
        .map(|r| r.responder_name.clone())
        .collect();
    let wanted: Vec<_> = records.iter().map(|r| r.responder_name.clone()).collect();
    assert_eq!(collected, wanted);
    for (json, (_, member)) in collector.taken.json.iter().zip(SOURCES) {
        let member = format!("\"{member}\":\"api.example.org\"");
        assert!(json.contains(&member), "{json}");
    }
    // Types of the enterprise elements were announced.
    assert_eq!(collector.process.counters().metadata_refused, 0);
}

#[test]
fn a_record_without_a_name_is_as_long_as_before() {
    let octets = |records: &[FlowRecord]| send(records, 1400).iter().map(Vec::len).sum::<usize>();
    let plain = octets(&[record(None), record(None)]) - octets(&[record(None)]);
    let dns = || record(name("a.test", NameSource::Dns));
    let named = octets(&[dns(), dns()]) - octets(&[dns()]);
    assert_eq!(named, plain + 1 + "a.test".len());
}

#[test]
fn a_long_name_is_left_out_of_a_short_message() {
    let long = "a.".repeat(125) + "ab";
    let long = || record(name(&long, NameSource::Tls));
    for (max_message_octets, has_name) in [(512, false), (700, true)] {
        let mut collector = exporter();
        for datagram in send(&[long()], max_message_octets) {
            collector.send(&datagram);
        }
        let collected = &collector.taken.records[0].responder_name;
        assert_eq!(collected.is_some(), has_name);
    }
}

#[test]
fn both_directions_of_a_biflow_have_the_name() {
    let mut biflow = record(name("a.test", NameSource::Tls));
    biflow.reverse_packet_delta_count = 1;
    let [forward, reverse] = biflow.directions();
    assert_eq!(forward.responder_name, biflow.responder_name);
    assert_eq!(reverse.responder_name, biflow.responder_name);
}

#[test]
fn a_flow_record_as_json_has_the_name() {
    for (source, member) in SOURCES {
        let mut text = Vec::new();
        json::write_record(&record(name("a.test", source)), &mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&format!("\"{member}\":\"a.test\"")), "{text}");
    }
}

/// The names in records of a template that has octets and one text element of 24 octets.
fn received(enterprise: u32, id: u16, texts: &[&str]) -> (Vec<String>, u64) {
    let mut process = CollectingProcess::new(Limits::default());
    let mut names = Names::default();
    let template = template_of(300, &[(0, 1, 8), (enterprise, id, 24)]);
    let mut records = Vec::new();
    for text in texts {
        records.extend(numbers(&[(1, 8)]));
        let mut text = text.as_bytes().to_vec();
        text.resize(24, 0);
        records.extend(text);
    }
    let datagram = ipfix(0, &[(2, template), (300, records)]);
    process.receive(
        "192.0.2.1:1".parse().unwrap(),
        &datagram,
        EXPORTED,
        &mut names,
    );
    let names = names.0.iter().map(|name| {
        let name = name.as_ref();
        name.map_or_else(String::new, |name| name.name.as_str().to_owned())
    });
    (names.collect(), process.counters().names_invalid)
}

#[test]
fn names_of_other_exporters_are_read() {
    for (enterprise, id) in [(35_632, 188), (6871, 294), (39_499, 338)] {
        let (names, invalid) =
            received(enterprise, id, &["WWW.Example.org", "", "a b", "10.0.0.1"]);
        assert_eq!(names, ["www.example.org", "", "", ""]);
        assert_eq!(invalid, 2);
    }
    for (enterprise, id) in [(0, 460), (35_632, 187), (39_499, 1)] {
        let (names, invalid) = received(enterprise, id, &["a.test:8080", "[fd00::1]:80", "a.test"]);
        assert_eq!(names, ["a.test", "", "a.test"]);
        assert_eq!(invalid, 1);
    }
}

#[test]
fn a_record_after_one_with_a_name_has_its_own() {
    let (names, _) = received(35_632, 188, &["a.test", "", "b.test"]);
    assert_eq!(names, ["a.test", "", "b.test"]);
}

#[test]
fn the_name_of_a_dns_query_is_exported_where_it_has_room() {
    let long = ["a"; 60].join("b.");
    for (text, octets, is_carried) in [
        ("api.example.org", 1400, true),
        (long.as_str(), 1400, true),
        (long.as_str(), 512, false),
    ] {
        let mut record = record(name("ns.example.org", NameSource::Dns));
        record.dns.queries = 1;
        record.dns_query = Some(DnsQuery {
            name: HostNames::default().intern(text.as_bytes()).ok(),
            query_type: 65,
            response_code: DnsQuery::NO_RESPONSE,
        });
        let mut collector = exporter();
        for datagram in send(&[record.clone(), record.clone()], octets) {
            collector.send(&datagram);
        }
        let json = &collector.taken.json;
        assert_eq!(json.len(), 2);
        for json in json {
            let query = if is_carried { text } else { "" };
            assert!(
                json.contains(&format!("\"DNS_QUERY\":\"{query}\"")),
                "{json}"
            );
            assert!(json.contains("\"DNS_QUERY_TYPE\":65"), "{json}");
            assert!(json.contains("\"DNS_RET_CODE\":255"), "{json}");
            assert!(json.contains("\"dnsQueryDeltaCount\":1"), "{json}");
            assert!(
                json.contains("\"responderDnsName\":\"ns.example.org\""),
                "{json}"
            );
        }
        assert_eq!(collector.process.counters().metadata_refused, 0);
        let mut written = Vec::new();
        json::write_record(&record, &mut written);
        let written = String::from_utf8(written).unwrap();
        assert!(
            written.contains(&format!("\"DNS_QUERY\":\"{text}\"")),
            "{written}"
        );
    }
}

#[test]
fn the_latest_http_request_is_exported_where_it_has_room() {
    let long = ["a"; 60].join("b.");
    for (host, octets, is_carried) in [
        ("api.example.org", 1400, true),
        (long.as_str(), 1400, true),
        (long.as_str(), 512, false),
    ] {
        for source in [NameSource::Http, NameSource::Dns] {
            let mut record = record(name(host, source));
            record.http.requests = 2;
            record.http.count_response(404);
            record.http.grpc.0[GrpcStatus::NotFound] = 7;
            record.http_request = Some(HttpRequest {
                method: HttpMethod::Delete,
                target: Some("/orders/{id}".into()),
                version: HttpVersion::Http10,
                status_code: 404,
            });
            let mut collector = exporter();
            for datagram in send(&[record.clone(), record.clone()], octets) {
                collector.send(&datagram);
            }
            let json = &collector.taken.json;
            assert_eq!(json.len(), 2);
            // Without a host in the group, the other texts have room.
            let has_texts = is_carried || source == NameSource::Dns;
            for json in json {
                for (member, text) in [
                    ("httpRequestMethod", "DELETE"),
                    ("httpRequestTarget", "/orders/{id}"),
                    ("httpMessageVersion", "HTTP/1.0"),
                ] {
                    let text = if has_texts { text } else { "" };
                    let member = format!("\"{member}\":\"{text}\"");
                    assert!(json.contains(&member), "{member} {json}");
                }
                for member in [
                    "\"httpStatusCode\":404",
                    "\"httpRequestDeltaCount\":2",
                    "\"httpClientErrorResponseDeltaCount\":1",
                    "\"basicList\":{\"semantic\":\"ordered\",\"grpcResponseDeltaCount\":[0,0,0,0,0,7]}",
                ] {
                    assert!(json.contains(member), "{member} {json}");
                }
                let host_member = match source {
                    NameSource::Http => "httpRequestHost",
                    _ => "responderDnsName",
                };
                let named = json.contains(&format!("\"{host_member}\":\"{host}\""));
                assert_eq!(named, is_carried, "{json}");
            }
            assert_eq!(collector.process.counters().metadata_refused, 0);
        }
    }
}
