#!/usr/bin/env bash
# Crate pcap-file 2.0.0 reads the timestamps of a pcapng savefile as nanoseconds, whatever the
# interface states.
#
# Standard: draft-ietf-opsawg-pcapng, Interface Description Block, if_tsresol: without this option
#   "a resolution of 10^-6 is assumed", that is, microseconds.
# Input: a savefile as tcpdump and dumpcap write it by default in microseconds: no if_tsresol, or
#   if_tsresol 6; one packet of 2026-05-28 20:26:40 in each of the two forms, then one in nanoseconds.
# Expected: the same second three times. Seen: 1780000 seconds (1970-01-21) for microseconds. Crate
#   pcap-file 3.0.0-rc1 reads all three right.
# Why care: durations of flows are too short by the factor 1000, rates too high by it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python3 - "$work/capture.pcapng" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcapng, udp

T = 1_780_000_000
frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100)))
pcapng(sys.argv[1], [[], [(9, b"\x06")], [(9, b"\x09")]],
       [(0, T * 10**6, frame), (1, T * 10**6, frame), (2, T * 10**9, frame)])
PYTHON
export SAVEFILE=$work/capture.pcapng
seen=$(rust_program 'pcap-file = "=2.0.0"' <<'RUST'
use pcap_file::pcapng::{Block, PcapNgReader};

fn main() {
    let file = std::fs::File::open(std::env::var("SAVEFILE").unwrap()).unwrap();
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut seconds = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            seconds.push(packet.timestamp.as_secs().to_string());
        }
    }
    println!("{}", seconds.join(" "));
}
RUST
)
verdict "1780000000 1780000000 1780000000" "1780000 1780000 1780000000" "$seen"
