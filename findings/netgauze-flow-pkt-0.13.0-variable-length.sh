#!/usr/bin/env bash
# Crate netgauze-flow-pkt 0.13.0 does not read long values of variable length, nor any of an element
# that it does not know; the whole Message is an error.
#
# Standard: RFC 7011, section 7: a value of 255 octets or more has the octet 255 and a length of two
#   octets in front; section 9: a Collecting Process may discard an element that it does not
#   understand from a record.
# Input: three Messages with one record: userName (371) of 254 octets, userName of 300 octets, and a
#   private element (56506/101) of three octets; all of variable length.
# Expected: three records. Seen: a record for the first; error for the others. After 255 the crate
#   reads a length of three octets; for an unknown element it takes 65535 for the length.
# Why care: one long name, or one vendor's field of variable length, and no flow of the Message is
#   read. The crate's own writer also writes a length of three octets.
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
    let long = |length: usize| {
        let mut value = if length < 255 { vec![length as u8] } else { vec![255, 1, 44] };
        value.extend(vec![b'a'; length]);
        value
    };
    for (element, value) in [
        ((371, 65535, 0), long(254)),
        ((371, 65535, 0), long(300)),
        ((101, 65535, 56506), vec![3, b'w', b'e', b'b']),
    ] {
        let text = read(&message(&[element], &value));
        println!("{}", if text == "error" { "error" } else { "record" });
    }
}
RUST
)
verdict "record,record,record" "record,error,error" "$(paste -s -d , <<<"$seen")"
