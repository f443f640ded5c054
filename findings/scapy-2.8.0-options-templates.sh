#!/usr/bin/env bash
# PyPI scapy 2.8.0 takes octets of the following Set for padding of an IPFIX Options Template Set.
#
# Standard: RFC 7011, section 3.4.2: an Options Template Set ends with its Length; section 3.3.1:
#   padding is optional.
# Input: a Message with a template, an options template of one scope and two other fields, and a data
#   record of 1000 octets; and the same Message without the options template.
# Expected: 1000 octets twice. Seen: no record in the first: its Set begins eight octets too late,
#   four for each field of the options template that is not a scope.
# Why care: exporters send their templates in one Message; what follows an options template is lost.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages scapy==2.8.0

seen=$("$work/venv/bin/python" - 2>"$work/log" <<'PYTHON'
import struct
from scapy.layers.netflow import NetflowDataflowsetV9, NetflowHeader, ipfix_defragment
from wire import ipfix, options_template_set, set_of, template_set

template = template_set(256, [(8, 4), (12, 4), (1, 4)])
options_template = options_template_set(300, [(149, 4)], [(41, 8), (42, 8)])
data = set_of(256, bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!I", 1000))
words = []
for sets in (template, options_template, data), (template, data):
    packet = ipfix_defragment(NetflowHeader(ipfix(*sets)))[0]
    found = packet[NetflowDataflowsetV9]
    octets = [getattr(record, "IN_BYTES", None) for record in found.records]
    words.append(f"Set {found.templateID} octets {octets[0]}")
print(", ".join(words))
PYTHON
)
verdict "Set 256 octets 1000, Set 256 octets 1000" "Set 2560 octets None, Set 256 octets 1000" "$seen"
