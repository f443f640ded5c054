"""Places: the repository, the cache, the programs, and the machine."""

import datetime
import functools
import os
import pathlib
import platform
import shutil
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BENCH = REPOSITORY / "bench"


def _folder(variable, default):
    """A folder that the environment may name."""
    return pathlib.Path(os.environ.get(variable) or default).resolve()


TARGET = _folder("CARGO_TARGET_DIR", REPOSITORY / "target")
OUTPUT = TARGET / "bench"

CACHE = _folder(
    "KIPFIX_CACHE", _folder("XDG_CACHE_HOME", pathlib.Path.home() / ".cache") / "kipfix"
)
DATA = CACHE / "bench"
PEERS = CACHE / "peers"

# kipfix's programs, and the benchmark's tools.
BINARIES = _folder("KIPFIX_BIN", TARGET / "release")
TOOL = str(_folder("KIPFIX_BENCH_TOOLS", TARGET / "release") / "kipfix-bench")


class Missing(Exception):
    """Something is not on this machine; the text has its name."""


def find_peer(package, program, suite):
    """Path and version of a program: `installed` on the system, or the `newest` in the cache."""
    if suite == "newest":
        path = PEERS / "bin" / program
        if path.exists():
            return str(path), _unpacked_versions()[package]
        raise Missing(f"{program} is not in {PEERS} (bench/peers.sh)")
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{program} is not installed")
    return path, _installed_version(package)


@functools.cache
def _unpacked_versions():
    lines = (PEERS / "versions").read_text().splitlines()
    return {package: _upstream(version) for package, version in map(str.split, lines)}


@functools.cache
def _installed_version(package):
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    answer = subprocess.run(query, capture_output=True, text=True)
    return _upstream(answer.stdout) if answer.returncode == 0 else "unknown version"


def _upstream(version):
    """`1:4.99.3-1+deb12u1` → `4.99.3`"""
    return version.split(":")[-1].split("-")[0]


def own_version(program):
    """What `--version` prints behind the program's name."""
    return subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]


def machine():
    """What the figures depend on."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
    }
