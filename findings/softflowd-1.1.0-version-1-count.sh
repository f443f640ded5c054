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

seen=$(python3 - "$work" "$(declare -f unpacked); work=$work; unpacked softflowd" <<'PYTHON'
import socket
import struct
import subprocess
import sys
from wire import ethernet, ipv4, pcap, udp

work, softflowd = sys.argv[1:]
packets = [ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000 + at, 5000)) for at in range(60)]
pcap(f"{work}/capture.pcap", [ethernet(0x0800, packet) for packet in packets])
counts, records = [], 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(10)
    target = f"127.0.0.1:{receiver.getsockname()[1]}"
    command = f"{softflowd} -r {work}/capture.pcap -n {target} -v 1 -c none -p {work}/pid"
    subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=30)
    while records < 60:
        version, count = struct.unpack("!HH", receiver.recv(65535)[:4])
        assert version == 1
        counts.append(count)
        records += count
print("more than 24 records" if max(counts) > 24 else "at most 24 records")
PYTHON
)
verdict "at most 24 records" "more than 24 records" "$seen"
