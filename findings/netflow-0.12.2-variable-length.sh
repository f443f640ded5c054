#!/usr/bin/env bash
# PyPI netflow 0.12.2 refuses a whole IPFIX Message for one record with a field of variable length.
#
# Standard: RFC 7011, section 7: a field length of 65535 in a Template means variable length; the
#   length is in front of each value. The Exporter is free to put Sets in one Message (section 3).
# Input: a Message with a flow record (fields of fixed length) and an options data record with the
#   domain's name (observationDomainName, 300, a string of variable length).
# Expected: one flow of 100 octets. Seen: PaddingCalculationError, no flow. The library takes 65535
#   for the number of octets. Its documentation does not name the limit.
# Why care: flows are lost only when the exporter describes itself in the same Message; Messages
#   with flows alone are read.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflow==0.12.2

seen=$("$work/venv/bin/python" - <<'PYTHON'
import struct
import netflow
from wire import VARIABLE, ipfix, options_template_set, set_of, template_set, variable

templates = template_set(256, [(8, 4), (12, 4), (1, 8)])
templates += options_template_set(257, [(149, 4)], [(300, VARIABLE)])
flow = set_of(256, bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!Q", 100))
name = set_of(257, struct.pack("!I", 1) + variable(b"edge-router"))
for sets in (templates, flow), (templates, flow, name):
    try:
        flows = netflow.parse_packet(ipfix(*sets), {"ipfix": {}, "netflow": {}}).flows
        print([record.octetDeltaCount for record in flows])
    except Exception as error:
        print(type(error).__name__)
PYTHON
)
verdict "[100],[100]" "[100],PaddingCalculationError" "$(paste -s -d , <<<"$seen")"
