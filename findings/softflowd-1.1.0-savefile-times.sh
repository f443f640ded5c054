#!/usr/bin/env bash
# softflowd 1.1.0 (Debian 1.1.0-1+b1) exports the flows of a savefile with times in the future.
#
# Standard: RFC 3954, section 8: FIRST_SWITCHED (22) and LAST_SWITCHED (21) are the system uptime at
#   the first and last packet of the flow; section 5.1: sysUpTime and UNIX Secs of the header relate
#   it to the time of day. softflowd(8): -r reads a capture file of tcpdump.
# Input: a capture of ten minutes ago, exported by softflowd -r as NetFlow version 9, and as version 5.
# Expected: a flow that starts 10 minutes before its export. Seen: it starts 49 days after it: the
#   uptime of a packet before softflowd's start is negative, and wraps around. 1.1.1-1 does the same.
#   IPFIX has the right times with -A milli.
# Why care: such flows are not found in the time of the capture, nor in that of the export.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages softflowd=1.1.0-1+b1

seen=$(with_softflowd <<'PYTHON'
import time
from softflowd import exported, savefile, sets, templates
from wire import ethernet, ipv4, pcap, udp

frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(1000, 5000, b"x" * 100)))
pcap(savefile, [frame], start=time.time() - 600)


def start(version):
    """When the flow starts, in milliseconds before (-) or after its export."""
    [message] = exported(version)
    uptime = int.from_bytes(message[4:8], "big")
    if version == 5:
        return int.from_bytes(message[48:52], "big") - uptime
    flows = None
    for set_id, content in sets(message):
        if set_id == 0:
            for template, elements in templates(content):
                numbers = [number for number, _ in elements]
                if {7, 8} <= set(numbers):  # sourceTransportPort, sourceIPv4Address
                    flows = template
                    before = sum(length for _, length in elements[:numbers.index(22)])
        elif set_id == flows:
            return int.from_bytes(content[before:before + 4], "big") - uptime
    raise ValueError("no flow record")


def words(milliseconds):
    minutes = abs(milliseconds) / 60_000
    length = f"{minutes:.0f} minutes" if minutes < 60 else f"{minutes // 1440:.0f} days"
    return length + (" before" if milliseconds < 0 else " after")


print(f"version 5: {words(start(5))}, version 9: {words(start(9))}")
PYTHON
)
verdict "version 5: 10 minutes before, version 9: 10 minutes before" \
    "version 5: 49 days after, version 9: 49 days after" "$seen"
