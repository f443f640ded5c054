//! Dashboards and rules: every metric in them is served, and every query finds data in a real Prometheus
//! that scrapes real daemons.
#![allow(clippy::unwrap_used, reason = "test code")]

mod prometheus;

use std::io::{PipeWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::dashboards;
use kipfix_tests::pages::anchor_of;
use kipfix_tests::program::{self, Running, collector, free_tcp_port, free_udp_port, probe};
use kipfix_tests::scrape::{body, get};
use kipfix_tests::{skip, take_turn, traffic};
use prometheus::Prometheus;
use serde_json::Value;

/// Clients and servers of the test traffic on two nodes, in two zones; one server is nobody's.
const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.2.1, 10.1.2.2], node: node-b, workload: {kind: Deployment, name: web}}
  - {name: cart-1, namespace: shop, addresses: [10.1.1.1, 10.1.1.2], node: node-a, workload: {kind: StatefulSet, name: cart}}
";

/// An API server that is away: what the collector says of its watches is there all the same.
const NOBODY: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

/// A probe that exports to a collector, both as long as they are wanted.
struct Pair {
    http: u16,
    admin: u16,
    header: Option<Vec<u8>>,
    frames: Vec<u8>,
    input: PipeWriter,
    _running: [Running; 2],
    _folder: tempfile::TempDir,
}

impl Pair {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let capture = folder.path().join("traffic.pcap");
        traffic::write(&capture, 300);
        let (port, http, admin) = (free_udp_port(), free_tcp_port(), free_tcp_port());
        let receiving = Running::start(
            collector()
                .args(["--listen", &format!("udp://127.0.0.1:{port}")])
                .args(["--http", &format!("127.0.0.1:{http}")])
                .arg("--kubernetes")
                .arg(file("kubeconfig", NOBODY.as_bytes()))
                .arg("--inventory")
                .arg(file("inventory.yaml", INVENTORY.as_bytes()))
                .args(["--inventory-wait", "100ms", "--attribution-wait", "100ms"])
                .args(["--observer-wait", "100ms", "--cidr", "10.1.2.0/24=office"])
                .args(["--preset", "workloads", "--preset", "nodes"])
                .args(["--preset", "zones", "--preset", "external"])
                .stderr(Stdio::null()),
        );
        program::wait_for_udp(receiving.pid(), port);
        // Standard input stays open, so that the probe stays and can be asked.
        let (reader, input) = std::io::pipe().unwrap();
        let mut command = probe();
        command.args(["--read", "-", "--node-name", "node-a"]);
        command.args(["--admin", &format!("127.0.0.1:{admin}")]);
        command.args(["--export", &format!("udp://127.0.0.1:{port}")]);
        let metering = Running::start(command.stdin(reader).stderr(Stdio::null()));
        drop(command);
        let up = || std::net::TcpStream::connect(("127.0.0.1", admin)).is_ok();
        assert!(program::eventually(Duration::from_secs(10), up));
        let mut header = std::fs::read(&capture).unwrap();
        let frames = header.split_off(24);
        Self {
            http,
            admin,
            header: Some(header),
            frames,
            input,
            _running: [metering, receiving],
            _folder: folder,
        }
    }

    /// Plays the frames of the capture, its header in front of the first ones.
    fn play(&mut self) {
        let header = self.header.take();
        self.input.write_all(&header.unwrap_or_default()).unwrap();
        self.input.write_all(&self.frames).unwrap();
        self.input.flush().unwrap();
    }

    fn serves(&self, metric: &str) -> bool {
        let type_line = format!("# TYPE {metric} ");
        let mut ports = [self.http, self.admin].into_iter();
        ports.any(|port| served(port).contains(&type_line))
    }
}

/// A whole scrape.
fn served(port: u16) -> String {
    body(get(([127, 0, 0, 1], port).into(), "/metrics", ""))
}

