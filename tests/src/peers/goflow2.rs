//! goflow2, with JSON output.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Reading, Receiver, Sequence};
use crate::flows::Flows;
use crate::program;
use crate::skip;

/// A running goflow2.
pub struct Goflow2 {
    /// Where it receives.
    pub receiver: Receiver,
}

impl Goflow2 {
    /// The program (`tests/go_program.sh`). Calls [`skip`] and returns `None` if it cannot be
    /// built.
    pub fn program() -> Option<PathBuf> {
        let built = program::built_by("go_program.sh goflow2");
        built.map_err(|reason| skip(&reason)).ok()
    }

    /// Starts it with one worker, which reads in order: several could read records before their
    /// template.
    pub fn start(program: &PathBuf) -> Self {
        let receiver = Receiver::start(|folder, port| {
            let parameters = "count=1&workers=1&queue_size=100000&blocking=true";
            let listen = format!("netflow://127.0.0.1:{port}?{parameters}");
            let mut command = Command::new(program);
            command.args(["-listen", &listen, "-addr", ""]);
            command.args(["-format", "json", "-transport.file"]);
            command.arg(folder.join("flows.json"));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        });
        Self { receiver }
    }

    /// Stops it and returns its records, sorted, without the time of reception.
    pub fn records(self) -> Vec<Value> {
        let folder = self.receiver.interrupt();
        let text = std::fs::read_to_string(folder.path().join("flows.json"));
        let text = text.expect("it wrote");
        // A sequence of JSON objects with any separators.
        let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let mut records: Vec<Value> = objects
            .map(|record| {
                let mut record = record.expect("JSON");
                record["time_received_ns"].take();
                record
            })
            .collect();
        records.sort_by_cached_key(Value::to_string);
        records
    }

    /// Stops it and returns what it received.
    pub fn finish(self) -> Reading {
        let mut flows = Flows::default();
        let mut numbers = BTreeSet::new();
        let records = self.records();
        for record in &records {
            let text = |name: &str| {
                let text = record[name].as_str();
                text.unwrap_or_else(|| panic!("{name} in {record}"))
            };
            let address = |name: &str| -> IpAddr { text(name).parse().expect("an address") };
            let number = |name: &str| record[name].as_u64().unwrap_or_default();
            let protocol = match text("proto") {
                "TCP" => 6,
                "UDP" => 17,
                "ICMP" => 1,
                "IPv6-ICMP" => 58,
                other => panic!("protocol {other}"),
            };
            let ports = (number("src_port") as u16, number("dst_port") as u16);
            let ends = (address("src_addr"), address("dst_addr"));
            let key = (ends.0, ends.1, protocol, ports.0, ports.1);
            flows.add(key, number("packets"), number("bytes"));
            numbers.insert(number("sequence_num"));
            // The times of flows are those of the capture.
            let start = number("time_flow_start_ns") / 1_000_000_000;
            assert!((1_600_000_000..1_800_000_000).contains(&start), "{record}");
        }
        Reading::of_flows(records.len() as u64, flows, Sequence::Numbers(numbers))
    }
}
