//! nfacctd of pmacct, with sums as output.

use std::io::{Read as _, pipe};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver as Channel, sync_channel};

use super::{Reading, Receiver, Sequence, Suite};
use crate::flows::Flows;
use crate::program;

/// A running nfacctd. It writes its sums at its end, by a process of their own.
pub struct Nfacctd {
    /// Where it receives.
    pub receiver: Receiver,
    /// What it logs, when all of its processes have ended.
    log: Channel<String>,
}

impl Nfacctd {
    /// Starts the installed one. `more`: additional lines of its configuration.
    pub fn start(more: &[&str]) -> Self {
        Self::of(&Suite::installed(), more)
    }

    /// Like [`start`](Self::start), for the program of a suite.
    pub fn of(suite: &Suite, more: &[&str]) -> Self {
        let (mut reader, writer) = pipe().expect("a pipe");
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
            let mut command = suite.command("nfacctd");
            command.arg("-f").arg(file("settings"));
            command.stdout(writer.try_clone().expect("a pipe"));
            command.stderr(writer);
            command
        });
        let (sender, log) = sync_channel(1);
        std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).expect("its log");
            sender
                .send(String::from_utf8_lossy(&text).into_owned())
                .ok();
        });
        // Its plugin is a process.
        receiver.wait_for_child();
        Self { receiver, log }
    }

    /// Interrupts it and returns what it received.
    pub fn finish(self) -> Reading {
        let folder = self.receiver.interrupt();
        let log = self.log.recv_timeout(program::PATIENCE);
        let log = log.expect("its writer ends");
        let text = std::fs::read_to_string(folder.path().join("sums")).expect("sums");
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
