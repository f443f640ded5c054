//! A running collector that receives single flows, its flow log and its metrics.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage};
use flowproto::record::{BiflowDirection, FlowKey};
use flowproto::{Address, FlowRecord};
use serde_json::Value;

use crate::flows::Flows;
use crate::peers::{self, Reading, Sequence};
use crate::program::{self, PATIENCE, Running, free_tcp_port, free_udp_port};
use crate::scrape::{self, Scrape};

/// A running collector. Stopped when dropped.
pub struct Collector {
    running: Running,
    port: u16,
    http: u16,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Collector {
    /// Starts a collector with the API server of a kubeconfig and additional arguments.
    pub fn watching(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let kubeconfig = kubeconfig.to_str().expect("a path that is text");
        let mut merged: Vec<&str> = Vec::new();
        let defaults = [
            ("--kubernetes", kubeconfig),
            ("--attribution-wait", "1s"),
            ("--observer-wait", "1s"),
        ];
        for (flag, value) in defaults {
            if !arguments.contains(&flag) {
                merged.extend([flag, value]);
            }
        }
        merged.extend(arguments);
        Self::start(&merged)
    }

    /// Starts a collector without Kubernetes, with an inventory file of this text and additional
    /// arguments.
    pub fn with_inventory(text: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let inventory = folder.path().join("inventory.yaml");
        std::fs::write(&inventory, text).expect("an inventory");
        let inventory = inventory.to_str().expect("a path that is text");
        let settings = ["--kubernetes", "off", "--inventory", inventory];
        Self::start_in(
            folder,
            program::collector(),
            &[&settings, arguments].concat(),
        )
    }

    /// Starts a collector with additional arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_by(program::collector(), arguments)
    }

