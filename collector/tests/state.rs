//! `--state`: what the decoder knows survives a restart.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code"
)]
#![expect(dead_code, reason = "other tests use the rest of the shared module")]

mod program;

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use flowproto::FlowRecord;
use flowproto::exporter::{ExportSession, ExportSettings, Version};
use program::Running;

fn start(state: &Path) -> Running {
    let listen = ["--listen", "udp://127.0.0.1:0"];
    let state = ["--state", state.to_str().unwrap()];
    Running::start(&[listen, state].concat())
}

/// Waits until a metric has this value.
fn wait_for(running: &Running, name: &str, value: u64) {
    let line = format!("kipfix_collector_{name} {value}\n");
    for _ in 0..200 {
        if running.get("/metrics", "").contains(&line) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no {line} in\n{}", running.get("/metrics", ""));
}

/// Sends a record, behind the templates if they are due.
fn send(session: &mut ExportSession, from: &UdpSocket, to: &Running) {
    let record = FlowRecord {
        octet_delta_count: 100,
        packet_delta_count: 1,
        ..FlowRecord::default()
    };
    let send = |octets: &[u8]| {
        from.send_to(octets, to.listen[0]).unwrap();
    };
    session.add(&record, 0, &mut |m| send(m.octets)).unwrap();
    session.flush(0, &mut |m| send(m.octets));
}

#[test]
fn templates_survive_a_restart_and_a_broken_file_is_ignored() {
    for version in [Version::Ipfix, Version::Netflow9] {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let mut session = ExportSession::new(ExportSettings {
            version,
            ..ExportSettings::default()
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let collector = start(&state);
        send(&mut session, &socket, &collector);
        wait_for(&collector, "records_total", 1);
        assert_eq!(collector.stop(), Some(0));

        let collector = start(&state);
        wait_for(&collector, "domains", 1);
        send(&mut session, &socket, &collector);
        wait_for(&collector, "records_total", 1);
        wait_for(&collector, "sets_held_total", 0);
        wait_for(&collector, "sequence_lost_total", 0);
        assert_eq!(collector.stop(), Some(0));

        std::fs::write(&state, "something else").unwrap();
        let collector = start(&state);
        send(&mut session, &socket, &collector);
        wait_for(&collector, "sets_held_total", 1);
        assert_eq!(collector.stop(), Some(0));
    }
}
