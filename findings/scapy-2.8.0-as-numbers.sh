#!/usr/bin/env bash
# PyPI scapy 2.8.0 reads a NetFlow version 9 AS number of two octets as four octets, unless it is the
# last field of the record.
#
# Standard: RFC 3954, section 8: SRC_AS (16) and DST_AS (17) have 2 octets by default, and may have 4;
#   section 5.2: the Field Length of the template is the length of the field in the record.
# Input: two records of AS 64500, 1000 octets and 3 packets: one with SRC_AS first, one with it last.
# Expected: AS 64500 and 1000 octets twice. Seen: AS 4227072000 and 65536000 octets in the first: the
#   AS number takes two octets of the field after it, and so on to the end of the record.
# Why care: all values after the AS number are wrong, without an error if the last is a string.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages scapy==2.8.0

seen=$("$work/venv/bin/python" - 2>"$work/log" <<'PYTHON'
import struct
from scapy.layers.netflow import NetflowDataflowsetV9, NetflowHeader, netflowv9_defragment
from wire import netflow9, set_of, template_set

words = []
for elements, record in (
    ([(16, 2), (1, 4), (2, 4), (3, 4)], struct.pack("!HIII", 64500, 1000, 3, 1)),
    ([(1, 4), (2, 4), (3, 4), (16, 2)], struct.pack("!IIIH", 1000, 3, 1, 64500)),
):
    message = netflow9(2, template_set(256, elements, set_id=0), set_of(256, record))
    packet = netflowv9_defragment(NetflowHeader(message))[0]
    flow = packet[NetflowDataflowsetV9].records[0]
    words.append(f"AS {flow.SRC_AS} octets {flow.IN_BYTES}")
print(", ".join(words))
PYTHON
)
verdict "AS 64500 octets 1000, AS 64500 octets 1000" \
    "AS 4227072000 octets 65536000, AS 64500 octets 1000" "$seen"
