//! `--history clickhouse=URL`: the API answers from ClickHouse's engine what the ring answers for
//! the same records.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::collections::BTreeMap;

use flowproto::FlowRecord;
use flowproto::record::BiflowDirection;
use flowproto::tcp::ConnectionState;
use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::peers::clickhouse::ClickHouse;
use kipfix_tests::program::{PATIENCE, eventually};
use kipfix_tests::scrape::{encoded, get};
use kipfix_tests::take_turn;
use serde_json::Value;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24, 'fd00:1::/64'], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: web-2, namespace: shop, addresses: [10.1.2.2], node: node-b, workload: {kind: Deployment, name: web}}
  - {name: db-0, namespace: data, addresses: [10.1.2.1, 'fd00:1::1'], node: node-b, workload: {kind: StatefulSet, name: db}}
services:
  - {name: dns, namespace: kube-system, addresses: [10.96.0.10]}
cidrs:
  - {cidr: 198.51.100.0/24, name: office}
";

/// A collector that forwards its records, and one that answers from the tables.
struct Pair {
    ring: Collector,
    engine: Collector,
    server: ClickHouse,
}

impl Pair {
    fn start() -> Option<Self> {
        let server = ClickHouse::start(None)?;
        server.run("flows.sql");
        server.run("views.sql");
        server.run("health.sql");
        let forward = format!("{}?interval=0s", server.url("flows"));
        let arguments = [
            "--cluster-name",
            "c'1",
            "--intra-node",
            "--forward",
            &forward,
        ];
        let history = format!("clickhouse=http://127.0.0.1:{}/kipfix", server.port);
        let ring = Collector::with_inventory(INVENTORY, &arguments);
        let engine =
            Collector::with_inventory(INVENTORY, &["--cluster-name", "c'1", "--history", &history]);
        Some(Self {
            ring,
            engine,
            server,
        })
    }

    /// Sends records and waits until they are stored, and in the ring.
    fn send(&self, records: &[FlowRecord]) {
        self.ring.send_all(records, now());
        let count = u64::try_from(records.len()).unwrap();
        let sent = "kipfix_collector_target_records_sent_total";
        let is_stored = || self.ring.scrape().sum(sent, &[]) == count;
        assert!(eventually(PATIENCE, is_stored), "records are not stored");
    }

    fn stop(self) {
        self.ring.stop();
        self.engine.stop();
    }
}

/// Edges by their labels: octets, packets and connections.
fn edges(answer: &Value) -> BTreeMap<String, [u64; 3]> {
    let values =
        |edge: &Value| ["bytes", "packets", "connections"].map(|name| edge[name].as_u64().unwrap());
    let edges = answer["edges"].as_array().unwrap().iter();
    edges
        .map(|edge| (edge["labels"].to_string(), values(edge)))
        .collect()
}

/// Records of all kinds of endpoints.
fn records() -> Vec<FlowRecord> {
    let pairs = [
        ("10.1.1.1", "10.1.2.1"),
        ("10.1.2.1", "10.1.1.1"),
        ("10.1.2.2", "10.1.2.1"),
        ("10.1.1.1", "198.51.100.7"),
        ("198.51.100.7", "10.1.1.1"),
        ("10.1.2.2", "203.0.113.9"),
        ("10.1.1.1", "10.96.0.10"),
        ("192.0.2.1", "10.1.2.1"),
        ("198.51.100.8", "203.0.113.1"),
        ("10.1.1.1", "169.254.1.1"),
        ("fd00:1::1", "2001:db8::5"),
        ("10.1.1.77", "10.1.2.1"),
    ];
    let mut records = Vec::new();
    for (at, (source, destination)) in pairs.into_iter().enumerate() {
        let at = u64::try_from(at).unwrap();
        for step in 0..=at % 3 {
            records.push(FlowRecord {
                octet_delta_count: 1000 * (at + 1) + step,
                packet_delta_count: at + step + 1,
                ..flow(source, destination)
            });
        }
    }
    records
}

const GROUPS: [&str; 7] = [
    "",
    "src.workload,dst.workload",
    "src.pod,dst.pod,class",
    "src.node,dst.zone,scope,direction",
    "internal.namespace,external.name",
    "src.region,src.zone,dst.region,dst.zone",
    "external.as_number,external.country,src.pool",
];

