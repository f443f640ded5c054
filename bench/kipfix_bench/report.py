"""The report: Markdown tables of medians, spreads and ratios."""

from statistics import median

INTRODUCTION = """\
# Performance

What kipfix's programs cost next to other people's. `make bench` measures and writes this page; the
[method](#method) is at the end. Absolute figures depend on the machine: compare the ratios.
"""

METHOD = """\
## Method

* Every figure is the median of several runs. The programs of a table take turns, so that noise of
  the machine spreads over all of them. *Spread* is (largest − smallest) / median.
* CPU is user and system time of the whole process tree. The kernel charges its own work for a
  capture to the sender of the packets, for every program alike: it is not in the figures.
* Memory is the sum of the processes' peak resident sets.
* `kipfix-bench generate` makes the traffic: Zipf-sized conversations of TCP, UDP and ICMP, 15 %
  IPv6, 30 % in VXLAN, simple IMIX. Its truth is exact; a test recounts it with another decoder.
* *Exact flows* are flows whose packets and octets are both right. Some programs split a flow into
  several records, which is exact if the sums are right.
* A collector has received every flow once before it is measured, and kipfix-collector was scraped:
  its series exist. Then the sender either waits while the receiver's socket is full, so that
  nothing is lost and the receiver sets the pace, or sends at a fixed rate.
* Peers are Debian packages: the newest from unstable with their own libraries, and those of the
  installed release.
"""


def page(results, soak_results):
    parts = {
        "offline": offline,
        "live": live,
        "collector": collector,
        "threads": threads,
        "scrape": scrape,
    }
    sections = [INTRODUCTION]
    for part, section in parts.items():
        if part in results:
            sections.append(section(results[part]["cases"]) + footnote(results[part]))
    if soak_results:
        sections.append(soak(soak_results))
    return "\n".join(sections + [METHOD])


def footnote(part):
    return f"\nMeasured on {where(part['machine'])}; {part['runs']} runs.\n"


def where(machine):
    return (
        f"{machine['date']}: {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory'] / 2**30:.0f} GiB, Linux {machine['kernel']}, "
        f"load {machine['load']:.1f} at the start"
    )


def table(columns, lines):
    rows = [columns, ["---"] + ["--:"] * (len(columns) - 1), *lines]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def what_they_do(cases):
    """A list of the programs; each only once."""
    lines = {row["title"]: row["does"] for case in cases for row in case["rows"]}
    return "\n" + "".join(f"* {title}: {does}.\n" for title, does in lines.items())


def name(row):
    return f"**{row['title']}**" if row["role"] == "subject" else row["title"]


def values(row, key):
    return [sample[key] for sample in row["samples"]]


def middle(row, key):
    return median(values(row, key))


def spread(row, key):
    all_values = values(row, key)
    center = median(all_values)
    return f"{(max(all_values) - min(all_values)) / center:.0%}" if center else "–"


def by_role(case, role):
    return next((row for row in case["rows"] if row["role"] == role), None)


def ratio(value, row, key):
    """How many times the figure of another row it is."""
    return f"{value / middle(row, key):.2f}" if row and middle(row, key) else "–"


def mebibytes(octets):
    return f"{octets / 2**20:.0f}"


def thousands(number):
    return f"{number:,.0f}"


def signed(number):
    return f"{number:+,}" if number else "0"


def offline(cases):
    text = "\n## Probe, from a capture file\n"
    for case in cases:
        truth = case["truth"]["inner"]
        sizes = f"{thousands(case['packets'])} packets, {thousands(truth['flows'])} flows"
        text += f"\n`{case['case']}`: {sizes}.\n\n"
        floor, lines = by_role(case, "floor"), []
        for row in case["rows"]:
            cpu, first = middle(row, "cpu_s"), row["samples"][0]
            flows = first.get("flows")
            lines.append(
                [
                    name(row),
                    f"{cpu / case['packets'] * 1e9:.0f}",
                    spread(row, "cpu_s"),
                    ratio(cpu, floor, "cpu_s"),
                    f"{middle(row, 'wall_s'):.2f}",
                    mebibytes(middle(row, "peak_rss")),
                    thousands(first["export"]["records"]) if flows else "–",
                    signed(first["packets_off"]) if flows else "–",
                    signed(first["octets_off"]) if flows else "–",
                    f"{thousands(flows['exact'])} of {thousands(flows['truth_flows'])}"
                    if flows
                    else "–",
                ]
            )
        columns = [
            "",
            "CPU ns a packet",
            "spread",
            "× floor",
            "wall s",
            "MiB",
            "records",
            "packets − truth",
            "octets − truth",
            "exact flows",
        ]
        text += table(columns, lines)
    return text + what_they_do(cases)


