//! Every query of every dashboard is PromQL, and every metric in it is one that the daemons serve.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use kipfix_tests::program::{self, Running, collector, free_tcp_port, free_udp_port, probe};
use kipfix_tests::scrape::{body, get};
use kipfix_tests::skip;
use serde_json::Value;

/// The queries of a dashboard, with Grafana's own variables filled in.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = vec![dashboard];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(query)) = members.get("expr") {
                    found.push(
                        query
                            .replace("$__rate_interval", "5m")
                            .replace("$__range", "1h")
                            .replace("$namespace", ".*"),
                    );
                }
                rest.extend(members.values());
            }
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    found
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (
                path.display().to_string(),
                serde_json::from_str(&text).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_query_of_a_dashboard_is_promql() {
    let test = "every_query_of_a_dashboard_is_promql";
    if !program::is_installed("promtool") {
        return skip(test, "promtool is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut rules = String::from("groups:\n- name: dashboards\n  rules:\n");
    let mut count = 0;
    for (_, dashboard) in dashboards() {
        for query in queries(&dashboard) {
            count += 1;
            rules += &format!(
                "  - record: query:{count}\n    expr: {}\n",
                Value::from(query)
            );
        }
    }
    assert!(count > 10);
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, rules).unwrap();
    program::output(Command::new("promtool").args(["check", "rules"]).arg(path));
}

#[test]
fn every_metric_of_a_dashboard_is_served() {
    let (port, http, admin) = (free_udp_port(), free_tcp_port(), free_tcp_port());
    let ours = Running::start(
        collector()
            .args([
                "--listen",
                &format!("udp://127.0.0.1:{port}"),
                "--kubernetes",
                "off",
            ])
            .args(["--http", &format!("127.0.0.1:{http}")])
            .stderr(Stdio::null()),
    );
    program::wait_for_udp(ours.pid(), port);
    // Standard input stays open, so that the probe stays.
    let (reader, _writer) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    kipfix_tests::traffic::write(&capture, 10);
    let mut command = probe();
    command.args(["--read", "-", "--admin", &format!("127.0.0.1:{admin}")]);
    command
        .args(["--export", &format!("udp://127.0.0.1:{port}")])
        .stdin(reader);
    let metering = Running::start(command.stderr(Stdio::null()));
    drop(command);
    std::io::Write::write_all(&mut &_writer, &std::fs::read(&capture).unwrap()).unwrap();
    let up = || std::net::TcpStream::connect(("127.0.0.1", admin)).is_ok();
    assert!(program::eventually(std::time::Duration::from_secs(10), up));
    let mut served = BTreeSet::new();
    for port in [http, admin] {
        let text = body(get(
            format!("127.0.0.1:{port}").parse().unwrap(),
            "/metrics",
            "",
        ));
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        served.extend(names.map(str::to_owned));
    }
    for (path, dashboard) in dashboards() {
        for query in queries(&dashboard) {
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in words.filter(|word| word.starts_with("kipfix_")) {
                assert!(served.contains(name), "{path}: {name} is not served");
            }
        }
    }
    drop((metering, ours));
}
