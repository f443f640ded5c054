#!/usr/bin/env bash
# pmacctd 1.7.7 (Debian pmacct 1.7.7-1+b1) does not read each packet of a savefile once, if a plugin
# writes its results while the file is read.
#
# Documentation: pmacct's CONFIG-KEYS: pcap_savefile reads a file, "As soon as the daemon finished
#   processing the file, it exits"; pcap_savefile_replay replays "for the specified amount of
#   times", default 1. print_refresh_time is the time between two writes of the plugin.
# Input: captures of 3 and of 1000 UDP packets, with a refresh time of 60 seconds and of 1 second.
# Expected: 3 and 1000 packets twice. Seen: so with 60 seconds; with 1 second 6 and 26. A plugin writes in
#   a process of its own, which shares the open savefile; when it ends, the C library sets the
#   position of the file back by the 4072 octets that this process has buffered but not read, and
#   pmacctd reads on from there. pmacctd 1.7.8-4 does the same.
# Why care: packets count twice, or those after the write are missing, with no error. The refresh time
#   has to be longer than the run; it is a minute by default.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages pmacct=1.7.7-1+b1

python3 - "$work" <<'PYTHON'
import sys
from wire import ethernet, ipv4, pcap, udp

packet = ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100))
for count in 3, 1000:
    pcap(f"{sys.argv[1]}/{count}.pcap", [ethernet(0x0800, packet)] * count)
PYTHON

# packets COUNT REFRESH: what pmacctd counts in this savefile. It exits at the end of the file.
packets() {
    (unpacked pmacctd -I "$work/$1.pcap" -P print -c src_host -r "$2" -O csv) 2>/dev/null |
        awk -F , '/^10\./ { packets += $2 } END { print packets }'
}
seen="60 s: $(packets 3 60), $(packets 1000 60); 1 s: $(packets 3 1), $(packets 1000 1)"
verdict "60 s: 3, 1000; 1 s: 3, 1000" "60 s: 3, 1000; 1 s: 6, 26" "$seen"
