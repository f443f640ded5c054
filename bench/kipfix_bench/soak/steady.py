"""Steady load for long: records at a rate, live capture, pods that come and go, scrapes."""

import json
import threading
import time

from .. import data
from ..process import Failed, eventually
from .daemons import Collector, Probe
from .kubernetes import ApiServer, Pods

CLUSTER = "--pods 1000 --nodes 32"
# Replaced pods and captured packets per second, seconds between scrapes.
CHURN, PPS, SCRAPE_INTERVAL = 20, 10_000, 5
CAPTURE = "--seed 6 --flows 20000 --packets 200000 --vxlan-share 0"


def steady(run):
    """Memory and descriptors do not grow, and every octet is counted once."""
    capture = data.capture("steady", CAPTURE)
    api = run.keep(ApiServer(run.folder))
    pods = Pods(api, CLUSTER)
    # The history grows up to its limit, which it must reach before memory can be flat.
    settings = ["--deleted-pods-kept", "1m", "--history-size", "4MiB"]
    collector = run.keep(Collector(run.folder, "--kubernetes", api.kubeconfig, *settings))
    wire = run.wire()
    probe = run.keep(Probe(run.folder, "rx0", "--export", f"udp://{collector.address}"))
    scrapes = _Scrapes(collector)
    pods.churn(CHURN)
    run.at_end(pods.stop)
    replay = run.keep(wire.start(capture.path, PPS, round(run.seconds * PPS / capture.packets)))
    blast = run.blast(collector, *CLUSTER.split(), "--flows", 100_000)
    sent = run.sent(blast)
    replayed = json.loads(replay.finish())
    pods.stop()
    loops = replayed["frames"] // capture.packets
    metered = lambda: probe.metrics().sum("kipfix_probe_packets_metered_total")
    eventually(lambda: metered() == replayed["frames"], 10)
    text = f"packets metered {metered():,} of {replayed['frames']:,}"
    run.check(text, metered() == replayed["frames"])
    run.check_flat(probe)
    probe.stop()
    run.check(
        f"datagrams dropped by the kernel {sent['receiver_drops']}", sent["receiver_drops"] == 0
    )
    exported = _records_exported(probe)
    octets = sent["octets"] + loops * capture.truth["inner"]["octets"]
    run.check_totals(collector, sent["records"] + exported, octets)
    failed = scrapes.stop()
    run.check(
        f"scrapes {scrapes.count}, failed {failed}, slowest {scrapes.slowest:.2f} s", failed == 0
    )
    run.check(
        f"pods replaced {pods.replaced:,}, requests failed {pods.failed}",
        pods.replaced > run.seconds,
    )
    run.check_flat(collector)
    run.note(
        f"memory at most {collector.peak() >> 20} MiB (collector), {probe.peak() >> 20} MiB (probe)"
    )


def _records_exported(probe):
    """Number of records that the probe has exported, from its last log line."""
    last = probe.log.read_text().splitlines()[-1]
    for word in last.split():
        if word.startswith("records="):
            return int(word.removeprefix("records="))
    raise Failed(f"the probe's last line has no number of records: {last}")


class _Scrapes:
    """Scrapes the collector all the time."""

    def __init__(self, collector):
        self.count, self.failed, self.slowest = 0, 0, 0.0
        self._collector, self._done = collector, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        while not self._done.wait(SCRAPE_INTERVAL):
            start = time.monotonic()
            try:
                self._collector.metrics()
            except OSError:
                self.failed += 1
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - start)

    def stop(self):
        self._done.set()
        self._thread.join()
        return self.failed
