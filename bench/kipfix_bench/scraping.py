"""A scrape of very many series: kipfix-collector next to metric libraries that serve as many."""

import math
import pathlib
import subprocess
import time

from . import data, places, rows
from .case import Case
from .process import Background, Failed, eventually, free_port, is_bound, process_cpu, tool
from .scrape import get

# Counters of the preset `workloads`.
FAMILIES = 3
LIBRARIES = ("prometheus", "prometheus-client", "metrics")
CRATES = {"metrics": "metrics-exporter-prometheus"}
ENCODINGS = {"text": {}, "gzip": {"Accept-Encoding": "gzip"}}
# How long series may take to appear in a scrape.
SETTLE_SECONDS = 60


def measure(options):
    # Every pair of workloads has a series of each family.
    workloads = max(2, math.isqrt(options.series // FAMILIES))
    programs = [
        rows.Row(
            name="kipfix-collector",
            role="subject",
            command="{BIN}/kipfix-collector --listen udp://127.0.0.1:{PORT} --http 127.0.0.1:{HTTP}"
            " --kubernetes off --inventory {INVENTORY} --preset workloads --intra-node"
            " --connections-from-flows --max-series 1000000 --max-edges 1000000"
            " --max-endpoints 100000 --series-birth 0s",
            result="scrape",
            does="the whole daemon, which has received a record for each pair",
        )
    ]
    programs[0].find(places.BINARIES)
    if options.only is None:
        programs += [_library(name) for name in LIBRARIES]
    for encoding in ENCODINGS:
        yield _measure_encoding(programs, workloads, encoding, options)


def _measure_encoding(programs, workloads, encoding, options):
    case = Case("scrape", encoding, series=workloads * workloads * FAMILIES)
    case.run(programs, options.runs, lambda row, _: _run(row, workloads, encoding, case))
    return case.results()


def _library(name):
    row = rows.Row(
        name=CRATES.get(name, name),
        command=f"{_build()} {name} {{WORKLOADS}}",
        result="library",
        does="the library alone behind a minimal HTTP server",
    )
    row.version = _locked_version(row.name)
    return row


def _build():
    """Builds the program that serves series by other libraries."""
    crate, target = places.BENCH / "scrape", places.TARGET / "bench-scrape"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", target]
    subprocess.run(command, cwd=crate, check=True)
    return target / "release" / "kipfix-bench-scrape"


def _locked_version(crate):
    lines = (places.BENCH / "scrape" / "Cargo.lock").read_text().splitlines()
    return lines[lines.index(f'name = "{crate}"') + 1].split('"')[1]


def _run(row, workloads, encoding, case):
    with rows.folder() as folder:
        if row.result == "library":
            process = Background(row.fill(row.command, {"WORKLOADS": workloads}).split())
            port = int(process.line())
        else:
            process, port = _start_collector(row, workloads, folder)
        try:
            sample = _scrape(process.pid, port, encoding)
        finally:
            process.stop()
    case.expect(row, "series", sample["series"], workloads * workloads * FAMILIES)
    return sample


def _start_collector(row, workloads, folder):
    """Starts the collector and sends it a record for every pair of workloads."""
    cluster = f"--pods {workloads} --nodes {max(2, workloads // 100)} --replicas 1"
    values = {
        "PORT": free_port("udp"),
        "HTTP": free_port("tcp"),
        "INVENTORY": data.inventory(cluster),
    }
    with open(pathlib.Path(folder, "log"), "wb") as log:
        process = Background(row.fill(row.command, values).split(), stderr=log)
    eventually(lambda: is_bound(values["PORT"]), 60, "the socket is bound")
    flows = workloads * workloads
    arguments = f"--pairs all --flows {flows} --records {flows} --v6-share 0"
    arguments += " --closed-loop 65536 --seconds 300"
    tool("blast", "--to", f"127.0.0.1:{values['PORT']}", *cluster.split(), *arguments.split())
    eventually(
        lambda: _count(get(values["HTTP"])[1]) >= flows * FAMILIES, SETTLE_SECONDS, interval=1
    )
    return process, values["HTTP"]


def _count(text):
    return sum(
        text.count(b"\nkipfix_%s_total{" % name) for name in (b"bytes", b"packets", b"connections")
    )


def _scrape(pid, port, encoding):
    """One scrape, with its cost to the process. The series are counted in another, plain one."""
    time.sleep(0.5)
    # The peak begins at what is resident now.
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    memory = _memory(pid, "VmRSS")
    cpu, start = process_cpu(pid), time.monotonic()
    status, body = get(port, headers=ENCODINGS[encoding], timeout=120)
    wall = time.monotonic() - start
    sample = {
        "cpu_s": process_cpu(pid) - cpu,
        "wall_s": wall,
        "octets": len(body),
        "rss": memory,
        "rss_growth": _memory(pid, "VmHWM") - memory,
    }
    if status != 200:
        raise Failed(f"/metrics answered with status {status}")
    text = get(port)[1]
    return sample | {"series": _count(text), "text_octets": len(text)}


def _memory(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has ended")
