"""Probes that read a capture file: CPU, memory, and how exact they are."""

import json
import os
import subprocess
import time

from . import data, places, rows
from .case import Case
from .process import Failed, Sink


def measure(options):
    recipes = data.SMOKE_CAPTURES if options.smoke else data.CAPTURES
    names = [name for name in options.captures if name in recipes]
    for name in names:
        yield _measure_capture(data.capture(name, recipes[name]), options)


def _measure_capture(capture, options):
    case = Case("offline", capture.name, packets=capture.packets, truth=capture.truth)
    capture.warm_up()
    programs = rows.load("offline", options)
    case.run(programs, options.runs, lambda row, number: _run(row, capture, number == 0, case))
    return case.results()


def _run(row, capture, is_first, case):
    with rows.folder() as folder:
        values = {"CAPTURE": capture.path, "OUT": f"{folder}/out"}
        os.mkdir(values["OUT"])
        sink = None
        try:
            if row.result == "sink":
                sink = Sink(*(["--flows-csv", f"{folder}/flows.csv"] if is_first else []))
                values["PORT"] = sink.port
            process, _ = row.start(values)
            sample = process.wait()
            if sample["exit_code"] != 0 or sample["killed"]:
                raise Failed(f"exit code {sample['exit_code']}: {process.output()[-300:]}")
            if sink:
                time.sleep(0.1)
                sample["export"] = sink.totals()
            elif row.result == "nfdump":
                sample["export"] = rows.count_nfdump(row, values["OUT"])
        finally:
            if sink:
                sink.kill()
        if is_first and "export" in sample:
            sample["flows"] = _compare(row, capture, values["OUT"], folder)
    _check(row, sample, capture, case)
    return sample


def _compare(row, capture, out, folder):
    """Flow by flow against the truth."""
    compare = [places.TOOL, "compare", "--truth", capture.flows, "--view", row.view]
    if row.result == "sink":
        done = subprocess.run(
            compare + ["--flows", f"{folder}/flows.csv"], capture_output=True, check=True
        )
    else:
        program, _ = places.find_peer(row.package, "nfdump", row.suite)
        # Without quotes and units, addresses in full, protocols as numbers.
        listing = [program, "-6", "-q", "-N", "-R", out, "-o", "fmt:%sa,%da,%sp,%dp,%pr,%pkt,%byt"]
        with subprocess.Popen(listing, stdout=subprocess.PIPE) as nfdump:
            done = subprocess.run(compare, stdin=nfdump.stdout, capture_output=True, check=True)
    return json.loads(done.stdout)


def _check(row, sample, capture, case):
    if "export" not in sample:
        return
    truth = capture.truth[row.view]
    for what in ("packets", "octets"):
        sample[f"{what}_off"] = sample["export"][what] - truth[what]
        case.expect(row, what, sample["export"][what], truth[what])
    if row.result == "sink":
        case.expect(row, "drops of the receiver", sample["export"]["receiver_drops"], 0)
        case.expect(row, "malformed datagrams", sample["export"]["malformed"], 0)
        case.expect(row, "gaps in the sequence", sample["export"]["sequence_gaps"], 0)
    if "flows" in sample:
        case.expect(row, "exact flows", sample["flows"]["exact"], sample["flows"]["truth_flows"])
        case.expect(row, "invented flows", sample["flows"]["invented"], 0)
