#!/usr/bin/env bash
# pmacctd 1.7.7 (Debian pmacct 1.7.7-1+b1) reads a savefile twice by default.
#
# Documentation: pmacct's CONFIG-KEYS: pcap_savefile reads a file, "As soon as the daemon finished
#   processing the file, it exits"; pcap_savefile_replay replays "for the specified amount of
#   times", default 1. tcpdump(8) and other meters read a file once.
# Input: a capture of three UDP packets of 128 octets, read with -I and no other setting.
# Expected: 3 packets, 384 octets. Seen: 6 packets, 768 octets. pmacctd 1.7.8-4 does the same; with
#   pcap_savefile_replay: 2 it is three times, and with 0 the file is read without end.
# Why care: a comparison of counters on a capture shows half of what pmacctd reports.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages pmacct=1.7.7-1+b1

python3 - "$work/capture.pcap" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcap, udp

packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100))
pcap(sys.argv[1], [ethernet(0x0800, packet)] * 3)
PYTHON

# It exits at the end of the file.
seen=$( (unpacked pmacctd -I "$work/capture.pcap" -P print -c src_host -r 1 -O csv) 2>/dev/null |
    grep '^10\.')
verdict "10.0.0.1,3,384" "10.0.0.1,6,768" "$seen"