    /// Like [`start`](Self::start), by a command that runs the collector.
    pub fn start_by(command: Command, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), command, arguments)
    }

    /// Starts a collector that keeps its files in a folder.
    fn start_in(folder: tempfile::TempDir, mut command: Command, arguments: &[&str]) -> Self {
        let log = folder.path().join("flows.json");
        let (port, http) = (free_udp_port(), free_tcp_port());
        let running = Running::start(
            command
                .args(["--listen", &format!("udp://127.0.0.1:{port}")])
                .args(["--http", &format!("127.0.0.1:{http}")])
                .args(["--flow-log", &format!("file:{}", log.display())])
                .args(arguments)
                .stderr(Stdio::null()),
        );
        program::wait_for_udp(running.pid(), port);
        Self {
            running,
            port,
            http,
            log,
            _folder: folder,
        }
    }

    /// Reads a savefile or an IPFIX file with a collector.
    pub fn read(path: &Path) -> Reading {
        let mut command = program::collector();
        command.arg("--read").arg(path).arg("--print-metrics");
        command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
        let text = program::text(&mut command);
        let is_record = |line: &&str| line.starts_with('{');
        let (records, metrics): (Vec<&str>, Vec<&str>) = text.lines().partition(is_record);
        reading(&records.join("\n"), &Scrape::parse(&metrics.join("\n")))
    }

    /// Its UDP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its HTTP address.
    pub fn http(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.http).into()
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Reads its metrics.
    pub fn scrape(&self) -> Scrape {
        Scrape::of(self.http())
    }

    /// Reads its metrics as text.
    pub fn metrics_text(&self) -> String {
        self.answer("/metrics").1
    }

    /// Sends a GET request and returns the status code and the body.
    pub fn answer(&self, path: &str) -> (u16, String) {
        let response = scrape::get(self.http(), path, "");
        let head = String::from_utf8_lossy(&response);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status line"), scrape::body(&response))
    }

    /// Sends a GET request and returns the JSON of the answer. Panics if the request fails.
    pub fn json(&self, path: &str) -> Value {
        let response = scrape::get(self.http(), path, "");
        let head = String::from_utf8_lossy(&response).to_lowercase();
        let body = scrape::body(&response);
        let is_json = head.contains("content-type: application/json");
        assert!(
            head.starts_with("http/1.1 200 ") && is_json,
            "{path}: {head}"
        );
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"))
    }

    /// Reads `/readyz`: the status line and the body.
    pub fn readiness(&self) -> String {
        let answer = scrape::get(self.http(), "/readyz", "");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a record as an exporter that is not a node of the cluster, without clock skew.
    pub fn send(&self, record: &FlowRecord) {
        self.send_all(std::slice::from_ref(record), now());
    }

    /// Sends records in Messages with an export time.
    pub fn send_all(&self, records: &[FlowRecord], export_milliseconds: u64) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut session = ExportSession::new(ExportSettings::default());
        let mut send = |message: OutgoingMessage<'_>| {
            socket
                .send_to(message.octets, ("127.0.0.1", self.port))
                .expect("loopback takes it");
        };
        for record in records {
            session
                .add(record, export_milliseconds, &mut send)
                .expect("IPFIX carries every record");
        }
        session.flush(export_milliseconds, &mut send);
    }

    /// Sends datagrams to it, no more at a time than its socket buffer holds.
    pub fn receive(&self, datagrams: &[Vec<u8>]) {
        peers::feed(self.pid(), self.port, datagrams);
    }

    /// Sends a record and waits for its line in the flow log.
    pub fn attribute(&self, record: &FlowRecord) -> Value {
        self.send(record);
        self.line(record)
    }

    /// Waits for the line of a record that was sent.
    pub fn line(&self, record: &FlowRecord) -> Value {
        let port = u64::from(record.key.source_port);
        let is_its = |line: &Value| line["sourceTransportPort"].as_u64() == Some(port);
        let mut found = None;
        program::eventually(PATIENCE, || {
            found = self.lines().into_iter().find(is_its);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no line of {record:?}\n{:?}", self.scrape()))
    }

    /// All lines of the flow log.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Waits until the sum of a metric with these labels reaches a value.
    pub fn counts(&self, metric: &str, labels: &[&str], sum: u64) {
        let counted = || self.scrape().sum(metric, labels) == sum;
        assert!(
            program::eventually(PATIENCE, counted),
            "{metric} {labels:?} is not {sum}: {:?}",
            self.scrape().series(metric)
        );
    }

    /// Stops it by SIGTERM. Panics if the exit code is not 0.
    pub fn stop(self) {
        let (code, _) = self.running.terminate();
        assert_eq!(code, Some(0));
    }

    /// Stops it after the last record and returns what it received.
    pub fn finish(self) -> Reading {
        self.finish_scraped().0
    }

    /// Like [`finish`](Self::finish), for records whose line matches.
    pub fn finish_with(self, is_meant: impl Fn(&Value) -> bool) -> Reading {
        let (log, scrape) = self.end();
        let is_meant = |line: &&str| is_meant(&serde_json::from_str(line).expect(line));
        let lines: Vec<&str> = log.lines().filter(is_meant).collect();
        reading(&lines.join("\n"), &scrape)
    }

    /// Like [`finish`](Self::finish), with the last metrics.
    pub fn finish_scraped(self) -> (Reading, Scrape) {
        let (log, scrape) = self.end();
        (reading(&log, &scrape), scrape)
    }

    /// Stops it after the last record: flow log and last metrics.
    fn end(self) -> (String, Scrape) {
        let counts = |scrape: &Scrape| {
            let names = ["records_total", "records_counted_total", "records_pending"];
            names.map(|name| scrape.sum(&format!("kipfix_collector_{name}"), &[]))
        };
        let mut last = self.scrape();
        let quiet = || {
            // A gap in sequence numbers is counted after one second.
            std::thread::sleep(Duration::from_millis(2200));
            let before = std::mem::replace(&mut last, self.scrape());
            program::is_udp_read(self.pid(), self.port) && counts(&before) == counts(&last)
        };
        // Millions of records take a loaded machine minutes.
        assert!(
            program::eventually(10 * PATIENCE, quiet),
            "{:?}",
            counts(&last)
        );
        let (code, _) = self.running.terminate();
        assert_eq!(code, Some(0));
        let log = std::fs::read_to_string(&self.log).expect("a flow log");
        (log, last)
    }
}

/// Summarises a flow log and metrics.
fn reading(log: &str, scrape: &Scrape) -> Reading {
    let failures = [
        "sequence_lost_total",
        "sequence_gaps_total",
        "messages_old_total",
        "messages_late_total",
    ];
    let failures = failures.map(|name| {
        let name = format!("kipfix_collector_{name}");
        assert!(scrape.has(&name), "{name}");
        scrape.sum(&name, &[])
    });
    let flows = Flows::of_json_lines(log);
    Reading {
        records: log.lines().count() as u64,
        totals: flows.totals(),
        flows: Some(flows),
        sequence: Sequence::Failures(failures.iter().sum()),
    }
}

/// An external address without a name.
pub const EXTERNAL: &str = "198.51.100.7";

/// A flow to an external address of the same family, which has no name.
pub fn to_external(from: &str) -> FlowRecord {
    let is_v6 = from.contains(':');
    flow(from, if is_v6 { "2001:db8::7" } else { EXTERNAL })
}

/// Reads an address.
pub fn address(text: &str) -> Address {
    let ip: IpAddr = text.parse().unwrap_or_else(|_| panic!("{text:?}"));
    Address::from(ip)
}

/// A flow of the last second with 1000 octets in 2 packets and a new connection to port 80. Its
/// source port is unique in this process.
pub fn flow(from: &str, to: &str) -> FlowRecord {
    static PORT: AtomicU16 = AtomicU16::new(10_000);
    let now = now();
    FlowRecord {
        key: FlowKey {
            source_address: address(from),
            destination_address: address(to),
            source_port: PORT.fetch_add(1, Ordering::Relaxed),
            destination_port: 80,
            protocol_identifier: 6,
        },
        octet_delta_count: 1000,
        packet_delta_count: 2,
        flow_start_milliseconds: now - 1000,
        flow_end_milliseconds: now,
        biflow_direction: Some(BiflowDirection::Initiator),
        new_connection_delta_count: Some(1),
        ..FlowRecord::default()
    }
}

/// Milliseconds since the epoch.
pub fn now() -> u64 {
    milliseconds(SystemTime::now())
}

/// Converts a time to the unit of records.
pub fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time of this age")
}

/// Panics if a line does not have these members. An empty text means that the member must be
/// absent.
pub fn assert_members(line: &Value, expected: &[(&str, &str)]) {
    for (key, text) in expected {
        let found = line[key].as_str().unwrap_or_default();
        assert_eq!(found, *text, "{key} in {line}");
    }
}
