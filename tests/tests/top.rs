//! `top` of both programs: the table as text, and the live screen in a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etherparse::PacketBuilder;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::program::{self, eventually};
use nix::pty::{Winsize, openpty};
use pcap_file::pcap::{PcapPacket, PcapWriter};

const TIMEOUT: Duration = Duration::from_secs(30);
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
const SYN: u8 = 1;
const ACK: u8 = 2;

/// A connection of 10 s with a retransmission and a round-trip time of 50 ms, and a question of
/// DNS.
fn write_capture(path: &Path) {
    let mut capture = PcapWriter::new(File::create(path).unwrap()).unwrap();
    let mut write = |milliseconds: u64, frame: &[u8]| {
        let length = u32::try_from(frame.len()).unwrap();
        let time = Duration::from_secs(1_700_000_000) + Duration::from_millis(milliseconds);
        capture
            .write_packet(&PcapPacket::new(time, length, frame))
            .unwrap();
    };
    let tcp = |is_client: bool, flags: u8, sequence: u32, acknowledged: u32, octets: usize| {
        let (source, destination) = if is_client {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let (from, to) = if is_client {
            (40_000, 443)
        } else {
            (443, 40_000)
        };
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(source, destination, 64)
            .tcp(from, to, sequence, 1000);
        if flags & SYN != 0 {
            builder = builder.syn();
        }
        if flags & ACK != 0 {
            builder = builder.ack(acknowledged);
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, &vec![0; octets]).unwrap();
        frame
    };
    write(0, &tcp(true, SYN, 100, 0, 0));
    write(50, &tcp(false, SYN | ACK, 500, 101, 0));
    write(50, &tcp(true, ACK, 101, 501, 0));
    write(1000, &tcp(true, ACK, 101, 501, 960));
    // Not acknowledged, so it is sent again.
    write(2000, &tcp(true, ACK, 101, 501, 960));
    write(2050, &tcp(false, ACK, 501, 1061, 0));
    for (milliseconds, source, ports) in [(3000, CLIENT, (5353, 53)), (10_000, SERVER, (53, 5353))]
    {
        let destination = if source == CLIENT { SERVER } else { CLIENT };
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(source, destination, 64)
            .udp(ports.0, ports.1)
            .write(&mut frame, &[0; 72])
            .unwrap();
        write(milliseconds, &frame);
    }
}

/// The rows of a table, with one space between cells.
fn rows(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

fn probe_rows(capture: &Path, view: &str) -> Vec<String> {
    let mut command = program::probe();
    command
        .args(["top", "--once", "--view", view, "--read"])
        .arg(capture);
    rows(&program::text(&mut command))
}

#[test]
fn the_probe_prints_the_conversations_hosts_and_ports_of_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.pcap");
    write_capture(&capture);
    let numbers = "BYTES/S PACKETS/S SENT RECEIVED PACKETS CONN RETRANS RTT";
    // IPv4 packets of TCP: 40 octets without payload; of UDP: 100.
    let tcp_sent = 40 + 40 + 1000 + 1000;
    let tcp_received = 40 + 40;
    let rows = probe_rows(&capture, "conversations");
    assert_eq!(rows[1], format!("SOURCE DESTINATION PROTOCOL {numbers}"));
    assert!(
        rows[0].starts_with("conversations | 236 B/s | 0.8 packets/s |"),
        "{rows:?}"
    );
    assert!(
        rows[0].contains("2.3 kB in 8 packets | 2 connections | 1 retransmitted"),
        "{rows:?}"
    );
    let tcp = "10.0.0.1:40000 10.0.0.2:443 tcp 216 B 0.6 2.0 kB 80 B 6 1 1 50.0 ms";
    assert_eq!(rows[2], tcp);
    assert_eq!(
        rows[3],
        "10.0.0.1:5353 10.0.0.2:53 udp 20 B 0.2 100 B 100 B 2 1 0 -"
    );
    assert_eq!(rows.len(), 4);
    let rows = probe_rows(&capture, "hosts");
    assert_eq!(rows[1], format!("HOST {numbers}"));
    let client = rows
        .iter()
        .find(|row| row.starts_with("10.0.0.1 "))
        .unwrap();
    assert!(
        client.starts_with("10.0.0.1 236 B 0.8 2.1 kB 180 B 8 2 1 "),
        "{client}"
    );
    assert_eq!((tcp_sent + 100, tcp_received + 100), (2180, 180));
    let rows = probe_rows(&capture, "ports");
    assert!(rows[2].starts_with("tcp/443 216 B "), "{rows:?}");
    assert!(rows[3].starts_with("udp/53 20 B "), "{rows:?}");
}

#[test]
fn the_collector_prints_the_edges_of_its_api() {
    let inventory = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24], zone: z2}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: db-0, namespace: data, addresses: [10.1.2.1], node: node-b, workload: {kind: StatefulSet, name: db}}
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let token = token.to_str().unwrap();
    let collector = Collector::with_inventory(inventory, &["--http-token-file", token]);
    collector.send_all(
        &[
            flow("10.1.1.1", "10.1.2.1"),
            flow("10.1.1.1", "198.51.100.7"),
        ],
        now(),
    );
    collector.counts("kipfix_bytes_total", &[], 2000);
    let server = format!("http://{}", collector.http());
    let top = |arguments: &[&str]| {
        let mut command = program::collector();
        command
            .args(["top", "--once", "--server", &server])
            .args(arguments);
        command
    };
    let with_token = ["--token-file", token];
    let printed = rows(&program::text(top(&with_token).args(["--last", "1h"])));
    assert!(printed[0].starts_with("workloads, last "), "{printed:?}");
    assert!(printed[0].ends_with("| 2 records"), "{printed:?}");
    assert_eq!(
        printed[1],
        "SOURCE DESTINATION CLASS BYTES/S PACKETS/S CONN/S BYTES CONN"
    );
    let mut edges: Vec<&str> = printed[2..]
        .iter()
        .map(|row| row.split(' ').nth(1).unwrap())
        .collect();
    edges.sort_unstable();
    assert_eq!(edges, ["data/db", "office"]);
    assert!(
        printed[2..].iter().all(|row| row.ends_with(" 1.0 kB 1")),
        "{printed:?}"
    );
    let printed = rows(&program::text(
        top(&with_token).args(["--view", "external"]),
    ));
    assert!(
        printed[2].starts_with("shop/web egress office - - "),
        "{printed:?}"
    );
    assert_eq!(printed.len(), 3);
    let printed = rows(&program::text(top(&with_token).args(["--view", "zones"])));
    assert!(
        printed[2].starts_with("shop/web z1 data/db z2 "),
        "{printed:?}"
    );
    let filter = ["--filter", "dst.name == \"office\""];
    assert_eq!(rows(&program::text(top(&with_token).args(filter))).len(), 3);
    let failure_with = |code: i32, arguments: &[&str]| {
        let output = program::ended(&mut top(arguments));
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8(output.stderr).unwrap()
    };
    let failure = |arguments: &[&str]| failure_with(1, arguments);
    assert!(failure(&[]).contains("status 401"), "{}", failure(&[]));
    let with_filter = |filter: &'static str| [&with_token[..], &["--filter", filter]].concat();
    let wrong = failure(&with_filter("src.port == 1"));
    assert!(wrong.contains("status 400: invalid filter"), "{wrong}");
    // It is not sent.
    let wrong = failure_with(64, &with_filter("dst.nam == 1"));
    assert!(
        wrong.contains("unknown field dst.nam; similar: dst.name (column 1)"),
        "{wrong}"
    );
    collector.stop();
    assert!(failure(&[]).contains("refused"), "{}", failure(&[]));
}

