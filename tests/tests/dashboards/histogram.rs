//! Histograms of connection health in a real Prometheus: classic buckets, and native ones.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage};
use flowproto::tcp::{ConnectionState, Handshake};
use flowproto::{Address, FlowRecord};
use kipfix_tests::program::{self, Running, collector, eventually, free_tcp_port, free_udp_port};
use kipfix_tests::{skip, take_turn};

use crate::pair::served;
use crate::prometheus::{NativeHistograms, Prometheus};

/// Round-trip times of the handshakes that are sent, microseconds.
const HANDSHAKES: [u32; 5] = [200, 210, 220, 4_000, 50_000];

/// A connection of 20 ms whose handshake took this long.
fn record(microseconds: u32) -> FlowRecord {
    let mut record = FlowRecord {
        octet_delta_count: 1500,
        packet_delta_count: 3,
        tcp_connection_state: ConnectionState::Closed,
        connection_sum_duration_milliseconds: 20,
        connection_sum_duration_seconds: Some(0),
        tcp_handshake: Handshake {
            client_microseconds: 50,
            server_microseconds: microseconds - 50,
        },
        ..FlowRecord::default()
    };
    record.key.source_address = Address::from_v4_bits(0x0a00_0001);
    record.key.destination_address = Address::from_v4_bits(0x0a01_0002);
    record.key.protocol_identifier = 6;
    record
}

/// Starts a collector and sends it the records.
fn started(port: u16, http: u16) -> Running {
    let mut command = collector();
    command.args(["--listen", &format!("udp://127.0.0.1:{port}")]);
    command.args(["--http", &format!("127.0.0.1:{http}")]);
    command.args(["--kubernetes", "off", "--preset", "health"]);
    command.args(["--series-birth", "0s"]);
    command.env_remove("KIPFIX_COLLECTOR__SERIES_BIRTH");
    let running = Running::start(command.stderr(Stdio::null()));
    program::wait_for_udp(running.pid(), port);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut session = ExportSession::new(ExportSettings::default());
    let mut send = |message: OutgoingMessage<'_>| {
        let collector = ("127.0.0.1", port);
        socket.send_to(message.octets, collector).unwrap();
    };
    for microseconds in HANDSHAKES {
        session.add(&record(microseconds), 0, &mut send).unwrap();
    }
    session.flush(0, &mut send);
    running
}

fn assert_becomes(prometheus: &Prometheus, expr: &str, expected: f64) {
    let is_so = || {
        prometheus
            .value(expr)
            .is_some_and(|v| (v - expected).abs() < 1e-9)
    };
    let found = || prometheus.value(expr);
    assert!(
        eventually(program::PATIENCE, is_so),
        "{expr}: {:?} is not {expected}",
        found()
    );
}

/// The same collector, scraped as text and as protobuf with native histograms.
fn compare(program: &Path, with_native: NativeHistograms) {
    let _turn = take_turn();
    let (port, http) = (free_udp_port(), free_tcp_port());
    let _running = started(port, http);
    let targets = [("collector", format!("127.0.0.1:{http}"))];
    let classic = Prometheus::start_program(program, &targets, &[]);
    let native = Prometheus::start_with(program, with_native, &targets, &[]);
    let name = "kipfix_handshake_rtt_seconds";
    assert_becomes(&classic, &format!("{name}_count"), 5.0);
    assert_becomes(&classic, &format!("{name}_sum"), 0.05463);
    for (bound, count) in [
        ("0.0001", 0.0),
        ("0.00025", 3.0),
        ("0.005", 4.0),
        ("0.05", 5.0),
    ] {
        assert_becomes(&classic, &format!("{name}_bucket{{le=\"{bound}\"}}"), count);
    }
    assert_becomes(&native, &format!("histogram_count({name})"), 5.0);
    assert_becomes(&native, &format!("histogram_sum({name})"), 0.05463);
    assert_becomes(
        &native,
        "histogram_count(kipfix_connection_duration_seconds)",
        5.0,
    );
    assert_becomes(&native, "kipfix_closed_connections_total", 5.0);
    // A bucket is 9 % wide.
    for (quantile, expected) in [(0.5, 0.00022), (0.7, 0.004), (1.0, 0.05)] {
        let expr = format!("histogram_quantile({quantile}, {name})");
        let found = native.value(&expr).unwrap();
        let error = (found / expected - 1.0).abs();
        assert!(error < 0.1, "{expr}: {found} is not {expected}");
    }
    promtool(http);
}

/// promtool has nothing to say about the text.
fn promtool(http: u16) {
    use std::io::Write as _;
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let text = served(http);
    let traffic: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("kipfix_collector_"))
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(traffic.join("\n").as_bytes()).unwrap();
    stdin.write_all(b"\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let found = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && found.is_empty(), "{found}");
}

#[test]
fn prometheus_stores_classic_and_native_histograms_of_connection_health() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    compare(Path::new("prometheus"), NativeHistograms::ByFlag);
}

#[test]
fn prometheus_3_stores_classic_and_native_histograms_of_connection_health() {
    match program::built_by("go_program.sh prometheus") {
        Ok(prometheus) => compare(&prometheus, NativeHistograms::BySetting),
        Err(reason) => skip(&reason),
    }
}
