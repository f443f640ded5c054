#!/usr/bin/env bash
# PyPI scapy 2.8.0 reads only the first options data record of a NetFlow version 9 FlowSet.
#
# Standard: RFC 3954, section 2: a Data FlowSet is one or more records, each a Flow Data Record or an
#   Options Data Record; section 6.2 shows several.
# Input: an options template of the scope Interface and IF_NAME (82), and a FlowSet with the names of
#   two interfaces.
# Expected: eth0 and eth1. Seen: eth0; the other record is in the padding.
# Why care: routers send their table of interfaces in such FlowSets; all names but one are missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages scapy==2.8.0

seen=$("$work/venv/bin/python" - 2>"$work/log" <<'PYTHON'
import struct
from scapy.layers.netflow import NetflowDataflowsetV9, NetflowHeader, netflowv9_defragment
from wire import netflow9, set_of

template = set_of(1, struct.pack("!HHHHHHHH", 300, 4, 4, 2, 4, 82, 8, 0))
names = set_of(300, struct.pack("!I8sI8s", 1, b"eth0", 2, b"eth1"))
packet = netflowv9_defragment(NetflowHeader(netflow9(3, template, names)))[0]
fields = (getattr(record, "IF_NAME", None) for record in packet[NetflowDataflowsetV9].records)
print(*(name.decode().rstrip("\0") for name in fields if name))
PYTHON
)
verdict "eth0 eth1" "eth0" "$seen"
