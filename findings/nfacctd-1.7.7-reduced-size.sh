#!/usr/bin/env bash
# nfacctd 1.7.7 (Debian pmacct 1.7.7-1+b1) stores a flow with 0 octets and 0 packets when its counters
# do not have four or eight octets.
#
# Standard: RFC 7011, section 6.2: an unsigned64 may be sent with any smaller number of octets
#   (reduced-size encoding), from 7 to 1.
# Input: eight flows of 100 octets and 3 packets, with counters of one to eight octets.
# Expected: 100 octets and 3 packets eight times. Seen: 0 and 0, but for four and eight octets; there is
#   no warning. pmacct 1.7.8-4 does the same.
# Why care: all traffic of an exporter that sends small counters in few octets is missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages pmacct=1.7.7-1+b1

through_nfacctd src_host 8 <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

for length in range(1, 9):
    elements = [(8, 4), (12, 4), (4, 1), (1, length), (2, length)]
    record = bytes([10, 0, 0, length, 10, 0, 1, 0, 6])
    record += (100).to_bytes(length, "big") + (3).to_bytes(length, "big")
    message = ipfix(template_set(255 + length, elements), set_of(255 + length, record),
                    sequence=length - 1)
    send(int(sys.argv[1]), message)
PYTHON
# Source, packets, octets.
seen=$(awk -F , '{ print $3 "/" $2 }' "$work/flows" | paste -s -d " ")
full=100/3
verdict "$full $full $full $full $full $full $full $full" "0/0 0/0 0/0 $full 0/0 0/0 0/0 $full" "$seen"
