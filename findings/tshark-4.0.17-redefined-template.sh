#!/usr/bin/env bash
# tshark 4.0.17 (Debian 4.0.17-0+deb12u3) reads NetFlow version 9 and IPFIX records after a template
# was redefined with the first definition.
#
# Standard: RFC 3954, section 9: a collector that receives a new Template Record, for example after
#   a restart of the exporter, "MUST immediately override the existing" one.
# Input: a capture of a NetFlow version 9 exporter. Template 256 is two addresses and IN_BYTES (1);
#   one record has 1000 octets. Then the exporter restarts and defines 256 as two addresses and
#   IN_PKTS (2); one record has 3 packets.
# Expected: 1000 octets, then 3 packets. Seen: 1000 octets, then 3 octets, with one pass and with
#   two (-2).
# Why care: after a restart of an exporter, a collector with the right number differs from
#   tshark.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages tshark=4.0.17-0+deb12u3

python3 - "$work/capture.pcap" <<'PYTHON'
import struct
import sys
from wire import ethernet, ipv4, netflow9, pcap, set_of, template_set, udp

frames = []
for restart, element, value in (0, 1, 1000), (1, 2, 3):
    template = template_set(256, [(8, 4), (12, 4), (element, 4)], set_id=0)
    record = set_of(256, bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!I", value))
    message = netflow9(2, template, record, uptime=3_600_000 if not restart else 5_000,
                       export_time=1_780_000_000 + 60 * restart)
    packet = ipv4("10.0.0.9", "10.0.0.8", 17, udp(50000, 2055, message))
    frames.append(ethernet(0x0800, packet))
pcap(sys.argv[1], frames, interval=60)
PYTHON

seen=$( (unpacked tshark -r "$work/capture.pcap" -2 -d udp.port==2055,cflow -T fields \
    -E separator=, -e cflow.octets -e cflow.packets) 2>/dev/null |
    sed -E 's/^([0-9]+),$/\1 octets/; s/^,([0-9]+)$/\1 packets/' | paste -s -d ,)
verdict "1000 octets,3 packets" "1000 octets,3 octets" "$seen"
