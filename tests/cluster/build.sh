#!/usr/bin/env bash
# Builds a real kube-apiserver from the Go module proxy into a cache folder outside the checkout; etcd is
# Debian's. Does nothing when this recipe's binary is there already.
#   tests/cluster/build.sh [FOLDER]
set -euo pipefail
version=${KUBERNETES_VERSION:-v1.34.4}
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/kubernetes-$version}
recipe="$(sha256sum <"$0" | cut -c1-16) $(go env GOVERSION)"
if [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$out"
    exit 0
fi
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
gomod=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",\{0,1\}$/\1/p')
{
    printf 'module apiserver\n\ngo %s\n\n' "$(sed -n 's/^go //p' "$gomod")"
    printf 'require k8s.io/kubernetes %s\n\nreplace (\n' "$version"
    # The repository takes its staging modules from folders; each is published under the same number.
    sed -n "s|^[[:space:]]*\(k8s.io/[^ ]*\) => ./staging/src/.*|\t\1 => \1 v0.${version#v1.}|p" "$gomod"
    printf ')\n'
} >go.mod
cat >main.go <<'GO'
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
GO
CGO_ENABLED=0 go build -mod=mod -buildvcs=false -trimpath -ldflags '-s -w' -o "$out/kube-apiserver" .
echo "$recipe" >"$out/.recipe"
echo "$out"
