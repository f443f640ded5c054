//! `--history prometheus=URL`: the API answers from a real Prometheus, for several collectors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use flowproto::FlowRecord;
use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::one_pod::{INVENTORY, OFFICE, WEB};
use kipfix_tests::program::{self, Running, eventually, free_tcp_port};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A running Prometheus that serves HTTPS and scrapes collectors.
struct Prometheus {
    port: u16,
    _running: Running,
    certificates: Certificates,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(targets: &[&Collector]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::new();
        let targets: Vec<String> = targets.iter().map(|c| format!("'{}'", c.http())).collect();
        let settings = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  \
             - {{job_name: kipfix, static_configs: [{{targets: [{}]}}]}}\n",
            targets.join(", ")
        );
        let (cert, key) = (
            certificates.path("server.crt"),
            certificates.path("server.key"),
        );
        let web = format!(
            "tls_server_config: {{cert_file: {}, key_file: {}}}\n",
            cert.display(),
            key.display()
        );
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("prometheus.yml"), settings).unwrap();
        std::fs::write(file("web.yml"), web).unwrap();
        let port = free_tcp_port();
        let mut command = Command::new("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                file("prometheus.yml").display()
            ))
            .arg(format!("--web.config.file={}", file("web.yml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            port,
            _running: Running::start(&mut command),
            certificates,
            _folder: folder,
        }
    }

    /// Number of series of a query.
    fn series(&self, query: &str) -> usize {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--cacert"])
            .arg(self.certificates.path("ca.crt"));
        curl.args(["--data-urlencode", &format!("query={query}")]);
        curl.arg(format!("https://localhost:{}/api/v1/query", self.port));
        let output = program::ended(&mut curl).stdout;
        let answer: Value = serde_json::from_slice(&output).unwrap_or_default();
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    }

    fn history(&self) -> String {
        let ca = self.certificates.path("ca.crt");
        format!(
            "prometheus=https://localhost:{}?ca={}",
            self.port,
            ca.display()
        )
    }
}

fn start(arguments: &[&str]) -> Collector {
    let presets = ["--preset", "workloads", "--preset", "external"];
    Collector::with_inventory(INVENTORY, &[&presets, arguments].concat())
}

fn sent(source: &str, destination: &str, octets: u64) -> FlowRecord {
    FlowRecord {
        octet_delta_count: octets,
        packet_delta_count: octets / 1000,
        ..flow(source, destination)
    }
}

fn answer(collector: &Collector, path: &str) -> (u16, Value) {
    let (status, body) = collector.answer(path);
    let json = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
    (status, json)
}

/// Waits until a value of an answer is near `wanted`: the engine estimates the ends of the range.
fn comes_near(collector: &Collector, path: &str, wanted: u64, value: impl Fn(&Value) -> u64) {
    let mut last = Value::Null;
    let is_near = eventually(TIMEOUT, || {
        let (_, json) = answer(collector, path);
        last = json;
        let value = value(&last);
        (wanted * 3 / 4..=wanted * 5 / 4).contains(&value)
    });
    assert!(is_near, "{path} is not near {wanted}: {last}");
}

