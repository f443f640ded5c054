"""A scenario under way: what it starts, what it checks, and what it prints."""

import contextlib
import json
import pathlib
import statistics
import sys
import tempfile

from .. import places
from ..process import Background
from ..wire import Wire
from .daemons import MEBIBYTE


class Run:
    """Gives a scenario its sizes, and ends everything that it started."""

    def __init__(self, name, seconds, options):
        self.name, self.seconds, self.options = name, seconds, options
        self.lines, self.failures = [], 0
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kipfix-soak-"))
        self.folder = pathlib.Path(folder)
        print(f"== {self.name}", file=sys.stderr)
        return self

    def __exit__(self, kind, error, _):
        # The other scenarios still run.
        is_failure = isinstance(error, Exception)
        if is_failure:
            self.check(f"runs to its end: {error}", False)
        self._stack.close()
        return is_failure

    def keep(self, daemon):
        """Ends a program at the end of the scenario, whatever happens."""
        self._stack.callback(daemon.kill)
        return daemon

    def wire(self):
        """A veth pair for the scenario."""
        wire = Wire()
        self.at_end(wire.close)
        return wire

    def at_end(self, function, *arguments):
        self._stack.callback(function, *arguments)

    def check(self, text, holds):
        self.failures += not holds
        self._print(f"{'ok' if holds else 'FAILED'}: {text}")

    def note(self, text):
        self._print(text)

    def _print(self, line):
        self.lines.append(line)
        print(f"{self.name}: {line}", flush=True)

    def check_totals(self, collector, records, octets):
        found = collector.settles_at(records, octets)
        self.check(
            f"records {found[0]:,} of {records:,}, octets {found[1]:,} of {octets:,}",
            found == (records, octets),
        )

    def check_memory(self, daemon, limit):
        """The peak is below a limit in MiB."""
        peak = daemon.peak() / MEBIBYTE
        self.check(
            f"{daemon.log.stem}: memory at most {peak:.0f} MiB, limit {limit:.0f} MiB",
            peak <= limit,
        )

    def check_flat(self, daemon):
        """Memory and descriptors do not grow over the second half of the run."""
        samples = daemon.samples[len(daemon.samples) // 2 :]
        tenth = max(1, len(samples) // 5)
        for what, column, unit, slack in (("memory", 0, MEBIBYTE, 4), ("descriptors", 1, 1, 4)):
            early, late = (
                statistics.median(s[column] / unit for s in part)
                for part in (samples[:tenth], samples[-tenth:])
            )
            text = (
                f"{daemon.log.stem}: {what} {early:.0f} at half of the time, {late:.0f} at the end"
            )
            self.check(text, late <= early * 1.03 + slack)

    def blast(self, collector, *arguments, rate=None):
        """Starts sending to a collector; `sent` waits for the end."""
        rate = min(rate or self.options.rate, self.options.rate)
        sizes = ["--records", 10**12, "--seconds", self.seconds, "--rate", rate]
        command = [places.TOOL, "blast", "--to", collector.address, *sizes, *arguments]
        return self.keep(Background(command))

    def sent(self, blast):
        """Waits for the end of a blast; returns what was sent."""
        return json.loads(blast.finish(self.seconds + 120))
