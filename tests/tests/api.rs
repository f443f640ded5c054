//! The API and the page of a running collector.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use flowproto::tcp::ConnectionState;
use flowproto::{Address, FlowRecord};
use kipfix_tests::collector::{Collector, now};
use kipfix_tests::program::{self, eventually};
use kipfix_tests::scrape::{encoded, get};
use serde_json::Value;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: web-2, namespace: shop, addresses: [10.1.1.2], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: db-0, namespace: data, addresses: [10.1.2.1], node: node-b, workload: {kind: StatefulSet, name: db}}
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";

/// A collector with the inventory.
fn start(arguments: &[&str]) -> Collector {
    Collector::with_inventory(INVENTORY, arguments)
}

fn record(source: [u8; 4], destination: [u8; 4], octets: u64) -> FlowRecord {
    let now = now();
    let mut record = FlowRecord {
        octet_delta_count: octets,
        packet_delta_count: octets / 100,
        flow_start_milliseconds: now - 2000,
        flow_end_milliseconds: now - 1000,
        new_connection_delta_count: Some(1),
        ..FlowRecord::default()
    };
    record.key.source_address = Address::from(Ipv4Addr::from(source));
    record.key.destination_address = Address::from(Ipv4Addr::from(destination));
    record.key.source_port = 30_000;
    record.key.destination_port = 443;
    record.key.protocol_identifier = 6;
    record
}

const WEB_1: [u8; 4] = [10, 1, 1, 1];
const WEB_2: [u8; 4] = [10, 1, 1, 2];
const DB: [u8; 4] = [10, 1, 2, 1];
const OFFICE: [u8; 4] = [198, 51, 100, 7];
const OCTETS: u64 = 1000 + 2000 + 4000 + 8000 + 16_000;

/// Sends records whose octets add up to [`OCTETS`], and waits until they are counted.
fn send(collector: &Collector) {
    let records = [
        record(WEB_1, DB, 1000),
        record(WEB_2, DB, 2000),
        record(DB, WEB_1, 4000),
        record(WEB_1, OFFICE, 8000),
        record(OFFICE, WEB_2, 16_000),
    ];
    collector.send_all(&records, now());
    collector.counts("kipfix_bytes_total", &[], OCTETS);
}

/// Status, headers in lower case, and body.
fn request(collector: &Collector, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut answer = get(collector.http(), path, headers);
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let body = answer.split_off(head + 4);
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, body)
}

fn json(collector: &Collector, path: &str) -> (u16, Value) {
    let (status, head, body) = request(collector, path, "");
    assert!(
        head.contains("content-type: application/json"),
        "{path}: {head}"
    );
    (status, serde_json::from_slice(&body).unwrap())
}

