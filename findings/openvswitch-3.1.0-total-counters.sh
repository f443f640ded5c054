#!/usr/bin/env bash
# Open vSwitch 3.1.0 (Debian 3.1.0-2+deb12u1) sends in octetTotalCount and packetTotalCount of every
# flow the totals of all flows.
#
# Standard: IANA's IPFIX registry (RFC 7012): octetTotalCount (85) and packetTotalCount (86) count
#   "for this Flow at the Observation Point since the Metering Process (re-)initialization".
# Input: the userspace datapath with two veth ports in a network namespace of its own, IPFIX export
#   of every packet; five packets to 10.0.0.2 and five to 10.0.0.3.
# Expected: in the first report of a flow, packetTotalCount is packetDeltaCount. Seen: the second
#   flow begins with a total above its delta, the packets of the first flow included (only ingress
#   records are looked at; Open vSwitch also reports each packet where it leaves).
# Why care: a collector that prefers totals (nfcapd 1.7.1 does) counts each flow with the traffic of
#   the whole bridge.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages openvswitch-switch=3.1.0-2+deb12u1

[ "$(id -u)" = 0 ] && command -v ip >/dev/null ||
    cannot_run "it needs root and iproute2 for a network namespace"
export OVS_RUNDIR=$work OVS_LOGDIR=$work OVS_DBDIR=$work OVS_SYSCONFDIR=$work

# namespace: in a network namespace without a name, which ends with its last process.
namespace() {
    local database=unix:$work/database.sock switch
    vsctl() { (unpacked ovs-vsctl --db="$database" --timeout=20 "$@"); }
    sysctl -qw net.ipv6.conf.default.disable_ipv6=1 # no neighbour discovery on the links
    ip link set lo up
    ip link add left type veth peer name left-port
    ip link add right type veth peer name right-port
    for link in left left-port right right-port; do ip link set "$link" up; done

    python3 - "$work/messages" <<'PYTHON' &
import socket
import sys

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 4739))
with open(sys.argv[1], "w") as file:
    while True:
        print(receiver.recv(65535).hex(), file=file, flush=True)
PYTHON
    wait_for "the receiver binds its port" bound 4739

    (unpacked ovsdb-tool create "$work/database" \
        "$work/root/usr/share/openvswitch/vswitch.ovsschema")
    unpacked ovsdb-server "$work/database" --remote="p$database" >"$work/log" 2>&1 &
    wait_for "the database answers" vsctl --no-wait init
    unpacked usr/lib/openvswitch-switch/ovs-vswitchd "$database" >>"$work/log" 2>&1 &
    vsctl add-br bridge -- set bridge bridge datapath_type=netdev \
        -- add-port bridge left-port -- add-port bridge right-port
    vsctl -- set bridge bridge ipfix=@export -- --id=@export create ipfix \
        'targets="127.0.0.1:4739"' obs_domain_id=1 cache_active_timeout=1 sampling=1 >/dev/null
    sleep 1
    python3 - <<'PYTHON'
import socket
from wire import ethernet, ipv4, udp

with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
    sender.bind(("left", 0))
    for number in range(5):
        for destination in ("10.0.0.2", "10.0.0.3"):
            packet = ipv4("10.0.0.1", destination, 17, udp(4000, 5000, b"x" * 100))
            sender.send(ethernet(0x0800, packet))
PYTHON
    wait_for "both flows are exported" flows
    flows
}

# flows: destination, packetDeltaCount and packetTotalCount of each ingress record of the two flows.
flows() {
    python3 - "$work/messages" <<'PYTHON'
import socket
import struct
import sys

templates, found = {}, {}
for line in open(sys.argv[1]):
    message, at = bytes.fromhex(line.strip()), 16
    while at < len(message):
        set_id, length = struct.unpack_from("!HH", message, at)
        body, at = message[at + 4:at + length], at + length
        if set_id == 2:
            while len(body) >= 4:
                template, count = struct.unpack_from("!HH", body)
                body, fields = body[4:], []
                for _ in range(count):
                    identifier, size = struct.unpack_from("!HH", body)
                    body = body[8 if identifier & 0x8000 else 4:]
                    fields.append((identifier, size))
                templates[template] = fields
        elif set_id in templates:
            while body:
                record = {}
                for identifier, size in templates[set_id]:
                    if size == 65535:
                        size, body = body[0], body[1:]  # interface names: less than 255 octets
                    record[identifier], body = body[:size], body[size:]
                if record.get(12) and record[61] == b"\0":  # IPv4, ingress
                    destination = socket.inet_ntoa(record[12])
                    delta, total = (int.from_bytes(record[n], "big") for n in (2, 86))
                    found.setdefault(destination, (delta, total))
if len(found) < 2:
    sys.exit(1)
for destination, (delta, total) in sorted(found.items()):
    print(destination, "delta", delta, "total", total)
PYTHON
}

export work here
export -f namespace flows unpacked wait_for bound
seen=$(timeout 90 unshare --net --pid --fork --kill-child bash -euo pipefail -c namespace)
echo "$seen"
larger=$(awk '$5 > $3 {n++} END {print n + 0}' <<<"$seen")
verdict "first reports with a total above the delta: none" \
    "first reports with a total above the delta: some" \
    "first reports with a total above the delta: $([ "$larger" = 0 ] && echo none || echo some)"
