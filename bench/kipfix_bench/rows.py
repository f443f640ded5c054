"""The programs that are compared: read from `rows/*.toml`, found on this machine, started."""

import dataclasses
import pathlib
import shlex
import subprocess
import sys
import tempfile
import tomllib

from . import places
from .process import Measured


@dataclasses.dataclass
class Row:
    """A program of the comparison."""

    name: str
    command: str
    result: str
    # The only case in which it runs; all if empty.
    case: str = ""
    # It learns translations.
    translates: bool = False
    does: str = ""
    # floor: the least cost; subject: kipfix; reference: the peer that ratios are given for.
    role: str = "peer"
    view: str = "inner"
    package: str = ""
    program: str = ""
    suite: str = ""
    stop: str = "SIGTERM"
    stop_command: str = ""
    config: str = ""
    version: str = ""
    path: str = ""

    @property
    def title(self):
        return f"{self.name} {self.version}".strip()

    def find(self, binaries):
        """Finds the program and its version; raises `Missing`."""
        if self.package:
            self.path, self.version = places.find_peer(self.package, self.program, self.suite)
        elif self.role == "subject":
            program = pathlib.Path(shlex.split(self.command)[0].replace("{BIN}", str(binaries)))
            if not program.exists():
                raise places.Missing(f"{program} does not exist")
            self.command = self.command.replace("{BIN}", str(binaries))
            self.version = places.own_version(program)

    def fill(self, text, values):
        """Puts values, and the paths of programs, into a text."""
        for key, value in values.items():
            text = text.replace("{" + key + "}", str(value))
        while "{PROGRAM:" in text:
            name = text.split("{PROGRAM:", 1)[1].split("}", 1)[0]
            path, _ = places.find_peer(self.package, name, self.suite)
            text = text.replace("{PROGRAM:" + name + "}", path)
        return text

    def start(self, values, namespace=None):
        """Starts it; returns the process and the values with which it was started."""
        out = pathlib.Path(values["OUT"])
        values = values | {
            "TOOL": places.TOOL,
            "PROGRAM": self.path,
            "PEERS": next(places.PEERS.glob("root/usr/lib/*-linux-gnu"), ""),
            "PEERS_ROOT": places.PEERS / "root",
            "CONFIG": out.with_suffix(".config"),
        }
        if self.config:
            values["CONFIG"].write_text(self.fill(self.config, values).lstrip())
        log = out.with_suffix(".log")
        log.mkdir()
        command = shlex.split(self.fill(self.command, values))
        return Measured(command, log, self.stop, namespace=namespace), values


def load(part, options):
    """The rows of a part that can run here; reports those that cannot."""
    with open(places.BENCH / "rows" / f"{part}.toml", "rb") as file:
        rows = [Row(**row) for row in tomllib.load(file)["row"]]
    found = []
    for row in rows:
        is_peer = row.role not in ("floor", "subject")
        if is_peer and options.only is not None and row.name not in options.only:
            continue
        candidates = [(row, places.BINARIES)]
        if row.role == "subject" and options.before:
            before = dataclasses.replace(
                row,
                name=f"{row.name} before",
                does="an earlier build",
            )
            candidates.append((before, options.before))
        for candidate, binaries in candidates:
            try:
                candidate.find(binaries)
                found.append(candidate)
            except places.Missing as missing:
                print(f"skipped: {part}: {candidate.name}: {missing}", file=sys.stderr)
    return found


def folder():
    """A scratch folder that is removed."""
    return tempfile.TemporaryDirectory(prefix="kipfix-bench-")


def count_nfdump(row, out):
    """Totals of the files that nfcapd or nfpcapd wrote."""
    program, _ = places.find_peer(row.package, "nfdump", row.suite)
    text = subprocess.run([program, "-R", out, "-I"], capture_output=True, text=True).stdout
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {
        "records": int(values.get("Flows", 0)),
        "packets": int(values.get("Packets", 0)),
        "octets": int(values.get("Bytes", 0)),
    }


def count_fdsdump(row, out):
    """Totals of the files that ipfixcol2 wrote."""
    program, _ = places.find_peer(row.package, "fdsdump", row.suite)
    totals = {"records": 0, "packets": 0, "octets": 0}
    for path in pathlib.Path(out).rglob("*.fds"):
        text = subprocess.run([program, "-I", "-r", path], capture_output=True, text=True).stdout
        values = dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)
        for what, name in zip(totals, ("Flow records", "All packets", "All bytes"), strict=True):
            totals[what] += int(values[name].split()[0])
    return totals


def count_pmacct(out):
    """Totals of the CSV file of pmacct's print plugin."""
    totals, columns = {"records": 0, "packets": 0, "octets": 0}, None
    path = pathlib.Path(out) / "flows.csv"
    for line in path.read_text().splitlines() if path.exists() else ():
        cells = line.split(",")
        if "BYTES" in cells:
            columns = [cells.index(name) for name in ("FLOWS", "PACKETS", "BYTES")]
        else:
            for name, column in zip(totals, columns, strict=True):
                totals[name] += int(cells[column])
    return totals
