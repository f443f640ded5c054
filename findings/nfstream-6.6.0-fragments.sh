#!/usr/bin/env bash
# PyPI nfstream 6.6.0 counts only the first fragment of a fragmented datagram.
#
# Standard: IANA's IPFIX registry (RFC 7012): packetDeltaCount (2) and octetDeltaCount (1) count the
#   packets at the Observation Point; a fragment is an IP packet (RFC 791, section 2.3). nfstream's
#   accounting_mode=1 is documented as the octets of the IP layer.
# Input: a capture of two UDP datagrams of 4000 octets, each in three IPv4 fragments.
# Expected: 6 packets, 8120 octets. Seen: 2 packets, 3000 octets; the other fragments are in no
#   other flow.
# Why care: of large datagrams (DNSSEC, tunnels, NFS) a third is counted, with no sign of the rest.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages nfstream==6.6.0

seen=$("$work/venv/bin/python" - "$work/capture.pcap" <<'PYTHON'
import sys
from nfstream import NFStreamer
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
flows = list(NFStreamer(sys.argv[1], n_dissections=0, n_meters=1, accounting_mode=1))
print(sum(flow.bidirectional_packets for flow in flows), "packets,",
      sum(flow.bidirectional_bytes for flow in flows), "octets")
PYTHON
)
verdict "6 packets, 8120 octets" "2 packets, 3000 octets" "$seen"
