#!/usr/bin/env bash
# nfpcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) counts a fragmented datagram as one packet, with
# one IP header.
#
# Standard: IANA's IPFIX registry (RFC 7012): packetDeltaCount (2) counts packets at the Observation
#   Point, and octetDeltaCount (1) their IP headers and payloads. A fragment is an IP packet of
#   its own (RFC 791, section 2.3).
# Input: a capture of two UDP datagrams of 4000 octets, each in three IPv4 fragments.
# Expected: 6 packets, 8120 octets. Seen: 2 packets, 8040 octets; 1.7.10-1 does the same.
# Why care: its packet counts are below those of the interface and of other meters wherever large
#   datagrams (DNSSEC, tunnels, NFS) are fragmented.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

python3 - "$work/capture.pcap" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcap, udp

frames = []
for identification in (1, 2):
    datagram = udp(4000, 5000, b"x" * 3992)
    for offset in range(0, 4000, 1480):
        more = 0x2000 if offset + 1480 < 4000 else 0
        packet = ipv4("10.0.0.1", "10.0.0.2", 17, datagram[offset:offset + 1480],
                      identification, more | offset // 8)
        frames.append(ethernet(0x0800, packet))
pcap(sys.argv[1], frames)
PYTHON
mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%pkt packets,%byt octets' | tr -s ' ' |
    sed 's/^ //')
verdict "6 packets, 8120 octets" "2 packets, 8040 octets" "$seen"
