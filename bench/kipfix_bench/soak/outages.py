"""What the daemons depend on goes away and comes back."""

import json
import os
import socket
import struct
import subprocess
import threading
import time

from .. import data
from ..process import Sink, eventually
from .daemons import MEBIBYTE, Collector, Probe
from .kubernetes import ApiServer, Pods

CLUSTER = "--pods 200 --nodes 8"
CAPTURE = "--seed 7 --flows 2000 --packets 20000 --vxlan-share 0"
PPS = 5_000


def api(run):
    """The API server dies and comes back; pods are replaced before, meanwhile and after."""
    server = run.keep(ApiServer(run.folder))
    pods = Pods(server, CLUSTER)
    collector = run.keep(Collector(run.folder, "--kubernetes", server.kubeconfig))
    events = lambda: collector.metrics().sum("kipfix_collector_kubernetes_events_total")
    up = lambda: collector.metrics().sum("kipfix_collector_kubernetes_up", 'kind="pods"') == 1
    eventually(up, 30, "the watch of pods is up")
    run.at_end(pods.stop)
    pods.churn(10)
    before = collector.resident() / MEBIBYTE
    blast = run.blast(collector, *CLUSTER.split())
    time.sleep(run.seconds / 4)
    server.kill()
    died = time.monotonic()
    eventually(lambda: not up(), 60, "the watch of pods is down")
    run.note(
        f"noticed after {time.monotonic() - died:.1f} s; /readyz answers {collector.readiness()}"
    )
    time.sleep(run.seconds / 4)
    server.start()
    back = time.monotonic()
    seen = events()
    eventually(lambda: up() and events() > seen, 120, "events of pods arrive again")
    run.note(f"recovery: events arrived {time.monotonic() - back:.1f} s after the server was ready")
    eventually(lambda: collector.readiness() == 200, 60, "ready")
    sent = run.sent(blast)
    run.check_totals(collector, sent["records"], sent["octets"])
    run.check_memory(collector, before + 64)


def dns(run):
    """The name server dies; it comes back with another address for the collector."""
    capture = data.capture("outage", CAPTURE)
    wire = run.wire()
    first = run.keep(Sink())
    second = run.keep(Sink("--listen", f"127.0.0.2:{first.port}"))
    names = _NameServer("127.0.0.1")
    run.at_end(names.stop)
    _use_name_server(run)
    probe = run.keep(
        Probe(
            run.folder,
            "rx0",
            "--active-timeout",
            "1s",
            "--idle-timeout",
            "1s",
            "--export",
            f"udp://collector.soak.test:{first.port}",
        )
    )
    replay = run.keep(wire.start(capture.path, PPS))
    time.sleep(run.seconds / 4)
    names.stop()
    time.sleep(run.seconds / 4)
    names = _NameServer("127.0.0.2")
    run.at_end(names.stop)
    back = time.monotonic()
    moved = lambda: _is_sent_to(f"127.0.0.2:{first.port}")
    eventually(moved, 120, "the probe sends to the new address", interval=0.2)
    run.note(
        f"recovery: the new address was used {time.monotonic() - back:.1f} s after it was known"
    )
    replayed = json.loads(replay.stop())
    time.sleep(0.5)
    probe.stop()
    packets = [sink.totals()["packets"] for sink in (first, second)]
    run.check(
        f"packets {sum(packets):,} of {replayed['frames']:,} at both addresses",
        sum(packets) == replayed["frames"],
    )
    run.check_memory(probe, 96)


def _is_sent_to(address):
    """True if a UDP socket is connected to the address."""
    sockets = subprocess.run(["ss", "-Hnu"], capture_output=True, text=True, check=True).stdout
    return any(line.split()[-1] == address for line in sockets.splitlines())


def _use_name_server(run):
    """This namespace of mounts asks the name server on loopback."""
    path = run.folder / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", path, "/etc/resolv.conf"], check=True)
    run.at_end(subprocess.run, ["umount", "/etc/resolv.conf"])


