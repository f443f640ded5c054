#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) exchanges start and end of IPFIX flows whose times
# are relative to the exporter's start.
#
# Standard: IANA's IPFIX registry (RFC 7012): element 22 is flowStartSysUpTime, element 21 is
#   flowEndSysUpTime, both in milliseconds after systemInitTimeMilliseconds (160).
# Input: one record with 160 = 20:26:35, 22 = 5000, 21 = 9000.
# Expected: start 20:26:40, end 20:26:44.
# Seen: start 20:26:44, end 20:26:40. nfdump 1.7.10-1 has them right.
# Why care: flows of an exporter that counts from its boot end before they start; durations are
#   negative, and a selection by time misses the flows.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

T = 1_780_000_000  # 2026-05-28 20:26:40
template = template_set(256, [(8, 4), (12, 4), (1, 8), (2, 8), (160, 8), (22, 4), (21, 4)])
record = bytes([10, 0, 0, 1, 10, 0, 0, 2])
record += struct.pack("!QQQII", 100, 1, (T - 5) * 1000, 5000, 9000)
send(int(sys.argv[1]), ipfix(template, set_of(256, record), export_time=T + 9))
PYTHON

verdict "2026-05-28 20:26:40.000 2026-05-28 20:26:44.000" \
    "2026-05-28 20:26:44.000 2026-05-28 20:26:40.000" \
    "$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%ts %te')"
