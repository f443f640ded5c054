#!/usr/bin/env bash
# nfacctd 1.7.7 (Debian pmacct 1.7.7-1+b1) reads no TCP flags from tcpControlBits of two octets.
#
# Standard: IANA's IPFIX registry (RFC 7125): tcpControlBits (6) is an unsigned16; one octet is its
#   reduced-size encoding.
# Input: a flow with the flags SYN and ACK (0x12) in one octet, and another with them in two.
# Expected: flags 18 twice. Seen: 18 and 0. pmacct 1.7.8-4 reads both.
# Why care: connections without flags look like scans that were not answered, or are not found.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages pmacct=1.7.7-1+b1

through_nfacctd src_host,tcpflags 2 <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

for length in (1, 2):
    elements = [(8, 4), (12, 4), (4, 1), (1, 8), (2, 8), (6, length)]
    record = bytes([10, 0, 0, length, 10, 0, 1, 0, 6]) + struct.pack("!QQ", 100, 1)
    record += (0x12).to_bytes(length, "big")
    message = ipfix(template_set(255 + length, elements), set_of(255 + length, record),
                    sequence=length - 1)
    send(int(sys.argv[1]), message)
PYTHON
seen=$(cut -d , -f 2 "$work/flows" | paste -s -d " ")
verdict "18 18" "18 0" "$seen"
