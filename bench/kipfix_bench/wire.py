"""A veth pair on which captures are sent and captured."""

import os
import subprocess

from . import places
from .process import Background, inside, tool


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


class Wire:
    """Frames that are sent into `tx0`, in a namespace of its own, arrive at `rx0`.

    `rx0` is in another namespace of its own, or in the current one.
    """

    def __init__(self, is_apart=False):
        self.sender = f"kipfix-tx-{os.getpid()}"
        self.receiver = f"kipfix-rx-{os.getpid()}" if is_apart else None
        for namespace in filter(None, (self.sender, self.receiver)):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        for namespace in (self.sender, self.receiver):
            # The kernel's own neighbour discovery would be captured, too.
            quiet = "for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done"
            subprocess.run([*inside(namespace), "sh", "-c", quiet], check=True)
        self.plug()

    def plug(self):
        """Makes the pair."""
        receiver = ("netns", self.receiver) if self.receiver else ()
        ip("link", "add", "tx0", "netns", self.sender, "type", "veth", "peer", "rx0", *receiver)
        for namespace, interface in ((self.sender, "tx0"), (self.receiver, "rx0")):
            of = ("-n", namespace) if namespace else ()
            ip(*of, "link", "set", interface, "arp", "off", "up")

    def unplug(self):
        """Removes the pair."""
        ip("-n", self.sender, "link", "del", "tx0")

    def close(self):
        """Removes the namespaces, and the pair with them."""
        for namespace in filter(None, (self.sender, self.receiver)):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)

    def send(self, path, pps, loops=1):
        """Sends a capture; returns what was sent."""
        return tool(*_replay(path, pps, loops), namespace=self.sender)

    def start(self, path, pps, loops=10**9):
        """Starts sending a capture; `stop` and `finish` return what was sent, as JSON."""
        return Background([places.TOOL, *_replay(path, pps, loops)], self.sender)

    def passed(self):
        """Frames that `rx0` has received and sent so far."""
        command = [*inside(self.receiver), "cat", "/proc/net/dev"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        counts = next(line.split(":")[1] for line in text.splitlines() if "rx0:" in line)
        columns = counts.split()
        return int(columns[1]) + int(columns[9])


def _replay(path, pps, loops):
    return ["replay", "--interface", "tx0", "--read", path, "--pps", pps, "--loops", loops]
