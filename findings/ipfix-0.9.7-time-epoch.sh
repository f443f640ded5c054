#!/usr/bin/env bash
# PyPI ipfix 0.9.7 reads times in microseconds and nanoseconds 70 years too late.
#
# Standard: RFC 7011, sections 6.1.9 and 6.1.10: dateTimeMicroseconds and dateTimeNanoseconds are
#   NTP timestamps (RFC 5905); their seconds count from 1900-01-01.
# Input: flowStartMicroseconds (154) and flowStartMilliseconds (152) of 2026-05-28 20:26:40.
# Expected: the same time twice. Seen: 2096-05-27 and 2026-05-28: the seconds are taken to count
#   from 1970.
# Why care: the library writes as it reads, so a test against itself passes; only another
#   implementation shows the error.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
python_packages ipfix==0.9.7

seen=$("$work/venv/bin/python" - <<'PYTHON'
import io
import struct
from wire import ntp, set_of, template_set
from wire import ipfix as message
import ipfix.ie
import ipfix.reader

ipfix.ie.use_iana_default()
T = 1_780_000_000
octets = message(template_set(256, [(154, 8), (152, 8)]),
                 set_of(256, ntp(T) + struct.pack("!Q", T * 1000)))
for record in ipfix.reader.from_stream(io.BytesIO(octets)).namedict_iterator():
    print(record["flowStartMicroseconds"], record["flowStartMilliseconds"])
PYTHON
)
verdict "2026-05-28 20:26:40 2026-05-28 20:26:40" "2096-05-27 20:26:40 2026-05-28 20:26:40" "$seen"
