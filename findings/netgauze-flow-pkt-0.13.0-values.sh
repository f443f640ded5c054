#!/usr/bin/env bash
# Crate netgauze-flow-pkt 0.13.0 reads times in microseconds 70 years too late, and false as true.
#
# Standard: RFC 7011, section 6.1.9: dateTimeMicroseconds is an NTP timestamp, whose seconds count
#   from 1900-01-01; section 6.1.5: boolean is 1 for true and 2 for false.
# Input: flowStartMicroseconds (154) of 2026-05-28 20:26:40, dataRecordsReliability (276) = 2.
# Expected: 2026-05-28T20:26:40Z and false. Seen: 2096-05-27T20:26:40Z and true. Nanoseconds (156,
#   157) have the same epoch.
# Why care: the values are of the right type and look valid; only a comparison shows the error.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

seen=$(rust_program 'netgauze-flow-pkt = "=0.13.0"' 'netgauze-parse-utils = "=0.13.0"' <<'RUST'
mod wire;

use netgauze_flow_pkt::ipfix::{IpfixPacket, Set, TemplatesMap};
use netgauze_parse_utils::{reader::SliceReader, traits::ParseFromWithOneInput};
use wire::message;

/// The fields of the records that the crate reads, or "error".
fn read(octets: &[u8]) -> String {
    let packet = IpfixPacket::parse(&mut SliceReader::new(octets), &mut TemplatesMap::default());
    let Ok(packet) = packet else { return "error".into() };
    let mut text = String::new();
    for set in packet.sets() {
        if let Set::Data { records, .. } = set {
            for record in records.iter() {
                text += &format!("{:?}", record.fields());
            }
        }
    }
    text
}

fn main() {
    let mut record = (1_780_000_000u32 + 2_208_988_800).to_be_bytes().to_vec();
    record.extend([0, 0, 0, 0, 2]);
    println!("{}", read(&message(&[(154, 8, 0), (276, 1, 0)], &record)));
}
RUST
)
verdict "[flowStartMicroseconds(2026-05-28T20:26:40Z), dataRecordsReliability(false)]" \
    "[flowStartMicroseconds(2096-05-27T20:26:40Z), dataRecordsReliability(true)]" "$seen"
