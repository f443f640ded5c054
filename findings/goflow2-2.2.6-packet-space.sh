#!/usr/bin/env bash
# goflow2 2.2.6 takes samplingPacketInterval for the sampling rate and ignores samplingPacketSpace.
#
# Standard: RFC 5476, section 6.5.2.1, and IANA's IPFIX registry (RFC 5477): systematic count-based
#   sampling selects samplingPacketInterval (305) packets, then skips samplingPacketSpace (306). One
#   packet in (305 + 306) / 305 is seen. goflow2's docs/protocols.md: sampling_rate is the
#   "Sampling rate of the flow".
# Input: two domains that sample one packet in 100: interval 1 and space 99, interval 10 and space
#   990; each with one flow record.
# Expected: sampling_rate 100 and 100. Seen: 1 and 10.
# Why care: traffic is underestimated by the factor of sampling, with a rate that looks announced.
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
import time
from wire import ipfix, options_template_set, send, set_of, template_set

T = 1_780_000_000
announcement = options_template_set(300, [(149, 4)], [(304, 2), (305, 4), (306, 4)])
flow = template_set(256, [(8, 4), (12, 4), (1, 8), (2, 8), (152, 8), (153, 8)])
for domain, interval, space in (1, 1, 99), (2, 10, 990):
    rate = set_of(300, struct.pack("!IHII", domain, 1, interval, space))
    record = bytes([10, 0, 0, domain, 10, 0, 1, 0])
    record += struct.pack("!QQQQ", 100, 1, T * 1000, (T + 4) * 1000)
    send(int(sys.argv[1]), ipfix(announcement, rate, domain=domain))
    time.sleep(0.2)  # two workers read the datagrams: the order is not kept without a pause
    send(int(sys.argv[1]), ipfix(flow, set_of(256, record), domain=domain, sequence=1))
PYTHON
two_flows() { [ "$(wc -l <"$work/flows")" = 2 ]; }
wait_for "goflow2 writes two flows" two_flows
seen=$(python3 -c 'import json, sys
flows = sorted(map(json.loads, sys.stdin), key=lambda flow: flow["src_addr"])
print(*(flow["sampling_rate"] for flow in flows))' <"$work/flows")
verdict "100 100" "1 10" "$seen"
