//! ra of argus, with comma-separated output.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{Reading, Receiver, Sequence};
use crate::flows::Flows;

/// The printed fields.
const FIELDS: &str = "saddr daddr proto sport dport spkts sbytes dpkts dbytes";

/// A running ra, which reads NetFlow v5 and v9.
pub struct Ra {
    /// Where it receives.
    pub receiver: Receiver,
}

impl Ra {
    /// Starts the installed one, without the configuration of the user.
    pub fn start() -> Self {
        let receiver = Receiver::start(|folder, port| {
            let settings = folder.join("ra.conf");
            std::fs::write(&settings, "").expect("settings");
            let out = File::create(folder.join("out")).expect("a file");
            let mut command = Command::new("ra");
            command.arg("-F").arg(settings);
            command.args(["-C", &format!("127.0.0.1:{port}"), "-nn", "-c", ",", "-s"]);
            command.args(FIELDS.split(' '));
            command.stdout(out).stderr(Stdio::null());
            command
        });
        Self { receiver }
    }

    /// Stops it and returns what it received.
    pub fn finish(self) -> Reading {
        let folder = self.receiver.interrupt();
        let text = std::fs::read_to_string(folder.path().join("out")).expect("its output");
        let mut flows = Flows::default();
        let mut records = 0;
        // The first line has the names of the fields.
        for line in text.lines().skip(1) {
            records += 1;
            let cells: Vec<&str> = line.split(',').collect();
            let [source, destination, protocol, sport, dport, ref counts @ ..] = cells[..] else {
                panic!("{line}");
            };
            let counts: Vec<u64> = counts.iter().filter_map(|text| text.parse().ok()).collect();
            let [packets, octets, reverse_packets, reverse_octets] = counts[..] else {
                panic!("{line}");
            };
            let address = |text: &str| text.parse().unwrap_or_else(|_| panic!("{line}"));
            // ICMP has no ports.
            let port = |text: &str| text.parse().unwrap_or(0);
            let protocol = protocol.parse().unwrap_or_else(|_| panic!("{line}"));
            let key = (
                address(source),
                address(destination),
                protocol,
                port(sport),
                port(dport),
            );
            // It exchanges both ends of a record if it takes the source for the server.
            if packets > 0 {
                flows.add(key, packets, octets);
            }
            flows.add_reverse(key, reverse_packets, reverse_octets);
        }
        Reading::of_flows(records, flows, Sequence::Untold)
    }
}
