//! The flow log: which records have a line, and what it contains in each format.

use flowproto::FlowRecord;
use flowproto::tcp::ConnectionState;
use kipfix_collector::aggregate::RecordFilter;
use kipfix_collector::clock::Now;
use kipfix_collector::emit::EmittedRecords;
use kipfix_collector::emit::flow_log::{FlowLogFormat, LeftOut, LineSettings, SelectedMembers};
use kipfix_collector::pipeline::PipelineSettings;
use kipfix_collector::receive::Ingest;

use super::harness::*;

/// What the collector leaves after these records of the probes on both nodes.
fn logged(lines: LineSettings, records: &[(&str, FlowRecord)]) -> End {
    let setup = Setup {
        lines,
        ..Setup::new(offline())
    };
    let mut collector = setup.start();
    let mut exporters = [("node-a", NODE_A), ("node-b", NODE_B)].map(|(name, address)| {
        let exporter = Exporter::new(name, address);
        (name, exporter)
    });
    for (node, record) in records {
        let exporter = exporters.iter_mut().find(|(name, _)| name == node);
        let record = std::slice::from_ref(record);
        exporter
            .unwrap()
            .1
            .export(&mut collector.pipeline, record, START);
    }
    collector.end()
}

fn filter(text: &str) -> LineSettings {
    LineSettings {
        filter: Some(RecordFilter::new(text.parse().unwrap())),
        ..LineSettings::default()
    }
}

fn left_out(end: &End, reason: LeftOut) -> u64 {
    end.log.left_out[reason]
}

/// From a port of the client to 5432 of the server.
fn request(octets: u64) -> FlowRecord {
    let mut record = record(WEB, DB, octets);
    record.key.source_port = 40_000;
    record.key.destination_port = 5432;
    record
}