class _NameServer:
    """Answers every question for an IPv4 address with the same one."""

    def __init__(self, address):
        self._address = socket.inet_aton(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        self._socket.settimeout(0.1)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._done.is_set():
            try:
                question, sender = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            end = question.index(b"\0", 12) + 5
            is_ipv4 = question[end - 4 : end - 2] == b"\0\1"
            header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, is_ipv4, 0, 0)
            answer = struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + self._address if is_ipv4 else b""
            self._socket.sendto(header + question[12:end] + answer, sender)

    def stop(self):
        self._done.set()
        self._thread.join()
        self._socket.close()


def disk(run):
    """The disk of the flow log is full, then has room again."""
    folder = run.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    run.at_end(subprocess.run, ["umount", folder])
    log = folder / "flows.json"
    collector = run.keep(Collector(run.folder, "--kubernetes", "off", "--flow-log", f"file:{log}"))
    before = collector.resident() / MEBIBYTE
    blast = run.blast(collector, rate=20_000)
    dropped = lambda: collector.metrics().sum("kipfix_collector_flow_log_dropped_total")
    eventually(lambda: dropped() > 0, run.seconds + 30, "lines of the flow log are dropped")
    time.sleep(run.seconds / 4)
    os.truncate(log, 0)
    written = lambda: collector.metrics().sum("kipfix_collector_flow_log_written_total")
    at, emptied = written(), time.monotonic()
    eventually(lambda: written() > at, 60, "lines are written again")
    run.note(
        f"recovery: lines were written {time.monotonic() - emptied:.1f} s after there was room"
    )
    sent = run.sent(blast)
    run.check_totals(collector, sent["records"], sent["octets"])
    eventually(lambda: written() + dropped() == sent["records"], 10)
    text = f"lines written {written():,} + dropped {dropped():,} of {sent['records']:,}"
    run.check(text, written() + dropped() == sent["records"])
    run.check_memory(collector, before + 64)


def interface(run):
    """The captured interface goes down and up, vanishes and comes back."""
    capture = data.capture("outage", CAPTURE)
    wire = run.wire()
    sink = run.keep(Sink())
    probe = run.keep(Probe(run.folder, "rx0", "--export", f"udp://127.0.0.1:{sink.port}"))
    at_start = probe.descriptors()
    captured = lambda: probe.metrics().sum("kipfix_probe_packets_captured_total")
    for _ in range(3):
        replay = run.keep(wire.start(capture.path, PPS))
        time.sleep(run.seconds / 12)
        subprocess.run(["ip", "link", "set", "rx0", "down"], check=True)
        time.sleep(run.seconds / 12)
        subprocess.run(["ip", "link", "set", "rx0", "up"], check=True)
        _expect_capture(run, captured, "up")
        replay.stop()
        wire.unplug()
        time.sleep(run.seconds / 12)
        wire.plug()
        replay = run.keep(wire.start(capture.path, PPS))
        _expect_capture(run, captured, "there")
        replay.stop()
    time.sleep(1)
    metrics = probe.metrics()
    metered = metrics.sum("kipfix_probe_packets_metered_total")
    # The connection of the last scrape may still be open.
    eventually(lambda: probe.descriptors() <= at_start, 5)
    at_end = probe.descriptors()
    run.check(f"descriptors {at_start} at the start, {at_end} at the end", at_end <= at_start)
    run.check_memory(probe, 96)
    probe.stop()
    packets = sink.totals()["packets"]
    run.check(f"packets exported {packets:,} of {metered:,} metered", packets == metered)


def _expect_capture(run, captured, state):
    before, since = captured(), time.monotonic()
    eventually(lambda: captured() > before, 30, "packets are captured again")
    after = time.monotonic() - since
    run.note(f"recovery: packets were captured {after:.1f} s after the interface was {state}")
