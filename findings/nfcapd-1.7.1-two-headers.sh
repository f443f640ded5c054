#!/usr/bin/env bash
# nfcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) reads the IPv4 addresses inside an IPv6 tunnel as IPv6 addresses.
#
# Standard: RFC 7011, 8: the headers of a tunnel packet are in a record in their order, the outer one first.
# Input: a flow of TCP from 192.0.2.1 to 192.0.2.2 in a tunnel from fd00::1 to fd00::2. Its record has both headers,
#   as Cisco IOS XR reports SRv6.
# Expected: one of the headers, or both. Seen: a flow from ::192.0.2.1 to ::192.0.2.2, which are in neither.
# Why care: the flow does not match any filter or network of its IPv4 hosts, nor of the ends of the tunnel.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1

through_nfcapd <<'PYTHON'
import ipaddress
import struct
import sys
from wire import ipfix, send, set_of, template_set

T = 1_780_000_000


def header(source, destination, *others):
    ends = [ipaddress.ip_address(text).packed for text in (source, destination)]
    return b"".join(ends) + struct.pack("!BHH", *others)


outer = [(27, 16), (28, 16), (4, 1), (7, 2), (11, 2)]
inner = [(8, 4), (12, 4), (4, 1), (7, 2), (11, 2)]
template = template_set(256, outer + inner + [(152, 8), (153, 8), (1, 8), (2, 8)])
record = header("fd00::1", "fd00::2", 4, 0, 0) + header("192.0.2.1", "192.0.2.2", 6, 50000, 443)
record += struct.pack("!QQQQ", T * 1000, (T + 1) * 1000, 100, 1)
send(int(sys.argv[1]), ipfix(template, set_of(256, record)))
PYTHON

seen=$(unpacked nfdump -q -6 -R "$work/flows" -o 'fmt:%sa %da %pr' | xargs)
verdict "192.0.2.1 192.0.2.2 TCP, or fd00::1 fd00::2 IPIP" "::192.0.2.1 ::192.0.2.2 TCP" "$seen"
