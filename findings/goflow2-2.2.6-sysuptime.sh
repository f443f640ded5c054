#!/usr/bin/env bash
# goflow2 2.2.6 gives IPFIX flows whose times are relative to the exporter's start the export time
# as start and end.
#
# Standard: IANA's IPFIX registry (RFC 7012): flowStartSysUpTime (22) and flowEndSysUpTime (21) are
#   milliseconds after systemInitTimeMilliseconds (160), which the record has.
# Input: a record exported at 20:26:49 with 160 = 20:26:35, 22 = 5000, 21 = 9000; as a control the
#   same times in milliseconds (152, 153).
# Expected: 20:26:40 to 20:26:44 twice. Seen: 20:26:49 to 20:26:49 for the first.
# Why care: durations are 0 and rates infinite; with an active timeout of minutes the traffic is in
#   the wrong place of a graph.
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
from wire import ipfix, send, set_of, template_set

T = 1_780_000_000  # 2026-05-28 20:26:40
for number, (elements, times) in enumerate([
    ([(160, 8), (22, 4), (21, 4)], struct.pack("!QII", (T - 5) * 1000, 5000, 9000)),
    ([(152, 8), (153, 8)], struct.pack("!QQ", T * 1000, (T + 4) * 1000)),
]):
    template = template_set(256 + number, [(8, 4), (12, 4), (1, 8), (2, 8)] + elements)
    record = bytes([10, 0, 0, number, 10, 0, 1, 0]) + struct.pack("!QQ", 100, 1) + times
    message = ipfix(template, set_of(256 + number, record), sequence=number, export_time=T + 9)
    send(int(sys.argv[1]), message)
PYTHON
two_flows() { [ "$(wc -l <"$work/flows")" = 2 ]; }
wait_for "goflow2 writes two flows" two_flows
seen=$(python3 -c 'import json, sys, time
clock = lambda nanoseconds: time.strftime("%H:%M:%S", time.gmtime(nanoseconds // 10**9))
flows = sorted(map(json.loads, sys.stdin), key=lambda flow: flow["src_addr"])
for flow in flows:
    print(clock(flow["time_flow_start_ns"]), clock(flow["time_flow_end_ns"]))' <"$work/flows")
verdict "20:26:40 20:26:44,20:26:40 20:26:44" "20:26:49 20:26:49,20:26:40 20:26:44" \
    "$(paste -s -d , <<<"$seen")"