/// A file of this repository.
fn page(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn rules() -> PathBuf {
    page("grafana/rules/kipfix.rules.yaml")
}

/// The metrics of ours that a query names, without what a histogram adds to its name.
fn metrics(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("kipfix_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
}

#[test]
fn every_query_of_dashboards_and_rules_finds_data() {
    let test = "every_query_of_dashboards_and_rules_finds_data";
    if !program::is_installed("prometheus") {
        return skip(test, "prometheus is not installed");
    }
    let _turn = take_turn();
    let mut pair = Pair::start();
    let targets = [
        ("probe", format!("127.0.0.1:{}", pair.admin)),
        ("collector", format!("127.0.0.1:{}", pair.http)),
    ];
    let prometheus = Prometheus::start(&targets, &[rules()]);
    pair.play();
    let counted = || !prometheus.query("kipfix_zone_bytes_total").is_empty();
    assert!(
        program::eventually(Duration::from_secs(20), counted),
        "nothing was counted"
    );
    // A rate needs two scrapes of a series, and what divides by one needs traffic between them.
    for _ in 0..5 {
        pair.play();
        std::thread::sleep(Duration::from_secs(1));
    }

    let queries = dashboards::queries("1m", "5m");
    assert!(queries.len() > 80, "{}", queries.len());
    let listed = std::fs::read_to_string(page("docs/metrics.md")).unwrap();
    let is_there = |metric: &str| pair.serves(metric) && listed.contains(&format!("`{metric}`"));
    let mut empty = Vec::new();
    for query in &queries {
        for metric in metrics(&query.expr) {
            assert!(
                is_there(metric),
                "{query:?}: {metric} is not served, or not in docs/metrics.md"
            );
        }
        if prometheus.query(&query.expr).is_empty() {
            empty.push(query);
        }
    }
    assert!(empty.is_empty(), "no data: {empty:#?}");

    for (page, question) in questions() {
        let found = !prometheus.query(&question).is_empty();
        assert!(found, "{page}: no data: {question}");
    }

    for (port, pattern) in greps(&pair) {
        let regex = regex::Regex::new(&pattern).unwrap();
        let found = served(port).lines().any(|line| regex.is_match(line));
        assert!(found, "nothing to see of {pattern}");
    }

    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
        let expr = rule["query"].as_str().unwrap();
        for metric in metrics(expr) {
            assert!(
                is_there(metric),
                "{rule}: {metric} is not served, or not in docs/metrics.md"
            );
        }
        if rule["type"] == "recording" {
            let name = rule["name"].as_str().unwrap();
            assert!(!prometheus.query(name).is_empty(), "no data: {name}");
        }
    }
    // The API server is away.
    let away = r#"ALERTS{alertname="KipfixKubernetesAway"}"#;
    assert!(!prometheus.query(away).is_empty());
}

/// The PromQL that README and the pages of `docs/` show.
fn questions() -> Vec<(String, String)> {
    let pages = std::fs::read_dir(page("docs")).unwrap();
    let mut pages: Vec<PathBuf> = pages
        .map(|page| page.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(page("README.md"));
    let mut questions = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```promql\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            let lines = block.lines().filter(|line| !line.starts_with('#'));
            questions.extend(lines.map(|line| (page.display().to_string(), line.to_owned())));
        }
    }
    assert!(questions.len() >= 5);
    questions
}

/// The patterns by which `docs/troubleshooting.md` looks at a stage, each alternative by itself, and the
/// port of who is asked.
fn greps(pair: &Pair) -> Vec<(u16, String)> {
    let page = std::fs::read_to_string(page("docs/troubleshooting.md")).unwrap();
    let mut patterns = Vec::new();
    for (ask, port) in [
        ("$ probe | grep -E '", pair.admin),
        ("$ collector | grep -E '", pair.http),
    ] {
        for line in page.lines().filter_map(|line| line.strip_prefix(ask)) {
            let pattern = line.trim_end_matches('\'');
            // `^prefix_(one|two(three|four))…` is as many as its outer alternatives.
            let Some((prefix, rest)) = pattern.split_once('(') else {
                patterns.push((port, pattern.to_owned()));
                continue;
            };
            let (alternatives, suffix) = rest.rsplit_once(')').unwrap();
            patterns.extend(
                outer(alternatives)
                    .iter()
                    .map(|one| (port, format!("{prefix}{one}{suffix}"))),
            );
        }
    }
    assert!(patterns.len() > 20);
    patterns
}

/// Splits at `|` outside of parentheses.
fn outer(alternatives: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in alternatives.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(last) if character != '|' || depth > 0 => last.push(character),
            _ => parts.push(String::new()),
        }
    }
    parts
}

#[test]
fn rules_are_as_promtool_wants_them() {
    let test = "rules_are_as_promtool_wants_them";
    if !program::is_installed("promtool") {
        return skip(test, "promtool is not installed");
    }
    let rules = rules();
    let tests = rules.with_file_name("kipfix.test.yaml");
    program::output(
        Command::new("promtool")
            .args(["check", "rules"])
            .arg(&rules),
    );
    program::output(Command::new("promtool").args(["test", "rules"]).arg(&tests));
    // Every alert is in the tests, and the page that its runbook names has that section.
    let text = std::fs::read_to_string(&rules).unwrap();
    let tested = std::fs::read_to_string(&tests).unwrap();
    let named = |key: &str| {
        let lines = text.lines().filter_map(move |line| line.split_once(key));
        lines
            .map(|(_, value)| value.trim().to_owned())
            .collect::<Vec<_>>()
    };
    for alert in named("- alert: ") {
        let count = tested.matches(&format!("alertname: {alert}")).count();
        assert!(
            count >= 2,
            "{alert} needs a test that it fires and one that it does not"
        );
    }
    for place in named("runbook: ") {
        let (path, anchor) = place.split_once('#').unwrap();
        let text = std::fs::read_to_string(page(path)).unwrap();
        let anchors: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(anchor_of)
            .collect();
        assert!(anchors.iter().any(|a| a == anchor), "{place}: {anchors:?}");
    }
}

#[test]
fn every_dashboard_is_of_its_own_and_says_what_it_shows() {
    let folder = page("grafana");
    let mut uids = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        uids.push(dashboard["uid"].as_str().unwrap().to_owned());
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["type"] == "row" {
                continue;
            }
            let says = panel["description"].as_str().unwrap_or_default();
            assert!(!says.is_empty(), "{}: {}", path.display(), panel["title"]);
            assert_eq!(panel["datasource"]["type"], "prometheus");
        }
    }
    let count = uids.len();
    uids.sort();
    uids.dedup();
    assert_eq!(uids.len(), count);
    assert!(count >= 5);
}
