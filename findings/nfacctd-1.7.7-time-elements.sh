#!/usr/bin/env bash
# nfacctd 1.7.7 (Debian pmacct 1.7.7-1+b1) does not read IPFIX flow times in microseconds and
# nanoseconds; it reports the export time as their start.
#
# Standard: IANA's IPFIX registry (RFC 7012): flow start and end in microseconds (154, 155) and
#   nanoseconds (156, 157); RFC 7011, sections 6.1.9 and 6.1.10. pmacct's CONFIG-KEYS:
#   "timestamp_start records NetFlow/IPFIX flow start time", timestamp_end its end time.
# Input: three records of 20:26:40 to 20:26:44, in milliseconds, microseconds and nanoseconds,
#   exported at 20:26:49.
# Expected: the same times three times. Seen: only for milliseconds; the others start at 20:26:49
#   and have no end. pmacct 1.7.8-4 does the same.
# Why care: starts are plausible but wrong by the age of the record, up to the active timeout.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages pmacct=1.7.7-1+b1

through_nfacctd src_host,timestamp_start,timestamp_end 3 <<'PYTHON'
import struct
import sys
from wire import ipfix, ntp, send, set_of, template_set

T = 1_780_000_000  # 2026-05-28 20:26:40
units = [
    ([(152, 8), (153, 8)], struct.pack("!QQ", T * 1000, (T + 4) * 1000)),
    ([(154, 8), (155, 8)], ntp(T) + ntp(T + 4)),
    ([(156, 8), (157, 8)], ntp(T) + ntp(T + 4)),
]
for number, (elements, times) in enumerate(units):
    template = template_set(256 + number, [(8, 4), (12, 4), (1, 8), (2, 8)] + elements)
    record = bytes([10, 0, 0, number, 10, 0, 1, 0]) + struct.pack("!QQ", 100, 1) + times
    message = ipfix(template, set_of(256 + number, record), sequence=number, export_time=T + 9)
    send(int(sys.argv[1]), message)
PYTHON
seen=$(sed 's/2026-05-28 //g; s/\.000000//g' "$work/flows" | cut -d , -f 2-3 | tr , - |
    paste -s -d ,)
verdict "20:26:40-20:26:44,20:26:40-20:26:44,20:26:40-20:26:44" \
    "20:26:40-20:26:44,20:26:49-0000-00-00 00:00:00,20:26:49-0000-00-00 00:00:00" "$seen"
