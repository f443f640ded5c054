# Functions of the scripts in this folder. A script sources this file after its header comment.
#
# It makes a temporary folder, $work, and removes it at exit with every process in $started.
# Downloads stay only in the package managers' own caches.
set -euo pipefail

# A script that does not end is ended after ten minutes, with all that it has started.
[ -n "${finding_is_bounded:-}" ] ||
    finding_is_bounded=1 exec timeout --kill-after=10 600 bash "$0" "$@"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
started=()
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 TZ=UTC LC_ALL=C.UTF-8

# finish: ends the started processes and their children by their identifiers, removes $work.
finish() {
    local pid
    for pid in "${started[@]}"; do
        kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children") || true
    done
    wait || true
    rm -rf "$work"
}
trap 'finish 2>/dev/null' EXIT
trap 'exit 130' INT TERM

# cannot_run SENTENCE: what the script needs is not available; this is not evidence about the finding.
cannot_run() {
    echo "cannot run: $1" >&2
    exit 77
}

# python_packages NAME==VERSION...: installs into a virtual environment, $work/venv.
python_packages() {
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check "$@" ||
        cannot_run "pip did not install $*"
    echo "version:  $*"
}

# rust_program DEPENDENCY...: builds standard input as src/main.rs with these lines of
# Cargo.toml's [dependencies], next to wire.rs, and runs it.
rust_program() {
    mkdir -p "$work/program/src"
    cp "$here/wire.rs" "$work/program/src"
    cat >"$work/program/src/main.rs"
    {
        printf '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2021"\n'
        printf '[profile.dev]\ndebug = 0\nincremental = false\n[dependencies]\n'
        printf '%s\n' "$@"
    } >"$work/program/Cargo.toml"
    echo "version:  $*" >&2
    CARGO_TARGET_DIR=$work/program/target \
        cargo run --quiet --manifest-path "$work/program/Cargo.toml"
}

# go_program MODULE@VERSION <PROGRAM: builds standard input as $work/program, which imports the module.
go_program() {
    mkdir "$work/source"
    cat >"$work/source/main.go"
    (cd "$work/source" && go mod init program && go get "$1" && go mod tidy && go build -o "$work/program") \
        >"$work/log" 2>&1 || cannot_run "go did not build a program with $1: $(tail -n 1 "$work/log")"
    echo "version:  $1"
}

# go_ipfix: a collector of go-ipfix 0.17.0 on UDP $port, which writes the elements of each flow record as a
# line to $work/records.
go_ipfix() {
    go_program github.com/vmware/go-ipfix@v0.17.0 <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/vmware/go-ipfix/pkg/collector"
	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"
)

func main() {
	registry.LoadRegistry()
	process, err := collector.InitCollectingProcess(collector.CollectorInput{
		Address: "127.0.0.1:" + os.Args[1], Protocol: "udp", MaxBufferSize: 65535,
	})
	if err != nil {
		panic(err)
	}
	go process.Start()
	for message := range process.GetMsgChan() {
		set := message.GetSet()
		if set.GetSetType() != entities.Data {
			continue
		}
		for _, record := range set.GetRecords() {
			for _, element := range record.GetOrderedElementList() {
				switch element.GetDataType() {
				case entities.Ipv4Address:
					fmt.Print(element.GetIPAddressValue(), " ")
				case entities.Unsigned64:
					fmt.Print(element.GetUnsigned64Value(), " ")
				}
			}
			fmt.Println()
		}
	}
}
GO
    port=$(free_port)
    "$work/program" "$port" >"$work/records" 2>"$work/log" &
    started+=($!)
    wait_for "the program binds its port" bound "$port"
}

