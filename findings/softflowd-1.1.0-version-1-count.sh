#!/usr/bin/env bash
# softflowd 1.1.0 (Debian 1.1.0-1+b1) puts more records into a NetFlow version 1 datagram than that
# format allows.
#
# Standard: Cisco, NetFlow export datagram format, version 1 header: count is "number of flows
#   exported in this packet (1-24)".
# Input: 60 UDP packets of as many flows, exported as version 1.
# Expected: at most 24 records in a datagram. Seen: up to 30, the limit of version 5.
# Why care: nfcapd 1.7.1 refuses datagrams of more than 24 records, so it stores nothing of an
#   exporter with many flows.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1

seen=$(with_softflowd <<'PYTHON'
import struct
from softflowd import exported, savefile
from wire import ethernet, ipv4, pcap, udp

packets = [ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000 + at, 5000)) for at in range(60)]
pcap(savefile, [ethernet(0x0800, packet) for packet in packets])
counts = []
for message in exported(1):
    version, count = struct.unpack("!HH", message[:4])
    assert version == 1
    counts.append(count)
assert sum(counts) == 60
print("more than 24 records" if max(counts) > 24 else "at most 24 records")
PYTHON
)
verdict "at most 24 records" "more than 24 records" "$seen"
