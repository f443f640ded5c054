#!/usr/bin/env bash
# softflowd 1.1.1 (Debian unstable 1.1.1-1) does not find the transport protocol behind an IPv6
# extension header: such traffic of two hosts is one flow without ports.
#
# Standard: IANA's IPFIX registry: protocolIdentifier (4) is "carried in the Next Header field in the
#   last extension header of the packet".
# Input: two UDP datagrams and a TCP segment between two hosts, each with a hop-by-hop or destination
#   options header of 8 octets.
# Expected: three flows, protocol 17, 17 and 6. Seen: one flow of three packets, protocol 0, ports 0.
#   Debian's 1.1.0-1+b1 reads the three flows.
# Why care: TCP and UDP traffic with options disappears into a flow without ports, after an update.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages --suite sid softflowd=1.1.1-1

seen=$(python3 - "$work" "$(declare -f unpacked); work=$work; unpacked softflowd" <<'PYTHON'
import socket
import struct
import subprocess
import sys
from wire import ethernet, ipv6, pcap, udp

work, softflowd = sys.argv[1:]
hosts = "2001:db8::1", "2001:db8::2"
tcp = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0x50, 2, 1000, 0, 0)


def options(protocol):
    """An options header of 8 octets: the next header and a PadN option (RFC 8200, 4.2)."""
    return bytes([protocol, 0, 1, 4, 0, 0, 0, 0])


packets = [
    ipv6(*hosts, 0, options(17) + udp(4000, 5000, b"x" * 100)),
    ipv6(*hosts, 0, options(17) + udp(4001, 5001, b"x" * 100)),
    ipv6(*hosts, 60, options(6) + tcp),
]
pcap(f"{work}/capture.pcap", [ethernet(0x86DD, packet) for packet in packets])
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(2)
target = f"127.0.0.1:{receiver.getsockname()[1]}"
command = f"{softflowd} -r {work}/capture.pcap -n {target} -v 9 -c none -p {work}/pid"
subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=30)

templates = {}
flows = []
message = receiver.recv(65535)
at = 20
while at < len(message):
    set_id, length = struct.unpack_from("!HH", message, at)
    body, at = message[at + 4:at + length], at + length
    if set_id == 0:
        while len(body) >= 4:
            template, count = struct.unpack_from("!HH", body)
            fields = struct.unpack_from("!" + "HH" * count, body, 4)
            templates[template] = list(zip(fields[::2], fields[1::2]))
            body = body[4 + 4 * count:]
    elif set_id in templates:
        size = sum(length for _, length in templates[set_id])
        while len(body) >= size:
            values = {}
            for element, length in templates[set_id]:
                values[element], body = int.from_bytes(body[:length], "big"), body[length:]
            flows.append([values.get(element) for element in (4, 7, 11, 2)])
print(*(f"protocol {p} ports {s} {d} packets {n}" for p, s, d, n in sorted(flows)), sep=", ")
PYTHON
)
verdict "protocol 6 ports 4000 80 packets 1, protocol 17 ports 4000 5000 packets 1, \
protocol 17 ports 4001 5001 packets 1" "protocol 0 ports 0 0 packets 3" "$seen"
