//! The families of presets that need more than the endpoints of a record, with exact values.

use flowproto::FlowRecord;
use flowproto::dns::DnsHealth;
use flowproto::http::{GrpcStatus, HttpHealth};
use flowproto::record::{BiflowDirection, Interfaces, Translation};
use flowproto::tcp::ConnectionState;
use kipfix_collector::aggregate::Preset;

use super::harness::*;

const SERVICE: &str = "10.96.0.10";

/// The samples of a preset after these records of the probes on both nodes.
fn samples(preset: Preset, records: &[(&str, FlowRecord)]) -> Vec<String> {
    let mut collector = Setup {
        presets: vec![preset],
        ..Setup::new(offline())
    }
    .start();
    for (node, record) in records {
        let address = if *node == "node-a" { NODE_A } else { NODE_B };
        let mut exporter = Exporter::new(node, address);
        let record = std::slice::from_ref(record);
        exporter.export(&mut collector.pipeline, record, START);
    }
    let scrape = collector.end().scrape;
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.map(String::from).collect()
}

#[test]
fn k8spacket_has_clients_and_servers_with_bytes_and_durations() {
    let mut end = request(WEB, DB, 1000, 5432);
    end.tcp_connection_state = ConnectionState::Closed;
    end.connection_sum_duration_milliseconds = 2500;
    end.connection_sum_duration_seconds = Some(2);
    // Reported by the record of the other direction, whose octets are received by the client.
    let mut long = response(DB, WEB, 500, 5432);
    long.tcp_connection_state = ConnectionState::Closed;
    long.connection_sum_duration_milliseconds = 10_000;
    // A part of a connection that has not ended.
    let mut lasting = request(WEB, OFFICE, 70, 443);
    lasting.flow_start_milliseconds = lasting.flow_end_milliseconds - 10_000;
    let records = [
        ("node-a", end),
        ("node-a", request(WEB, DB, 200, 5432)),
        ("node-a", long),
        ("node-b", response(DB, WEB, 500, 5432)),
        ("node-a", lasting),
    ];
    let labels = |address: &str, name: &str, port: u16, is_persistent: bool| {
        format!(
            r#"{{ns="shop",src="{WEB}",src_name="pod.web-1",src_port="dynamic",dst="{address}",dst_name="{name}",dst_port="{port}",persistent="{is_persistent}"}}"#
        )
    };
    let database = |is_persistent| labels(DB, "pod.db-0", 5432, is_persistent);
    let (short, long) = (database(false), database(true));
    let office = labels(OFFICE, "office", 443, true);
    let expected = [
        format!("k8s_packet_bytes_sent_sum{short} 1200"),
        format!("k8s_packet_bytes_sent_count{short} 2"),
        format!("k8s_packet_bytes_sent_sum{office} 70"),
        format!("k8s_packet_bytes_sent_count{office} 1"),
        format!("k8s_packet_bytes_received_sum{short} 500"),
        format!("k8s_packet_bytes_received_count{short} 1"),
        format!("k8s_packet_duration_seconds_sum{short} 2.5"),
        format!("k8s_packet_duration_seconds_count{short} 1"),
        format!("k8s_packet_duration_seconds_sum{long} 10"),
        format!("k8s_packet_duration_seconds_count{long} 1"),
    ];
    assert_eq!(samples(Preset::K8spacket, &records), expected);
}

#[test]
fn palark_has_the_names_of_applications_from_labels() {
    let records = [
        ("node-a", request(WEB, DB, 1000, 5432)),
        ("node-b", response(DB, WEB, 500, 5432)),
        ("node-a", request(LOG, OFFICE, 300, 443)),
    ];
    // A label, another label, the pod without labels, and an address without a name.
    let labels = |from: &str, from_namespace: &str, to: &str, to_namespace: &str| {
        format!(
            r#"{{srchost="{from}",srcnamespace="{from_namespace}",dsthost="{to}",dstnamespace="{to_namespace}"}}"#
        )
    };
    let pairs = [
        (labels("log-1", "ops", "unknown", "unknown"), 300, 3),
        (labels("postgres", "shop", "storefront", "shop"), 500, 5),
        (labels("storefront", "shop", "postgres", "shop"), 1000, 10),
    ];
    let family = |name: &str, value: fn(&(String, u32, u32)) -> u32| {
        let lines = pairs.iter().map(|pair| {
            let value = value(pair);
            format!("netflow_connection_{name}{} {value}", pair.0)
        });
        lines.collect::<Vec<_>>()
    };
    let expected = [
        family("count", |_| 1),
        family("bytes", |pair| pair.1),
        family("packets", |pair| pair.2),
    ];
    assert_eq!(samples(Preset::Palark, &records), expected.concat());
}

