#!/usr/bin/env bash
# Go package github.com/vmware/go-ipfix 0.17.0 reads elements in the length of its registry, not in that
# of the template: two counters of four octets become one.
#
# Standard: RFC 7011, section 6.2: an exporter may send unsigned64 in fewer octets; the Field Length of
#   the template states how many.
# Input: a template with octetDeltaCount (1) in four octets, and two records of it, 100 and 200.
# Expected: 100 and 200. Seen: one record of 429496729800, which is 100 x 2^32 + 200.
# Why care: many routers send counters of four octets. The values look valid.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

go_ipfix
python3 - "$port" <<'PYTHON'
import struct
import sys
from wire import ipfix, send, set_of, template_set

records = set_of(256, struct.pack("!II", 100, 200))
# From one port: it is the session, which has the template.
send(int(sys.argv[1]), ipfix(template_set(256, [(1, 4)])), ipfix(records))
PYTHON
wait_for "the last record arrives" grep -q '200\|9800' "$work/records"
verdict "100 200" "429496729800" "$(xargs <"$work/records")"