const FILTERS: [&str; 11] = [
    "",
    r#"src.namespace == "shop""#,
    r#"src.namespace != "shop" && dst.workload != """#,
    r#"dst.workload in ["db", "office", ""]"#,
    r#"src.workload =~ "(?i)WE.|d[b]" || dst.pod !~ "web-.*""#,
    r#"direction == "egress""#,
    r#"direction in ["egress", "ingress"] && internal.workload == "web""#,
    r#"!(scope == "external") && src.zone != dst.zone"#,
    r#"src.zone == dst.zone"#,
    r#"external.name == "office" || class == "link""#,
    r#"src.as_number >= 5 || dst.as_number < 5 || class == "pod_to_pod""#,
];

#[test]
fn edges_are_those_of_the_ring_for_every_grouping_and_filter() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    let records = records();
    pair.send(&records);
    // Records of another cluster are not read.
    pair.server.query(&format!(
        "INSERT INTO kipfix.flows (collectionTimeMilliseconds, octets, counted, clusterId) \
         VALUES (fromUnixTimestamp64Milli(toInt64({})), 7, true, 'other')",
        now()
    ));
    let total = |collector: &Collector| collector.json("/api/v1/edges")["total"]["bytes"].clone();
    let sum = pair.ring.scrape().sum("kipfix_bytes_total", &[]);
    assert!(sum > 100_000, "{sum}");
    let is_complete = || total(&pair.ring) == sum && total(&pair.engine) == sum;
    assert!(eventually(PATIENCE, is_complete));
    let mut found = 0;
    // Records, sums by minute, and sums by hour.
    for from in [900_000_u64, 7_200_000, 7 * 86_400_000] {
        for group_by in GROUPS {
            for filter in FILTERS {
                let mut path = format!("/api/v1/edges?from=-{from}&filter={}", encoded(filter));
                if !group_by.is_empty() {
                    path.push_str(&format!("&group_by={group_by}"));
                }
                let [ring, engine] = [&pair.ring, &pair.engine].map(|one| one.json(&path));
                assert_eq!(ring["source"], "ring");
                assert_eq!(engine["source"], "clickhouse");
                assert_eq!(edges(&engine), edges(&ring), "{path} {filter}");
                assert_eq!(engine["total"], ring["total"], "{path} {filter}");
                found += edges(&engine).len();
            }
        }
    }
    assert!(found > 500, "{found}");
    // Of the largest edges, in each order.
    for order in ["bytes", "packets", "connections"] {
        let path = format!("/api/v1/edges?limit=3&order={order}&group_by=src.pod,dst.pod");
        let largest = [&pair.ring, &pair.engine].map(|one| {
            let answer = one.json(&path);
            assert_eq!(answer["truncated"], true);
            // Edges of the same value have no order.
            let edges = answer["edges"].as_array().unwrap().clone();
            edges
                .into_iter()
                .map(|edge| edge[order].clone())
                .collect::<Vec<Value>>()
        });
        assert_eq!(largest[0], largest[1], "{order}");
    }
    // The points of an edge add up to its sum.
    for from in [900_000, 7_200_000, 7 * 86_400_000] {
        let path = format!("/api/v1/edges?from=-{from}&points=50&limit=5");
        let engine = pair.engine.json(&path);
        assert_eq!(engine["edges"].as_array().unwrap().len(), 5);
        for edge in engine["edges"].as_array().unwrap() {
            let points = edge["points"].as_array().unwrap();
            assert!((2..=50).contains(&points.len()), "{}", points.len());
            let sum: u64 = points.iter().map(|p| p[1]["bytes"].as_u64().unwrap()).sum();
            assert_eq!(edge["bytes"], sum);
        }
    }
    // The page and the node graph.
    let path = "/api/graph/data?namespace=shop&from=-7200000&exclude=db";
    assert_eq!(pair.engine.json(path), pair.ring.json(path));
    let status = pair.engine.json("/api/v1/status");
    assert_eq!(status["history"]["source"], "clickhouse");
    let fields = status["history"]["fields"].as_array().unwrap();
    assert!(fields.contains(&"port".into()) && !fields.contains(&"src.class".into()));
    // The records have more fields than the ring.
    let path = format!(
        "/api/v1/edges?group_by=dst.address,port,protocol&filter={}",
        encoded(
            r#"port == 80 && dst.address in ["198.51.100.0/24", "2001:db8::/32"] && protocol == "tcp""#
        )
    );
    let found = edges(&pair.engine.json(&path));
    let addresses: Vec<&String> = found.keys().collect();
    assert_eq!(addresses.len(), 2, "{found:?}");
    assert!(addresses[0].contains(r#""dst.address":"198.51.100.7","port":"80","protocol":"tcp""#));
    assert!(addresses[1].contains(r#""dst.address":"2001:db8::5""#));
    pair.stop();
}

/// The values of connection health of an edge, without the shortest round-trip time, which the
/// tables do not have.
fn health(values: &Value) -> Value {
    let mut health = values.clone();
    let members = health.as_object_mut().unwrap();
    for name in [
        "labels",
        "points",
        "bytes",
        "packets",
        "connections",
        "edges",
    ] {
        members.remove(name);
    }
    if let Some(rtt) = health.get_mut("rtt") {
        rtt.as_object_mut().unwrap().remove("min_microseconds");
    }
    health
}

/// Records with connection health of packets and of connections, some of which the receiver opened.
fn unhealthy_records() -> Vec<FlowRecord> {
    let with = |source: &str, destination: &str, change: &dyn Fn(&mut FlowRecord)| {
        let mut record = flow(source, destination);
        change(&mut record);
        record
    };
    let ended = |state: ConnectionState, milliseconds: u64| {
        move |record: &mut FlowRecord| {
            record.tcp_connection_state = state;
            record.connection_sum_duration_milliseconds = milliseconds;
        }
    };
    let of_receiver = |record: &mut FlowRecord| {
        record.biflow_direction = Some(BiflowDirection::ReverseInitiator);
        record.new_connection_delta_count = Some(0);
    };
    vec![
        with("10.1.1.1", "10.1.2.1", &|record| {
            record.tcp_health.retransmitted_packets = 3;
            record.tcp_round_trip_time.add(500);
            record.tcp_round_trip_time.add(300);
        }),
        with("10.1.1.1", "10.1.2.1", &ended(ConnectionState::Refused, 0)),
        with("10.1.1.1", "10.1.2.1", &ended(ConnectionState::Refused, 0)),
        with(
            "10.1.1.1",
            "198.51.100.7",
            &ended(ConnectionState::Unanswered, 0),
        ),
        with(
            "10.1.2.2",
            "10.1.2.1",
            &ended(ConnectionState::Closed, 1500),
        ),
        // The receiver opened these connections.
        with("10.1.2.1", "10.1.2.2", &|record| {
            of_receiver(record);
            ended(ConnectionState::ResetByResponder, 2500)(record);
            record.tcp_health.retransmitted_packets = 1;
        }),
        with("198.51.100.8", "10.1.1.1", &|record| {
            of_receiver(record);
            ended(ConnectionState::ResetByInitiator, 700)(record);
        }),
        // Both directions in one record.
        with("10.1.1.1", "10.1.2.1", &|record| {
            record.reverse_octet_delta_count = 70;
            record.reverse_packet_delta_count = 7;
            record.reverse_tcp_health.retransmitted_packets = 2;
            record.reverse_tcp_round_trip_time.add(90);
            ended(ConnectionState::Closed, 40)(record);
        }),
        flow("10.1.1.77", "203.0.113.9"),
    ]
}

#[test]
fn connection_health_is_that_of_the_ring() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    let records = unhealthy_records();
    pair.ring.send_all(&records, now());
    let directions = u64::try_from(records.len()).unwrap() + 1;
    let sent = "kipfix_collector_target_records_sent_total";
    let is_stored = || pair.ring.scrape().sum(sent, &[]) == directions;
    assert!(eventually(PATIENCE, is_stored), "records are not stored");
    let total = |one: &Collector| health(&one.json("/api/v1/edges")["total"]);
    assert!(eventually(PATIENCE, || total(&pair.ring) == total(&pair.engine)));
    let expected = serde_json::json!({
        "retransmitted_packets": 6, "refused_connections": 2, "unanswered_connections": 1,
        "reset_connections": 2, "rtt": {"count": 3, "sum_microseconds": 890},
        "duration": {"count": 6, "sum_milliseconds": 4740},
    });
    assert_eq!(total(&pair.engine), expected);
    let by_labels = |answer: &Value| -> BTreeMap<String, Value> {
        let edges = answer["edges"].as_array().unwrap().iter();
        edges
            .map(|edge| (edge["labels"].to_string(), health(edge)))
            .collect()
    };
    // Records, sums by minute, and sums by hour.
    for from in [900_000_u64, 7_200_000, 7 * 86_400_000] {
        for group_by in [
            "src.workload,dst.workload,class",
            "src.kind,dst.kind,direction,scope",
        ] {
            let filters = ["", r#"src.namespace == "shop""#, r#"direction == "egress""#];
            for filter in filters {
                let filter = encoded(filter);
                let path =
                    format!("/api/v1/edges?from=-{from}&group_by={group_by}&filter={filter}");
                let [ring, engine] = [&pair.ring, &pair.engine].map(|one| one.json(&path));
                assert_eq!(by_labels(&engine), by_labels(&ring), "{path}");
                assert_eq!(health(&engine["total"]), health(&ring["total"]), "{path}");
            }
        }
        for order in [
            "retransmitted_packets",
            "failed_connections",
            "connection_duration",
        ] {
            let path = format!("/api/v1/edges?from=-{from}&order={order}&limit=1&points=20");
            let [ring, engine] = [&pair.ring, &pair.engine].map(|one| one.json(&path));
            assert_eq!(
                engine["edges"][0]["labels"], ring["edges"][0]["labels"],
                "{path}"
            );
            let sum = &engine["edges"][0]["retransmitted_packets"];
            let points = engine["edges"][0]["points"].as_array().unwrap().iter();
            let points = points.filter_map(|point| point[1]["retransmitted_packets"].as_u64());
            assert_eq!(points.sum::<u64>(), sum.as_u64().unwrap(), "{path}");
        }
    }
    // Of pods, in records.
    let path = "/api/v1/edges?group_by=src.pod,dst.pod,src.zone,dst.name";
    let [ring, engine] = [&pair.ring, &pair.engine].map(|one| one.json(path));
    assert_eq!(by_labels(&engine), by_labels(&ring));
    for mode in ["duration", "failures", "retransmits"] {
        let path = format!("/api/graph/data?mode={mode}&arcs=errors&from=-7200000");
        // Edges of the same value have no order.
        let [ring, engine] = [&pair.ring, &pair.engine].map(|one| {
            let mut graph = one.json(&path);
            let edges = graph["edges"].as_array_mut().unwrap();
            edges.sort_by_key(|edge| edge["id"].to_string());
            graph
        });
        assert_eq!(engine, ring, "{mode}");
    }
    // The sums of zones have traffic only.
    let zones = "/api/v1/edges?group_by=src.zone,dst.zone&from=-7200000";
    let zones_total = pair.engine.json(zones)["total"].clone();
    assert!(
        zones_total.get("retransmitted_packets").is_none(),
        "{zones_total}"
    );
    let (status, body) = pair
        .engine
        .answer(&format!("{zones}&order=retransmitted_packets"));
    assert_eq!(status, 400, "{body}");
    assert!(body.contains(r#""parameter":"order""#), "{body}");
    pair.stop();
}

#[test]
fn a_statement_that_takes_too_long_is_ended_by_the_engine() {
    let _turn = take_turn();
    let Some(server) = ClickHouse::start(None) else {
        return;
    };
    for file in ["flows.sql", "views.sql", "health.sql"] {
        server.run(file);
    }
    server.query("RENAME TABLE kipfix.flows TO kipfix.fast_flows");
    server.query("CREATE VIEW kipfix.flows AS SELECT * FROM kipfix.fast_flows WHERE sleep(2) = 0");
    server.query(
        "INSERT INTO kipfix.fast_flows (collectionTimeMilliseconds, counted) VALUES (now() - 60, true)",
    );
    let history = format!(
        "clickhouse=http://127.0.0.1:{}/kipfix?timeout=1s",
        server.port
    );
    let collector = Collector::with_inventory(INVENTORY, &["--history", &history]);
    let (status, body) = collector.answer("/api/v1/edges");
    assert_eq!(status, 502, "{body}");
    // The exception of the engine, not the timeout of the client.
    assert!(body.contains("Code: 159"), "{body}");
    collector.stop();
}

#[test]
fn records_are_lines_with_the_members_of_the_flow_log() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    let sent = [
        flow("10.1.1.1", "10.1.2.1"),
        flow("fd00:1::1", "2001:db8::5"),
        flow("10.1.1.1", "198.51.100.7"),
    ];
    for record in &sent {
        pair.ring.send_all(std::slice::from_ref(record), now());
    }
    let lines = |collector: &Collector, query: &str| {
        let (status, body) = collector.answer(&format!("/api/v1/flows?{query}"));
        assert_eq!(status, 200, "{body}");
        let lines = body.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    for collector in [&pair.ring, &pair.engine] {
        let are_there = || lines(collector, "from=-600000").len() == 3;
        assert!(eventually(PATIENCE, are_there));
    }
    let filter = |text: &str| format!("from=-600000&filter={}", encoded(text));
    for (query, count) in [
        ("from=-600000".to_owned(), 3),
        (filter(r#"dst.name == "office""#), 1),
        (filter("port == 80 && src.port > 9999"), 3),
        (filter(r#"src.address == "fd00::/16""#), 1),
        (filter(r#"src.address == "::/0""#), 1),
        (filter(r#"dst.address =~ "10\\..*""#), 1),
        (filter(r#"initiator == "dst""#), 0),
    ] {
        let [ring, engine] = [&pair.ring, &pair.engine].map(|one| lines(one, &query));
        assert_eq!((ring.len(), engine.len()), (count, count), "{query}");
        // The two of a record have the same value wherever both have a member.
        let key = |line: &Value| line["sourceTransportPort"].as_u64();
        for line in &engine {
            let twin = ring.iter().find(|other| key(other) == key(line)).unwrap();
            let members = line.as_object().unwrap();
            let shared = members.iter().filter(|(name, _)| twin.get(name).is_some());
            let mut count = 0;
            for (name, value) in shared {
                assert_eq!(value, &twin[name], "{name}");
                count += 1;
            }
            assert!(count > 20, "{count} of {line}");
        }
    }
    // The newest, the oldest of them first.
    let newest = lines(&pair.engine, "limit=1");
    assert_eq!(newest[0]["destinationIPv4Address"], "198.51.100.7");
    let head = String::from_utf8(get(pair.engine.http(), "/api/v1/flows", "")).unwrap();
    assert!(head.contains("kipfix-source: clickhouse\r\n"), "{head}");
    pair.stop();
}

#[test]
fn endpoints_of_records_are_found_by_name_and_by_address() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    let begin = now();
    pair.send(&records());
    let found = |query: &str| {
        let answer = pair.engine.json(&format!("/api/v1/endpoints?{query}"));
        let endpoints = answer["endpoints"].as_array().unwrap().clone();
        (answer["source"].clone(), endpoints)
    };
    let (source, endpoints) = found("from=-600000&search=SHOP/web");
    assert_eq!(source, "clickhouse");
    assert_eq!(endpoints.len(), 2, "{endpoints:?}");
    let web = &endpoints[0];
    assert_eq!(
        (&web["kind"], &web["name"]),
        (&"Pod".into(), &"web-1".into())
    );
    assert_eq!(web["workload"]["name"], "web");
    assert_eq!(web["zone"], "z1");
    assert_eq!(web["addresses"][0]["address"], "10.1.1.1");
    assert!(web["first"].as_u64().unwrap() >= begin);
    assert!(web["last"].as_u64().unwrap() >= web["first"].as_u64().unwrap());
    let (_, endpoints) = found("from=-600000&address=fd00:1::1");
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0]["name"], "db-0");
    let (_, endpoints) = found("from=-600000&address=198.51.100.7");
    assert_eq!(
        (&endpoints[0]["kind"], &endpoints[0]["name"]),
        (&"External".into(), &"office".into())
    );
    let (_, endpoints) = found("from=-600000&to=1000000000000&search=web");
    assert!(endpoints.is_empty());
    let (source, endpoints) = found("search=web");
    assert_eq!((source, endpoints.len()), ("inventory".into(), 2));
    for (collector, query, parameter) in [
        (&pair.ring, "from=-5000", "from"),
        (&pair.engine, "from=-5000&at=5", "at"),
        (&pair.engine, "from=-5000&address=x", "address"),
        (&pair.engine, "from=5&to=4", "from"),
    ] {
        let (status, body) = collector.answer(&format!("/api/v1/endpoints?{query}"));
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &error["parameter"]),
            (400, &parameter.into()),
            "{body}"
        );
    }
    pair.stop();
}

#[test]
fn a_value_of_a_client_is_never_part_of_a_statement() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    pair.send(&[flow("10.1.1.1", "10.1.2.1")]);
    let count = || {
        pair.server
            .query("SELECT count() AS rows FROM kipfix.flows")[0]["rows"]
            .clone()
    };
    let texts = [
        "'",
        "' OR 1 = 1 --",
        "'); DROP TABLE kipfix.flows; --",
        "\\",
        "\\'",
        "\\' OR '1' = '1",
        "{p0:String}",
        "`",
        "\t",
        "\n",
        "\r",
        "\\N",
        "%27",
        "/*",
        "ö\u{0}x",
    ];
    for text in texts {
        // Written into the table as it is, so that a query for it finds exactly this row.
        let literal = text.replace('\\', "\\\\").replace('\'', "\\'");
        pair.server.query(&format!(
            "INSERT INTO kipfix.flows (collectionTimeMilliseconds, octets, counted, clusterId, sourceNamespace, \
             sourceWorkloadName) VALUES (fromUnixTimestamp64Milli(toInt64({})), 5, true, 'c\\'1', '{literal}', 'odd')",
            now()
        ));
        let quoted = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let filter = encoded(&format!("src.namespace == \"{quoted}\""));
        let edges = pair.engine.json(&format!(
            "/api/v1/edges?group_by=src.namespace,src.workload&filter={filter}"
        ));
        assert_eq!(edges["total"]["edges"], 1, "{text:?}: {edges}");
        assert_eq!(edges["edges"][0]["labels"]["src.namespace"], text);
        let (status, body) = pair
            .engine
            .answer(&format!("/api/v1/flows?filter={filter}"));
        assert_eq!((status, body.lines().count()), (200, 1), "{text:?}: {body}");
        let (status, body) = pair.engine.answer(&format!(
            "/api/v1/endpoints?from=-600000&search={}",
            encoded(text)
        ));
        assert_eq!(status, 200, "{text:?}: {body}");
    }
    assert_eq!(count(), Value::from(1 + texts.len()));
    pair.stop();
}

#[test]
fn an_engine_that_fails_is_an_error_with_its_reason() {
    let _turn = take_turn();
    let Some(server) = ClickHouse::start(Some("secret")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let history = format!(
        "clickhouse=http://127.0.0.1:{}/kipfix?user=kipfix&password-file={}&timeout=5s",
        server.port,
        password.display()
    );
    let collector = Collector::with_inventory(INVENTORY, &["--history", &history]);
    let fails = |path: &str, status: u16, reason: &str| {
        let (found, body) = collector.answer(path);
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(reason), "{path}: {body}");
    };
    fails("/api/v1/edges", 502, "Authentication failed");
    // The file is read for every request.
    std::fs::write(&password, "secret\n").unwrap();
    fails("/api/v1/edges?limit=2", 502, "Code: 81");
    server.run("flows.sql");
    fails("/api/v1/edges?from=-7200000", 502, "kipfix.workloads_1m");
    server.run("views.sql");
    fails("/api/v1/edges", 502, "kipfix.health");
    server.run("health.sql");
    assert_eq!(collector.json("/api/v1/edges")["total"]["edges"], 0);
    fails(
        "/api/v1/edges?group_by=src.class",
        400,
        "src.class is not kept",
    );
    fails(
        "/api/v1/edges?filter=src.cidr%20==%20%22a%22",
        400,
        "src.cidr is not kept",
    );
    // A pattern is compiled when there is a row.
    server.query(
        "INSERT INTO kipfix.flows (collectionTimeMilliseconds, counted) VALUES (now() - 60, true)",
    );
    fails(
        "/api/v1/edges?filter=src.pod%20=~%20%22[a--b]%22",
        400,
        "invalid filter",
    );
    server.query(
        "INSERT INTO kipfix.flows (collectionTimeMilliseconds, counted, sourcePodName) \
         SELECT now() - 60, true, toString(number) FROM numbers(1100000)",
    );
    fails(
        "/api/v1/edges?group_by=src.pod",
        400,
        "more than 1000000 edges",
    );
    std::fs::remove_file(&password).unwrap();
    fails("/api/v1/edges?limit=3", 502, "cannot read password-file");
    std::fs::write(&password, "secret\n").unwrap();
    drop(server);
    let refused = || {
        collector
            .answer("/api/v1/edges?limit=4")
            .1
            .contains("refused")
    };
    assert!(eventually(PATIENCE, refused));
    collector.stop();
}

#[test]
fn both_directions_of_a_biflow_are_in_the_sums() {
    let _turn = take_turn();
    let Some(pair) = Pair::start() else {
        return;
    };
    let biflow = FlowRecord {
        reverse_octet_delta_count: 700,
        reverse_packet_delta_count: 7,
        reverse_flow_end_milliseconds: now(),
        biflow_direction: Some(BiflowDirection::Initiator),
        ..flow("10.1.1.1", "10.1.2.1")
    };
    pair.ring.send_all(&[biflow], now());
    let path = "/api/v1/edges?group_by=src.workload,port,initiator";
    let are_there = || pair.engine.json(path)["total"]["edges"] == 2;
    assert!(
        eventually(PATIENCE, are_there),
        "{}",
        pair.engine.json(path)
    );
    let edges = edges(&pair.engine.json(path));
    let mut edges = edges.into_iter();
    let (labels, values) = edges.next().unwrap();
    assert!(
        labels.contains(r#""initiator":"dst","port":"80","src.workload":"db""#),
        "{labels}"
    );
    assert_eq!(values, [700, 7, 0]);
    let (labels, values) = edges.next().unwrap();
    assert!(
        labels.contains(r#""initiator":"src","port":"80""#),
        "{labels}"
    );
    assert_eq!(values, [1000, 2, 1]);
    pair.stop();
}

#[test]
fn records_are_inserted_and_read_with_tls_and_a_wrong_authority_is_an_error() {
    let _turn = take_turn();
    let Some(server) = ClickHouse::start(Some("secret")) else {
        return;
    };
    server.run("flows.sql");
    server.run("health.sql");
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let others = Certificates::new();
    let start = |authority: &Certificates| {
        let parameters = format!(
            "ca={}&user=kipfix&password-file={}",
            authority.path("ca.crt").display(),
            password.display()
        );
        let forward = format!(
            "clickhouse://localhost:{}/kipfix/flows?tls=true&interval=0s&{parameters}",
            server.tls_port
        );
        let history = format!(
            "clickhouse=https://localhost:{}/kipfix?{parameters}",
            server.tls_port
        );
        Collector::with_inventory(INVENTORY, &["--forward", &forward, "--history", &history])
    };
    let collector = start(&server.certificates);
    collector.send_all(&[flow("10.1.1.1", "10.1.2.1")], now());
    let is_there = || collector.json("/api/v1/edges")["total"]["bytes"] == 1000;
    assert!(eventually(PATIENCE, is_there));
    collector.stop();
    let collector = start(&others);
    collector.send_all(&[flow("10.1.1.1", "10.1.2.1")], now());
    let (status, body) = collector.answer("/api/v1/edges");
    assert_eq!(status, 502);
    assert!(body.contains("invalid peer certificate"), "{body}");
    let failures = "kipfix_collector_target_connection_failures_total";
    let is_counted = || collector.scrape().sum(failures, &[]) > 0;
    assert!(
        eventually(PATIENCE, is_counted),
        "{}",
        collector.metrics_text()
    );
    collector.stop();
}
