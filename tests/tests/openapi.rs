//! The answers of a running collector are what its OpenAPI document describes.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use flowproto::tcp::ConnectionState;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::openapi::Document;
use kipfix_tests::scrape::get;
use serde_json::Value;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1, pool: spot}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";

const WEB: &str = "10.1.1.1";
const OFFICE: &str = "198.51.100.7";

/// Requests without an error, and their media types.
const ANSWERED: [(&str, &str); 13] = [
    ("/api/health", "text/plain"),
    ("/api/graph/fields", "application/json"),
    ("/api/graph/data", "application/json"),
    (
        "/api/graph/data?arcs=errors&mode=failures",
        "application/json",
    ),
    ("/api/v1/edges", "application/json"),
    (
        "/api/v1/edges?points=3&group_by=src.pod,dst.name",
        "application/json",
    ),
    ("/api/v1/edges?from=1&to=2", "application/json"),
    ("/api/v1/endpoints?search=web", "application/json"),
    ("/api/v1/endpoints?address=10.1.1.1", "application/json"),
    ("/api/v1/endpoints?address=198.51.100.7", "application/json"),
    ("/api/v1/exporters", "application/json"),
    ("/api/v1/flows?limit=3", "application/x-ndjson"),
    ("/api/v1/status", "application/json"),
];

/// Status, media type, and the values of the body: its lines, or all of it.
fn answer(collector: &Collector, path: &str) -> (u16, String, Vec<Value>) {
    let answer = String::from_utf8(get(collector.http(), path, "")).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let media_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    let media_type = media_type.unwrap().split(';').next().unwrap().to_owned();
    let values = match &*media_type {
        "application/json" => vec![serde_json::from_str(body).unwrap()],
        "application/x-ndjson" => {
            let lines = body.lines().map(serde_json::from_str);
            lines.map(Result::unwrap).collect()
        }
        _ => vec![body.into()],
    };
    (status, media_type, values)
}

/// A collector that has counted records with and without health.
fn start() -> Collector {
    let collector = Collector::with_inventory(INVENTORY, &["--preset", "workloads"]);
    let mut refused = flow(WEB, OFFICE);
    refused.tcp_connection_state = ConnectionState::Refused;
    refused.connection_sum_duration_milliseconds = 1200;
    refused.tcp_round_trip_time.add(500);
    let plain = flow(OFFICE, WEB);
    let octets = refused.octet_delta_count + plain.octet_delta_count;
    collector.send_all(&[refused, plain], now());
    collector.counts("kipfix_bytes_total", &[], octets);
    collector
}

#[test]
fn every_answer_is_as_the_document_describes_it() {
    let collector = start();
    let document = Document::new(collector.json("/api/v1/openapi.json"));
    let mut answered = BTreeSet::new();
    for (request, wanted) in ANSWERED {
        let path = request.split('?').next().unwrap();
        let (status, media_type, values) = answer(&collector, request);
        assert_eq!((status, &*media_type), (200, wanted), "{request}");
        assert!(!values.is_empty(), "{request}");
        for value in values {
            let mismatches = document.mismatches(path, status, &media_type, &value);
            assert_eq!(mismatches, Vec::<String>::new(), "{request}: {value}");
        }
        answered.insert(path);
    }
    let described: BTreeSet<&str> = document.paths().collect();
    assert_eq!(answered, described);
    collector.stop();
}

#[test]
fn every_parameter_is_described_and_named_if_it_is_invalid() {
    let collector = start();
    let document = Document::new(collector.json("/api/v1/openapi.json"));
    for path in document.paths() {
        for parameter in document.parameters(path) {
            // No number, field, expression, address or choice.
            let (status, media_type, values) =
                answer(&collector, &format!("{path}?{parameter}=((("));
            let error = &values[0];
            assert!(!error.to_string().contains("unknown parameter"), "{error}");
            if ["namespace", "search"].contains(&parameter) {
                assert_eq!(status, 200, "{path} {parameter}: {error}");
                continue;
            }
            assert_eq!(
                (status, &error["parameter"]),
                (400, &parameter.into()),
                "{path}"
            );
            let mismatches = document.mismatches(path, status, &media_type, error);
            assert_eq!(mismatches, Vec::<String>::new(), "{path} {parameter}");
        }
        if ["/api/health", "/api/graph/fields"].contains(&path) {
            continue;
        }
        let (status, _, values) = answer(&collector, &format!("{path}?unknown=1"));
        assert_eq!(
            (status, &values[0]["parameter"]),
            (400, &"unknown".into()),
            "{path}"
        );
    }
    collector.stop();
}
