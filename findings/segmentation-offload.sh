#!/usr/bin/env bash
# Two flow meters lose the octets of TCP packets that were captured before segmentation offload:
# nfpcapd 1.7.1 (Debian nfdump 1.7.1-2+deb12u1) and pmacctd 1.7.7 (Debian pmacct 1.7.7-1+b1).
#
# Standard: RFC 2675, section 2: the length of an IPv6 jumbogram is in its Jumbo Payload option, and the
#   payload length is 0; Linux captures have them with BIG TCP. IPv4 has no such option: captures of
#   large segments, on Windows as with BIG TCP, may have the total length 0. draft-ietf-opsawg-pcapng,
#   Enhanced Packet Block, and Wireshark's preference ip.tso_support: the length is then that of the
#   captured packet.
# Input: three IPv4 TCP packets of 3000 octets, three with the total length 0, three IPv6 jumbograms of
#   100,068 octets.
# Expected: 9000, 9000 and 300,204 octets. Seen: 9000 and 0, and 120 for the jumbograms, as protocol 0
#   (nfpcapd), or no flow (pmacctd, which logs "currently not supported"). pmacctd 1.7.8-4 does the same;
#   nfpcapd 1.7.10-1 and PyPI nfstream 6.6.0 leave out both; softflowd 1.1.0 counts all octets.
# Why care: bulk transfers, which are most of the octets, are missing in the results of a host's own
#   capture.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages nfdump=1.7.1-2+deb12u1 pmacct=1.7.7-1+b1

python3 - "$work/capture.pcap" <<'PYTHON'
import ipaddress
import struct
import sys
from wire import checksum, ethernet, ipv4, pcap

def tcp(number, octets):
    return struct.pack("!HHIIBBHHH", 4000, 443, 1 + number * octets, 1, 0x50, 0x10, 8192, 0, 0) + bytes(octets)

def without_length(packet):
    header = packet[:2] + bytes(2) + packet[4:10] + bytes(2) + packet[12:20]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + packet[20:]

def jumbogram(segment):
    jumbo_payload = struct.pack("!BBBBI", 6, 0, 0xC2, 4, 8 + len(segment))
    source, destination = (ipaddress.IPv6Address(text).packed for text in ("2001:db8::3", "2001:db8::9"))
    return struct.pack("!IHBB", 6 << 28, 0, 0, 64) + source + destination + jumbo_payload + segment

frames = [ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.9", 6, tcp(n, 2960))) for n in range(3)]
frames += [ethernet(0x0800, without_length(ipv4("10.0.0.2", "10.0.0.9", 6, tcp(n, 2960)))) for n in range(3)]
frames += [ethernet(0x86DD, jumbogram(tcp(n, 100_000))) for n in range(3)]
pcap(sys.argv[1], frames)
PYTHON

mkdir "$work/flows"
(unpacked nfpcapd -r "$work/capture.pcap" -w "$work/flows") >/dev/null 2>&1
nfpcapd=$(unpacked nfdump -q -N -6 -R "$work/flows" -o 'fmt:%sa %byt' |
    awk '{ print $1 "=" $2 }' | sort | paste -s -d ' ')

# The refresh time is longer than the run: pmacctd writes once, at the end of the file.
pmacctd=$( (unpacked pmacctd -I "$work/capture.pcap" -P print -c src_host -r 60 -O csv) 2>/dev/null |
    sed -nE 's/^([0-9a-f.:]+),3,([0-9]+)$/\1=\2/p' | sort | paste -s -d ' ')

all="10.0.0.1=9000 10.0.0.2=9000 2001:db8::3=300204"
verdict "nfpcapd $all, pmacctd $all" \
    "nfpcapd 10.0.0.1=9000 10.0.0.2=0 2001:db8::3=120, pmacctd 10.0.0.1=9000 10.0.0.2=0" \
    "nfpcapd $nfpcapd, pmacctd $pmacctd"
