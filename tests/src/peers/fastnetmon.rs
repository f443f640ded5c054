//! fastnetmon, which logs every received flow.

use std::fs::File;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Reading, Receiver, Sequence};
use crate::flows::Flows;
use crate::program;

/// A running fastnetmon.
pub struct Fastnetmon {
    /// Where it receives.
    pub receiver: Receiver,
}

impl Fastnetmon {
    /// Starts the installed one, which counts the addresses of the generated traffic.
    pub fn start() -> Self {
        let receiver = Receiver::start(|folder, port| {
            let file = |name: &str| folder.join(name).display().to_string();
            // It reserves memory for each IPv4 address of these networks.
            std::fs::write(file("networks"), "10.1.0.0/16\nfd00::/16\n").expect("networks");
            std::fs::write(file("whitelist"), "").expect("a list");
            let lines = [
                "enable_ban = off".to_owned(),
                "netflow = on".to_owned(),
                "netflow_host = 127.0.0.1".to_owned(),
                format!("netflow_port = {port}"),
                "netflow_sampling_ratio = 1".to_owned(),
                "dump_all_traffic = on".to_owned(),
                "process_incoming_traffic = on".to_owned(),
                "process_outgoing_traffic = on".to_owned(),
                "enable_api = off".to_owned(),
                "prometheus = off".to_owned(),
                format!("networks_list_path = {}", file("networks")),
                format!("white_list_path = {}", file("whitelist")),
                format!("pid_path = {}", file("pid")),
                format!("cli_stats_file_path = {}", file("statistics")),
                format!("cli_stats_ipv6_file_path = {}", file("statistics6")),
            ];
            std::fs::write(file("settings"), lines.join("\n") + "\n").expect("settings");
            let log = File::create(folder.join("log")).expect("a log");
            let mut command = Command::new("fastnetmon");
            command.args(["--configuration_file", &file("settings")]);
            command.args(["--log_to_console", "--disable_pid_logic"]);
            command.stdout(log).stderr(Stdio::null());
            command
        });
        Self { receiver }
    }

    /// Stops it and returns what it received.
    pub fn finish(self) -> Reading {
        let folder = self.receiver.end(|running, folder| {
            // It writes its log at once, and its end can take long.
            let path = folder.join("log");
            let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
            let mut before = length();
            let is_complete = || {
                std::thread::sleep(Duration::from_millis(300));
                std::mem::replace(&mut before, length()) == before && before > 0
            };
            program::eventually(program::PATIENCE, is_complete);
            running.kill();
        });
        let log = std::fs::read_to_string(folder.path().join("log")).expect("its log");
        let mut flows = Flows::default();
        let mut records = 0;
        for line in log.lines() {
            // `… Dump: DATE TIME ADDRESS:PORT > ADDRESS:PORT protocol: tcp … packets: 7 size: 1991
            // bytes …`
            let Some((_, text)) = line.split_once("Dump: ") else {
                continue;
            };
            let words: Vec<&str> = text.split_whitespace().collect();
            let [
                _,
                _,
                source,
                ">",
                destination,
                "protocol:",
                protocol,
                ref more @ ..,
            ] = words[..]
            else {
                panic!("{line}");
            };
            let end = |text: &str| -> Option<(IpAddr, u16)> {
                let (address, port) = text.rsplit_once(':')?;
                Some((address.parse().ok()?, port.parse().ok()?))
            };
            let number = |name: &str| -> Option<u64> {
                let at = more.iter().position(|word| *word == name)?;
                more.get(at + 1)?.parse().ok()
            };
            let protocol = match protocol {
                "tcp" => 6,
                "udp" => 17,
                "icmp" => 1,
                // It has no name for ICMPv6.
                "unknown" => 58,
                _ => panic!("{line}"),
            };
            let ends = end(source).zip(end(destination));
            let ((source, sport), (destination, dport)) = ends.unwrap_or_else(|| panic!("{line}"));
            let counts = number("packets:").zip(number("size:"));
            let (packets, octets) = counts.unwrap_or_else(|| panic!("{line}"));
            flows.add(
                (source, destination, protocol, sport, dport),
                packets,
                octets,
            );
            records += 1;
        }
        Reading::of_flows(records, flows, Sequence::Untold)
    }
}
