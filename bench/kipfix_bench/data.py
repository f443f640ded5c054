"""Captures, streams of export and inventories: made once, kept in the cache."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

from . import places
from .process import Sink, tool

# Arguments of `generate`. The sizes of `--smoke` are in SMOKE_CAPTURES.
CAPTURES = {
    "headers": "--seed 2 --flows 100000 --packets 2000000 --snaplen 160",
    "medium": "--seed 2 --flows 100000 --packets 2000000",
    "plain": "--seed 4 --flows 100000 --packets 2000000 --vxlan-share 0",
    "many": "--seed 3 --flows 1000000 --packets 2000000",
    "live": "--seed 5 --flows 50000 --packets 500000",
}
SMOKE_CAPTURES = {
    "medium": "--seed 1 --flows 1000 --packets 10000",
    "live": "--seed 5 --flows 500 --packets 5000",
}


@dataclass
class Capture:
    """A capture file with its truth."""

    name: str
    path: pathlib.Path
    truth: dict
    flows: pathlib.Path

    @property
    def packets(self):
        return self.truth["packets"]

    def warm_up(self):
        """Reads the file, so that it is in the page cache."""
        with open(self.path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def _made(name, recipe, make):
    """Path of a file in the cache; `make` writes it if it is not there."""
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    path = places.DATA / f"{name}-{digest}"
    if not path.exists():
        places.DATA.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        make(partial)
        partial.rename(path)
    return path


def capture(name, arguments):
    """A capture that `generate` makes."""

    def make(folder):
        folder.mkdir()
        outputs = ["--out", folder / "capture.pcap", "--truth", folder / "truth.json"]
        outputs += ["--flows-csv", folder / "flows.csv"]
        tool("generate", *arguments.split(), *outputs)

    folder = _made(name, arguments, make)
    truth = json.loads((folder / "truth.json").read_text())
    return Capture(name, folder / "capture.pcap", truth, folder / "flows.csv")


def inventory(arguments):
    """An inventory file for a cluster of a size."""

    def make(path):
        path.write_text(json.dumps(tool("inventory", *arguments.split())))

    return _made("inventory", arguments, make)


def export_of(name, command, source):
    """What an exporter sends that reads a capture; `command` has {CAPTURE}, {PORT} and {OUT}."""

    def make(path):
        sink = Sink("--keep", path)
        try:
            # softflowd removes its file of the process id at the end: it needs a folder of its own.
            with tempfile.TemporaryDirectory(prefix="kipfix-bench-") as out:
                values = {"CAPTURE": source.path, "PORT": sink.port, "OUT": out}
                words = [word.format(**values) for word in command.split()]
                subprocess.run(words, check=True, capture_output=True)
            totals = sink.totals()
        finally:
            sink.kill()
        if totals["receiver_drops"] or totals["packets"] != source.packets:
            raise RuntimeError(f"the export of {name} is not complete: {totals}")

    return _made(name, f"{command} {source.path}", make)
