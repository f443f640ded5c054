#!/usr/bin/env bash
# PyPI scapy 2.8.0 and python-pcapng 2.1.1 do not add the time offset of a pcapng interface to the
# times of its packets.
#
# Standard: draft-ietf-opsawg-pcapng, Interface Description Block: if_tsoffset (14) "specifies an
#   offset (in seconds) that must be added to the timestamp of each packet" for the absolute time.
# Input: an interface with if_tsoffset 1780000000 and a packet at 250000 microseconds.
# Expected: 1780000000.25 from both. Seen: 0.25 from both. libpcap 1.10.3 adds the offset. Crate
#   pcarp 2.0.0 does not either.
# Why care: flows from such a capture are of 1970, and have no order with flows of other captures.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages scapy==2.8.0 python-pcapng==2.1.1

seen=$("$work/venv/bin/python" - "$work/capture.pcapng" 2>"$work/log" <<'PYTHON'
import struct
import sys
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket
from scapy.utils import RawPcapNgReader
from wire import ethernet, ipv4, pcapng, udp

frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100)))
pcapng(sys.argv[1], [[(14, struct.pack("<q", 1_780_000_000))]], [(0, 250_000, frame)])
_, metadata = next(RawPcapNgReader(sys.argv[1]))
time = ((metadata.tshigh << 32) + metadata.tslow) / metadata.tsresol
with open(sys.argv[1], "rb") as file:
    times = [block.timestamp for block in FileScanner(file) if isinstance(block, EnhancedPacket)]
print("scapy", time, "python-pcapng", *times)
PYTHON
)
verdict "scapy 1780000000.25 python-pcapng 1780000000.25" "scapy 0.25 python-pcapng 0.25" "$seen"
