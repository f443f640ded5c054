//! nfacctd of pmacct, with sums as output.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Reading, Receiver, Sequence, Suite};
use crate::flows::Flows;
use crate::program;

/// A running nfacctd. It writes its sums at its end.
pub struct Nfacctd {
    /// Where it receives.
    pub receiver: Receiver,
}

impl Nfacctd {
    /// Starts the installed one. `more`: additional lines of its configuration. It is ready after
    /// [`settle`](Self::settle).
    pub fn start(more: &[&str]) -> Self {
        Self::of(&Suite::installed(), more)
    }

    /// Like [`start`](Self::start), for the program of a suite.
    pub fn of(suite: &Suite, more: &[&str]) -> Self {
        let receiver = Receiver::start(|folder, port| {
            let file = |name: &str| folder.join(name);
            let mut lines = vec![
                "daemonize: false".to_owned(),
                "nfacctd_ip: 127.0.0.1".to_owned(),
                format!("nfacctd_port: {port}"),
                // It logs unexpected sequence numbers.
                "nfacctd_disable_checks: false".to_owned(),
                "plugins: print".to_owned(),
                "aggregate: src_host, dst_host, src_port, dst_port, proto, flows".to_owned(),
                "print_output: json".to_owned(),
                "print_refresh_time: 3600".to_owned(),
                "plugin_buffer_size: 10240".to_owned(),
                "plugin_pipe_size: 10240000".to_owned(),
                format!("print_output_file: {}", file("sums").display()),
            ];
            lines.extend(more.iter().map(|line| (*line).to_owned()));
            std::fs::write(file("settings"), lines.join("\n") + "\n").expect("settings");
            let log = File::create(file("log")).expect("a log");
            let mut command = suite.command("nfacctd");
            command.arg("-f").arg(file("settings"));
            command.stdout(log.try_clone().expect("a log")).stderr(log);
            command
        });
        Self { receiver }
    }

    /// Waits until nfacctd is ready. Its plugin is a separate process that does not report it.
    pub fn settle() {
        std::thread::sleep(Duration::from_secs(2));
    }

    /// Interrupts it and returns what it received.
    pub fn finish(self) -> Reading {
        let folder = self.receiver.interrupt();
        let text = written(&folder.path().join("sums"));
        let log = std::fs::read(folder.path().join("log")).expect("its log");
        let log = String::from_utf8_lossy(&log).into_owned();
        let mut flows = Flows::default();
        let mut records = 0;
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let sum: serde_json::Value = serde_json::from_str(line).expect(line);
            let text = |name: &str| sum[name].as_str().unwrap_or_else(|| panic!("{line}"));
            let address = |name: &str| -> IpAddr { text(name).parse().expect("an address") };
            let number = |name: &str| sum[name].as_u64().unwrap_or_else(|| panic!("{line}"));
            let protocol = match text("ip_proto") {
                "tcp" => 6,
                "udp" => 17,
                "icmp" => 1,
                "ipv6-icmp" => 58,
                other => other.parse().expect("a protocol"),
            };
            let ports = (number("port_src") as u16, number("port_dst") as u16);
            let ends = (address("ip_src"), address("ip_dst"));
            let key = (ends.0, ends.1, protocol, ports.0, ports.1);
            flows.add(key, number("packets"), number("bytes"));
            records += number("flows");
        }
        let unexpected = log.lines().filter(|line| line.contains("expecting flow"));
        Reading::of_flows(
            records,
            flows,
            Sequence::Failures(unexpected.count() as u64),
        )
    }
}

/// Waits for the output of its writer process.
fn written(path: &PathBuf) -> String {
    let mut length = 0;
    let done = program::eventually(Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(300));
        let now = std::fs::metadata(path).map_or(0, |file| file.len());
        std::mem::replace(&mut length, now) == now && now > 0
    });
    assert!(done, "nfacctd writes what it has");
    std::fs::read_to_string(path).expect("sums")
}
