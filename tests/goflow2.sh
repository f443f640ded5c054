#!/usr/bin/env bash
# Builds goflow2 from the Go module proxy into a cache folder outside the checkout, for the tests that have it
# read our export, and prints its path. Does nothing when it is there already; needs `go` only when it is not.
# About a minute.
#   tests/goflow2.sh [FOLDER]
set -euo pipefail
version=v2.2.6

out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/goflow2-$version}
mkdir -p "$out"
# Whoever comes while it is built waits.
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/goflow2" ]; then
    if ! command -v go >/dev/null; then
        echo "go is not here to build goflow2 $version (https://go.dev/dl)" >&2
        exit 1
    fi
    echo "building goflow2 $version in $out, once" >&2
    # It is there when it is whole.
    work=$(mktemp -d "$out/.build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    CGO_ENABLED=0 GOBIN=$work go install -trimpath -ldflags "-s -w -X main.version=$version" \
        "github.com/netsampler/goflow2/v2/cmd/goflow2@$version"
    mv "$work/goflow2" "$out/goflow2"
fi
echo "$out/goflow2"
