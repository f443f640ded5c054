#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) stores a running total as if it were new traffic.
#
# Standard: IANA's IPFIX registry: octetDeltaCount (1) counts octets since the previous report,
#   octetTotalCount (85) counts since the Metering Process initialised; RFC 7012, sections 3.2.2
#   (totalCounter) and 3.2.3 (deltaCounter).
# Input: one flow reported three times; each report has 100 octets more. Every record has both
#   octetDeltaCount (100, 100, 100) and octetTotalCount (100, 200, 300).
# Expected: 100 + 100 + 100 octets. Seen: 100 + 200 + 300: where both are present the total is
#   stored. 1.7.10-1 does the same.
# Why care: a long flow of an exporter that sends totals grows with the square of its reports.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

T = 1_780_000_000
template = template_set(
    256, [(8, 4), (12, 4), (152, 8), (153, 8), (1, 8), (2, 8), (85, 8), (86, 8)])
for number in range(3):
    record = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    record += struct.pack("!QQ", (T + number) * 1000, (T + number + 1) * 1000)
    record += struct.pack("!QQQQ", 100, 1, 100 * (number + 1), number + 1)
    send(int(sys.argv[1]), ipfix(template, set_of(256, record), sequence=number))
PYTHON

seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%byt' | tr -d ' ' | paste -s -d +)
verdict "100+100+100" "100+200+300" "$seen"
