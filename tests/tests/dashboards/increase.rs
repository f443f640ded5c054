//! `increase()` of a real Prometheus over the life of a series is what was sent.

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_tests::program::{self, Running, collector, eventually, free_tcp_port, free_udp_port};
use kipfix_tests::{skip, take_turn};

use crate::prometheus::Prometheus;

const FAMILIES: [(&str, u64); 4] = [
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

#[test]
fn the_increase_of_short_lived_series_is_what_was_sent() {
    let test = "the_increase_of_short_lived_series_is_what_was_sent";
    if !program::is_installed("prometheus") {
        return skip(test, "prometheus is not installed");
    }
    let _turn = take_turn();
    let (port, http) = (free_udp_port(), free_tcp_port());
    let mut command = collector();
    command.args(["--listen", &format!("udp://127.0.0.1:{port}")]);
    command.args([
        "--http",
        &format!("127.0.0.1:{http}"),
        "--kubernetes",
        "off",
    ]);
    for network in 0..20 {
        command.args(["--cidr", &format!("10.{network}.0.0/16=network-{network}")]);
    }
    // Prometheus scrapes every second.
    command.args(["--series-birth", "3s"]);
    command.env_remove("KIPFIX_COLLECTOR__SERIES_BIRTH");
    let running = Running::start(command.stderr(Stdio::null()));
    program::wait_for_udp(running.pid(), port);
    let prometheus = Prometheus::start(&[("collector", format!("127.0.0.1:{http}"))], &[]);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut session = ExportSession::new(ExportSettings::default());
    let mut send = |records: &[FlowRecord]| {
        let mut out = |message: flowproto::exporter::OutgoingMessage<'_>| {
            socket.send_to(message.octets, ("127.0.0.1", port)).unwrap();
        };
        for record in records {
            session.add(record, 0, &mut out).unwrap();
        }
        session.flush(0, &mut out);
    };
    // Most pairs send once only, at times that have nothing to do with the scrapes. One sends all the time.
    for second in 0..19_u8 {
        send(&[record(second, second + 1), record(19, 0)]);
        std::thread::sleep(Duration::from_millis(270));
    }
    let sent = 2 * 19;
    let value = |expr: &str| {
        let samples = prometheus.query(expr);
        let value = samples.first()?.get("value")?.get(1)?.as_str()?;
        value.parse::<f64>().ok()
    };
    let complete = || value("sum(kipfix_bytes_total)") == Some(f64::from(sent * 1500));
    assert!(eventually(Duration::from_secs(20), complete));
    for (family, each) in FAMILIES {
        // At the time of the last sample nothing is extrapolated.
        let at = value(&format!("max(timestamp({family}))")).unwrap();
        let increase = value(&format!("sum(increase({family}[10m] @ {at}))"));
        let wanted = f64::from(sent) * each as f64;
        assert_eq!(increase, Some(wanted), "{family}");
    }
}
