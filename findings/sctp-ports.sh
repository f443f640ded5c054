#!/usr/bin/env bash
# Three flow meters do not read the ports of SCTP: softflowd 1.1.0, nfpcapd 1.7.1, pmacctd 1.7.7.
#
# Standard: IANA's IPFIX registry: sourceTransportPort (7): "For the transport protocols UDP, TCP,
#   and SCTP, this is the source port number given in the respective header"; 11 likewise.
# Input: a capture with one packet of each of two associations of two hosts: ports 4000 and 5000,
#   4001 and 5001.
# Expected: two flows with these ports. Seen: one flow with ports 0, from each of the three meters.
#   softflowd 1.1.1-1, nfpcapd 1.7.10-1 and pmacctd 1.7.8-4 do the same.
# Why care: the control planes of mobile networks use SCTP; all applications of two hosts are one flow.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1 nfdump=1.7.1-2+deb12u1 pmacct=1.7.7-1+b1

python3 - "$work/capture.pcap" <<'PYTHON'
import struct
import sys
from wire import ethernet, ipv4, pcap

frames = []
for number in range(2):
    # The common header and a HEARTBEAT chunk without information (RFC 9260, 3.1 and 3.3.5).
    packet = struct.pack("!HHII", 4000 + number, 5000 + number, 1, 0)
    packet += struct.pack("!BBHHH", 4, 0, 8, 1, 4)
    frames.append(ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 132, packet)).ljust(60, b"\0"))
pcap(sys.argv[1], frames)
PYTHON

mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
nfpcapd=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%sp-%dp' | tr -d ' ' | sort | paste -s -d +)

softflowd=$(with_softflowd <<'PYTHON'
import struct
from softflowd import exported

[message] = exported(5)
records = int.from_bytes(message[2:4], "big")
ports = (struct.unpack_from("!HH", message, 24 + 48 * n + 32) for n in range(records))
print("+".join(sorted(f"{source}-{destination}" for source, destination in ports)))
PYTHON
)

# It exits at the end of the file.
pmacctd=$( (unpacked pmacctd -I "$work/capture.pcap" -P print -c src_port,dst_port,proto -r 1 \
    -O csv) 2>/dev/null | grep -oE '^[0-9]+,[0-9]+' | tr , - | sort | paste -s -d +)

two=4000-5000+4001-5001
verdict "softflowd $two, nfpcapd $two, pmacctd $two" "softflowd 0-0, nfpcapd 0-0, pmacctd 0-0" \
    "softflowd $softflowd, nfpcapd $nfpcapd, pmacctd $pmacctd"
