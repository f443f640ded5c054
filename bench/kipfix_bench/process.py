"""Programs that are run: measured ones, tools, and what /proc shows of them."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from . import places
from .measure import descendants


class Failed(Exception):
    """A program did not do what it had to."""


def inside(namespace):
    """The words before a command that runs in a network namespace; none without a namespace."""
    return ["ip", "netns", "exec", namespace] if namespace else []


class Measured:
    """A command whose cost is measured, with all that it starts."""

    def __init__(self, command, folder, stop_signal="SIGTERM", timeout=300, namespace=None):
        self.folder = pathlib.Path(folder)
        measure = [sys.executable, "-B", "-m", "kipfix_bench.measure", stop_signal, str(timeout)]
        with open(self.folder / "output", "wb") as output:
            self._process = subprocess.Popen(
                inside(namespace) + measure + command,
                cwd=places.BENCH,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
            )

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        """Ends the command if something has failed."""
        if failure is not None:
            self.stop()

    def is_running(self):
        return self._process.poll() is None

    def pids(self):
        return descendants(self._process.pid)

    def cpu(self):
        """CPU seconds so far of the processes that run."""
        return sum(process_cpu(pid) for pid in self.pids())

    def wait_until_idle(self, seconds=60):
        """Waits until hardly any CPU is used; returns the CPU seconds so far."""
        end, before = time.monotonic() + seconds, self.cpu()
        while time.monotonic() < end:
            time.sleep(0.3)
            now = self.cpu()
            if now - before < 0.005:
                break
            before = now
        return self.cpu()

    def output(self):
        """What the command wrote, to standard output and error."""
        return (self.folder / "output").read_text(errors="replace")

    def stop(self):
        """Sends the stop signal, and waits for the end as `wait` does."""
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        """Waits for the end; returns the measurements."""
        report, _ = self._process.communicate()
        if not report:
            raise Failed(f"no measurement: {self.output()[-500:]}")
        return json.loads(report)


def process_cpu(pid):
    """CPU seconds of a process; 0 if it has ended."""
    nanoseconds = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
    except OSError:
        pass
    return nanoseconds / 1e9


def tool(*arguments, namespace=None):
    """Runs a subcommand of the tools to its end; returns the JSON that it prints, if it does."""
    command = inside(namespace) + [places.TOOL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout else None


class Background:
    """A program that runs until it is stopped; its standard output is read at the end."""

    def __init__(self, command, namespace=None, **options):
        self.command = inside(namespace) + [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options
        )

    @property
    def pid(self):
        return self.process.pid

    def line(self):
        return self.process.stdout.readline()

    def stop(self, number=signal.SIGTERM):
        """Ends it; returns what was left of its standard output."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.finish()

    def finish(self, seconds=120):
        """Waits for its end, some seconds; returns what was left of its standard output."""
        rest, _ = self.process.communicate(timeout=seconds)
        if self.process.returncode not in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL):
            raise Failed(f"{' '.join(self.command)}: exit code {self.process.returncode}")
        return rest

    def kill(self):
        """Ends it in any case, whatever its state."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()


class Sink(Background):
    """The receiver that adds up flow export."""

    def __init__(self, *arguments, namespace=None):
        super().__init__([places.TOOL, "sink", *arguments], namespace)
        self.port = json.loads(self.line())["port"]

    def totals(self):
        """Ends it; returns its sums."""
        return json.loads(self.stop())


def free_port(kind):
    """A port of the loopback address that is free now; `kind` is `udp` or `tcp`."""
    types = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
    with socket.socket(socket.AF_INET, types[kind]) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_bound(port):
    """True if a UDP socket is bound to the port."""
    suffix = f":{port:04X}"
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with open(table) as lines:
            if any(line.split()[1].endswith(suffix) for line in lines):
                return True
    return False


def eventually(condition, seconds, what=None, interval=0.02):
    """Waits until the condition holds; returns its value. Fails with `what` after a time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            if what is None:
                return value
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(interval)
