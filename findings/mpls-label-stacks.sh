#!/usr/bin/env bash
# Two flow meters do not measure the IP packets behind MPLS labels: pmacctd 1.7.7 (Debian pmacct
# 1.7.7-1+b1) and softflowd 1.1.0 (Debian 1.1.0-1+b1).
#
# Standard: RFC 3032, section 2.1: label stack entries of 4 octets stand before the IP header, the last
#   one with the bottom of stack bit; RFC 4364, section 5: VPN packets have two labels. IANA's IPFIX
#   registry: octetDeltaCount (1) is "IP header(s) and IP payload".
# Input: 100 UDP packets of 128 octets without a label, 100 with one, and 100 with two labels, each
#   with its own identification.
# Expected: 12,800 octets of each source. Seen: pmacctd takes octets of the IP header for the second
#   entry: 51 of the 100 packets with two labels are a flow from 0.0.0.0 without octets; softflowd counts
#   4 octets more for each label. pmacctd 1.7.8-4 and softflowd 1.1.1-1 do the same; nfpcapd 1.7.1
#   and 1.7.10 count 12,800 octets.
# Why care: a part of the traffic of a VPN backbone has no addresses and no octets, or the octets do not
#   add up with those of the same traffic at its edge.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1 pmacct=1.7.7-1+b1

python3 - "$work/capture.pcap" <<'PYTHON'
import struct
import sys
from wire import ethernet, ipv4, pcap, udp

def labels(*numbers):
    """A label stack, the bottom of stack bit in its last entry."""
    entries = [number << 12 | 64 for number in numbers]
    if entries:
        entries[-1] |= 1 << 8
    return struct.pack(f"!{len(entries)}I", *entries)

frames = []
for source, stack in ("10.0.0.1", []), ("10.0.0.2", [100]), ("10.0.0.3", [100, 200]):
    for number in range(100):
        packet = ipv4(source, "10.0.0.9", 17, udp(4000, 5000, b"x" * 100), identification=257 * number)
        frames.append(ethernet(0x8847 if stack else 0x0800, labels(*stack) + packet))
pcap(sys.argv[1], frames)
PYTHON

softflowd=$(with_softflowd <<'PYTHON'
import socket
from softflowd import exported

[message] = exported(5)
flows = []
for at in range(24, len(message), 48):
    octets = int.from_bytes(message[at + 20:at + 24], "big")
    flows.append(f"{socket.inet_ntoa(message[at:at + 4])}={octets}")
print(*sorted(flows))
PYTHON
)

# The refresh time is longer than the run: pmacctd writes once, at the end of the file.
pmacctd=$( (unpacked pmacctd -I "$work/capture.pcap" -P print -c src_host -r 60 -O csv) 2>/dev/null |
    sed -nE 's/^([0-9.]+),[0-9]+,([0-9]+)$/\1=\2/p' | sort | paste -s -d ' ')

one="10.0.0.1=12800 10.0.0.2=12800"
all="$one 10.0.0.3=12800"
verdict "pmacctd $all, softflowd $all" \
    "pmacctd 0.0.0.0=0 $one 10.0.0.3=6272, softflowd 10.0.0.1=12800 10.0.0.2=13200 10.0.0.3=13600" \
    "pmacctd $pmacctd, softflowd $softflowd"
