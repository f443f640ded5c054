//! Settings of the running program that change: families that stay keep their values, a broken file
//! changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod program;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use program::{Running, messages};

/// A collector with a settings file, and what a test sends to it.
struct Collector {
    running: Running,
    exporter: UdpSocket,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Collector {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, settings).unwrap();
        let path = file.to_str().unwrap();
        let running = Running::start(&["--listen", "udp://127.0.0.1:0", "--config", path]);
        Self {
            running,
            exporter: UdpSocket::bind("127.0.0.1:0").unwrap(),
            file,
            _folder: folder,
        }
    }

    fn send(&self, messages: &[Vec<u8>]) {
        for message in messages {
            self.exporter
                .send_to(message, self.running.listen[0])
                .unwrap();
        }
    }

    fn metrics(&self) -> String {
        self.running.get("/metrics", "")
    }

    fn wait_for(&self, wanted: &str) -> String {
        for _ in 0..1000 {
            let metrics = self.metrics();
            if metrics.contains(wanted) {
                return metrics;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {wanted} in\n{}", self.metrics());
    }

    /// Replaces the file as a whole, as a ConfigMap is.
    fn write(&self, settings: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, settings).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn hang_up(&self) {
        let pid = self.running.child.id().to_string();
        let status = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(status.unwrap().success());
    }

    fn readiness(&self) -> String {
        self.running.get("/readyz", "")
    }
}

/// The sum of a family; `None` if there is no such family.
fn sum(metrics: &str, family: &str) -> Option<u64> {
    if !metrics.contains(&format!("# TYPE {family} ")) {
        return None;
    }
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(&format!("{family}{{")));
    Some(
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum(),
    )
}

const SUCCESSFUL: &str = "kipfix_collector_settings_last_reload_successful";

#[test]
fn families_follow_the_file_and_those_that_stay_keep_their_values() {
    let collector = Collector::start("preset: [workloads, nodes]\n");
    let messages = messages(300);
    let (first, second) = messages.split_at(messages.len() / 2);
    collector.send(first);
    let metrics = collector.wait_for(&format!("{SUCCESSFUL} 1\n"));
    assert!(metrics.contains("kipfix_collector_settings_needing_restart 0\n"));
    let counted = |metrics: &str| sum(metrics, "kipfix_bytes_total").unwrap();
    let mut before = 0;
    while before == 0 || collector.metrics().contains("records_pending 1") {
        before = counted(&collector.metrics());
    }
    // A family of its own that needs more than the endpoints of a record replaces those of nodes.
    collector.write(
        "
preset: [workloads]
metrics:
- {name: by_address_bytes_total, help: Octets., value: bytes, labels: [src.address]}
max_series: 123
workers: 3
",
    );
    let metrics = collector.wait_for("# TYPE by_address_bytes_total ");
    assert!(counted(&metrics) >= before);
    assert_eq!(sum(&metrics, "kipfix_node_bytes_total"), None);
    let metrics = collector.wait_for("kipfix_collector_settings_needing_restart 1\n");
    assert!(metrics.contains("kipfix_collector_limit{resource=\"series_per_family\"} 123\n"));
    assert!(collector.readiness().contains("need a restart: workers"));
    let old = counted(&metrics);
    let new = sum(&metrics, "by_address_bytes_total").unwrap();
    collector.send(second);
    let metrics = collector.wait_for("kipfix_collector_records_counted_total 300\n");
    assert_eq!(counted(&metrics), 300 * 100);
    let added = sum(&metrics, "by_address_bytes_total").unwrap() - new;
    assert_eq!(added, 300 * 100 - old);
    assert!(metrics.contains("by_address_bytes_total{src_address=\"10.1."));
    assert_eq!(collector.running.stop(), Some(0));
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported() {
    let collector = Collector::start("preset: [nodes]\n");
    collector.wait_for("# TYPE kipfix_node_bytes_total ");
    for (text, reason) in [
        ("preset: [nodes, nonsense]\n", "nonsense"),
        ("preset: [", "settings.yaml"),
        (
            "metrics: [{name: a-b, help: x, value: bytes, labels: []}]\n",
            "a-b",
        ),
    ] {
        collector.write(text);
        let metrics = collector.wait_for(&format!("{SUCCESSFUL} 0\n"));
        assert!(metrics.contains("# TYPE kipfix_node_bytes_total "));
        let mut readiness = collector.readiness();
        for _ in 0..500 {
            if readiness.contains(reason) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            readiness = collector.readiness();
        }
        assert!(readiness.starts_with("HTTP/1.0 200"), "{readiness}");
        assert!(
            readiness.contains("settings: changed file not used"),
            "{readiness}"
        );
        assert!(readiness.contains(reason), "{readiness} lacks {reason}");
    }
    collector.write("preset: [zones]\n");
    let metrics = collector.wait_for(&format!("{SUCCESSFUL} 1\n"));
    assert!(metrics.contains("# TYPE kipfix_zone_bytes_total "));
    assert!(!collector.readiness().contains("settings"));
    assert_eq!(collector.running.stop(), Some(0));
}

#[test]
fn sighup_reads_the_settings_again() {
    let collector = Collector::start("preset: [nodes]\n");
    let time = |metrics: &str| -> u64 {
        let name = "kipfix_collector_settings_last_reload_success_timestamp_seconds ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    let start = time(&collector.metrics());
    assert!(start > 1_700_000_000);
    std::thread::sleep(Duration::from_millis(1100));
    collector.hang_up();
    for _ in 0..500 {
        if time(&collector.metrics()) > start {
            assert_eq!(collector.running.stop(), Some(0));
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the settings were not read again");
}

#[test]
fn the_lines_of_the_flow_log_follow_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("flows.log");
    let settings = |more: &str| format!("flow_log: 'file:{}'\n{more}", log.display());
    let collector = Collector::start(&settings(""));
    let messages = messages(200);
    let (first, second) = messages.split_at(messages.len() / 2);
    collector.send(first);
    collector.wait_for("kipfix_collector_flow_log_queue_lines 0\n");
    let format = "flow_log_format: logfmt\nflow_log_fields: [octetDeltaCount]\n";
    let filter = "flow_log_filter: src.address == \"10.1.0.190\"\n";
    collector.write(&settings(&format!("{format}{filter}max_series: 77\n")));
    collector.wait_for("kipfix_collector_limit{resource=\"series_per_family\"} 77\n");
    collector.send(second);
    collector.wait_for("kipfix_collector_records_total 200\n");
    let text = wait_for_line(&log, "octetDeltaCount=100");
    let selected = text.lines().filter(|line| *line == "octetDeltaCount=100");
    assert_eq!(selected.count(), 1);
    assert_eq!(collector.running.stop(), Some(0));
}

fn wait_for_line(path: &Path, wanted: &str) -> String {
    for _ in 0..500 {
        let text = std::fs::read_to_string(path).unwrap();
        if text.lines().any(|line| line == wanted) {
            return text;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {wanted}");
}
