#!/usr/bin/env bash
# Fetches ClickHouse's engine as a Python module (chdb) into a cache directory outside the checkout, and prints the directory.
# Does nothing if it exists. Needs pip otherwise.
set -euo pipefail

version=26.9.0
out=${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/chdb-$version
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ ! -e "$out/module" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "pip is not here to fetch chdb $version" >&2
        exit 1
    fi
    work=$(mktemp -d "$out/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "chdb-core==$version" >&2
    python3 -m zipfile -e "$work"/chdb_core-*.whl "$work/module"
    # It is moved when it is complete.
    mv "$work/module" "$out/module"
fi
echo "$out/module"
