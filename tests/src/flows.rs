//! Sums per flow.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::program;

/// Source, destination, protocol, ports.
pub type Key = (IpAddr, IpAddr, u8, u16, u16);

/// Flow → (packets, octets).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows(pub BTreeMap<Key, (u64, u64)>);

impl Flows {
    /// Adds to a flow. Ports of ICMP are ignored: some tools use them for type and code.
    pub fn add(&mut self, key: Key, packets: u64, octets: u64) {
        let (source, destination, protocol, sport, dport) = key;
        let (sport, dport) = if matches!(protocol, 1 | 58) {
            (0, 0)
        } else {
            (sport, dport)
        };
        let key = (
            source.to_canonical(),
            destination.to_canonical(),
            protocol,
            sport,
            dport,
        );
        let sums = self.0.entry(key).or_default();
        sums.0 += packets;
        sums.1 += octets;
    }

    /// Adds the reverse direction of a biflow, if it has packets.
    pub fn add_reverse(&mut self, key: Key, packets: u64, octets: u64) {
        let (source, destination, protocol, sport, dport) = key;
        if packets > 0 {
            let key = (destination, source, protocol, dport, sport);
            self.add(key, packets, octets);
        }
    }

    /// Packets and octets of all flows.
    pub fn totals(&self) -> (u64, u64) {
        self.0
            .values()
            .fold((0, 0), |sum, flow| (sum.0 + flow.0, sum.1 + flow.1))
    }

    /// What the collector reads out of a file.
    pub fn of_collector(path: &Path) -> Self {
        let mut command = program::collector();
        command.arg("--read").arg(path);
        command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
        Self::of_json_lines(&program::text(&mut command))
    }

    /// Reads JSON lines with IANA names, as `stdout:` and `--flow-log` write them.
    pub fn of_json_lines(text: &str) -> Self {
        let mut flows = Self::default();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let record: serde_json::Value = serde_json::from_str(line).expect(line);
            let address = |name: &str| -> Option<IpAddr> {
                ["IPv4Address", "IPv6Address"]
                    .iter()
                    .find_map(|family| record[format!("{name}{family}")].as_str()?.parse().ok())
            };
            let number = |name: &str| record[name].as_u64().unwrap_or_default();
            // Switches also report frames without IP.
            let (Some(source), Some(destination)) = (address("source"), address("destination"))
            else {
                continue;
            };
            let key = (
                source,
                destination,
                number("protocolIdentifier") as u8,
                number("sourceTransportPort") as u16,
                number("destinationTransportPort") as u16,
            );
            flows.add(key, number("packetDeltaCount"), number("octetDeltaCount"));
            let (packets, octets) = ("reversePacketDeltaCount", "reverseOctetDeltaCount");
            flows.add_reverse(key, number(packets), number(octets));
        }
        flows
    }

    /// Sums the records that nfdump reads, by a command that names its input. A biflow is two
    /// flows.
    pub fn of_nfdump(nfdump: &mut Command) -> Self {
        let format = "fmt:%sa,%da,%sp,%dp,%pr,%pkt,%byt,%opkt,%obyt";
        nfdump.args(["-6", "-q", "-N", "-o", format]);
        let mut flows = Self::default();
        for line in program::text(nfdump).lines() {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let [source, destination, sport, dport, protocol, ref counts @ ..] = cells[..] else {
                continue;
            };
            let Ok(source) = source.parse::<IpAddr>() else {
                continue;
            };
            let destination: IpAddr = destination.parse().expect("an address");
            if source.is_unspecified() && destination.is_unspecified() {
                continue;
            }
            // The port of ICMP is type and code, such as "8.0".
            let port = |text: &str| {
                text.split('.')
                    .next()
                    .and_then(|t| t.parse().ok())
                    .unwrap_or(0)
            };
            let protocol = protocol.parse().expect("a protocol number");
            let counts: Vec<u64> = counts
                .iter()
                .map(|text| text.parse().unwrap_or_else(|_| panic!("{line}")))
                .collect();
            let [packets, octets, reverse_packets, reverse_octets] = counts[..] else {
                panic!("{line}");
            };
            let key = (source, destination, protocol, port(sport), port(dport));
            flows.add(key, packets, octets);
            flows.add_reverse(key, reverse_packets, reverse_octets);
        }
        flows
    }

    /// Panics with the first differences of two sums.
    pub fn assert_same(&self, truth: &Self, what: &str) {
        assert!(self == truth, "{what}: {}", self.differences(truth));
    }

    /// Describes the differences to the expected sums: their number, and the first ones.
    pub fn differences(&self, truth: &Self) -> String {
        let mut differences = Vec::new();
        for (key, want) in &truth.0 {
            if self.0.get(key) != Some(want) {
                differences.push(format!(
                    "{key:?}: {:?} instead of {want:?}",
                    self.0.get(key)
                ));
            }
        }
        for (key, got) in &self.0 {
            if !truth.0.contains_key(key) {
                differences.push(format!("{key:?}: {got:?}, which is not in the truth"));
            }
        }
        format!(
            "{} of {} flows differ, totals {:?} instead of {:?}\n{}",
            differences.len(),
            truth.0.len(),
            self.totals(),
            truth.totals(),
            differences
                .into_iter()
                .take(8)
                .collect::<Vec<_>>()
                .join("\n")
        )
    }
}