/// A record of TCP from a client to a port.
fn request(source: &str, destination: &str, octets: u64, port: u16) -> FlowRecord {
    let mut record = record(source, destination, octets);
    record.key.source_port = 40_000;
    record.key.destination_port = port;
    record.biflow_direction = Some(BiflowDirection::Initiator);
    record
}

/// The opposite direction, as a record of its own.
fn response(source: &str, destination: &str, octets: u64, port: u16) -> FlowRecord {
    let mut record = record(source, destination, octets);
    record.key.source_port = port;
    record.key.destination_port = 40_000;
    record.biflow_direction = Some(BiflowDirection::ReverseInitiator);
    record.new_connection_delta_count = Some(0);
    record
}

#[test]
fn pods_are_counted_by_pair() {
    let records = [
        ("node-a", request(WEB, DB, 1000, 5432)),
        ("node-b", response(DB, WEB, 500, 5432)),
        ("node-a", request(NODE_A, NODE_B, 300, 22)),
    ];
    let labels = |from: &str, to: &str| {
        format!(
            r#"{{src_namespace="shop",src_pod="{from}",dst_namespace="shop",dst_pod="{to}",class="pod_to_pod"}}"#
        )
    };
    let (request, response) = (labels("web-1", "db-0"), labels("db-0", "web-1"));
    let expected = [
        format!("kipfix_pod_bytes_total{response} 500"),
        format!("kipfix_pod_bytes_total{request} 1000"),
        format!("kipfix_pod_packets_total{response} 5"),
        format!("kipfix_pod_packets_total{request} 10"),
        format!("kipfix_pod_connections_total{response} 0"),
        format!("kipfix_pod_connections_total{request} 1"),
    ];
    assert_eq!(samples(Preset::Pods, &records), expected);
}

#[test]
fn a_service_is_counted_with_its_port_in_both_directions() {
    let to_service = |mut record: FlowRecord| {
        record.translation = Some(Translation {
            post_nat_destination_address: address(WEB),
            post_napt_destination_port: 8080,
            ..Translation::default()
        });
        record
    };
    let records = [
        ("node-b", to_service(request(DB, SERVICE, 700, 80))),
        ("node-b", request(DB, WEB, 100, 8080)),
    ];
    let labels = r#"{src_namespace="shop",src_workload="db",src_service="",dst_namespace="shop",dst_workload="web",dst_service="web",port="80",protocol="tcp"}"#;
    let expected = [
        format!("kipfix_service_bytes_total{labels} 700"),
        format!("kipfix_service_packets_total{labels} 7"),
        format!("kipfix_service_connections_total{labels} 1"),
    ];
    assert_eq!(samples(Preset::Services, &records), expected);
}

