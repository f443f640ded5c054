#!/usr/bin/env bash
# softflowd 1.1.1 (Debian unstable 1.1.1-1) does not find the transport protocol behind an IPv6
# extension header: such traffic of two hosts is one flow without ports.
#
# Standard: IANA's IPFIX registry: protocolIdentifier (4) is "carried in the Next Header field in the
#   last extension header of the packet".
# Input: two UDP datagrams and a TCP segment between two hosts, each with a hop-by-hop or destination
#   options header of 8 octets.
# Expected: three flows, protocol 17, 17 and 6. Seen: one flow of three packets, protocol 0, ports 0.
#   Debian's 1.1.0-1+b1 reads the three flows.
# Why care: TCP and UDP traffic with options disappears into a flow without ports, after an update.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid softflowd=1.1.1-1

seen=$(with_softflowd <<'PYTHON'
import struct
from softflowd import exported, savefile, sets, templates
from wire import ethernet, ipv6, pcap, udp

hosts = "2001:db8::1", "2001:db8::2"
tcp = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0x50, 2, 1000, 0, 0)


def options(protocol):
    """An options header of 8 octets: the next header and a PadN option (RFC 8200, 4.2)."""
    return bytes([protocol, 0, 1, 4, 0, 0, 0, 0])


packets = [
    ipv6(*hosts, 0, options(17) + udp(4000, 5000, b"x" * 100)),
    ipv6(*hosts, 0, options(17) + udp(4001, 5001, b"x" * 100)),
    ipv6(*hosts, 60, options(6) + tcp),
]
pcap(savefile, [ethernet(0x86DD, packet) for packet in packets])

known = {}
flows = []
[message] = exported(9)
for set_id, content in sets(message):
    if set_id == 0:
        known.update(templates(content))
    elif set_id in known:
        size = sum(length for _, length in known[set_id])
        while len(content) >= size:
            values = {}
            for element, length in known[set_id]:
                values[element] = int.from_bytes(content[:length], "big")
                content = content[length:]
            flows.append([values.get(element) for element in (4, 7, 11, 2)])
print(*(f"protocol {p} ports {s} {d} packets {n}" for p, s, d, n in sorted(flows)), sep=", ")
PYTHON
)
verdict "protocol 6 ports 4000 80 packets 1, protocol 17 ports 4000 5000 packets 1, \
protocol 17 ports 4001 5001 packets 1" "protocol 0 ports 0 0 packets 3" "$seen"
