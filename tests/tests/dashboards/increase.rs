//! `increase()` of a real Prometheus over the life of a series is what was sent.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_tests::program::{self, Running, collector, eventually, free_tcp_port, free_udp_port};
use kipfix_tests::{skip, take_turn};

use crate::prometheus::Prometheus;

/// Families, and what a record adds to them. The last one has one series for all pairs.
const FAMILIES: [(&str, u32); 4] = [
    ("kipfix_bytes_total", 1500),
    ("kipfix_packets_total", 3),
    ("kipfix_connections_total", 1),
    ("kipfix_node_bytes_total", 1500),
];

/// A record of 1500 octets from one named network to another.
fn record(from: u8, to: u8) -> FlowRecord {
    let mut record = FlowRecord {
        octet_delta_count: 1500,
        packet_delta_count: 3,
        new_connection_delta_count: Some(1),
        ..FlowRecord::default()
    };
    record.key.source_address = Address::from_v4_bits(0x0a00_0001 + (u32::from(from) << 16));
    record.key.destination_address = Address::from_v4_bits(0x0a00_0002 + (u32::from(to) << 16));
    record
}

/// Sends records to a collector.
struct Exporter {
    socket: UdpSocket,
    session: ExportSession,
    port: u16,
}

impl Exporter {
    fn send(&mut self, records: &[FlowRecord]) {
        let mut out = |message: flowproto::exporter::OutgoingMessage<'_>| {
            let collector = ("127.0.0.1", self.port);
            self.socket.send_to(message.octets, collector).unwrap();
        };
        for record in records {
            self.session.add(record, 0, &mut out).unwrap();
        }
        self.session.flush(0, &mut out);
    }
}

/// Starts a collector that names 20 networks.
fn started(port: u16, http: u16) -> Running {
    let mut command = collector();
    command.args(["--listen", &format!("udp://127.0.0.1:{port}")]);
    command.args(["--http", &format!("127.0.0.1:{http}")]);
    command.args(["--kubernetes", "off"]);
    for network in 0..20 {
        command.args(["--cidr", &format!("10.{network}.0.0/16=network-{network}")]);
    }
    // Prometheus scrapes every second, and on a loaded machine it may miss some.
    command.args(["--series-birth", "8s"]);
    command.env_remove("KIPFIX_COLLECTOR__SERIES_BIRTH");
    let running = Running::start(command.stderr(Stdio::null()));
    program::wait_for_udp(running.pid(), port);
    running
}

/// Sends through two lives of a collector and compares with the increase.
fn compare(prometheus: &Path) {
    let _turn = take_turn();
    let (port, http) = (free_udp_port(), free_tcp_port());
    let running = started(port, http);
    let targets = [("collector", format!("127.0.0.1:{http}"))];
    let prometheus = Prometheus::start_program(prometheus, &targets, &[]);
    // The first scrape may be some seconds after the start.
    let is_up = || !prometheus.query("up == 1").is_empty();
    assert!(eventually(program::PATIENCE, is_up));
    let mut exporter = Exporter {
        socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
        session: ExportSession::new(ExportSettings::default()),
        port,
    };
    // Most pairs send once only, at times that do not depend on the scrapes. One sends all the
    // time.
    for second in 0..19_u8 {
        exporter.send(&[record(second, second + 1), record(19, 0)]);
        std::thread::sleep(Duration::from_millis(270));
    }
    let scraped = |records: u32| {
        let wanted = f64::from(records * 1500);
        let complete = || prometheus.value("sum(kipfix_bytes_total)") == Some(wanted);
        assert!(eventually(program::PATIENCE, complete));
    };
    scraped(2 * 19);
    assert_increase(&prometheus, [2 * 19, 2 * 19]);
    drop(running);
    // After a restart nine pairs send again, and nine others for the first time.
    let _running = started(port, http);
    exporter.session = ExportSession::new(ExportSettings::default());
    for second in 10..19_u8 {
        exporter.send(&[record(second, second + 1), record(second + 1, second)]);
        std::thread::sleep(Duration::from_millis(270));
    }
    scraped(2 * 9);
    assert_increase(&prometheus, [9 + 2 * 9, 2 * 19 + 2 * 9]);
}

/// Asserts the increase, over all of their life, of the series that are served now: records of the
/// pairs that have one, and all records.
fn assert_increase(prometheus: &Prometheus, [of_pairs, all]: [u32; 2]) {
    for (family, each) in FAMILIES {
        let records = if family.starts_with("kipfix_node") {
            all
        } else {
            of_pairs
        };
        // At the time of the last sample nothing is extrapolated.
        let at = prometheus
            .value(&format!("max(timestamp({family}))"))
            .unwrap();
        let expr = format!("sum(increase({family}[10m] @ {at}) and {family} @ {at})");
        let wanted = f64::from(records * each);
        assert_eq!(prometheus.value(&expr), Some(wanted), "{family}");
    }
}

#[test]
fn the_increase_of_short_lived_series_is_what_was_sent() {
    if !program::is_installed("prometheus") {
        return skip("prometheus is not installed");
    }
    compare(Path::new("prometheus"));
}

#[test]
fn the_increase_of_short_lived_series_is_what_was_sent_in_prometheus_3() {
    match program::built_by("go_program.sh prometheus") {
        Ok(prometheus) => compare(&prometheus),
        Err(reason) => skip(&reason),
    }
}