#[test]
fn a_filter_selects_records_by_the_fields_of_families() {
    let records = [
        ("node-a", request(1000)),
        ("node-a", record(LOG, OFFICE, 500)),
        ("node-b", record(DB, WEB, 300)),
    ];
    for (text, expected) in [
        (r#"src.namespace == "shop""#, &[1000, 300][..]),
        (r#"direction == "egress""#, &[500]),
        (r#"dst.port == 5432"#, &[1000]),
        (
            r#"src.address == "10.1.2.0/24" || dst.cidr == "office""#,
            &[500, 300],
        ),
        (r#"exporter == "10.9.0.2""#, &[300]),
        (r#"protocol == "udp""#, &[]),
    ] {
        let end = logged(filter(text), &records);
        let octets: Vec<u64> = end
            .lines
            .iter()
            .map(|line| line["octetDeltaCount"].as_u64().unwrap())
            .collect();
        assert_eq!(octets, expected, "{text}");
        let rest = u64::try_from(3 - expected.len()).unwrap();
        assert_eq!(left_out(&end, LeftOut::Filter), rest, "{text}");
    }
}

#[test]
fn a_filter_selects_the_records_of_failed_connections() {
    let in_state = |state| {
        let mut one = request(1000);
        one.tcp_connection_state = state;
        ("node-a", one)
    };
    let records = [
        in_state(ConnectionState::Open),
        in_state(ConnectionState::Refused),
        in_state(ConnectionState::ResetByResponder),
        in_state(ConnectionState::Unknown),
    ];
    for (text, expected) in [
        (r#"tcp_end in ["refused", "reset", "unanswered"]"#, 2),
        (r#"tcp_end == "open""#, 1),
        (r#"tcp_end == """#, 1),
    ] {
        assert_eq!(
            logged(filter(text), &records).lines.len(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_filter_selects_the_records_of_long_connections() {
    let of = |milliseconds| {
        let mut one = request(1000);
        one.connection_sum_duration_milliseconds = milliseconds;
        ("node-a", one)
    };
    let mut records = [of(0), of(4999), of(5000), of(3_600_000)];
    let (_, long) = &mut records[3];
    long.flow_start_milliseconds = long.flow_end_milliseconds - 60_000;
    for (text, expected) in [
        ("connection_duration >= 5", 2),
        ("connection_duration < 5", 1),
        ("flow_duration >= 60", 1),
        ("flow_duration < 60", 3),
    ] {
        assert_eq!(
            logged(filter(text), &records).lines.len(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn records_that_are_not_counted_can_be_left_out() {
    let records = [("node-a", request(1000)), ("node-b", request(1000))];
    let end = logged(LineSettings::default(), &records);
    assert_eq!(end.lines.len(), 2);
    let counted = LineSettings {
        records: EmittedRecords::Counted,
        ..LineSettings::default()
    };
    let end = logged(counted, &records);
    assert_eq!(end.counted(), [true]);
    assert_eq!(left_out(&end, LeftOut::NotCounted), 1);
}

#[test]
fn a_sample_has_all_records_of_its_flows_in_both_directions() {
    let mut records = Vec::new();
    for port in 0..2000 {
        let mut request = request(1000);
        request.key.source_port = 20_000 + port;
        let mut response = record(DB, WEB, 300);
        response.key.source_port = 5432;
        response.key.destination_port = 20_000 + port;
        records.extend([("node-a", request.clone()), ("node-a", request)]);
        records.push(("node-b", response));
    }
    let sample = LineSettings {
        sample: std::num::NonZeroU32::new(10),
        ..LineSettings::default()
    };
    let end = logged(sample, &records);
    let mut of_port = std::collections::BTreeMap::new();
    for line in &end.lines {
        assert_eq!(line["flowLogSample"], 10);
        let [source, destination] = ["sourceTransportPort", "destinationTransportPort"]
            .map(|name| line[name].as_u64().unwrap());
        *of_port.entry(source.max(destination)).or_insert(0) += 1;
    }
    assert!(of_port.values().all(|records| *records == 3));
    assert!((140..260).contains(&of_port.len()), "{}", of_port.len());
    let lines = u64::try_from(end.lines.len()).unwrap();
    assert_eq!(left_out(&end, LeftOut::Sample), 6000 - lines);
}

#[test]
fn lines_contain_the_chosen_members() {
    let names = ["octetDeltaCount", "sourcePodName", "destinationName"].map(String::from);
    let chosen = LineSettings {
        members: SelectedMembers::new(&names),
        ..LineSettings::default()
    };
    let records = [
        ("node-a", request(1000)),
        ("node-a", record(WEB, OFFICE, 5)),
    ];
    let end = logged(chosen, &records);
    let expected = [
        r#"{"octetDeltaCount":1000,"sourcePodName":"web-1"}"#,
        r#"{"octetDeltaCount":5,"sourcePodName":"web-1","destinationName":"office"}"#,
    ];
    assert_eq!(end.text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn logfmt_has_the_same_members() {
    let names = ["octetDeltaCount", "sourcePodName", "counted"].map(String::from);
    let chosen = |format| LineSettings {
        format,
        members: SelectedMembers::new(&names),
        sample: std::num::NonZeroU32::new(1),
        ..LineSettings::default()
    };
    let records = [("node-a", request(1000))];
    let end = logged(chosen(FlowLogFormat::Logfmt), &records);
    let expected = "octetDeltaCount=1000 sourcePodName=web-1 counted=true flowLogSample=1\n";
    assert_eq!(end.text, expected);
    let whole = LineSettings {
        format: FlowLogFormat::Logfmt,
        ..LineSettings::default()
    };
    let line = logged(whole, &records).text;
    for part in ["sourceIPv4Address=10.1.1.10 ", " trafficClass=pod_to_pod "] {
        assert!(line.contains(part), "{line} lacks {part}");
    }
}

#[test]
fn kubezonnet_has_a_sentence_for_each_direction_between_zones() {
    let mut biflow = request(1000);
    biflow.reverse_octet_delta_count = 300;
    biflow.reverse_packet_delta_count = 3;
    let records = [
        ("node-a", biflow.clone()),
        // The other observer of the same flow.
        ("node-b", biflow),
        // Within a zone, and to an external address.
        ("node-a", record(WEB, LOG, 70)),
        ("node-a", record(WEB, OFFICE, 70)),
        ("node-a", record(NODE_A, NODE_B, 50)),
    ];
    let sentences = LineSettings {
        format: FlowLogFormat::Kubezonnet,
        ..LineSettings::default()
    };
    let end = logged(sentences, &records);
    let mut lines: Vec<&str> = end.text.lines().collect();
    lines.sort_unstable();
    let expected = [
        "2023/11/14 22:13:20 {_node_ node-a} from port 0 to {_node_ node-b} at port 0 with 50 bytes",
        "2023/11/14 22:13:20 {shop db-0} from port 5432 to {shop web-1} at port 40000 with 300 bytes",
        "2023/11/14 22:13:20 {shop web-1} from port 40000 to {shop db-0} at port 5432 with 1000 bytes",
    ];
    assert_eq!(lines, expected);
    assert_eq!(left_out(&end, LeftOut::NotCounted), 2);
    assert_eq!(left_out(&end, LeftOut::Format), 2);
}

/// An IPFIX Message of a router that has selected a packet from [`WEB`] to [`OFFICE`]. `fields`:
/// the fields of its record before the packet, by element and value.
fn packet_report(fields: &[(u16, &[u8])]) -> Vec<u8> {
    const PACKET: [u8; 24] = [
        0x45, 0, 0x05, 0xdc, 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 1, 10, 192, 0, 2, 7, 0x9c, 0x40, 0,
        53,
    ];
    // 313 ipHeaderPacketSection.
    let section = (313, &PACKET[..]);
    let fields = fields.iter().chain([&section]);
    let (mut template, mut record) = (vec![1, 44, 0, 0], Vec::new());
    for (element, value) in fields {
        template.extend(element.to_be_bytes());
        template.extend([0, u8::try_from(value.len()).unwrap()]);
        template[3] += 1;
        record.extend_from_slice(value);
    }
    let set = |id: [u8; 2], content: &[u8]| {
        let length = u16::try_from(content.len() + 4).unwrap().to_be_bytes();
        [&id, &length, content].concat()
    };
    let sets = [set([0, 2], &template), set([1, 44], &record)].concat();
    let length = u16::try_from(sets.len() + 16).unwrap().to_be_bytes();
    let header = [0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    [&[0, 10], &length[..], &header, &sets].concat()
}

#[test]
fn a_reported_packet_is_counted_and_has_key_and_counters_in_its_line() {
    let mut collector = collector(offline());
    let router = "192.0.2.250:4000".parse().unwrap();
    let now = Now::of_packet(START);
    let report = packet_report(&[(10, &[0, 0, 0, 17])]);
    collector.pipeline.datagram(router, &report, now);
    let end = collector.end();
    assert_eq!(end.octets(r#"src_workload="web""#), 1500);
    let line = &end.lines[0];
    for (name, value) in [
        ("sourceIPv4Address", WEB),
        ("destinationIPv4Address", OFFICE),
        ("sourcePodName", "web-1"),
    ] {
        assert_eq!(line[name], value);
    }
    for (name, value) in [
        ("ingressInterface", 17),
        ("sourceTransportPort", 40_000),
        ("destinationTransportPort", 53),
        ("protocolIdentifier", 17),
        ("octetDeltaCount", 1500),
        ("packetDeltaCount", 1),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert!(line["ipHeaderPacketSection"].is_string());
}

#[test]
fn a_line_has_each_name_once_if_the_record_of_a_packet_has_its_key_too() {
    let all: [(u16, &[u8]); 5] = [
        (8, &[10, 1, 1, 99]),
        (12, &[192, 0, 2, 99]),
        (7, &[0, 7]),
        (11, &[0, 11]),
        (4, &[6]),
    ];
    for (format, fields) in [
        (FlowLogFormat::Json, &all[..]),
        (FlowLogFormat::Json, &all[..2]),
        (FlowLogFormat::Json, &all[4..]),
        (FlowLogFormat::Logfmt, &all[..]),
    ] {
        let lines = LineSettings {
            format,
            ..LineSettings::default()
        };
        let setup = Setup {
            lines,
            ..Setup::new(offline())
        };
        let mut collector = setup.start();
        let router = "192.0.2.250:4000".parse().unwrap();
        let now = Now::of_packet(START);
        let report = packet_report(fields);
        collector.pipeline.datagram(router, &report, now);
        let text = collector.end().text;
        let name_end = if format == FlowLogFormat::Json {
            "\":"
        } else {
            "="
        };
        for name in [
            "sourceIPv4Address",
            "destinationIPv4Address",
            "sourceTransportPort",
            "destinationTransportPort",
            "protocolIdentifier",
            "octetDeltaCount",
            "packetDeltaCount",
        ] {
            let member = format!("{name}{name_end}");
            assert_eq!(text.matches(&member).count(), 1, "{name}: {text}");
        }
        if format == FlowLogFormat::Json && fields.len() == all.len() {
            // The record as it was received, and what it lacks.
            let as_received = r#"{"sourceIPv4Address":"10.1.1.99","destinationIPv4Address":"#;
            assert!(text.starts_with(as_received), "{text}");
            let added = r#","octetDeltaCount":1500,"packetDeltaCount":1,"exporter":"#;
            assert!(text.contains(added), "{text}");
        }
    }
}

#[test]
fn reported_packets_are_not_connections() {
    let settings = PipelineSettings {
        connections_from_flows: true,
        ..offline()
    };
    let mut collector = collector(settings);
    let router = "192.0.2.250:4000".parse().unwrap();
    let now = Now::of_packet(START);
    let report = packet_report(&[(10, &[0, 0, 0, 17])]);
    collector.pipeline.datagram(router, &report, now);
    let end = collector.end();
    assert_eq!(end.octets(r#"src_workload="web""#), 1500);
    assert_eq!(end.sum("kipfix_connections_total"), 0);
}
