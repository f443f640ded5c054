#!/usr/bin/env bash
# PyPI netflume 0.6.0 calls the scope "System" of a NetFlow version 9 options record "octets".
#
# Standard: RFC 3954, section 6.1: scope field types have numbers of their own: 1 System, 2
#   Interface, 3 Line Card, 4 Cache, 5 Template. They are not the field types of section 8, where
#   1 is IN_BYTES.
# Input: an options record with the scope System = 7 and samplingInterval (34) = 1000.
# Expected: no traffic counter in the record. Seen: {'octets': 7, 'sampling_interval': 1000}. The
#   scopes Interface and Line Card are called packets and flows.
# Why care: what sums "octets" over records of an exporter adds system and interface numbers.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflume==0.6.0

seen=$("$work/venv/bin/python" - <<'PYTHON'
import struct
import netflume
from wire import netflow9, set_of

template = struct.pack("!HHHHHHH", 300, 4, 4, 1, 4, 34, 4) + b"\0\0"
decoder = netflume.Decoder()
decoder.decode(netflow9(1, set_of(1, template)), "192.0.2.1")
record = set_of(300, struct.pack("!II", 7, 1000))
print(decoder.decode(netflow9(1, record, sequence=1), "192.0.2.1").options)
PYTHON
)
verdict "a scope, {'sampling_interval': 1000}" "[{'octets': 7, 'sampling_interval': 1000}]" "$seen"
