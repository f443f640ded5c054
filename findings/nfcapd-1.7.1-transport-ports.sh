#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) does not read the ports of TCP and UDP from their own elements.
#
# Standard: IANA's IPFIX registry: udpSourcePort (180), udpDestinationPort (181), tcpSourcePort (182),
#   tcpDestinationPort (183).
# Input: two flows of TCP from port 50000 to 443. The template of the first has sourceTransportPort (7) and
#   destinationTransportPort (11), that of the second tcpSourcePort and tcpDestinationPort.
# Expected: both have these ports. Seen: the second one has 0 and 0.
# Why care: flows of an exporter that uses these elements cannot be told apart, and have no service.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

T = 1_780_000_000
for number, ports in enumerate([(7, 11), (182, 183)]):
    source, destination = ports
    template = template_set(
        256 + number,
        [(8, 4), (12, 4), (source, 2), (destination, 2), (4, 1), (152, 8), (153, 8), (1, 8), (2, 8)])
    record = bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!HHB", 50000, 443, 6)
    record += struct.pack("!QQQQ", T * 1000, (T + 1) * 1000, 100, 1)
    send(int(sys.argv[1]), ipfix(template, set_of(256 + number, record), sequence=number))
PYTHON

seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%sp %dp' | awk '{ print $1 ">" $2 }' | paste -s -d ' ')
verdict "50000>443 50000>443" "50000>443 0>0" "$seen"
