#!/usr/bin/env bash
# Installs missing Debian or Ubuntu packages for a purpose: demo, images (or Debian packages), fuzz or test.
# As root or with password-less sudo. Otherwise it prints the command to run and fails. Installed services are not
# started or enabled.
set -euo pipefail

build=(gcc libc6-dev libpcap-dev make pkg-config)
demo=(iproute2)
# libpcap is built from its source for musl.
images=(bison dpkg-dev flex linux-libc-dev musl-tools)
test=(argus-client busybox-static bzip2 chromium conntrack containerd containernetworking-plugins curl default-jre-headless
    etcd-server ethtool fastnetmon fonts-inter fprobe iperf3 iptables jq kcat libfixbuf-tools maven nfdump
    nghttp2-client nghttp2-proxy nginx-light openssl openvswitch-switch pmacct procps prometheus protobuf-compiler
    python3-pip runc softflowd tcpdump tcpreplay tshark xz-utils zstd)

case "${1:-}" in
demo) wanted=("${build[@]}" "${demo[@]}") ;;
fuzz) wanted=("${build[@]}" g++) ;;
images) wanted=("${build[@]}" "${images[@]}") ;;
test) wanted=("${build[@]}" "${demo[@]}" "${images[@]}" "${test[@]}") ;;
*)
    echo "usage: $0 demo|images|fuzz|test" >&2
    exit 64
    ;;
esac

if ! command -v cargo >/dev/null; then
    echo "a Rust toolchain is missing: see https://rustup.rs" >&2
    exit 1
fi
if [ "$1" = test ] && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    if ! command -v rustup >/dev/null; then
        echo "the Rust toolchain lacks rustfmt or clippy" >&2
        exit 1
    fi
    echo "adding rustfmt and clippy to the Rust toolchain (by rustup)"
    rustup component add rustfmt clippy
fi
if [ "$1" = fuzz ] && ! cargo +nightly --version >/dev/null 2>&1; then
    if ! command -v rustup >/dev/null; then
        echo "a nightly Rust toolchain is missing, and so is rustup to install it" >&2
        exit 1
    fi
    echo "installing a nightly Rust toolchain (by rustup)"
    rustup toolchain install nightly --profile minimal
fi
if [ "$1" = fuzz ] && ! command -v cargo-fuzz >/dev/null; then
    echo "installing cargo-fuzz (a minute)"
    cargo install --quiet --locked cargo-fuzz
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "not Debian or Ubuntu: install the equivalents of these packages: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    if ! dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "packages are missing, and this is neither root nor password-less sudo. Please run:" >&2
        echo "  sudo apt-get update && sudo apt-get install --yes ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo -n)
fi

echo "installing with apt-get${as_root[*]:+ (by sudo)}: ${missing[*]}"
policy=/usr/sbin/policy-rc.d
added_policy=
cleanup() {
    if [ -n "$added_policy" ]; then
        "${as_root[@]}" rm -f "$policy"
    fi
}
trap cleanup EXIT
if [ ! -e "$policy" ]; then
    added_policy=yes
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >"$1" 2>&1
}
log=$(mktemp)
trap 'cleanup; rm -f "$log"' EXIT
# The package lists may be missing or old: fetch them once.
if ! install "$log"; then
    if ! { "${as_root[@]}" apt-get update --quiet && install "$log"; } >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install: ${missing[*]}" >&2
        exit 1
    fi
fi

# Only services of packages that were just installed.
if [ -d /run/systemd/system ]; then
    for package in "${missing[@]}"; do
        dpkg-query -L "$package" | sed -n 's,.*/systemd/system/\([^/@]*\.service\)$,\1,p' |
            while read -r unit; do
                "${as_root[@]}" systemctl disable --now --quiet "$unit" 2>/dev/null || true
            done
    done
fi
