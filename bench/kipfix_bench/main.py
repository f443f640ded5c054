"""The command line: measures, writes results and the report."""

import argparse
import json
import os
import pathlib
import signal
import sys

from . import collector, data, live, offline, places, report, scraping, threads

PARTS = {
    "offline": offline.measure,
    "live": live.measure,
    "collector": collector.measure,
    "threads": threads.measure,
    "scrape": scraping.measure,
}


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Compares kipfix's programs with others; writes results and a report.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    words = lambda text: text.split(",")
    known = lambda names: lambda text: _known(words(text), names)
    numbers = lambda text: [int(number) for number in text.split(",")]
    add = parser.add_argument
    add(
        "parts",
        nargs="*",
        type=lambda text: _known([text], PARTS)[0],
        metavar="PART",
        help=f"what to measure: {', '.join(PARTS)}; all if none is given",
    )
    add("--runs", type=int, default=5, help="runs of each program; medians are reported")
    add("--only", type=words, metavar="NAME,…", help="peers to run; all if none is given")
    add(
        "--before",
        type=pathlib.Path,
        metavar="FOLDER",
        help="folder of an earlier build of kipfix, as further rows",
    )
    add(
        "--captures",
        type=known(data.CAPTURES),
        default=["headers", "medium", "plain", "many"],
        metavar="NAME,…",
        help="captures of the offline part",
    )
    add(
        "--pps",
        type=numbers,
        default=[100_000],
        metavar="N,…",
        help="packets per second of the live part",
    )
    add(
        "--quota",
        type=int,
        default=5,
        help="CPU quota of the live part's last cases, in percent of a core; 0 leaves them out",
    )
    add(
        "--quota-pps",
        type=numbers,
        default=[200_000, 300_000],
        metavar="N,…",
        help="packets per second under that quota",
    )
    add("--seconds", type=float, default=10, help="length of a live run")
    add(
        "--streams",
        type=known(collector.STREAMS),
        default=list(collector.STREAMS),
        metavar="NAME,…",
        help="streams of the collector part",
    )
    add("--records", type=int, default=2_000_000, help="records of a run of the collector part")
    add(
        "--rate",
        type=int,
        default=100_000,
        help="records per second of the collector part's paced case; 0 leaves it out",
    )
    add("--series", type=int, default=1_000_000, help="series of the scrape part")
    add(
        "--smoke",
        action="store_true",
        help="tiny sizes, one run, no peers: only exact totals matter",
    )
    add(
        "--output",
        type=pathlib.Path,
        default=places.OUTPUT,
        metavar="FOLDER",
        help="where results and report go",
    )
    add("--report", action="store_true", help="only write the report again, from the results")
    options = parser.parse_args()
    options.parts = options.parts or list(PARTS)
    if options.smoke:
        options.runs, options.rate, options.quota, options.only = 1, 0, 0, []
        options.captures, options.streams = ["medium"], ["ipfix", "v9", "v5"]
        options.pps, options.seconds = [5_000], 1
        options.records, options.series = 20_000, 3_000
        options.output = options.output / "smoke"
    return options


def _known(given, names):
    for name in given:
        if name not in names:
            message = f'invalid name "{name}": must be of {", ".join(names)}'
            raise argparse.ArgumentTypeError(message)
    return given


def main():
    options = parse()
    # `finally` blocks remove namespaces and end processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    options.output.mkdir(parents=True, exist_ok=True)
    results_path = options.output / "results.json"
    results = json.loads(results_path.read_text()) if results_path.exists() else {}
    problems = []
    for part in options.parts if not options.report else ():
        measured = {"machine": places.machine(), "runs": options.runs, "cases": []}
        try:
            for case in PARTS[part](options):
                measured["cases"].append(case)
                problems += case["problems"]
                results[part] = measured
                results_path.write_text(json.dumps(results, indent=1))
        except places.Missing as missing:
            skip(part, missing)
    soak = options.output / "soak.json"
    page = options.output / "performance.md"
    page.write_text(report.page(results, json.loads(soak.read_text()) if soak.exists() else {}))
    print(page)
    for problem in problems:
        print(f"not exact: {problem}")
    return 1 if problems else 0


def skip(part, reason):
    """Reports that a part cannot run here, also to the list of skipped tests."""
    line = f"skipped: bench {part}: {reason}"
    print(line, file=sys.stderr)
    if "KIPFIX_SKIPPED" in os.environ:
        with open(os.environ["KIPFIX_SKIPPED"], "a") as file:
            print(line, file=file)