def live(cases):
    text = "\n## Probe, live\n\nOne end of a veth pair; the packets that pass it are counted.\n"
    for case in cases:
        about = f"{thousands(case['pps'])} packets a second"
        if case["quota"]:
            about += f", CPU quota of {case['quota']} % of a core"
            about += f" (as `limits.cpu: {case['quota'] * 10}m`)"
        if case.get("pods"):
            about += f", and {case['pods']} new connections a second of TCP and as many of UDP"
            about += " from pods whose addresses the node translates"
        text += f"\n{about}, {thousands(case['packets'])} packets a run.\n\n"
        floor, lines = by_role(case, "floor"), []
        for row in case["rows"]:
            cpu = middle(row, "cpu_s")
            shares = [sample["lost"] / sample["delivered"] for sample in row["samples"]]
            core = median(sample["cpu_s"] / sample["seconds"] for sample in row["samples"])
            lines.append(
                [
                    name(row),
                    f"{core:.1%}",
                    f"{cpu / case['packets'] * 1e9:.0f}",
                    spread(row, "cpu_s"),
                    ratio(cpu, floor, "cpu_s"),
                    thousands(middle(row, "lost")),
                    f"{max(shares):.2%}",
                    mebibytes(middle(row, "peak_rss")),
                ]
            )
        text += table(
            [
                "",
                "of a core",
                "CPU ns a packet",
                "spread",
                "× floor",
                "lost",
                "lost, worst run",
                "MiB",
            ],
            lines,
        )
    return text + what_they_do(cases)


def collector(cases):
    text = "\n## Collector\n"
    for case in cases:
        rate = f", paced at {thousands(case['rate'])} records a second" if case["rate"] else ""
        text += f"\n`{case['case']}`: {case['about']}{rate}.\n\n"
        reference, lines = by_role(case, "reference"), []
        for row in case["rows"]:
            cpu = middle(row, "cpu_per_million")
            lost = [lost for lost in values(row, "lost") if lost is not None]
            lines.append(
                [
                    name(row),
                    f"{cpu:.3f}",
                    spread(row, "cpu_per_million"),
                    ratio(cpu, reference, "cpu_per_million"),
                    thousands(middle(row, "records_per_second") / 1000),
                    mebibytes(middle(row, "peak_rss")),
                    thousands(max(lost)) if lost else "–",
                ]
            )
        against = f"× {reference['title']}" if reference else "ratio"
        columns = [
            "",
            "CPU s a million",
            "spread",
            against,
            "1000 records a second",
            "MiB",
            "lost, worst run",
        ]
        text += table(columns, lines)
    return text + what_they_do(cases)


def threads(cases):
    text = "\n## Two threads\n\nThe time to process full receive buffers after the sender has ended.\n"
    for case in cases:
        text += f"\n`{case['case']}`: {thousands(case['amount'])} {case['unit']}.\n\n"
        lines = []
        for row in case["rows"]:
            wall, cpu = middle(row, "wall_s"), middle(row, "cpu_s")
            lines.append(
                [
                    name(row),
                    f"{wall:.2f}",
                    spread(row, "wall_s"),
                    f"{middle(case['rows'][0], 'wall_s') / wall:.2f}" if wall else "–",
                    f"{cpu:.2f}",
                ]
            )
        text += table(["", "wall s", "spread", "speed-up", "CPU s"], lines)
    return text


def scrape(cases):
    text = "\n## Scrape\n"
    for case in cases:
        text += f"\n{case['case']}, {thousands(case['series'])} series:\n\n"
        subject, lines = by_role(case, "subject"), []
        for row in case["rows"]:
            cpu = middle(row, "cpu_s")
            lines.append(
                [
                    name(row),
                    f"{cpu * 1000:.0f}",
                    spread(row, "cpu_s"),
                    ratio(cpu, subject, "cpu_s"),
                    f"{middle(row, 'wall_s') * 1000:.0f}",
                    f"{middle(row, 'text_octets') / case['series']:.0f}",
                    f"{middle(row, 'octets') / 1e6:.1f}",
                    mebibytes(middle(row, "rss")),
                    mebibytes(middle(row, "rss_growth")),
                ]
            )
        columns = [
            "",
            "CPU ms",
            "spread",
            "× kipfix",
            "wall ms",
            "octets a series",
            "MB sent",
            "MiB before",
            "MiB more at the peak",
        ]
        text += table(columns, lines)
    return text + what_they_do(cases)


def soak(results):
    text = "\n## Long runs and faults\n\nBy `make soak`, with the real programs.\n"
    for name, scenario in results["scenarios"].items():
        text += f"\n### {name}\n\n{scenario['about']} {scenario['seconds']:.0f} s.\n\n"
        text += "".join(f"* {line}\n" for line in scenario["lines"])
    return text + f"\nRun on {where(results['machine'])}.\n"
