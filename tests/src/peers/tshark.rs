//! tshark.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Reading, Sequence};
use crate::program;

/// Severity of warnings in tshark. Malformed packets are errors, which is higher.
const WARNING: u64 = 0x0060_0000;

/// Reads a capture of export to port 4739 with tshark. Panics if it reports a problem, except for
/// sequence numbers, which are part of the result.
pub fn tshark(capture: &Path) -> Reading {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture);
    command.args([
        "-d",
        "udp.port==4739,cflow",
        "-T",
        "fields",
        "-E",
        "separator=;",
    ]);
    for field in [
        "cflow.version",
        "cflow.sequence",
        "cflow.packets",
        "cflow.octets",
        "_ws.expert.severity",
        "_ws.expert.message",
    ] {
        command.args(["-e", field]);
    }
    let text = program::text(command.stderr(Stdio::null()));
    let mut reading = Reading::default();
    let mut unexpected = 0;
    let mut of_version_5 = BTreeSet::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.splitn(6, ';').collect();
        let [version, number, packets, octets, severities, complaint] = cells[..] else {
            panic!("{line}");
        };
        let numbers = |cell: &str| -> Vec<u64> {
            let numbers = cell.split(',').filter(|number| !number.is_empty());
            numbers
                .map(|number| number.parse().unwrap_or_else(|_| panic!("{line}")))
                .collect()
        };
        if version == "5" {
            of_version_5.extend(numbers(number));
        }
        let octets = numbers(octets);
        reading.records += octets.len() as u64;
        reading.totals.0 += numbers(packets).iter().sum::<u64>();
        reading.totals.1 += octets.iter().sum::<u64>();
        match numbers(severities)
            .into_iter()
            .filter(|severity| *severity >= WARNING)
            .count()
        {
            0 => {}
            1 if complaint.contains("sequence") => unexpected += 1,
            _ => panic!("{}: {complaint}", capture.display()),
        }
    }
    // It checks those of IPFIX and NetFlow v9 only.
    reading.sequence = match of_version_5.is_empty() {
        true => Sequence::Failures(unexpected),
        false => Sequence::Numbers(of_version_5),
    };
    reading
}
