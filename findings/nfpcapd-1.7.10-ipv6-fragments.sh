#!/usr/bin/env bash
# nfpcapd 1.7.10 (Debian unstable nfdump 1.7.10-1) leaves out fragmented IPv6 packets.
#
# Standard: RFC 8200, section 4.5: a fragment is an IPv6 packet with a Fragment header; IANA's IPFIX
#   registry (RFC 7012): packetDeltaCount (2) counts packets at the Observation Point.
# Input: one UDP datagram of 1448 octets in two IPv6 fragments, and one datagram that is whole.
# Expected: 3 packets in all. Seen: 1 packet. nfpcapd 1.7.1 counts the two fragments, as
#   protocol 44 without ports.
# Why care: fragmented traffic is missing without a word, and a sum over protocols does not show it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid nfdump=1.7.10-1

python3 - "$work/capture.pcap" <<'PYTHON'
import struct
import sys
from wire import ethernet, ipv6, pcap, udp

def packet(next_header, payload):
    return ethernet(0x86DD, ipv6("2001:db8::1", "2001:db8::2", next_header, payload))

datagram = udp(4000, 5000, b"x" * 1440)
first = struct.pack("!BBHI", 17, 0, 0 | 1, 7) + datagram[:1000]
last = struct.pack("!BBHI", 17, 0, 1000, 7) + datagram[1000:]
pcap(sys.argv[1], [packet(44, first), packet(44, last), packet(17, udp(4001, 5000, b"x" * 100))])
PYTHON
mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
seen=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%sp %pkt' | tr -s ' ' | sed 's/^ //' |
    paste -s -d ,)
verdict "a flow of 2 packets, 4001 1" "4001 1" "$seen"
