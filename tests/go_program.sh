#!/usr/bin/env bash
# Builds a program from the Go module proxy into a cache directory outside the checkout, and prints its path:
#   goflow2     collector (a minute)
#   prometheus  with discovery in Kubernetes, which Debian's lacks (five minutes)
#   schema      checks dashboards with the schema of Grafana (a minute)
# Does nothing if it exists. Needs `go` otherwise.
#   tests/go_program.sh NAME [FOLDER]
set -euo pipefail

own='' tags='' flags='-s -w'
case "${1:-}" in
goflow2)
    version=v2.2.6 module=github.com/netsampler/goflow2/v2
    flags+=" -X main.version=$version"
    ;;
prometheus)
    version=v0.313.5 module=github.com/prometheus/prometheus
    # Only this service discovery: the others need the clients of all clouds.
    tags=remove_all_sd,enable_kubernetes_sd
    ;;
schema)
    version=v0.0.22 module=github.com/grafana/grafana-foundation-sdk/go
    own=$(realpath "$(dirname "$0")")/tests/dashboards/schema.go
    # The version depends on the source.
    version+=-$(sha256sum "$own" | cut -c 1-8)
    ;;
*)
    echo "usage: $0 goflow2|prometheus|schema [FOLDER]" >&2
    exit 64
    ;;
esac
name=$1

out=${2:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/$name-$version}
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/$name" ]; then
    if ! command -v go >/dev/null; then
        echo "go is not here to build $name $version (https://go.dev/dl)" >&2
        exit 1
    fi
    echo "building $name $version in $out, once" >&2
    work=$(mktemp -d "$out/.build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    # In a separate module: `go install` rejects modules with exclude directives.
    printf 'module programs\n\nrequire %s %s\n' "$module" "${version%-*}" >go.mod
    CGO_ENABLED=0 go build -mod=mod -buildvcs=false -trimpath -tags "$tags" -ldflags "$flags" \
        -o "$name" "${own:-$module/cmd/$name}"
    # It is moved when it is complete.
    mv "$name" "$out/$name"
fi
echo "$out/$name"
