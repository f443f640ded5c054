#!/usr/bin/env bash
# softflowd 1.1.0 (Debian 1.1.0-1+b1) counts the padding of short Ethernet frames as octets of the
# flow.
#
# Standard: IANA's IPFIX registry (RFC 7012): octetDeltaCount (1) is "IP header(s) and IP payload";
#   IEEE 802.3, clause 3.2.8: the pad of a short frame is not part of the client data.
# Input: three UDP packets of 28 octets without data, each in a frame with 18 octets of padding.
# Expected: 84 octets. Seen: 138 octets; 1.1.1-1 does the same.
# Why care: packets below 46 octets are counted up to 64 percent too high, but only where frames are
#   received: sent frames are usually captured before they are padded.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1

seen=$(with_softflowd <<'PYTHON'
from softflowd import exported, savefile
from wire import ethernet, ipv4, pcap, udp

packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000))
pcap(savefile, [ethernet(0x0800, packet + bytes(18))] * 3)
[message] = exported(5)
record = message[24:72]  # NetFlow version 5: dPkts and dOctets
print(int.from_bytes(record[16:20], "big"), "packets,",
      int.from_bytes(record[20:24], "big"), "octets")
PYTHON
)
verdict "3 packets, 84 octets" "3 packets, 138 octets" "$seen"
