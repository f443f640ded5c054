#!/usr/bin/env bash
# Builds static binaries (musl) for images, Debian packages and tests, and prints their folder.
#   deploy/images/static.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(uname -m)-unknown-linux-musl
folder=${CARGO_TARGET_DIR:-target}/$target
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    if ! command -v rustup >/dev/null; then
        echo "the Rust toolchain lacks the target $target" >&2
        exit 1
    fi
    rustup target add "$target" >&2
fi
libpcap=$(deploy/images/libpcap.sh "$folder/libpcap")
LIBPCAP_LIBDIR=$libpcap LIBPCAP_VER=$(cat "$libpcap/VERSION") \
    cargo build --profile image --locked --target "$target" \
    -p kipfix-probe -p kipfix-collector -p kipfix-check -p kipfix-demo -p kipfix-traffic >&2
(cd "$folder/image" && pwd)
