"""Collectors that receive flow export over loopback: CPU for a million records, and losses."""

import os
from dataclasses import dataclass

from . import data, rows
from .case import Case
from .process import Failed, eventually, free_port, is_bound, tool
from .scrape import scrape

SMALL = "--pods 3500 --nodes 32"
LARGE = "--pods 100000 --nodes 5000"

# Every flow is seen before the measurement: its series exist, as they do in a cluster.
WARM_UP_RECORDS = 100_000
# Octets that may wait in the receiver's socket when it sets the pace. With the sender's batches, they
# fit into the smallest receive buffer of the programs, the kernel's default of 208 KiB.
QUEUE = 96 << 10
# How long counts may take to appear in a scrape.
SETTLE_SECONDS = 60


@dataclass
class Stream:
    """What is sent: arguments of `blast`, and the cluster whose addresses it uses."""

    about: str
    arguments: str = ""
    cluster: str = SMALL
    # Command of an exporter whose export is sent instead.
    exporter: str = ""


STREAMS = {
    "ipfix": Stream("IPFIX, 10,000 flows between 3,500 pods"),
    "v9": Stream("NetFlow v9, the same", "--format v9"),
    "v5": Stream("NetFlow v5, the same", "--format v5 --per-message 30"),
    "ipfix-100k-flows": Stream("IPFIX, 100,000 flows between 3,500 pods", "--flows 100000"),
    "ipfix-100k-pods": Stream("IPFIX, 100,000 flows between 100,000 pods", "--flows 100000", LARGE),
    "softflowd-ipfix": Stream(
        "IPFIX as softflowd exports 100,000 flows",
        exporter="softflowd -r {CAPTURE} -n 127.0.0.1:{PORT} -v 10 -m 2000000 -p {OUT}/pid -c none",
    ),
}


def measure(options):
    for name in options.streams:
        yield _measure_stream(name, options, [])
    if options.rate:
        yield _measure_stream("ipfix", options, ["--rate", options.rate])


def _measure_stream(name, options, pace):
    stream = STREAMS[name]
    facts = {"about": stream.about, "rate": options.rate if pace else None}
    case = Case("collector", f"{name} paced" if pace else name, **facts)
    arguments = [*stream.arguments.split(), *stream.cluster.split(), "--seconds", 120]
    if stream.exporter:
        capture = data.capture("medium", data.CAPTURES["medium"])
        arguments += ["--capture", data.export_of(name, stream.exporter, capture)]
    closed_loop = ["--closed-loop", QUEUE]
    warm_up = [*arguments, *closed_loop, "--records", min(WARM_UP_RECORDS, options.records)]
    measured = [*arguments, *(pace or closed_loop), "--records", options.records]
    inventory = data.inventory(stream.cluster)
    programs = rows.load("collector", options)
    case.run(programs, options.runs, lambda row, _: _run(row, warm_up, measured, inventory, case))
    return case.results()


def _run(row, warm_up, measured, inventory, case):
    with rows.folder() as folder:
        values = values_of(folder, inventory)
        process, _ = row.start(values)
        with process:
            wait_until_bound(process, values)
            is_scraped = row.result == "scrape"
            first, _ = _send(process, values, warm_up, is_scraped)
            sent, used = _send(process, values, measured, is_scraped)
            total = {what: first[what] + sent[what] for what in ("records", "packets", "octets")}
            got = _settled(values["HTTP"], total) if is_scraped else {}
            checked = process.cpu()
        end = process.stop()
        if end["exit_code"] != 0 or end["killed"]:
            raise Failed(f"exit code {end['exit_code']}: {process.output()[-300:]}")
        if row.result == "nfdump":
            got = rows.count_nfdump(row, values["OUT"])
        elif row.result == "fdsdump":
            got = rows.count_fdsdump(row, values["OUT"])
        elif row.result == "pmacct":
            got = rows.count_pmacct(values["OUT"])
    for what in got:
        case.expect(row, what, got[what], total[what])
    case.expect(row, "drops of the socket", sent["receiver_drops"], 0)
    # What writing out at the end takes belongs to the cost, further scrapes do not.
    cpu = used + max(0, end["cpu_s"] - checked)
    return {
        "cpu_s": cpu,
        "cpu_per_million": cpu / sent["records"] * 1e6,
        "records_per_second": sent["records_per_second"],
        "peak_rss": end["peak_rss"],
        "lost": total["records"] - got["records"] if got else None,
    }


def values_of(folder, inventory):
    """The values of a collector's command; makes its folder for output."""
    out = f"{folder}/out"
    os.mkdir(out)
    return {
        "OUT": out,
        "INVENTORY": inventory,
        "PORT": free_port("udp"),
        "HTTP": free_port("tcp"),
    }


def wait_until_bound(process, values):
    """Waits until a collector has its socket, or has ended."""
    ready = lambda: is_bound(values["PORT"]) or not process.is_running()
    eventually(ready, 60, "the socket is bound")


def _send(process, values, arguments, is_scraped):
    """Sends a stream; returns what was sent, and the CPU seconds that it took."""
    before = process.wait_until_idle()
    sent = tool("blast", "--to", f"127.0.0.1:{values['PORT']}", *arguments)
    process.wait_until_idle()
    if is_scraped:
        # Sums are made when they are asked for: one scrape belongs to the cost.
        scrape(values["HTTP"])
    return sent, process.cpu() - before


def _settled(port, sent):
    """What the scrape shows when it shows everything, or after a while."""

    def totals():
        metrics = scrape(port)
        return {
            "records": metrics.sum("kipfix_collector_records_total"),
            "packets": metrics.sum("kipfix_packets_total"),
            "octets": metrics.sum("kipfix_bytes_total"),
        }

    eventually(lambda: totals()["octets"] >= sent["octets"], SETTLE_SECONDS, interval=0.5)
    return totals()
