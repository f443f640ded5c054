#!/usr/bin/env bash
# PyPI netflume 0.6.0 does not apply a sampling rate to the observation domain that its scope names.
#
# Standard: RFC 7011, section 3.1: Observation Domain ID 0 in the header when no domain is relevant
#   for the whole Message; section 3.4.2.1: an options record applies to what its scope fields say,
#   here observationDomainId (149).
# Input: an options record in a Message of domain 0, with the scope observationDomainId = 4 and a
#   rate of one in 100 (305 = 1, 306 = 99); then a flow of domain 4.
# Expected: sampling rate 100. Seen: 1. When the Message with the options record is itself of
#   domain 4, the rate is 100.
# Why care: exporters that report for all domains from domain 0 are counted without their factor.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflume==0.6.0

seen=$("$work/venv/bin/python" - <<'PYTHON'
import struct
import netflume
from wire import ipfix, options_template_set, set_of, template_set

template = options_template_set(300, [(149, 4)], [(305, 4), (306, 4)])
rate = set_of(300, struct.pack("!III", 4, 1, 99))
flow = template_set(256, [(8, 4), (1, 8)])
flow += set_of(256, bytes([10, 0, 0, 1]) + struct.pack("!Q", 100))
for announced_in in 4, 0:
    decoder = netflume.Decoder()
    decoder.decode(ipfix(template, rate, domain=announced_in), "192.0.2.1")
    print(decoder.decode(ipfix(flow, domain=4, sequence=1), "192.0.2.1").sampling_rate)
PYTHON
)
verdict "100,100" "100,1" "$(paste -s -d , <<<"$seen")"
