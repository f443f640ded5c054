#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) takes the data records of options templates for lost
# flows.
#
# Standard: RFC 7011, section 3.1: the sequence number counts all IPFIX Data Records; only Template
#   and Options Template Records do not count. A Data Record of an Options Template counts.
# Input: five Messages in order, each with two flow records and one options data record; the
#   sequence number grows by three.
# Expected: "Sequence Errors: 0". Seen: "Sequence Errors: 4"; 1.7.10-1 reports the same.
# Why care: an exporter that sends its own statistics with its flows (RFC 7011, section 4) seems to
#   lose records all the time.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, options_template_set, send, set_of, template_set

T = 1_780_000_000
flow = [(8, 4), (12, 4), (1, 8), (2, 8), (152, 8), (153, 8)]
templates = template_set(256, flow) + options_template_set(257, [(149, 4)], [(41, 8), (42, 8)])
record = bytes([10, 0, 0, 1, 10, 0, 0, 2])
record += struct.pack("!QQQQ", 100, 1, T * 1000, (T + 4) * 1000)
for number in range(5):
    statistics = struct.pack("!IQQ", 1, number, 3 * number)
    sets = [set_of(256, 2 * record), set_of(257, statistics)]
    if number == 0:
        sets.insert(0, templates)
    send(int(sys.argv[1]), ipfix(*sets, sequence=3 * number))
PYTHON

verdict "Flows: 10, Sequence Errors: 0" "Flows: 10, Sequence Errors: 4" "$(
    grep -oE 'Flows: [0-9]+|Sequence Errors: [0-9]+' "$work/nfcapd.log" | paste -s -d , |
        sed 's/,/, /'
)"
