#!/usr/bin/env bash
# softflowd 1.1.0 (Debian 1.1.0-1+b1) counts only flow records in the Count of a NetFlow version 9
# header.
#
# Standard: RFC 3954, section 5.1: Count is the total number of records in the Export Packet: template
#   records, options template records, and data records.
# Input: a capture of two flows, exported as NetFlow version 9.
# Expected: a Count of eight: four templates, an options template, an options data record, two flows.
# Seen: 2. 1.1.1-1 does the same.
# Why care: a collector that reads Count records stops before the flows; one that checks Count reports
#   an error for each packet with templates.
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
packets = [ipv4("10.0.0.1", "10.0.0.2", 17, udp(1000 + n, 5000, b"x" * 100)) for n in range(2)]
pcap(f"{work}/capture.pcap", [ethernet(0x0800, packet) for packet in packets])
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(5)
target = f"127.0.0.1:{receiver.getsockname()[1]}"
command = f"{softflowd} -r {work}/capture.pcap -n {target} -v 9 -c none -p {work}/pid"
subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=30)

message = receiver.recv(65535)
lengths = {}  # Template ID: octets of a record
records = 0
at = 20
while at < len(message):
    set_id, length = struct.unpack_from("!HH", message, at)
    body, at = message[at + 4:at + length], at + length
    if set_id == 0:
        while len(body) >= 4:
            template, count = struct.unpack_from("!HH", body)
            fields = struct.unpack_from("!" + "HH" * count, body, 4)
            lengths[template], body = sum(fields[1::2]), body[4 + 4 * count:]
            records += 1
    elif set_id == 1:
        template, scopes, options = struct.unpack_from("!HHH", body)
        fields = struct.unpack_from("!" + "HH" * ((scopes + options) // 4), body, 6)
        lengths[template] = sum(fields[1::2])
        records += 1
    else:
        records += len(body) // lengths[set_id]
print(f"{records} records, Count {int.from_bytes(message[2:4], 'big')}")
PYTHON
)
verdict "8 records, Count 8" "8 records, Count 2" "$seen"
