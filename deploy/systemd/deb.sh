#!/usr/bin/env bash
# Builds Debian packages of both daemons with static binaries, for all releases. Installs cargo-deb the first
# time.
#   deploy/systemd/deb.sh FOLDER
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
if ! command -v cargo-deb >/dev/null; then
    echo "installing cargo-deb (a few minutes)" >&2
    cargo install --quiet --locked cargo-deb@3.8.0
fi
deploy/images/static.sh >/dev/null
for package in kipfix-probe kipfix-collector; do
    rm -f "$out/${package}_"*.deb
    cargo deb --quiet --no-build --locked --profile image --target "$(uname -m)-unknown-linux-musl" \
        --package "$package" --output "$out"
done
ls "$out"/*.deb
