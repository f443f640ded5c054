"""Speed-up with a second thread: the time to process full receive buffers.

A program is paused while everything is sent, so that the sender does not take its cores.
"""

import contextlib
import os
import signal
import time

from . import collector, data, places, rows
from .case import Case
from .process import Sink, eventually, tool
from .scrape import scrape
from .wire import Wire

# Exporters of a stream. With few of them, it matters which worker has which.
EXPORTERS = [2, 16]
# How often the capture is sent.
LOOPS = 4
# A run of the collector takes this many times the records of its other runs: it must last.
TIMES_RECORDS = 4
# Packets per second: as many as the sender can.
UNPACED = 10_000_000
POLL_SECONDS = 0.01
# Share of a core below which a program is idle, and for how long it has to be.
IDLE_SHARE, IDLE_SECONDS = 0.3, 0.5


def measure(options):
    if os.geteuid() != 0:
        raise places.Missing("large receive buffers and network namespaces need root")
    for exporters in EXPORTERS:
        yield _measure_collector(exporters, options)
    yield _measure_probe(options)


def _measure_collector(exporters, options):
    records = options.records * TIMES_RECORDS
    case = Case("threads", f"{exporters} exporters", unit="records", amount=records)
    arguments = [*collector.SMALL.split(), "--exporters", exporters, "--seconds", 60]
    measured = ["--no-wait", "--records", records]
    inventory = data.inventory(collector.SMALL)
    run = lambda row: _run_collector(row, arguments, measured, inventory, case)
    return _results(case, "collector", options, run)


def _measure_probe(options):
    recipes = data.SMOKE_CAPTURES if options.smoke else data.CAPTURES
    capture = data.capture("live", recipes["live"])
    case = Case("threads", "probe", unit="packets", amount=capture.packets * LOOPS)
    with contextlib.closing(Wire(is_apart=True)) as wire:
        return _results(case, "probe", options, lambda row: _run_probe(row, wire, capture, case))


def _results(case, daemon, options, run):
    programs = [row for row in rows.load("threads", options) if row.case == daemon]
    case.run(programs, options.runs, lambda row, _: run(row))
    return case.results()


@contextlib.contextmanager
def _paused(process):
    pids = process.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _seconds_until_idle(process):
    """Seconds from now until the program is idle, and the CPU seconds until then."""
    start = before = last_busy = time.monotonic()
    first = cpu = process.cpu()
    while before - last_busy < IDLE_SECONDS:
        time.sleep(POLL_SECONDS)
        now, used = time.monotonic(), process.cpu()
        if used - cpu > IDLE_SHARE * (now - before):
            last_busy = now
        before, cpu = now, used
    return last_busy - start, cpu - first


def _run_collector(row, arguments, measured, inventory, case):
    with rows.folder() as folder:
        values = collector.values_of(folder, inventory)
        process, _ = row.start(values)
        with process:
            collector.wait_until_bound(process, values)
            blast = ["blast", "--to", f"127.0.0.1:{values['PORT']}", *arguments]
            # Series and sessions exist, and exporters have their workers.
            warm_up = ["--closed-loop", collector.QUEUE, "--records", collector.WARM_UP_RECORDS]
            first = tool(*blast, *warm_up)
            process.wait_until_idle()
            with _paused(process):
                sent = tool(*blast, *measured)
            seconds, cpu = _seconds_until_idle(process)
            counted = scrape(values["HTTP"]).sum("kipfix_collector_records_total")
        process.stop()
    case.expect(row, "records", counted, first["records"] + sent["records"])
    return {"wall_s": seconds, "cpu_s": cpu}


def _run_probe(row, wire, capture, case):
    with rows.folder() as folder:
        sink = Sink(namespace=wire.receiver)
        try:
            values = {"IF": "rx0", "OUT": f"{folder}/out", "PORT": sink.port}
            os.mkdir(values["OUT"])
            process, _ = row.start(values, namespace=wire.receiver)
            with process:
                started = lambda: "probe started" in process.output()
                eventually(started, 60, "the probe captures")
                before = wire.passed()
                with _paused(process):
                    wire.send(capture.path, UNPACED, LOOPS)
                seconds, cpu = _seconds_until_idle(process)
                delivered = wire.passed() - before
            process.stop()
            time.sleep(0.2)
            packets = sink.totals()["packets"]
        finally:
            sink.kill()
    case.expect(row, "packets", packets, delivered)
    return {"wall_s": seconds, "cpu_s": cpu}
