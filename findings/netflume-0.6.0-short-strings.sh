#!/usr/bin/env bash
# PyPI netflume 0.6.0 gives a string of an element that it does not know as an integer when it has
# at most eight octets, and as hexadecimal text when it has more.
#
# Standard: RFC 7011, section 6.1.6 (string); IANA's IPFIX registry: applicationName (96) is a
#   string. The package's README: elements it does not know "are kept", and vendor elements decode
#   "with raw bytes".
# Input: three records with applicationName = "dns", "web-frontend" and "" (variable length).
# Expected: one type for all values of an element. Seen: the integer 6581875, the text
#   7765622d66726f6e74656e64, and an empty text. Private elements behave the same.
# Why care: a database column or a message schema for the element breaks with the length of a name,
#   and leading zero octets of a private value cannot be recovered.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages netflume==0.6.0

seen=$("$work/venv/bin/python" - <<'PYTHON'
import netflume
from wire import VARIABLE, ipfix, set_of, template_set, variable

names = [b"dns", b"web-frontend", b""]
records = b"".join(variable(name) + b"\x06" for name in names)
message = ipfix(template_set(256, [(96, VARIABLE), (4, 1)]), set_of(256, records))
flows = netflume.Decoder().decode(message, "192.0.2.1").flows
print(*(repr(flow["ie96"]) for flow in flows))
PYTHON
)
verdict "values of one type" "6581875 '7765622d66726f6e74656e64' ''" "$seen"
