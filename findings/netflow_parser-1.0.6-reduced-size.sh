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
use netflow_parser::variable_versions::ipfix::FlowSetBody;
use netflow_parser::{NetflowPacket, NetflowParser};

/// An IPFIX Message with one template (256) and its data Set. Elements: identifier, length,
/// enterprise number (0: IANA).
fn message(elements: &[(u16, u16, u32)], records: &[u8]) -> Vec<u8> {
    let mut template = vec![1, 0];
    template.extend((elements.len() as u16).to_be_bytes());
    for &(identifier, length, enterprise) in elements {
        let bit = if enterprise == 0 { 0 } else { 0x8000 };
        template.extend((identifier | bit).to_be_bytes());
        template.extend(length.to_be_bytes());
        if enterprise != 0 {
            template.extend(enterprise.to_be_bytes());
        }
    }
    let mut sets = Vec::new();
    for (set, body) in [(2u16, template.as_slice()), (256, records)] {
        sets.extend(set.to_be_bytes());
        sets.extend((4 + body.len() as u16).to_be_bytes());
        sets.extend(body);
    }
    let mut octets = vec![0, 10];
    octets.extend((16 + sets.len() as u16).to_be_bytes());
    octets.extend(1_780_000_000u32.to_be_bytes()); // export time
    octets.extend([0, 0, 0, 0, 0, 0, 0, 1]); // sequence number, Observation Domain ID
    octets.extend(sets);
    octets
}

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
