#!/usr/bin/env bash
# goflow2 2.2.6 replaces the incoming counters of a flow by the outgoing ones, if these come later in
# the template.
#
# Standard: RFC 3954, section 8: IN_BYTES (1) and IN_PKTS (2) are incoming counters, OUT_BYTES (23) and
#   OUT_PKTS (24) outgoing ones. The order of the fields of a template has no meaning (section 5.2).
#   goflow2's docs/protocols.md: bytes is the "Number of bytes in the sample".
# Input: two NetFlow version 9 templates with these four fields in both orders, as FreeBSD's
#   ng_netflow has them; each with one flow of 1000 octets that has outgoing counters of 0.
# Expected: 1000 octets twice. Seen: 1000 and 0.
# Why care: all flows of FreeBSD firewalls have no octets and no packets, without an error.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

GOBIN=$work go install github.com/netsampler/goflow2/v2/cmd/goflow2@v2.2.6 ||
    cannot_run "go did not build goflow2 v2.2.6"
echo "version:  github.com/netsampler/goflow2/v2 v2.2.6"

port=$(free_port)
"$work/goflow2" -listen "netflow://127.0.0.1:$port" -addr 127.0.0.1:0 -format json \
    -transport file -transport.file "$work/flows" >"$work/log" 2>&1 &
started+=($!)
wait_for "goflow2 binds its port" bound "$port"
python3 - "$port" <<'PYTHON'
import struct
import sys
from wire import netflow9, send, set_of, template_set

INCOMING, OUTGOING = [(2, 4), (1, 4)], [(24, 4), (23, 4)]
VALUES = {1: 1000, 2: 10, 23: 0, 24: 0}
for source, counters in (1, OUTGOING + INCOMING), (2, INCOMING + OUTGOING):
    template = template_set(256, [(8, 4), (12, 4)] + counters, set_id=0)
    record = bytes([10, 0, 0, source, 10, 0, 1, 0])
    record += b"".join(struct.pack("!I", VALUES[field]) for field, _ in counters)
    send(int(sys.argv[1]), netflow9(2, template, set_of(256, record), source=source))
PYTHON
two_flows() { [ "$(wc -l <"$work/flows")" = 2 ]; }
wait_for "goflow2 writes two flows" two_flows
seen=$(python3 -c 'import json, sys
flows = sorted(map(json.loads, sys.stdin), key=lambda flow: flow["src_addr"])
print(*(flow["bytes"] for flow in flows))' <"$work/flows")
verdict "1000 1000" "1000 0" "$seen"
