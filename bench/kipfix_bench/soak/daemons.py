"""kipfix's daemons, with their memory and file descriptors watched."""

import os
import pathlib
import threading

from .. import places
from ..process import Background, Failed, eventually, free_port, is_bound
from ..scrape import get, scrape

MEBIBYTE = 1 << 20


class Daemon(Background):
    """A daemon, and a thread that takes a sample of what it holds every second."""

    def __init__(self, program, arguments, folder):
        number = len(list(folder.glob(f"{program}*.log")))
        self.log = folder / f"{program}-{number}.log"
        with open(self.log, "wb") as log:
            super().__init__([places.BINARIES / program, *arguments], stderr=log)
        # (resident octets, open file descriptors)
        self.samples = []
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()

    def _sample(self):
        while not self._done.wait(1 if self.samples else 0):
            try:
                self.samples.append((self.resident(), self.descriptors()))
            except OSError:
                return

    def resident(self):
        """Resident memory in octets."""
        pages = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def peak(self):
        """Largest sample of the resident memory in octets."""
        return max(resident for resident, _ in self.samples)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self._done.set()
        super().kill()
        self._watch.join()


class Collector(Daemon):
    """kipfix-collector with a UDP port and an HTTP port of its own."""

    def __init__(self, folder, *arguments):
        self.port, self.http = free_port("udp"), free_port("tcp")
        listen = ["--listen", f"udp://127.0.0.1:{self.port}", "--http", f"127.0.0.1:{self.http}"]
        super().__init__("kipfix-collector", [*listen, "--intra-node", *arguments], folder)
        eventually(self._is_ready, 120, f"{self.log} shows that it listens")

    def _is_ready(self):
        if not self.is_running():
            raise Failed(self.log.read_text()[-500:])
        return is_bound(self.port)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def metrics(self):
        return scrape(self.http)

    def readiness(self):
        """Status of /readyz."""
        status, _ = get(self.http, "/readyz")
        return status

    def totals(self):
        """Records received, and octets in all series."""
        metrics = self.metrics()
        return metrics.sum("kipfix_collector_records_total"), metrics.sum("kipfix_bytes_total")

    def settles_at(self, records, octets, seconds=150):
        """Waits until these totals show; returns those that show at the end."""
        eventually(lambda: self.totals() == (records, octets), seconds, interval=0.5)
        return self.totals()


class Probe(Daemon):
    """kipfix-probe on an interface."""

    def __init__(self, folder, interface, *arguments):
        self.http = free_port("tcp")
        admin = ["--admin", f"127.0.0.1:{self.http}"]
        super().__init__("kipfix-probe", ["--interface", interface, *admin, *arguments], folder)
        eventually(self._is_ready, 30, f"{self.log} shows that it captures")

    def _is_ready(self):
        if not self.is_running():
            raise Failed(self.log.read_text()[-500:])
        try:
            return self.metrics().sum("kipfix_probe_interfaces") > 0
        except OSError:
            return False

    def metrics(self):
        return scrape(self.http)