#[test]
fn the_port_is_that_of_the_server_and_absent_without_an_initiator() {
    let without = FlowRecord {
        biflow_direction: None,
        ..request(DB, SERVICE, 100, 80)
    };
    let records = [
        ("node-b", request(DB, SERVICE, 700, 80)),
        ("node-b", response(SERVICE, DB, 50, 80)),
        ("node-b", without),
    ];
    let samples = samples(Preset::Services, &records);
    let bytes = |part: &str| -> Vec<&str> {
        let lines = samples
            .iter()
            .filter(|line| line.starts_with("kipfix_service_bytes_total") && line.contains(part));
        lines.map(|line| line.rsplit_once(' ').unwrap().1).collect()
    };
    assert_eq!(bytes(r#"dst_service="web",port="80""#), ["700"]);
    assert_eq!(bytes(r#"src_service="web""#), ["50"]);
    assert_eq!(bytes(r#"port="",protocol="tcp""#), ["100"]);
}

#[test]
fn addresses_are_those_of_the_endpoints() {
    let mut masqueraded = request(WEB, OFFICE, 900, 443);
    masqueraded.key.source_address = address(NODE_A);
    masqueraded.translation = Some(Translation {
        post_nat_source_address: address(WEB),
        ..Translation::default()
    });
    let expected = [
        r#"kipfix_address_bytes_total{src_address="10.1.1.10",dst_address="192.0.2.7",scope="external"} 900"#,
        r#"kipfix_address_packets_total{src_address="10.1.1.10",dst_address="192.0.2.7",scope="external"} 9"#,
    ];
    let records = [("node-a", masqueraded)];
    assert_eq!(samples(Preset::Addresses, &records), expected);
}

#[test]
fn exporters_are_counted_by_interface_and_protocol() {
    let through = |record: FlowRecord| FlowRecord {
        interfaces: Some(Interfaces {
            ingress_interface: 3,
            egress_interface: 5,
            flow_direction: None,
        }),
        ..record
    };
    let records = [
        ("node-a", through(request(WEB, DB, 1000, 5432))),
        ("node-a", through(request(WEB, OFFICE, 500, 443))),
    ];
    let samples = samples(Preset::Exporters, &records);
    let labels = r#"{exporter="10.9.0.1",input_interface="3",output_interface="5",src_as_number="",dst_as_number="",protocol="tcp"}"#;
    let expected = [
        format!("kipfix_exporter_bytes_total{labels} 1500"),
        format!("kipfix_exporter_packets_total{labels} 15"),
        format!("kipfix_exporter_flows_total{labels} 2"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn kubezonnet_counts_what_a_pod_sends_to_another_zone() {
    let records = [
        ("node-a", request(WEB, DB, 1000, 5432)),
        ("node-b", response(DB, WEB, 400, 5432)),
        ("node-a", request(NODE_A, NODE_B, 300, 22)),
        ("node-a", request(WEB, OFFICE, 70, 443)),
    ];
    let expected = [
        r#"pod_cross_zone_network_traffic_bytes_total{namespace="_node_",pod="node-a"} 300"#,
        r#"pod_cross_zone_network_traffic_bytes_total{namespace="shop",pod="db-0"} 400"#,
        r#"pod_cross_zone_network_traffic_bytes_total{namespace="shop",pod="web-1"} 1000"#,
    ];
    assert_eq!(samples(Preset::Kubezonnet, &records), expected);
}

#[test]
fn opencost_has_bytes_by_pod_zone_and_region() {
    let records = [
        ("node-a", request(WEB, DB, 1000, 5432)),
        ("node-a", request(WEB, OFFICE, 70, 443)),
        ("node-a", response(OFFICE, WEB, 9000, 443)),
    ];
    let line = |name: &str, pod: &str, flags: [bool; 3], service: &str, bytes: u64| {
        let [internet, region, zone] = flags;
        format!(
            r#"kubecost_pod_network_{name}_bytes_total{{pod_name="{pod}",namespace="shop",internet="{internet}",same_region="{region}",same_zone="{zone}",sameRegion="{region}",sameZone="{zone}",service="{service}"}} {bytes}"#
        )
    };
    let (cross_zone, internet) = ([false, true, false], [true, false, false]);
    let expected = [
        line("egress", "web-1", cross_zone, "", 1000),
        line("egress", "web-1", internet, "office", 70),
        line("ingress", "db-0", cross_zone, "", 1000),
        line("ingress", "web-1", internet, "office", 9000),
    ];
    assert_eq!(samples(Preset::Opencost, &records), expected);
}

#[test]
fn http_has_requests_and_what_became_of_them_by_client_and_server() {
    let http = |count: u32, microseconds: u32| {
        let mut http = HttpHealth {
            requests: 9 * count,
            unanswered_requests: count,
            responses: [count, 3 * count, 2 * count, count, count],
            ..HttpHealth::default()
        };
        for _ in 0..8 * count {
            http.response_time.add(microseconds);
        }
        http.grpc.0[GrpcStatus::NotFound] = count;
        http
    };
    let records = [
        (
            "node-a",
            FlowRecord {
                http: http(1, 400),
                ..request(WEB, DB, 100, 8080)
            },
        ),
        // A response whose request was in an earlier record.
        (
            "node-b",
            FlowRecord {
                http: http(2, 90_000),
                ..response(DB, WEB, 100, 8080)
            },
        ),
        // The node of the server observes the same conversation.
        (
            "node-b",
            FlowRecord {
                http: http(1, 300),
                ..request(WEB, DB, 100, 8080)
            },
        ),
    ];
    let samples = samples(Preset::Http, &records);
    let ends = r#"src_workload="web""#;
    for (name, wanted) in [
        ("kipfix_http_requests_total", "27"),
        ("kipfix_http_unanswered_requests_total", "3"),
        ("kipfix_http_1xx_responses_total", "3"),
        ("kipfix_http_2xx_responses_total", "9"),
        ("kipfix_http_3xx_responses_total", "6"),
        ("kipfix_http_4xx_responses_total", "3"),
        ("kipfix_http_5xx_responses_total", "3"),
        ("kipfix_http_response_time_seconds_count", "24"),
        ("kipfix_http_response_time_seconds_sum", "1.4432"),
        ("kipfix_grpc_responses_total", "0"),
    ] {
        let mut found = samples.iter().filter(|line| line.starts_with(name));
        let line = found
            .next()
            .unwrap_or_else(|| panic!("{name}: {samples:#?}"));
        assert!(line.contains(ends), "{line}");
        assert!(line.contains(r#"dst_workload="db""#), "{line}");
        assert_eq!(line.rsplit(' ').next(), Some(wanted), "{line}");
    }
    // The first of them is OK.
    let grpc = samples
        .iter()
        .filter(|line| line.starts_with("kipfix_grpc_"));
    let grpc: Vec<_> = grpc.collect();
    assert_eq!(grpc.len(), 17, "{grpc:#?}");
    let not_found = |line: &&&String| line.contains("grpc_status=\"NOT_FOUND\"} 3");
    assert_eq!(grpc.iter().filter(not_found).count(), 1, "{grpc:#?}");
}

#[test]
fn an_edge_without_grpc_has_no_series_of_it() {
    let http = HttpHealth {
        requests: 1,
        ..HttpHealth::default()
    };
    let record = FlowRecord {
        http,
        ..request(WEB, DB, 100, 8080)
    };
    let samples = samples(Preset::Http, &[("node-a", record)]);
    assert!(!samples.is_empty());
    let has_grpc = |line: &String| line.starts_with("kipfix_grpc_");
    assert!(!samples.iter().any(has_grpc), "{samples:#?}");
}

#[test]
fn dns_has_queries_and_what_became_of_them_by_client_and_server() {
    let dns = |count: u32, microseconds: u32| {
        let mut dns = DnsHealth {
            queries: 5 * count,
            unanswered_queries: count,
            no_error_responses: count,
            name_error_responses: 2 * count,
            other_error_responses: count,
            ..DnsHealth::default()
        };
        for _ in 0..4 * count {
            dns.response_time.add(microseconds);
        }
        dns
    };
    let query = |dns: DnsHealth| FlowRecord {
        dns,
        ..request(WEB, DB, 100, 53)
    };
    let reply = |dns: DnsHealth| FlowRecord {
        dns,
        ..response(DB, WEB, 100, 53)
    };
    let records = [
        ("node-a", query(dns(1, 400))),
        ("node-a", query(dns(2, 90_000))),
        // The node of the server observes the same conversation.
        ("node-b", query(dns(1, 300))),
        // Responses whose queries were not observed.
        (
            "node-b",
            reply(DnsHealth {
                server_failure_responses: 7,
                ..DnsHealth::default()
            }),
        ),
    ];
    let samples = samples(Preset::Dns, &records);
    let value = |name: &str| {
        let mut found = samples.iter().filter(|line| line.starts_with(name));
        let line = found
            .next()
            .unwrap_or_else(|| panic!("{name}: {samples:#?}"));
        assert!(line.contains(r#"src_workload="web""#), "{line}");
        assert!(line.contains(r#"dst_workload="db""#), "{line}");
        line.rsplit(' ').next().unwrap().to_owned()
    };
    for (name, wanted) in [
        ("kipfix_dns_queries_total", "15"),
        ("kipfix_dns_unanswered_queries_total", "3"),
        ("kipfix_dns_noerror_responses_total", "3"),
        ("kipfix_dns_nxdomain_responses_total", "6"),
        ("kipfix_dns_servfail_responses_total", "7"),
        ("kipfix_dns_other_error_responses_total", "3"),
        ("kipfix_dns_response_time_seconds_sum", "0.7216"),
        ("kipfix_dns_response_time_seconds_count", "12"),
    ] {
        assert_eq!(value(name), wanted, "{name}");
    }
    let bucket = |bound: &str| {
        let found = samples
            .iter()
            .find(|line| line.contains(&format!(r#"le="{bound}""#)));
        found.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(
        (bucket("0.00025"), bucket("0.0005"), bucket("0.1")),
        ("0".into(), "4".into(), "12".into())
    );
}
