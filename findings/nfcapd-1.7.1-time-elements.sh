#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) reads flow times of IPFIX only in milliseconds.
#
# Standard: IANA's IPFIX registry (RFC 7012) has flow start and end in seconds (150, 151),
#   milliseconds (152, 153), microseconds (154, 155) and nanoseconds (156, 157); RFC 7011,
#   sections 6.1.7 to 6.1.10, has their encodings.
# Input: four records of the same four seconds, one for each unit.
# Expected: 2026-05-28 20:26:40 to 20:26:44 four times.
# Seen: only the record in milliseconds; the other three are of 1970-01-01 00:00:00.
# Why care: an exporter that sends another unit seems to have no traffic at all in the time that
#   is asked for.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, ntp, send, set_of, template_set

T = 1_780_000_000  # 2026-05-28 20:26:40
units = [
    ([(150, 4), (151, 4)], struct.pack("!II", T, T + 4)),
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

right="2026-05-28 20:26:40 2026-05-28 20:26:44"
none="1970-01-01 00:00:00 1970-01-01 00:00:00"
seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%ts %te' | sed 's/\.000//g' | paste -s -d ',')
verdict "$right,$right,$right,$right" "$none,$right,$none,$none" "$seen"
