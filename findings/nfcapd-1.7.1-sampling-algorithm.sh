#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) ignores a sampling announcement that names its
# algorithm.
#
# Standard: RFC 5476, section 6.5.2 (the report of a selector has selectorAlgorithm with its
#   parameters); nfcapd(1), -s: "the announced sampling rate is applied".
# Input: two observation domains that both sample one packet in 100 (samplingPacketInterval 305 = 1,
#   samplingPacketSpace 306 = 99) and send one record of one packet. Domain 2 also names the
#   algorithm: selectorAlgorithm (304) = 1, systematic count-based.
# Expected: 100 packets from each. Seen: 100 from domain 1, 1 from domain 2; 1.7.10-1 scales
#   domain 2. The older samplingAlgorithm (35) together with samplingInterval (34) does the same.
# Why care: the more completely an exporter describes its sampling, the less is counted.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, options_template_set, send, set_of, template_set

T = 1_780_000_000
flow = [(8, 4), (12, 4), (1, 8), (2, 8), (152, 8), (153, 8)]
rate = [(305, 4), (306, 4)], struct.pack("!II", 1, 99)
named = [(304, 2)] + rate[0], struct.pack("!H", 1) + rate[1]
for domain, (elements, values) in enumerate([rate, named], 1):
    announcement = struct.pack("!I", domain) + values
    record = bytes([10, 0, 0, domain, 10, 0, 1, 0])
    record += struct.pack("!QQQQ", 100, 1, T * 1000, (T + 4) * 1000)
    send(
        int(sys.argv[1]),
        ipfix(options_template_set(300, [(149, 4)], elements), set_of(300, announcement),
              domain=domain),
        ipfix(template_set(256, flow), set_of(256, record), domain=domain, sequence=1),
    )
PYTHON

seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%sa %pkt' | tr -s ' ' | sed 's/^ //' |
    paste -s -d ,)
verdict "10.0.0.1 100,10.0.0.2 100" "10.0.0.1 100,10.0.0.2 1" "$seen"
