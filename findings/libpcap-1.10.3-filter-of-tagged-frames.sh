#!/usr/bin/env bash
# The filter `ip` of libpcap 1.10.3 (Debian tcpdump 4.99.3-1) matches VLAN-tagged frames on a live
# Linux interface, but not the same frames in the savefile that this capture wrote.
#
# Documentation: pcap-filter(7): `ip` is `ether proto \ip`, and matches frames whose EtherType is
#   IPv4; `vlan` changes the offsets for what follows. The EtherType of a tagged frame is 0x8100.
#   Linux takes the tag out of the frame before the filter runs; libpcap puts it back afterwards.
# Input: three frames with an 802.1Q tag, sent over a veth pair in a network namespace of their own;
#   tcpdump captures them with `ip` into a file, then reads the file with `ip`.
# Expected: the same number twice. Seen: 3 live, 0 from the file.
# Why care: a meter with such a filter counts other traffic live than when it reads a capture of
#   the same link; `ip or (vlan and ip)` matches both.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages tcpdump=4.99.3-1

[ "$(id -u)" = 0 ] && command -v ip >/dev/null ||
    cannot_run "it needs root and iproute2 for a network namespace"

# namespace: in a network namespace without a name, which ends with its last process.
namespace() {
    ip link add left type veth peer name right
    ip link set left up
    ip link set right up
    (unpacked tcpdump -i right -c 3 -w "$work/capture.pcap" -U ip) >/dev/null 2>"$work/log" &
    local tcpdump=$!
    wait_for "tcpdump listens" grep -q "listening on" "$work/log"
    python3 - <<'PYTHON'
import socket
from wire import ethernet, ipv4, udp

frame = ethernet(0x0800, ipv4("10.0.0.1", "10.0.0.2", 17, udp(4000, 5000, b"x" * 100)),
                 tags=[(0x8100, 100)])
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
    sender.bind(("left", 0))
    for _ in range(3):
        sender.send(frame)
PYTHON
    wait "$tcpdump"
}
export work here
export -f namespace unpacked wait_for
timeout 60 unshare --net bash -euo pipefail -c namespace
frames() { (unpacked tcpdump -r "$work/capture.pcap" -e -n "$@") 2>/dev/null | grep -c 'vlan 100'; }
live=$(frames)
file=$(frames ip || true)
verdict "$live live, $live from the file" "3 live, 0 from the file" \
    "$live live, $file from the file"
