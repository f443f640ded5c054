#!/usr/bin/env bash
# ra 3.0.8.2 (Debian argus-client 1:3.0.8.2-6.1+b3) makes NetFlow version 5 flows two seconds longer
# when they do not end at a whole second.
#
# Standard: Cisco NetFlow version 5 format: First and Last are the system uptime in milliseconds at
#   the start and end of the flow; SysUptime and the Unix time of the header are of one moment.
# Input: three flows that start at 1779999990.000 and end 4, 5 and 5.5 seconds later.
# Expected: these times. Seen: the third starts one second earlier and ends one second later;
#   its duration is 7.5 seconds. ra 5.0.2 (argus-client 1:5.0.2+git20250321.41f65e2-2) does the same.
# Why care: nearly all flows end between two whole seconds; durations and rates of short ones are wrong.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages argus-client=1:3.0.8.2-6.1+b3

port=$(free_port)
unpacked ra -n -u -c , -s stime ltime -C "127.0.0.1:$port" >"$work/flows" 2>"$work/log" &
reader=$!
started+=("$reader")
wait_for "ra binds its port" bound "$port"
python3 - "$port" <<'PYTHON'
import struct
import sys
from wire import send

T = 1_780_000_000
UPTIME = 3_600_000
records = b""
for number, milliseconds in enumerate((4000, 5000, 5500)):
    first = UPTIME - 10_000
    records += bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0])
    records += struct.pack("!HHIIIIHHBBBBHHBBH", 1, 2, 10, 4000, first, first + milliseconds,
                           1000 + number, 5000, 0, 0, 17, 0, 0, 0, 24, 24, 0)
send(int(sys.argv[1]), struct.pack("!HHIIIIBBH", 5, 3, UPTIME, T, 0, 0, 0, 0, 0) + records)
PYTHON
sleep 1
kill -INT "$reader"
wait "$reader" || true
seen=$(grep '^[0-9]' "$work/flows" | tr , - | paste -s -d ,)
start=1779999990.000000
verdict "$start-1779999994.000000,$start-1779999995.000000,$start-1779999995.500000" \
    "$start-1779999994.000000,$start-1779999995.000000,1779999989.000000-1779999996.500000" "$seen"
