"""The command line of the soak: runs scenarios, one after the other."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys

from .. import places
from . import hostile, outages, steady
from .run import Run

SCENARIOS = {
    "steady": steady.steady,
    "flood": hostile.flood,
    "exporters": hostile.exporters,
    "crowd": hostile.crowd,
    "scrapes": hostile.scrapes,
    "disorder": hostile.disorder,
    "clock": hostile.clock,
    "api": outages.api,
    "dns": outages.dns,
    "disk": outages.disk,
    "interface": outages.interface,
}
# Set in the namespaces of its own.
APART = "KIPFIX_SOAK_APART"


def parse():
    listing = "".join(f"\n  {name:10} {function.__doc__}" for name, function in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="bench/soak",
        description="Runs kipfix's programs for long and under bad conditions. Needs root.",
        epilog=f"scenarios:{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help="all if none is given")
    add(
        "--seconds",
        type=float,
        default=1800,
        help="length of `steady`; the others take a thirtieth, at least 6 s (1800)",
    )
    add("--rate", type=int, default=50_000, help="records per second (50000)")
    add(
        "--output",
        type=pathlib.Path,
        default=places.OUTPUT,
        metavar="FOLDER",
        help="where results go",
    )
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(
            f'invalid scenario "{", ".join(sorted(unknown))}": must be of {", ".join(SCENARIOS)}'
        )
    return options


def main():
    options = parse()
    if os.geteuid() != 0:
        sys.exit("bench/soak needs root: it makes network namespaces and mounts")
    if APART not in os.environ:
        # Traffic, names and mounts of the scenarios touch nothing else on the machine.
        os.environ[APART] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, "-B", *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    facts, results, failures = places.machine(), {}, 0
    for name in options.scenarios or SCENARIOS:
        seconds = options.seconds if name == "steady" else max(6, options.seconds / 30)
        with Run(name, seconds, options) as run:
            try:
                SCENARIOS[name](run)
            except places.Missing as missing:
                run.note(f"skipped: {missing}")
        results[name] = {"about": SCENARIOS[name].__doc__, "seconds": seconds, "lines": run.lines}
        failures += run.failures
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "soak.json"
    path.write_text(json.dumps({"machine": facts, "scenarios": results}, indent=1))
    print(f"{path}: {failures} failed")
    return 1 if failures else 0