#[test]
fn the_traffic_of_all_collectors_is_answered_by_prometheus() {
    if !program::is_installed("prometheus") {
        panic!("prometheus is not installed: deploy/deps.sh test");
    }
    let replicas = [start(&[]), start(&[])];
    let prometheus = Prometheus::start(&[&replicas[0], &replicas[1]]);
    let page = start(&["--history", &prometheus.history()]);
    for replica in &replicas {
        replica.send_all(&[sent(WEB, OFFICE, 1000), sent(OFFICE, WEB, 1000)], now());
        replica.counts("kipfix_bytes_total", &[], 2000);
    }
    // A series must have been scraped before its growth is known.
    let scraped = "count_over_time(kipfix_bytes_total[1m]) >= 2";
    assert!(eventually(TIMEOUT, || prometheus.series(scraped) == 4));
    replicas[0].send_all(&[sent(WEB, OFFICE, 400_000)], now());
    replicas[1].send_all(
        &[sent(WEB, OFFICE, 600_000), sent(OFFICE, WEB, 100_000)],
        now(),
    );
    let total = |json: &Value| json["total"]["bytes"].as_u64().unwrap_or(0);
    comes_near(&page, "/api/v1/edges?from=-120000", 1_100_000, total);
    let (_, edges) = answer(&page, "/api/v1/edges?from=-120000");
    assert_eq!(edges["source"], "prometheus");
    let first = &edges["edges"][0];
    assert_eq!(first["labels"]["src.workload"], "web");
    assert_eq!(first["labels"]["class"], "pod_to_external");
    assert!(first["packets"].as_u64().unwrap() > 700, "{first}");
    let egress = "direction%20%3D%3D%20%22ingress%22";
    let path = format!(
        "/api/v1/edges?from=-120000&points=4&group_by=internal.workload,external.name&filter={egress}"
    );
    comes_near(&page, &path, 100_000, total);
    let points = |json: &Value| {
        let points = json["edges"][0]["points"].as_array();
        let points = points.map(|all| all.iter().map(|p| p[1]["bytes"].as_u64().unwrap()).sum());
        points.unwrap_or(0)
    };
    comes_near(&page, &path, 100_000, points);
    let (_, edges) = answer(&page, &path);
    assert_eq!(edges["edges"][0]["labels"]["external.name"], "office");
    let (_, graph) = answer(&page, "/api/graph/data?from=-120000&namespace=shop");
    let nodes = graph["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{graph}");
    for (query, parameter) in [
        ("group_by=src.pod", "group_by"),
        ("filter=src.zone%20%3D%3D%20dst.zone", "filter"),
        ("from=5&to=5", "from"),
    ] {
        let (status, error) = answer(&page, &format!("/api/v1/edges?{query}"));
        assert_eq!(
            (status, &error["parameter"]),
            (400, &parameter.into()),
            "{error}"
        );
    }
    let (_, status) = answer(&page, "/api/v1/status");
    assert_eq!(status["history"]["source"], "prometheus");
    // No family of the collectors has connection health.
    let (code, error) = answer(&page, "/api/v1/edges?order=retransmitted_packets");
    assert_eq!(
        (code, &error["parameter"]),
        (400, &"order".into()),
        "{error}"
    );
    let (code, error) = answer(&page, "/api/graph/data?mode=duration");
    assert_eq!(
        (code, &error["parameter"]),
        (400, &"mode".into()),
        "{error}"
    );
    let text = error["error"].as_str().unwrap();
    assert!(text.starts_with("invalid mode: "), "{error}");
    let (_, edges) = answer(&page, "/api/v1/edges?from=-120000");
    assert!(
        edges["total"].get("retransmitted_packets").is_none(),
        "{edges}"
    );
    let fields = status["history"]["fields"].as_array().unwrap();
    assert!(fields.contains(&"external.country".into()), "{fields:?}");
    assert!(!fields.contains(&"src.zone".into()), "{fields:?}");
    page.stop();
    for replica in replicas {
        replica.stop();
    }
}

#[test]
fn connection_health_is_answered_by_the_families_that_have_it() {
    if !program::is_installed("prometheus") {
        panic!("prometheus is not installed: deploy/deps.sh test");
    }
    let health = ["--preset", "health"];
    let collector = start(&health);
    let prometheus = Prometheus::start(&[&collector]);
    let page = start(&[&health[..], &["--history", &prometheus.history()]].concat());
    let slow = |packets: u32, count: usize| {
        let mut record = sent(WEB, OFFICE, 1_000_000);
        record.tcp_health.retransmitted_packets = packets;
        for _ in 0..count {
            record.tcp_round_trip_time.add(2000);
        }
        record
    };
    collector.send_all(&[slow(1, 1)], now());
    let scraped = "count_over_time(kipfix_retransmitted_packets_total[1m]) >= 2";
    assert!(eventually(TIMEOUT, || prometheus.series(scraped) >= 1));
    collector.send_all(&[slow(400, 100)], now());
    let path = "/api/v1/edges?from=-120000&points=4";
    let total = |json: &Value| json["total"]["retransmitted_packets"].as_u64().unwrap_or(0);
    comes_near(&page, path, 400, total);
    let sum = |json: &Value| {
        json["total"]["rtt"]["sum_microseconds"]
            .as_u64()
            .unwrap_or(0)
    };
    comes_near(&page, path, 200_000, sum);
    let (_, edges) = answer(&page, path);
    let rtt = &edges["edges"][0]["rtt"];
    assert!(rtt["count"].as_u64().unwrap() > 75, "{edges}");
    // Histograms do not have it.
    assert!(rtt.get("min_microseconds").is_none(), "{edges}");
    assert_eq!(edges["edges"][0]["refused_connections"], 0, "{edges}");
    page.stop();
    collector.stop();
}

#[test]
fn an_engine_that_does_not_answer_is_an_error_with_its_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let engine = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).unwrap();
        }
        for line in head.to_lowercase().lines() {
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        let body = r#"{"status":"error","error":"no room"}"#;
        let answer = format!(
            "HTTP/1.1 503 Busy\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.into_inner().write_all(answer.as_bytes()).unwrap();
        head
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let url = format!(
        "prometheus=http://127.0.0.1:{port}/prefix?token-file={}&timeout=5s",
        token.display()
    );
    let collector = start(&["--history", &url]);
    let (status, error) = answer(&collector, "/api/v1/edges");
    assert_eq!(status, 502);
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("status 503: no room"), "{text}");
    let head = engine.join().unwrap();
    assert!(
        head.starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("authorization: bearer s3cret\r\n"),
        "{head}"
    );
    collector.stop();

    // A bound socket that does not listen: no other program gets its port, and it refuses.
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    let collector = start(&["--history", &format!("prometheus=http://{address}")]);
    let (status, error) = answer(&collector, "/api/v1/edges?limit=5");
    assert_eq!(status, 502);
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("refused"), "{text}");
    collector.stop();
}
