"""Input that is hostile, unusual or too much."""

import concurrent.futures
import json
import socket
import time

from .. import data
from ..process import eventually, tool
from ..scrape import get
from .daemons import MEBIBYTE, Collector

CLUSTER = "--pods 3500 --nodes 32"
FLOOD_OCTETS = 100e6
# How long clients that read nothing may keep others from scraping.
LAZY_SECONDS = 5


def _start(run, *arguments):
    return run.keep(
        Collector(
            run.folder, "--kubernetes", "off", "--inventory", data.inventory(CLUSTER), *arguments
        )
    )


def flood(run):
    """100 MB/s of datagrams that are not flow export, next to 10,000 records per second."""
    # Series show their values at once, so that the recovery can be measured.
    collector = _start(run, "--series-birth", "0s")
    before = collector.resident() / MEBIBYTE
    blast = run.blast(collector, rate=10_000)
    garbage = tool(
        "flood", "--to", collector.address, "--rate", FLOOD_OCTETS, "--seconds", run.seconds
    )
    ended = time.monotonic()
    sent = run.sent(blast)
    received = lambda: _received(collector.metrics())
    total = sent["sent_datagrams"] + garbage["datagrams"]
    eventually(lambda: received() == total, 10)
    run.check(
        f"datagrams received, refused or dropped {received():,} of {total:,}", received() == total
    )
    drops = collector.metrics().sum("kipfix_collector_kernel_drops_total")
    run.note(f"datagrams dropped by the kernel: {drops / total:.1%}")
    if drops == 0:
        run.check_totals(collector, sent["records"], sent["octets"])
    records, octets = collector.totals()
    again = tool("blast", "--to", collector.address, "--records", 20_000, "--rate", 20_000)
    run.check_totals(collector, records + again["records"], octets + again["octets"])
    after = time.monotonic() - ended
    run.note(f"recovery: the next 20,000 records were counted {after:.1f} s after the flood")
    run.check_memory(collector, before + 96)
    run.check("runs", collector.is_running())


def _received(metrics):
    return (
        metrics.sum("kipfix_collector_datagrams_total")
        + metrics.sum("kipfix_collector_datagrams_refused_total")
        + metrics.sum("kipfix_collector_kernel_drops_total")
    )


def exporters(run):
    """10,000 exporters, each with an address, a session and templates of its own."""
    collector = _start(run, "--max-domains", "16384")
    before = collector.resident() / MEBIBYTE
    sent = run.sent(run.blast(collector, "--exporters", 10_000))
    run.check(
        f"datagrams dropped by the kernel {sent['receiver_drops']}", sent["receiver_drops"] == 0
    )
    run.check_totals(collector, sent["records"], sent["octets"])
    domains = collector.metrics().sum("kipfix_collector_domains")
    run.check(f"observation domains {domains:,} of 10,000", domains == 10_000)
    run.check_memory(collector, before + 128)


def crowd(run):
    """10,000 exporters where the default settings have room for fewer."""
    collector = _start(run)
    before = collector.resident() / MEBIBYTE
    run.sent(run.blast(collector, "--exporters", 10_000))
    metrics = collector.metrics()
    domains = metrics.sum("kipfix_collector_domains")
    refused = metrics.sum("kipfix_collector_unusable_total", 'reason="too_many_domains"')
    # Those that were first have decoded records, and are not evicted for others.
    run.check(
        f"observation domains {domains:,}, messages of further ones refused {refused:,}",
        domains < 10_000 and refused > 0,
    )
    forgotten = metrics.sum("kipfix_collector_domains_forgotten_total")
    run.check(f"observation domains forgotten {forgotten:,}", forgotten == 0)
    run.check_memory(collector, before + 128)


def scrapes(run):
    """10,000 scrapes by four clients at a time; then clients that ask and read nothing."""
    count = max(100, round(10_000 * min(1, run.seconds / 60)))
    collector = _start(run)
    blast = run.blast(collector, rate=10_000)
    eventually(lambda: collector.metrics().sum("kipfix_bytes_total") > 0, 90, "series are served")
    before, descriptors = collector.resident() / MEBIBYTE, collector.descriptors()
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        good = sum(clients.map(lambda _: _is_answered(collector), range(count)))
    took = time.monotonic() - start
    run.check(
        f"scrapes answered {good:,} of {count:,}, {count / took:.0f} per second", good == count
    )
    lazy = [socket.create_connection(("127.0.0.1", collector.http)) for _ in range(32)]
    for client in lazy:
        run.at_end(client.close)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: soak\r\n\r\n")
    time.sleep(1)
    start = time.monotonic()
    answered = eventually(lambda: _is_answered(collector), LAZY_SECONDS, interval=0.2)
    took = time.monotonic() - start
    run.check(
        f"with 32 clients that read nothing, a scrape is answered after {took:.1f} s", answered
    )
    run.check_memory(collector, before + 96)
    for client in lazy:
        client.close()
    closed = lambda: collector.descriptors() <= descriptors + 4
    run.check("descriptors are closed", eventually(closed, 10))
    sent = json.loads(blast.stop())
    run.check_totals(collector, sent["records"], sent["octets"])


def _is_answered(collector):
    status, body = get(collector.http, headers={"Accept-Encoding": "gzip"})
    return status == 200 and len(body) > 1000


def disorder(run):
    """5 % of the datagrams are lost, 5 % are duplicated, 5 % are reordered."""
    collector = _start(run)
    sent = run.sent(run.blast(collector, "--disorder", 0.05, "--exporters", 10))
    lost, twice = sent["lost"], sent["duplicated"]
    expected = [sent[what] - lost[what] + twice[what] for what in ("records", "octets")]
    run.check_totals(collector, *expected)
    # Late datagrams are not lost: gaps are counted after a while.
    counted = lambda: collector.metrics().sum("kipfix_collector_sequence_lost_total")
    eventually(lambda: counted() == lost["records"], 10)
    text = f"records lost by sequence number {counted():,} of {lost['records']:,}"
    run.check(text, abs(counted() - lost["records"]) <= lost["records"] * 0.02)


def clock(run):
    """The exporters' clock is right, two hours slow, two hours fast, right, 30 s slow."""
    collector = _start(run)
    before = collector.resident() / MEBIBYTE
    sent = run.sent(run.blast(collector, "--clock-shifts=0,-7200,7200,0,-30"))
    run.check_totals(collector, sent["records"], sent["octets"])
    run.check_memory(collector, before + 64)
