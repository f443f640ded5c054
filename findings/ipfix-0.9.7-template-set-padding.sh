#!/usr/bin/env bash
# PyPI ipfix 0.9.7 refuses padding at the end of a Template Set.
#
# Standard: RFC 7011, section 3.3.1: a Set may end with padding octets of value 0, shorter than any
#   record in it; section 9: the Collecting Process "MUST accept padding in Data Records and
#   Template Records".
# Input: a Template Set of one element with two octets of padding, and a record.
# Expected: one record. Seen: ValueError "bad template ID 0". Crate netgauze-flow-pkt 0.13.0 refuses
#   the Message in the same way.
# Why care: exporters that align their Sets are not read at all, although no value is affected.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages ipfix==0.9.7

seen=$("$work/venv/bin/python" - <<'PYTHON'
import io
import struct
from wire import set_of
from wire import ipfix as message
import ipfix.ie
import ipfix.reader

ipfix.ie.use_iana_default()
template = set_of(2, struct.pack("!HHHH", 256, 1, 7, 2) + b"\0\0")
octets = message(template, set_of(256, struct.pack("!H", 53)))
try:
    print(len(list(ipfix.reader.from_stream(io.BytesIO(octets)).namedict_iterator())), "record")
except ValueError as error:
    print(error)
PYTHON
)
verdict "1 record" "bad template ID 0" "$seen"
