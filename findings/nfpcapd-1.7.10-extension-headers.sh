#!/usr/bin/env bash
# nfpcapd 1.7.10 (Debian unstable nfdump 1.7.10-1) does not count the octets of IPv6 extension
# headers.
#
# Standard: IANA's IPFIX registry (RFC 7012): octetDeltaCount (1) includes "IP header(s) and IP
#   payload"; RFC 8200, section 3: extension headers are part of the payload length.
# Input: three IPv6 packets of 156 octets: header 40, Hop-by-Hop Options 8, UDP with data 108.
# Expected: 468 octets. Seen: 444, eight octets less for each packet. nfpcapd 1.7.1 counts 468, but
#   as protocol 0 without ports.
# Why care: the octets do not add up with those of the interface or of another meter.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid nfdump=1.7.10-1

python3 - "$work/capture.pcap" <<'PYTHON'
import sys
from wire import ethernet, ipv6, pcap, udp

hop_by_hop = bytes([17, 0, 1, 4, 0, 0, 0, 0])  # next header UDP, one PadN option
packet = ipv6("2001:db8::1", "2001:db8::2", 0, hop_by_hop + udp(4000, 5000, b"x" * 100))
pcap(sys.argv[1], [ethernet(0x86DD, packet)] * 3)
PYTHON
mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%pkt packets,%byt octets' | tr -s ' ' |
    sed 's/^ //')
verdict "3 packets, 468 octets" "3 packets, 444 octets" "$seen"
