#!/usr/bin/env bash
# PyPI netflow 0.12.2 reads records with the template of another observation domain.
#
# Standard: RFC 7011, section 8: Template IDs are unique per Transport Session and Observation
#   Domain; the Message header has the Observation Domain ID.
# Input: domains 1 and 2 of one exporter both use Template ID 256, with the same elements in
#   another order. Domain 1 sends its template, domain 2 sends its own, domain 1 sends a flow of
#   100 octets from 10.0.0.1.
# Expected: 10.0.0.1, 100 octets. Seen: an invented flow of 720575944842018818 octets from 0.0.0.0.
#   The templates argument, which the documentation has kept for all Messages, has no domain.
# Why care: routers with several line cards export one domain each; numbers are invented silently.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflow==0.12.2

seen=$("$work/venv/bin/python" - <<'PYTHON'
import ipaddress
import struct
import netflow
from wire import ipfix, set_of, template_set

first = template_set(256, [(8, 4), (12, 4), (1, 8)])
second = template_set(256, [(1, 8), (8, 4), (12, 4)])
flow = set_of(256, bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!Q", 100))
templates = {"ipfix": {}, "netflow": {}}
for message in ipfix(first, domain=1), ipfix(second, domain=2), ipfix(flow, domain=1):
    flows = netflow.parse_packet(message, templates).flows
print(ipaddress.IPv4Address(flows[0].sourceIPv4Address), flows[0].octetDeltaCount)
PYTHON
)
verdict "10.0.0.1 100" "0.0.0.0 720575944842018818" "$seen"
