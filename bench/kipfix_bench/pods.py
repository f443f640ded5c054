"""A link of pods next to a wire: connections that the node masquerades."""

import ipaddress
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

from . import places
from .process import Background, inside
from .wire import ip

# New connections per second of each protocol.
RATE = 500
# Frames per second: a SYN, and two datagrams.
FRAMES_PER_SECOND = 3 * RATE

# Port of the metrics of kipfix-probe.
ADMIN_PORT = 9473
LEARNED = "kipfix_probe_translations_learned_total"

POD_LINK_ADDRESS = b"\x02\x00\x00\x00\x00\x01"
SERVER = ipaddress.ip_address("203.0.113.80").packed


class PodLink:
    """Frames that pods send into `pod0` pass `rx0` of the wire's receiver, masqueraded."""

    def __init__(self, wire):
        if shutil.which("iptables") is None:
            raise places.Missing("iptables is not installed")
        self._folder = tempfile.TemporaryDirectory(prefix="kipfix-bench-")
        self._path = pathlib.Path(self._folder.name, "pods.pcap")
        self._node = node = wire.receiver
        self.namespace = f"kipfix-pod-{os.getpid()}"
        ip("netns", "add", self.namespace)
        try:
            self._connect(node)
        except BaseException:
            self.close()
            raise

    def _connect(self, node):
        self._run(self.namespace, "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        peer = ("peer", "veth1", "netns", node)
        ip("link", "add", "pod0", "netns", self.namespace, "type", "veth", *peer)
        mac = POD_LINK_ADDRESS.hex(":")
        ip("-n", node, "link", "set", "veth1", "address", mac, "arp", "off", "up")
        ip("-n", self.namespace, "link", "set", "pod0", "arp", "off", "up")
        ip("-n", node, "addr", "add", "10.244.0.1/16", "dev", "veth1")
        ip("-n", node, "addr", "add", "198.51.100.1/24", "dev", "rx0")
        # It leads out of the node.
        ip("-n", node, "route", "add", "default", "dev", "rx0")
        self._run(node, "echo 1 >/proc/sys/net/ipv4/ip_forward")
        rule = "POSTROUTING -s 10.244.0.0/16 -o rx0 -j MASQUERADE --random-fully"
        self._run(node, f"iptables -w -t nat -A {rule}")

    def _run(self, namespace, line):
        subprocess.run([*inside(namespace), "sh", "-c", line], check=True)

    def prepare(self, seconds):
        """Writes the frames of connections that begin during a time."""
        count = round(RATE * seconds)
        frames = [frame for number in range(count) for frame in _connections(number)]
        self._path.write_bytes(_capture(frames))
        self.connections, self.packets = 2 * count, len(frames)
        self.octets = sum(len(frame) - 14 for frame in frames)

    def start(self):
        """Starts sending the frames; `finish` of the result waits until all are sent."""
        replay = ["replay", "--interface", "pod0", "--read", self._path, "--pps", FRAMES_PER_SECOND]
        return Background([places.TOOL, *replay], self.namespace)

    def translations(self):
        """Translations that the probe in the node has learned so far."""
        scrape = f"scrape({ADMIN_PORT}).sum('{LEARNED}')"
        program = f"from kipfix_bench.scrape import scrape; print({scrape})"
        command = [*inside(self._node), sys.executable, "-B", "-c", program]
        answer = subprocess.run(command, cwd=places.BENCH, capture_output=True, check=True)
        return int(answer.stdout)

    def close(self):
        """Removes the namespace, and the link with it."""
        subprocess.run(["ip", "netns", "del", self.namespace], stderr=subprocess.DEVNULL)
        self._folder.cleanup()


def _connections(number):
    """A SYN, and two datagrams of another conversation, from a pod and ports of their own."""
    source = struct.pack(">BBH", 10, 244, 256 + number % 100)
    port = 1024 + number // 100
    header = struct.pack(">HHIIBBH", port, 443, 2_654_435_761 * number % 2**32, 0, 0x50, 2, 65535)
    pseudo = source + SERVER + struct.pack(">HH", 6, 20)
    segment = header + struct.pack(">HH", _checksum(pseudo + header), 0)
    yield _frame(6, source, segment)
    for message in range(2):
        data = struct.pack(">II", number, message) * 8
        # Without a checksum.
        yield _frame(17, source, struct.pack(">HHHH", port, 5300, 8 + len(data), 0) + data)


def _frame(protocol, source, payload):
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol)
    checksum = _checksum(start + source + SERVER)
    ethernet = POD_LINK_ADDRESS + b"\x02\x00\x00\x00\x00\x02\x08\x00"
    return ethernet + start + struct.pack(">H", checksum) + source + SERVER + payload


def _checksum(data):
    """The checksum of the Internet protocols (RFC 1071), of an even number of octets."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _capture(frames):
    """A capture file of Ethernet frames."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return header + b"".join(
        struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames
    )
