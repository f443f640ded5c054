#!/usr/bin/env bash
# Crate netflow_parser 1.0.6 ends a data Set at the first empty value of variable length, without an
# error.
#
# Standard: RFC 7011, section 7: the length in front of a value of variable length is 0 to 254, or
#   255 and two octets; RFC 7011, section 6.1.6: a string is "zero or more" octets.
# Input: a data Set of three records of userName (371, variable length) and octetDeltaCount (1); the
#   second has an empty name.
# Expected: three records. Seen: one record and no error.
# Why care: records are lost silently wherever an exporter has nothing to say in a text field.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

seen=$(rust_program 'netflow_parser = "=1.0.6"' <<'RUST'
mod wire;

use netflow_parser::variable_versions::ipfix::FlowSetBody;
use netflow_parser::{NetflowPacket, NetflowParser};
use wire::message;

/// What the crate reads: each record in words, and whether it reports an error.
fn read(octets: &[u8]) -> (Vec<String>, bool) {
    let result = NetflowParser::default().parse_bytes(octets);
    let mut records = Vec::new();
    for packet in &result.packets {
        let NetflowPacket::IPFix(ipfix) = packet else { continue };
        for set in &ipfix.flowsets {
            if let FlowSetBody::Data(data) = &set.body {
                records.extend(data.fields.iter().map(|record| format!("{record:?}")));
            }
        }
    }
    (records, result.error.is_some())
}

fn main() {
    let mut records = Vec::new();
    for (name, octets) in [("alice", 100u64), ("", 200), ("bob", 300)] {
        records.push(name.len() as u8);
        records.extend(name.as_bytes());
        records.extend(octets.to_be_bytes());
    }
    let (records, error) = read(&message(&[(371, 65535, 0), (1, 8, 0)], &records));
    println!("records: {}, error: {error}", records.len());
}
RUST
)
verdict "records: 3, error: false" "records: 1, error: false" "$seen"
