#!/usr/bin/env bash
# PyPI ipfix 0.9.7 refuses the withdrawal of all templates.
#
# Standard: RFC 7011, section 8.1: an "All Data Templates Withdrawal" is a Template Record with
#   Template ID 2 and a field count of 0; it is valid over TCP and SCTP, and in IPFIX files.
# Input: a Message with a template and one record, a withdrawal of all templates, the template again
#   with a second record.
# Expected: two records. Seen: ValueError "bad template ID 2" after the first record.
# Why care: an exporter that restarts its metering on an open connection sends this Message; the
#   reader ends there.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages ipfix==0.9.7

seen=$("$work/venv/bin/python" - <<'PYTHON'
import io
import struct
from wire import set_of, template_set
from wire import ipfix as message
import ipfix.ie
import ipfix.reader

ipfix.ie.use_iana_default()
flow = template_set(256, [(7, 2)]) + set_of(256, struct.pack("!H", 53))
withdrawal = set_of(2, struct.pack("!HH", 2, 0))
octets = message(flow) + message(withdrawal, sequence=1) + message(flow, sequence=1)
records = 0
try:
    for record in ipfix.reader.from_stream(io.BytesIO(octets)).namedict_iterator():
        records += 1
    print(records, "records")
except ValueError as error:
    print(records, "record,", error)
PYTHON
)
verdict "2 records" "1 record, bad template ID 2" "$seen"
