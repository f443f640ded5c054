#!/usr/bin/env bash
# nfpcapd 1.7.10 (Debian unstable nfdump 1.7.10-1) leaves out every packet that the capture's snap
# length has cut, with no error and exit status 0.
#
# Documentation: pcap(3PCAP) and pcap-savefile(5): a packet record has the captured length and the
#   length on the wire; headers are enough to meter a flow. nfpcapd 1.7.1 counts such packets.
# Input: three UDP packets of 128 octets, captured with a snap length of 64 octets: Ethernet, IPv4
#   and UDP headers are complete.
# Expected: 3 packets. Seen: none.
# Why care: captures for flow metering are usually cut. The flows are missing, and a measurement of
#   speed shows a reader that has nothing to do.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid nfdump=1.7.10-1

python3 - "$work/capture.pcap" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcap, udp

packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100))
pcap(sys.argv[1], [ethernet(0x0800, packet)] * 3, snaplen=64)
PYTHON
mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
seen=$( (unpacked nfdump -q -R "$work/flows" -o 'fmt:%pkt') | tr -d ' ')
verdict "3" "Nomatchingflows" "$seen"
