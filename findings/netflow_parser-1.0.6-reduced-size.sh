#!/usr/bin/env bash
# Crate netflow_parser 1.0.6 does not read a counter of 5, 6 or 7 octets as a number.
#
# Standard: RFC 7011, section 6.2: an unsigned64 may be sent with any smaller number of octets
#   (reduced-size encoding), from 7 to 1.
# Input: eight Messages, each with octetDeltaCount (1) = 1 in one to eight octets.
# Expected: eight numbers. Seen: numbers for 1, 2, 3, 4 and 8 octets; the others are a vector of
#   octets (DataNumber::Vec), and there is no error.
# Why care: a program that asks for the number counts nothing for such an exporter.
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
    for length in 1..=8u16 {
        let mut value = vec![0; usize::from(length)];
        *value.last_mut().unwrap() = 1;
        let (records, error) = read(&message(&[(1, length, 0)], &value));
        let number = records.len() == 1 && !records[0].contains("Vec");
        print!("{length}:{} ", if error { "error" } else if number { "number" } else { "octets" });
    }
}
RUST
)
number="number "
verdict "1:${number}2:${number}3:${number}4:${number}5:${number}6:${number}7:${number}8:number" \
    "1:number 2:number 3:number 4:number 5:octets 6:octets 7:octets 8:number" "${seen% }"
