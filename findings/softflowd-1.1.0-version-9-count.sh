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

seen=$(with_softflowd <<'PYTHON'
import struct
from softflowd import exported, savefile, sets, templates
from wire import ethernet, ipv4, pcap, udp

packets = [ipv4("10.0.0.1", "10.0.0.2", 17, udp(1000 + n, 5000, b"x" * 100)) for n in range(2)]
pcap(savefile, [ethernet(0x0800, packet) for packet in packets])

[message] = exported(9)
lengths = {}  # Template ID: octets of a record
records = 0
for set_id, content in sets(message):
    if set_id == 0:
        for template, elements in templates(content):
            lengths[template] = sum(length for _, length in elements)
            records += 1
    elif set_id == 1:
        template, scopes, options = struct.unpack_from("!HHH", content)
        fields = struct.unpack_from("!" + "HH" * ((scopes + options) // 4), content, 6)
        lengths[template] = sum(fields[1::2])
        records += 1
    else:
        records += len(content) // lengths[set_id]
print(f"{records} records, Count {int.from_bytes(message[2:4], 'big')}")
PYTHON
)
verdict "8 records, Count 8" "8 records, Count 2" "$seen"