/// Values of an edge by the values of its labels, which are joined by a space.
fn by_labels(edges: &Value, value: &str) -> BTreeMap<String, u64> {
    let groups: Vec<&str> = edges["group_by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap())
        .collect();
    let rows = edges["edges"].as_array().unwrap().iter().map(|edge| {
        let labels = groups
            .iter()
            .map(|name| edge["labels"][name].as_str().unwrap());
        (
            labels.collect::<Vec<_>>().join(" "),
            edge[value].as_u64().unwrap(),
        )
    });
    rows.collect()
}

#[test]
fn the_edges_are_the_series_of_the_metrics() {
    let collector = start(&[]);
    send(&collector);
    let edges = collector.json("/api/v1/edges");
    let scrape = kipfix_scrape::Scrape::of(collector.http()).unwrap();
    for (value, metric) in [
        ("bytes", "kipfix_bytes_total"),
        ("packets", "kipfix_packets_total"),
        ("connections", "kipfix_connections_total"),
    ] {
        let labels = [
            "src_namespace",
            "src_kind",
            "src_workload",
            "dst_namespace",
            "dst_kind",
            "dst_workload",
            "class",
        ];
        let series = scrape.metric(metric).map(|sample| {
            let labels = labels.map(|name| sample.labels[name].as_str());
            (labels.join(" "), sample.count().unwrap())
        });
        assert_eq!(by_labels(&edges, value), series.collect(), "{value}");
    }
    assert_eq!(edges["total"]["bytes"], OCTETS);
    assert_eq!(
        (&edges["source"], &edges["step"]),
        (&"ring".into(), &10_000.into())
    );
    collector.stop();
}

#[test]
fn edges_are_filtered_grouped_ordered_and_limited() {
    let collector = start(&[]);
    send(&collector);
    let filter = encoded(r#"src.pod == "web-1" || external.name =~ "(?i)OFF.*""#);
    let path = format!("/api/v1/edges?group_by=src.zone,direction&filter={filter}");
    let edges = collector.json(&path);
    let wanted = [
        ("z1 egress", 8000),
        ("z1 internal", 1000),
        (" ingress", 16_000),
    ];
    let wanted = wanted.map(|(labels, bytes)| (labels.to_owned(), bytes));
    assert_eq!(by_labels(&edges, "bytes"), wanted.into());
    let path = "/api/v1/edges?group_by=src.workload&limit=1&order=connections&points=100";
    let edges = collector.json(path);
    assert_eq!(
        by_labels(&edges, "connections"),
        [("web".to_owned(), 3)].into()
    );
    assert_eq!(
        (&edges["truncated"], &edges["total"]["edges"]),
        (&true.into(), &3.into())
    );
    let points = edges["edges"][0]["points"].as_array().unwrap();
    let sum: u64 = points
        .iter()
        .map(|point| point[1]["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 11_000);
    collector.stop();
}

#[test]
fn an_invalid_request_names_its_parameter() {
    let collector = start(&[]);
    for (query, parameter, column) in [
        ("limit=0", "limit", None),
        ("from=yesterday", "from", None),
        ("from=5&to=5", "from", None),
        ("filter=src.namespace%20==%20", "filter", Some(18)),
        ("group_by=src.namespace,src.nme", "group_by", Some(15)),
        ("group_by=port", "group_by", None),
        ("colour=red", "colour", None),
    ] {
        let (status, error) = json(&collector, &format!("/api/v1/edges?{query}"));
        assert_eq!(
            (status, error["parameter"].as_str()),
            (400, Some(parameter)),
            "{error}"
        );
        if column.is_some() {
            assert_eq!(error["column"].as_u64(), column, "{error}");
        }
        assert!(error["error"].is_string(), "{error}");
    }
    for nothing in ["/api/v1/nothing", "/api/nothing", "/api/", "/api"] {
        assert_eq!(json(&collector, nothing).0, 404, "{nothing}");
    }
    // The longest expression that a page sends.
    let long = encoded(&format!("src.pod == \"{}\"", "x".repeat(2000)));
    assert_eq!(
        json(&collector, &format!("/api/v1/edges?filter={long}")).0,
        200
    );
    collector.stop();
}

#[test]
fn the_status_has_the_loss_accounting_and_the_history() {
    let collector = start(&["--cluster-name", "c1", "--preset", "workloads"]);
    send(&collector);
    let status = collector.json("/api/v1/status");
    assert_eq!(
        (&status["ready"], &status["cluster"]),
        (&true.into(), &"c1".into())
    );
    let loss = &status["loss"];
    assert_eq!(
        (&loss["records"], &loss["counted"]),
        (&5.into(), &5.into()),
        "{loss}"
    );
    let history = &status["history"];
    assert_eq!(
        (&history["source"], &history["max_octets"]),
        (&"ring".into(), &(64 << 20).into())
    );
    let steps: Vec<u64> = history["rings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [10_000, 60_000, 300_000]);
    assert_eq!(status["metrics"]["workload_bytes"], "kipfix_bytes_total");
    assert!(status["metrics"]["external_bytes"].is_null(), "{status}");
    let exporters = collector.json("/api/v1/exporters");
    let exporter = &exporters["exporters"][0];
    assert_eq!(
        (&exporter["address"], &exporter["records"]),
        (&"127.0.0.1".into(), &5.into())
    );
    assert_eq!(exporter["version"], "ipfix");
    let age = now().abs_diff(exporter["last_message"].as_u64().unwrap());
    assert!(age < 60_000, "{exporter}");
    let document = collector.json("/api/v1/openapi.json");
    assert!(document["paths"]["/api/v1/edges"]["get"].is_object());
    collector.stop();
}

#[test]
fn exporters_have_the_version_that_they_send() {
    let collector = start(&[]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let seconds = u32::try_from(now() / 1000).unwrap();
    // One record each.
    for (version, header_octets, record_octets) in [(1_u16, 16, 48), (5, 24, 48), (7, 24, 52)] {
        let mut datagram = vec![0; header_octets + record_octets];
        datagram[..2].copy_from_slice(&version.to_be_bytes());
        datagram[3] = 1;
        datagram[8..12].copy_from_slice(&seconds.to_be_bytes());
        let record = &mut datagram[header_octets..];
        record[..4].copy_from_slice(&[10, 1, 1, 1]);
        record[4..8].copy_from_slice(&[10, 1, 2, 1]);
        record[19] = 1;
        record[23] = 100;
        sender
            .send_to(&datagram, ("127.0.0.1", collector.port()))
            .unwrap();
    }
    collector.counts("kipfix_collector_exporter_records_total", &[], 3);
    let answer = collector.json("/api/v1/exporters");
    let exporters = answer["exporters"].as_array().unwrap();
    let of = |name: &str| {
        let of_exporter = |exporter: &Value| exporter[name].clone();
        exporters.iter().map(of_exporter).collect::<Vec<_>>()
    };
    assert_eq!(of("version"), ["netflow1", "netflow5", "netflow7"]);
    assert_eq!(of("records"), [1, 1, 1]);
    collector.stop();
}

#[test]
fn endpoints_are_found_by_name_and_an_address_is_explained() {
    let collector = start(&[]);
    let found = collector.json("/api/v1/endpoints?search=WEB");
    let endpoints = found["endpoints"].as_array().unwrap();
    let names: Vec<&str> = endpoints
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["web-1", "web-2"]);
    let web = &endpoints[0];
    assert_eq!(
        (&web["kind"], &web["node"], &web["zone"]),
        (&"Pod".into(), &"node-a".into(), &"z1".into())
    );
    assert_eq!(
        web["workload"],
        serde_json::json!({"kind": "Deployment", "name": "web"})
    );
    assert_eq!(web["addresses"][0]["address"], "10.1.1.1");
    let limited = collector.json("/api/v1/endpoints?search=shop/&limit=1");
    assert_eq!(
        (
            limited["endpoints"].as_array().unwrap().len(),
            &limited["truncated"]
        ),
        (1, &true.into())
    );
    for (address, reason, name) in [
        ("10.1.1.1", "assigned", Some("web-1")),
        ("192.0.2.1", "node_address", Some("node-a")),
        ("10.1.1.77", "pod_cidr", Some("unknown")),
        ("198.51.100.7", "named_cidr", Some("office")),
        ("203.0.113.1", "external", None),
        ("224.0.0.1", "link", None),
    ] {
        let explained = collector.json(&format!("/api/v1/endpoints?address={address}"));
        assert_eq!(explained["reason"], reason, "{explained}");
        assert_eq!(explained["endpoint"]["name"].as_str(), name, "{explained}");
    }
    for (query, parameter) in [
        ("address=10.1.1", "address"),
        ("at=5", "at"),
        ("address=10.1.1.1&search=x", "search"),
        ("limit=0", "limit"),
    ] {
        let (status, error) = json(&collector, &format!("/api/v1/endpoints?{query}"));
        assert_eq!(
            (status, error["parameter"].as_str()),
            (400, Some(parameter)),
            "{error}"
        );
    }
    collector.stop();
}

#[test]
fn the_data_source_of_grafana_reads_a_graph() {
    let collector = start(&[]);
    send(&collector);
    let (status, _, body) = request(&collector, "/api/health", "");
    assert_eq!((status, &*body), (200, &b"API is working well!"[..]));
    let fields = collector.json("/api/graph/fields");
    for (list, required) in [("nodes_fields", "id"), ("edges_fields", "source")] {
        let mut fields = fields[list].as_array().unwrap().iter();
        assert!(
            fields.any(|field| field["field_name"] == required),
            "{list}"
        );
    }
    let graph = collector.json("/api/graph/data?namespace=data&from=-600000");
    let ids = |list: &str, name: &str| -> Vec<String> {
        let rows = graph[list].as_array().unwrap().iter();
        rows.map(|row| row[name].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids("nodes", "id"),
        ["data/StatefulSet/db", "shop/Deployment/web"]
    );
    assert_eq!(ids("edges", "mainStat"), ["4.0 kB", "3.0 kB"]);
    for end in ids("edges", "source").iter().chain(&ids("edges", "target")) {
        assert!(ids("nodes", "id").contains(end), "{end}");
    }
    for (query, parameter) in [("mode=colour", "mode"), ("arcs=colour", "arcs")] {
        let (status, error) = json(&collector, &format!("/api/graph/data?{query}"));
        assert_eq!((status, &error["parameter"]), (400, &parameter.into()));
    }
    collector.stop();
}

#[test]
fn edges_have_the_health_of_their_connections() {
    // Without a family that counts it, with the default presets.
    let collector = start(&["--preset", "workloads"]);
    let mut slow = record(WEB_1, DB, 1000);
    slow.tcp_health.retransmitted_packets = 2;
    slow.tcp_round_trip_time.add(500);
    slow.tcp_round_trip_time.add(300);
    let mut refused = record(WEB_2, OFFICE, 100);
    refused.tcp_connection_state = ConnectionState::Refused;
    refused.connection_sum_duration_milliseconds = 1200;
    let others = [record(WEB_1, OFFICE, 200), record(OFFICE, WEB_1, 400)];
    collector.send_all(&[&[slow, refused][..], &others].concat(), now());
    collector.counts("kipfix_bytes_total", &[], 1700);
    let query = "group_by=src.pod,dst.pod,dst.name&order=failed_connections&points=2";
    let edges = collector.json(&format!("/api/v1/edges?{query}"));
    let values = |from: &str, to: &str| -> Value {
        let mut all = edges["edges"].as_array().unwrap().iter();
        let found = all.find(|edge| {
            let labels = &edge["labels"];
            labels["src.pod"] == from && (labels["dst.pod"] == to || labels["dst.name"] == to)
        });
        found
            .unwrap_or_else(|| panic!("{from} {to}: {edges}"))
            .clone()
    };
    let slow = values("web-1", "db-0");
    assert_eq!(slow["retransmitted_packets"], 2, "{slow}");
    let rtt = serde_json::json!({"count": 2, "sum_microseconds": 800, "min_microseconds": 300});
    assert_eq!(slow["rtt"], rtt, "{slow}");
    let points = slow["points"].as_array().unwrap();
    let lost = points
        .iter()
        .filter_map(|point| point[1]["retransmitted_packets"].as_u64());
    assert_eq!(lost.sum::<u64>(), 2, "{slow}");
    assert_eq!(edges["edges"][0], values("web-2", "office"));
    assert_eq!(edges["edges"][0]["refused_connections"], 1, "{edges}");
    // Nothing is known of these connections.
    let unknown = values("web-1", "office");
    assert!(unknown.get("retransmitted_packets").is_none(), "{unknown}");
    assert_eq!(edges["total"]["refused_connections"], 1, "{edges}");
    let stats = |mode: &str| -> Vec<(String, String)> {
        let graph = collector.json(&format!("/api/graph/data?mode={mode}&limit=1"));
        let text = |edge: &Value, name: &str| edge[name].as_str().unwrap().to_owned();
        let edges = graph["edges"].as_array().unwrap().iter();
        edges
            .map(|edge| (text(edge, "mainStat"), text(edge, "secondaryStat")))
            .collect()
    };
    let pair = |main: &str, second: &str| vec![(main.to_owned(), second.to_owned())];
    assert_eq!(
        stats("retransmits"),
        pair("2 retransmits", "20.0 % of 10 packets")
    );
    assert_eq!(
        stats("failures"),
        pair("1 failed", "50.0 % of 2 connections")
    );
    assert_eq!(stats("duration"), pair("1.2 s", "mean of 1 connections"));
    let graph = collector.json("/api/graph/data?arcs=errors");
    let nodes = graph["nodes"].as_array().unwrap().iter();
    let errors: Vec<(&Value, &Value)> = nodes
        .map(|node| (&node["title"], &node["arc__errors"]))
        .filter(|(_, errors)| **errors != 0.0)
        .collect();
    assert_eq!(errors.len(), 2, "{graph}");
    collector.stop();
}

#[test]
fn the_history_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let path = file.to_str().unwrap();
    let collector = start(&["--history-file", path]);
    send(&collector);
    let first = collector.json("/api/v1/edges");
    assert!(first["gaps"].is_null(), "{first}");
    collector.stop();
    let collector = start(&["--history-file", path]);
    let second = collector.json("/api/v1/edges");
    assert_eq!(by_labels(&first, "bytes"), by_labels(&second, "bytes"));
    assert_eq!(second["gaps"].as_array().unwrap().len(), 1, "{second}");
    collector.stop();
    std::fs::write(&file, "something else").unwrap();
    let collector = start(&["--history-file", path]);
    let none = collector.json("/api/v1/edges");
    assert_eq!(none["total"]["edges"], 0, "{none}");
    collector.stop();
}

#[test]
fn a_collector_without_a_history_reports_that() {
    let collector = start(&["--history-size", "0"]);
    assert_eq!(json(&collector, "/api/v1/edges").0, 503);
    let status = collector.json("/api/v1/status");
    assert_eq!(status["history"]["source"], "none");
    collector.stop();
}

#[test]
fn the_page_is_served_with_a_strict_policy() {
    let collector = start(&[]);
    let (status, head, body) = request(&collector, "/", "");
    assert_eq!(status, 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'self'",
        "x-content-type-options: nosniff",
        "cache-control: no-cache",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let page = String::from_utf8(body).unwrap();
    for part in page.split('"').filter(|part| part.starts_with("./")) {
        let path = part.trim_start_matches('.');
        let (status, head, body) = request(&collector, path, "");
        assert_eq!(status, 200, "{path}");
        assert!(!body.is_empty(), "{path}");
        let tag = head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap();
        let (status, _, body) = request(&collector, path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((status, body.len()), (304, 0), "{path}");
    }
    collector.stop();
}

#[test]
fn the_api_requires_the_token_of_the_file_and_the_rest_does_not() {
    let tokens = tempfile::tempdir().unwrap();
    let file = tokens.path().join("token");
    std::fs::write(&file, "first-token\n").unwrap();
    let collector = start(&["--http-token-file", file.to_str().unwrap()]);
    let status = |path: &str, header: &str| request(&collector, path, header).0;
    let protected = [
        "/api",
        "/api/health",
        "/api/graph/fields",
        "/api/graph/data",
        "/api/v1/edges",
        "/api/v1/endpoints",
        "/api/v1/exporters",
        "/api/v1/status",
        "/api/v1/openapi.json",
        "/api/v1/nothing",
    ];
    for path in protected {
        let (status, head, body) = request(&collector, path, "");
        assert_eq!(status, 401, "{path}");
        assert!(head.contains("\r\nwww-authenticate: bearer\r\n"), "{head}");
        let error: Value = serde_json::from_slice(&body).unwrap();
        assert!(error["error"].as_str().unwrap().contains("bearer token"));
    }
    let wrong = "Authorization: Bearer first-tokem\r\n";
    assert_eq!(status("/api/v1/status", wrong), 401);
    assert_eq!(status("/api/v1/status?access_token=first-token", ""), 401);
    for path in ["/", "/assets/app.js", "/metrics", "/livez", "/readyz"] {
        assert_eq!(status(path, ""), 200, "{path}");
    }
    let first = "Authorization: Bearer first-token\r\n";
    for path in ["/api/health", "/api/graph/data", "/api/v1/edges"] {
        assert_eq!(status(path, first), 200, "{path}");
    }
    assert_eq!(status("/api/v1/nothing", first), 404);
    let rejected = u64::try_from(protected.len()).unwrap() + 2;
    collector.counts(
        "kipfix_collector_api_requests_rejected_total",
        &[],
        rejected,
    );

    // A mounted Secret is updated by replacing a link.
    let next = tokens.path().join("next");
    std::fs::write(&next, "second-token").unwrap();
    std::fs::rename(&next, &file).unwrap();
    let second = "Authorization: Bearer second-token\r\n";
    let is_accepted = || status("/api/v1/status", second) == 200;
    assert!(eventually(program::PATIENCE, is_accepted));
    assert_eq!(status("/api/v1/status", first), 401);
    let loads = "kipfix_collector_api_token_loads_total";
    collector.counts(loads, &["ok"], 2);
    collector.stop();
}

#[test]
fn a_collector_without_a_usable_token_file_does_not_start() {
    let tokens = tempfile::tempdir().unwrap();
    let file = tokens.path().join("token");
    let outcome = || {
        let mut command = program::collector();
        command
            .args(["--kubernetes", "off", "--http-token-file"])
            .arg(&file);
        let output = program::ended(&mut command);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert!(stderr.contains("http_token_file: cannot use"), "{stderr}");
        stderr
    };
    assert!(outcome().contains("No such file"));
    std::fs::write(&file, " \n").unwrap();
    assert!(outcome().contains("its first line is empty"));
}
