"""Probes that capture on one end of a veth pair, each end in a network namespace of its own."""

import contextlib
import json
import os
import pathlib
import struct
import subprocess
import time

from . import data, places, pods, rows
from .case import Case
from .process import Failed, Sink, eventually, inside
from .wire import Wire

# Frames without IP that are sent after the capture: some programs read a block of their ring only
# when it is full.
FILLER_FRAMES = 400
# Time that a program has to begin its capture.
START_SECONDS = 1.5
# Share of the connections of pods whose translation is observed.
LEAST_TRANSLATED = 0.97
# Time for what is still in the ring when the last packet was sent.
DRAIN_SECONDS = 0.3


def measure(options):
    if os.geteuid() != 0:
        raise places.Missing("network namespaces need root")
    recipes = data.SMOKE_CAPTURES if options.smoke else data.CAPTURES
    capture = data.capture("live", recipes["live"])
    wire = Wire(is_apart=True)
    try:
        for pps in options.pps:
            yield _measure_rate(wire, capture, pps, options)
        if options.quota:
            with _quota(options.quota) as group:
                for pps in options.quota_pps:
                    yield _measure_rate(wire, capture, pps, options, group)
        # Last, because translations are observed from then on.
        with contextlib.closing(pods.PodLink(wire)) as link:
            for pps in options.pps:
                yield _measure_rate(wire, capture, pps, options, link=link)
    finally:
        wire.close()


@contextlib.contextmanager
def _quota(percent):
    """A control group with a CPU quota, in percent of a core, as of a container with a limit."""
    period = 100_000
    quota = period * percent // 100
    name = f"kipfix-bench-{os.getpid()}"
    first, second = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")
    if (first / "cpu.cfs_quota_us").exists():
        group, settings = first / name, {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
    else:
        group, settings = second / name, {"cpu.max": f"{quota} {period}"}
    group.mkdir()
    try:
        for file, value in settings.items():
            if not (group / file).exists():
                raise places.Missing(f"control groups without {file}")
            (group / file).write_text(str(value))
        yield group
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text(), 5)
        group.rmdir()


def _filler():
    """A capture file of frames of an ethertype that is kept for local experiments."""
    frame = b"\x02" * 12 + b"\x88\xb5" + bytes(1400)
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return header + (struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame) * FILLER_FRAMES


def _measure_rate(wire, capture, pps, options, group=None, link=None):
    loops = max(1, round(pps * options.seconds / capture.packets))
    name = f"{pps} pps" + (f", {options.quota} % of a core" if group else "")
    if link:
        name += ", pods"
        link.prepare(loops * capture.packets / pps)
    facts = {
        "pps": pps,
        "packets": loops * capture.packets + (link.packets if link else 0),
        "quota": options.quota if group else None,
        "pods": pods.RATE if link else None,
    }
    case = Case("live", name, **facts)
    programs = rows.load("live", options)
    if link:
        programs = [row for row in programs if row.role in ("floor", "subject")]
    else:
        programs = [row for row in programs if row.case != "pods"]
    case.run(
        programs,
        options.runs,
        lambda row, _: _run(row, wire, capture, loops, pps, group, link, case),
    )
    return case.results()


def _run(row, wire, capture, loops, pps, group, link, case):
    with rows.folder() as folder:
        filler = pathlib.Path(folder, "filler.pcap")
        filler.write_bytes(_filler())
        values = {"IF": "rx0", "OUT": f"{folder}/out"}
        os.mkdir(values["OUT"])
        sink = None
        try:
            if row.result == "sink":
                sink = Sink(namespace=wire.receiver)
                values["PORT"] = sink.port
            process, values = row.start(values, namespace=wire.receiver)
            with process:
                time.sleep(START_SECONDS)
                if not process.is_running():
                    raise Failed(process.output()[-300:])
                for pid in process.pids() if group else ():
                    (group / "cgroup.procs").write_text(str(pid))
                before, passed = process.cpu(), wire.passed()
                connections = link.start() if link else None
                try:
                    sent = wire.send(capture.path, pps, loops)
                    if connections:
                        connections.finish()
                except BaseException:
                    if connections:
                        connections.kill()
                    raise
                # Later CPU is not for these packets: some programs poll without a pause.
                time.sleep(DRAIN_SECONDS)
                cpu = process.cpu() - before
                process.wait_until_idle(60 if group else 2)
                delivered = wire.passed() - passed
                if row.translates and link:
                    _check_translations(case, row, link)
                wire.send(filler, 2000)
                time.sleep(0.5)
                if row.stop_command:
                    command = row.fill(row.stop_command, values).split()
                    in_namespace = [*inside(wire.receiver), *command]
                    subprocess.run(in_namespace, stdout=subprocess.DEVNULL)
                    end = process.wait()
                else:
                    end = process.stop()
            packets, octets = _counts(row, sink, values["OUT"], process)
        finally:
            if sink:
                sink.kill()
    lost = delivered - packets
    if not group:
        case.expect(row, "packets lost", lost, 0)
        if octets is not None:
            expected = loops * capture.truth["inner"]["octets"] + (link.octets if link else 0)
            case.expect(row, "octets", octets, expected)
    return {
        "cpu_s": cpu,
        "seconds": sent["seconds"],
        "pps": sent["pps"],
        "sent": sent["frames"],
        "delivered": delivered,
        "lost": lost,
        "peak_rss": end["peak_rss"],
    }


def _check_translations(case, row, link):
    """Of the connections of pods, nearly all must have their pod."""
    expected = link.connections
    # The probe publishes its counts once per second.
    if not eventually(lambda: link.translations() >= expected * LEAST_TRANSLATED, 3, interval=0.5):
        case.report(row, f"translations: {link.translations()} of {expected}")


def _counts(row, sink, out, process):
    """Packets and octets that the program has counted."""
    if sink:
        time.sleep(0.2)
        totals = sink.totals()
    elif row.result == "nfdump":
        totals = rows.count_nfdump(row, out)
    else:
        return json.loads(process.output())["packets"] - FILLER_FRAMES, None
    return totals["packets"], totals["octets"]
