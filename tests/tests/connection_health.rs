//! Connection health from packets to metrics: two probes observe the same connections on both
//! nodes, and the collector counts each of them once, with exact values.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use kipfix_tests::program::{self, collector, probe};
use pcap_file::pcap::{PcapPacket, PcapWriter};

const INVENTORY: &str = "
nodes:
- {name: node-a, addresses: [10.9.0.1]}
- {name: node-b, addresses: [10.9.0.2]}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: web}}
- {name: db-0, namespace: shop, addresses: [10.1.2.10], node: node-b, workload: {kind: StatefulSet, name: db}}
";

type Step = PacketBuilderStep<TcpHeader>;

/// Writes a capture at times that a test chooses.
struct Capture {
    pcap: PcapWriter<File>,
    microseconds: u64,
}

impl Capture {
    fn new(path: &Path) -> Self {
        let pcap = PcapWriter::new(File::create(path).unwrap()).unwrap();
        // Just now: a node that sends Messages has observed what was sent shortly before.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let microseconds = u64::try_from(now.as_micros()).unwrap() - 20_000_000;
        Self { pcap, microseconds }
    }

    /// A segment of a connection, this long after the one before it.
    fn after(
        &mut self,
        microseconds: u64,
        port: u16,
        from_client: bool,
        sequence: u32,
        payload: &[u8],
        flags: impl FnOnce(Step) -> Step,
    ) {
        self.microseconds += microseconds;
        let (client, server) = ([10, 1, 1, 10], [10, 1, 2, 10]);
        let ends = if from_client {
            (client, server, port, 5432)
        } else {
            (server, client, 5432, port)
        };
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(ends.0, ends.1, 64);
        let mut frame = Vec::new();
        flags(step.tcp(ends.2, ends.3, sequence, 64_000))
            .write(&mut frame, payload)
            .unwrap();
        let time = Duration::from_micros(self.microseconds);
        let length = u32::try_from(frame.len()).unwrap();
        self.pcap
            .write_packet(&PcapPacket::new(time, length, &frame))
            .unwrap();
    }

    /// A handshake of 500 µs.
    fn open(&mut self, port: u16) {
        self.after(0, port, true, 1000, &[], |s| s.syn());
        self.after(400, port, false, 5000, &[], |s| s.syn().ack(1001));
        self.after(100, port, true, 1001, &[], |s| s.ack(5001));
    }

    /// A request of 100 octets that is sent twice, and both FINs. Takes 301 ms after the handshake.
    fn lossy(&mut self, port: u16) {
        self.open(port);
        self.after(500, port, true, 1001, &[7; 100], |s| s.psh().ack(5001));
        self.after(300_000, port, true, 1001, &[7; 100], |s| s.psh().ack(5001));
        self.after(100, port, false, 5001, &[], |s| s.ack(1101));
        self.after(200, port, true, 1101, &[], |s| s.fin().ack(5001));
        self.after(100, port, false, 5001, &[], |s| s.fin().ack(1102));
        self.after(100, port, true, 1102, &[], |s| s.ack(5002));
    }

    fn refused(&mut self, port: u16) {
        self.after(0, port, true, 1000, &[], |s| s.syn());
        self.after(2000, port, false, 0, &[], |s| s.rst().ack(1001));
    }

    fn unanswered(&mut self, port: u16) {
        for wait in [0, 1_000_000, 2_000_000] {
            self.after(wait, port, true, 1000, &[], |s| s.syn());
        }
    }

    /// The server resets the connection 10 ms after the handshake.
    fn reset(&mut self, port: u16) {
        self.open(port);
        self.after(10_000, port, false, 5001, &[], |s| s.rst().ack(1001));
    }
}

/// The metrics of the preset after both probes have metered the capture.
fn metrics(folder: &Path, capture: &Path) -> String {
    let inventory = folder.join("inventory.yaml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let mut receiving = collector();
    receiving.args(["--kubernetes", "off", "--print-metrics", "--inventory"]);
    receiving.arg(inventory);
    receiving.args(["--preset", "workloads,health"]);
    for node in ["node-a", "node-b"] {
        let file = folder.join(format!("{node}.ipfix"));
        let mut metering = probe();
        metering.args(["--node-name", node, "--read"]).arg(capture);
        metering.args(["--export", &format!("file:{}", file.display())]);
        program::text(&mut metering);
        receiving.arg("--read").arg(file);
    }
    program::text(&mut receiving)
}

/// The samples of a name with the sending workload, without zeros.
fn samples(text: &str, name: &str) -> Vec<(String, String)> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")));
    lines
        .map(|line| {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            let (_, rest) = labels.split_once("src_workload=\"").unwrap();
            let workload = rest.split_once('"').unwrap().0;
            (workload.to_owned(), value.to_owned())
        })
        .filter(|(_, value)| value != "0")
        .collect()
}

#[test]
fn connections_that_both_nodes_meter_are_counted_once_with_their_health() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connections.pcap");
    let mut capture = Capture::new(&path);
    for number in 0..3 {
        capture.lossy(40_000 + number);
    }
    for number in 0..2 {
        capture.refused(41_000 + number);
    }
    capture.unanswered(42_000);
    capture.reset(43_000);
    for number in 0..2 {
        capture.open(44_000 + number);
    }
    drop(capture);
    let text = metrics(folder.path(), &path);
    for (name, expected) in [
        ("kipfix_connections_total", "9"),
        ("kipfix_closed_connections_total", "3"),
        ("kipfix_refused_connections_total", "2"),
        ("kipfix_unanswered_connections_total", "1"),
        ("kipfix_reset_connections_total", "1"),
        ("kipfix_open_connections", "2"),
        // Three requests and two SYNs.
        ("kipfix_retransmitted_packets_total", "5"),
        ("kipfix_retransmitted_bytes_total", "300"),
        ("kipfix_handshake_rtt_seconds_count", "6"),
        ("kipfix_handshake_rtt_seconds_sum", "0.003"),
        // 3 × 301 ms, 2 × 2 ms, 3 s, 10 ms.
        ("kipfix_connection_duration_seconds_count", "7"),
        ("kipfix_connection_duration_seconds_sum", "3.917"),
    ] {
        let expected = [("web".to_owned(), expected.to_owned())];
        assert_eq!(samples(&text, name), expected, "{name}\n{text}");
    }
}
