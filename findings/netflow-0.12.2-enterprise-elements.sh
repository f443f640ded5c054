#!/usr/bin/env bash
# PyPI netflow 0.12.2 takes an enterprise-specific element for the IANA element of the same number.
#
# Standard: RFC 7011, section 3.2: with the enterprise bit the identifier belongs to the enterprise
#   number that follows. RFC 5103, section 6.1: number 29305 with identifier 2 is
#   reversePacketDeltaCount.
# Input: a biflow with octetDeltaCount = 100 and reversePacketDeltaCount = 7, without
#   packetDeltaCount; then a flow with VMware's tunnelType (6876/891) together with octetDeltaCount.
# Expected: no packetDeltaCount in either. Seen: packetDeltaCount = 7 in the first, and
#   AttributeError for the second, since the library's registry has no element 891.
# Why care: the packets of the answers stand for those of the requests, with no error; where a
#   record has both elements, either of the two values is kept.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflow==0.12.2

seen=$("$work/venv/bin/python" - <<'PYTHON'
import struct
import netflow
from wire import ipfix, set_of, template_set

for element, value in ((2, 8, 29305), struct.pack("!Q", 7)), ((891, 1, 6876), b"\1"):
    record = bytes([10, 0, 0, 1]) + value + struct.pack("!Q", 100)
    try:
        message = ipfix(template_set(256, [(8, 4), element, (1, 8)]), set_of(256, record))
        flows = netflow.parse_packet(message, {"ipfix": {}, "netflow": {}}).flows
        print("packetDeltaCount", flows[0].data.get("packetDeltaCount"))
    except Exception as error:
        print(type(error).__name__)
PYTHON
)
verdict "packetDeltaCount None,packetDeltaCount None" "packetDeltaCount 7,AttributeError" \
    "$(paste -s -d , <<<"$seen")"
