#!/usr/bin/env bash
# Four flow meters leave out frames with a service VLAN tag (IEEE 802.1ad): softflowd 1.1.0,
# nfpcapd 1.7.1, pmacctd 1.7.7 and nfstream 6.6.0.
#
# Standard: IEEE 802.1Q-2014 (with 802.1ad), clause 9: a service VLAN tag has the TPID 88-A8 and is
#   followed by what an untagged frame has after its addresses, here a customer tag (81-00).
# Input: three UDP packets with an 802.1ad and an 802.1Q tag in one capture; as a control three
#   packets of other addresses with an 802.1Q tag alone.
# Expected: six packets. Seen: the three packets with one tag, from each of the four meters.
#   softflowd counts the others as "non-IP". softflowd 1.1.1-1 and nfpcapd 1.7.10-1 do the same;
#   pmacctd 1.7.8-4 counts all six.
# Why care: traffic of provider networks is missing; a meter that reads the tag counts more.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1 nfdump=1.7.1-2+deb12u1 pmacct=1.7.7-1+b1
python_packages nfstream==6.6.0

python3 - "$work/capture.pcap" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcap, udp

def packet(source):
    return ipv4(source, "10.0.0.9", 17, udp(4000, 5000, b"x" * 100))

service = ethernet(0x0800, packet("10.0.0.1"), tags=[(0x88A8, 200), (0x8100, 100)])
customer = ethernet(0x0800, packet("10.0.0.2"), tags=[(0x8100, 100)])
pcap(sys.argv[1], [service] * 3 + [customer] * 3)
PYTHON

mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
nfpcapd=$(unpacked nfdump -q -R "$work/flows" -o 'fmt:%sa' | tr -d ' ' | paste -s -d +)

softflowd=$(with_softflowd <<'PYTHON'
import socket
from softflowd import exported

[message] = exported(5)
records = int.from_bytes(message[2:4], "big")
print("+".join(socket.inet_ntoa(message[24 + 48 * n:28 + 48 * n]) for n in range(records)))
PYTHON
)

# It exits at the end of the file.
pmacctd=$( (unpacked pmacctd -I "$work/capture.pcap" -P print -c src_host -r 1 -O csv) 2>/dev/null |
    grep -oE '^10[0-9.]+' | paste -s -d +)

nfstream=$("$work/venv/bin/python" - "$work/capture.pcap" <<'PYTHON'
import sys
from nfstream import NFStreamer

if __name__ == "__main__":
    print("+".join(flow.src_ip for flow in NFStreamer(sys.argv[1], n_dissections=0, n_meters=1)))
PYTHON
)

one=10.0.0.2
two=10.0.0.1+10.0.0.2
verdict "softflowd $two, nfpcapd $two, pmacctd $two, nfstream $two" \
    "softflowd $one, nfpcapd $one, pmacctd $one, nfstream $one" \
    "softflowd $softflowd, nfpcapd $nfpcapd, pmacctd $pmacctd, nfstream $nfstream"
