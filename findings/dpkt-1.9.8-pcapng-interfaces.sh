#!/usr/bin/env bash
# PyPI dpkt 1.9.8 reads the times of all interfaces of a pcapng savefile in the resolution of the
# first interface.
#
# Standard: draft-ietf-opsawg-pcapng, Interface Description Block: if_tsresol belongs to one
#   interface; Enhanced Packet Block: the unit of a timestamp is that of the packet's interface.
# Input: two interfaces, the first in microseconds (the default), the second in nanoseconds
#   (if_tsresol 9); one packet of each, half a second apart.
# Expected: both packets of 2026. Seen: the second is 56,000 years later: nanoseconds are taken for
#   microseconds.
# Why care: mergecap writes such files from a tcpdump capture and one with nanoseconds; flows that a
#   program meters from them never end.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages dpkt==1.9.8

seen=$("$work/venv/bin/python" - "$work/capture.pcapng" <<'PYTHON'
import sys
import dpkt
from wire import ethernet, ipv4, pcapng, udp

T = 1_780_000_000  # 2026-05-28 20:26:40
frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100)))
pcapng(sys.argv[1], [[], [(9, b"\x09")]],
       [(0, T * 10**6, frame), (1, T * 10**9 + 500_000_000, frame)])
with open(sys.argv[1], "rb") as file:
    print(*(f"{timestamp:.1f}" for timestamp, _ in dpkt.pcapng.Reader(file)))
PYTHON
)
verdict "1780000000.0 1780000000.5" "1780000000.0 1780000000500.0" "$seen"