# debian_packages [--suite SUITE] PACKAGE=VERSION...: unpacks the packages and all that they
# depend on into $work/root, with apt's signature checks; the system stays as it is. Without a
# suite it uses the system's own apt sources, else their mirror with that suite.
debian_packages() {
    local apt=$work/apt packages mirror
    mkdir -p "$apt"/{parts,lists/partial,archives/partial} "$work/root"
    # An empty file of its own, not /dev/null: apt makes its lock files next to it.
    touch "$apt/status"
    local options=(-qq -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists"
        -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o Dir::Cache::Archives="$apt/archives"
        -o APT::Sandbox::User=)
    if [ "$1" = --suite ]; then
        mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | grep -v security |
            head -n 1) || true
        [ -n "$mirror" ] || cannot_run "no Debian mirror in the system's apt sources"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $2 main" \
            >"$apt/sources.list"
        options+=(-o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts")
        shift 2
    fi
    packages="$*"
    apt-get "${options[@]}" update
    apt-get "${options[@]}" --yes --download-only --no-install-recommends install "$@" \
        >/dev/null 2>"$apt/log" || cannot_run "apt has no $packages: $(tail -n 1 "$apt/log")"
    for package in "$apt"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
    rm -rf "$apt"
    echo "version:  $packages"
}

# unpacked PROGRAM ARGUMENT...: runs a program of $work/root, by its name or its path there, with
# the libraries next to it.
# It replaces the shell, so that the process identifier of `unpacked … &` is the program's.
unpacked() {
    local program=$1 loader folders
    shift
    # Older packages have /bin and /lib next to /usr/bin and /usr/lib.
    loader=$(find "$work/root" -name 'ld-linux*.so*' -print -quit)
    case $program in
    */*) program=$work/root/$program ;;
    *) program=$(find "$work/root" -path "*bin/$program" -print -quit) ;;
    esac
    folders=$(find "$work/root" -type d -path '*lib/*-linux-gnu' | paste -s -d :)
    exec "$loader" --library-path "$folders" "$program" "$@"
}

# free_port: a UDP port of the loopback address that is free.
free_port() {
    python3 -c 'import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for SENTENCE COMMAND...: repeats the command until it succeeds, for 20 seconds.
wait_for() {
    local sentence=$1 tries=200
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "timed out: $sentence" >&2; exit 1; }
        sleep 0.1
    done
}

# bound PORT: true when a process has bound this UDP port.
bound() {
    grep -qi ":$(printf '%04X' "$1") " /proc/net/udp
}

# through_nfcapd <PROGRAM: runs nfcapd on a free port while the Python program of standard
# input sends to it (the port is its argument); flows are then in $work/flows, nfcapd's log in
# $work/nfcapd.log.
through_nfcapd() {
    local port collector
    port=$(free_port)
    mkdir "$work/flows"
    unpacked nfcapd -b 127.0.0.1 -p "$port" -w "$work/flows" >"$work/nfcapd.log" 2>&1 &
    collector=$!
    started+=("$collector")
    wait_for "nfcapd binds its port" bound "$port"
    python3 - "$port"
    sleep 1 # what was sent over the loopback interface is read by then
    kill -TERM "$collector"
    wait "$collector" || true
}

# with_softflowd <PROGRAM: runs the Python program of standard input, which calls softflowd by softflowd.py.
with_softflowd() {
    python3 - "$work" "$(declare -f unpacked); work=$work; unpacked softflowd"
}

# through_nfacctd KEYS COUNT <PROGRAM: runs pmacct's nfacctd on a free port while the Python program
# of standard input sends to it (the port is its argument); $work/flows then has COUNT lines of
# sources in 10.0.0.0/8, sorted: the aggregation keys, packets and octets.
through_nfacctd() {
    local port
    printed() { [ "$(grep -c '^10\.' "$work/printed")" = "$1" ]; }
    port=$(free_port)
    cat >"$work/config" <<CONFIG
daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: $port
aggregate: $1
plugins: print
print_output: csv
print_refresh_time: 1
print_output_file: $work/printed
print_output_file_append: true
timestamps_utc: true
CONFIG
    unpacked nfacctd -f "$work/config" >"$work/log" 2>&1 &
    started+=($!)
    wait_for "nfacctd binds its port" bound "$port"
    python3 - "$port"
    wait_for "nfacctd writes $2 flows" printed "$2"
    grep '^10\.' "$work/printed" | sort >"$work/flows"
}

# verdict EXPECTED STATED SEEN: prints all three and ends the script; exit status 0 while what
# is seen is what the finding states.
verdict() {
    printf 'expected: %s\nseen:     %s\n' "$1" "$3"
    if [ "$2" = "$3" ]; then
        echo "The behaviour is as stated."
        exit 0
    fi
    printf 'stated:   %s\nThe behaviour is not as stated: the finding no longer holds.\n' "$2"
    exit 1
}
