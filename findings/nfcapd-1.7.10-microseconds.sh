#!/usr/bin/env bash
# nfcapd 1.7.10 (Debian unstable nfdump 1.7.10-1) reads flow times in seconds, milliseconds and
# nanoseconds, but not in microseconds.
#
# Standard: IANA's IPFIX registry: flowStartMicroseconds (154), flowEndMicroseconds (155);
#   RFC 7011, section 6.1.9: the encoding is the one of nanoseconds (section 6.1.10).
# Input: two records of the same four seconds, in nanoseconds (156, 157) and in microseconds.
# Expected: 2026-05-28 20:26:40 twice. Seen: the record in microseconds has no time.
# Why care: the flows are stored, but no selection by time finds them. Of the absolute times, only
#   milliseconds suit both 1.7.1 and 1.7.10.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid nfdump=1.7.10-1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, ntp, send, set_of, template_set

T = 1_780_000_000  # 2026-05-28 20:26:40
for number, elements in enumerate([[(156, 8), (157, 8)], [(154, 8), (155, 8)]]):
    template = template_set(256 + number, [(8, 4), (12, 4), (1, 8), (2, 8)] + elements)
    record = bytes([10, 0, 0, number, 10, 0, 1, 0]) + struct.pack("!QQ", 100, 1)
    record += ntp(T) + ntp(T + 4)
    message = ipfix(template, set_of(256 + number, record), sequence=number, export_time=T + 9)
    send(int(sys.argv[1]), message)
PYTHON

seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%ts' | sed 's/ *$//' | paste -s -d ,)
verdict "2026-05-28 20:26:40.000,2026-05-28 20:26:40.000" \
    "2026-05-28 20:26:40.000,0000-00-00 00:00:00.000" "$seen"
