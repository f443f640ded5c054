#!/usr/bin/env bash
# Installs libraries into a cache folder outside the checkout, and prints the folder. Does nothing if it exists.
# Decoders of NetFlow and IPFIX: `python` from PyPI, `node` from the npm registry. `grpc`: gRPC from PyPI.
#   tests/libraries.sh python|node|grpc
set -euo pipefail

case "${1:-}" in
python) packages=(netflow==0.12.2 netflume==0.6.0 ipfix==0.9.7) ;;
grpc) packages=(grpcio==1.76.0 typing-extensions==4.15.0) ;;
node) packages=(node-netflowv9@0.2.16) ;;
*)
    echo "usage: $0 python|node|grpc" >&2
    exit 64
    ;;
esac
recipe=$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c 1-8)
out=${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/libraries-$1-$recipe
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ ! -e "$out/modules" ]; then
    work=$(mktemp -d "$out/.work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if [ "$1" != node ]; then
        if ! python3 -m pip --version >/dev/null 2>&1; then
            echo "pip is not here to install ${packages[*]}" >&2
            exit 1
        fi
        python3 -m pip install --quiet --disable-pip-version-check --no-deps \
            --target "$work/modules" "${packages[@]}" >&2
    else
        if ! command -v npm >/dev/null; then
            echo "npm is not here to install ${packages[*]}" >&2
            exit 1
        fi
        npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$work" \
            "${packages[@]}" >&2
        mv "$work/node_modules" "$work/modules"
    fi
    # It is moved when it is complete.
    mv "$work/modules" "$out/modules"
fi
echo "$out/modules"