/// A program in a terminal of its own.
struct InTerminal {
    child: std::process::Child,
    keys: File,
    screen: Arc<Mutex<String>>,
}

impl InTerminal {
    fn start(command: &mut Command) -> Self {
        let size = Winsize {
            ws_row: 20,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keys = File::from(terminal.master);
        let mut output = keys.try_clone().unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        // It ends with the last open end of the terminal.
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut octets) {
                let text = String::from_utf8_lossy(&octets[..length]).into_owned();
                shown.lock().unwrap().push_str(&text);
            }
        });
        Self {
            child,
            keys,
            screen,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until a text is on the screen that was drawn last.
    fn shows(&self, text: &str) {
        let last = || {
            let screen = self.screen.lock().unwrap();
            let drawn = screen.rsplit("\x1b[H").nth(1).unwrap_or_default();
            drawn.to_owned()
        };
        assert!(
            eventually(TIMEOUT, || last().contains(text)),
            "no {text:?} in {}",
            last()
        );
    }

    /// Quits, and checks that the terminal is as before.
    fn quit(mut self) {
        self.press("q");
        let mut status = None;
        let has_ended = eventually(TIMEOUT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(has_ended);
        assert_eq!(status.unwrap().code(), Some(0));
        // Its last output may not be read yet.
        let screen = || self.screen.lock().unwrap().clone();
        let is_restored = || screen().ends_with("\x1b[?25h\x1b[?1049l");
        assert!(eventually(TIMEOUT, is_restored), "{}", screen());
        assert!(screen().starts_with("\x1b[?1049h"), "{}", screen());
    }
}

#[test]
fn the_live_screen_of_the_probe_sorts_filters_and_quits() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.pcap");
    write_capture(&capture);
    let mut top = InTerminal::start(program::probe().args(["top", "--read"]).arg(&capture));
    top.shows("10.0.0.1:40000");
    top.shows("2 rows");
    top.press("/udp\r");
    top.shows("1 rows");
    top.press("\x1b");
    top.shows("2 rows");
    top.press("<");
    top.shows("PROTOCOL*");
    top.press("p");
    top.shows("paused");
    top.press("\t");
    top.shows("HOST");
    top.quit();
}

#[test]
fn the_live_screen_of_the_collector_shows_failures_and_quits() {
    let collector = Collector::start(&["--kubernetes", "off"]);
    collector.send(&flow("10.1.1.1", "10.1.2.1"));
    collector.counts("kipfix_bytes_total", &[], 1000);
    let server = format!("http://{}", collector.http());
    let mut command = program::collector();
    command.args(["top", "--interval", "1s", "--server", &server]);
    let mut top = InTerminal::start(&mut command);
    top.shows("1 rows");
    top.shows("External");
    top.press("\t");
    top.shows("external names");
    collector.stop();
    top.shows("error:");
    top.quit();
}

#[test]
fn a_live_screen_needs_a_terminal() {
    for mut command in [program::probe(), program::collector()] {
        let output = program::ended(command.args(["top"]));
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("top needs a terminal, or --once"), "{text}");
    }
}

#[test]
fn help_lists_the_keys_of_the_live_screen() {
    for mut command in [program::probe(), program::collector()] {
        let output = program::output(command.args(["top", "--help"]));
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("Keys: q quits, Tab shows the next view"),
            "{text}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_without_a_table() {
    let mut command = program::probe();
    let ended = program::ended(command.args(["top", "--once", "--read", "/nowhere.pcap"]));
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0));
    assert!(error.contains("/nowhere.pcap"), "{error}");
}
