#!/usr/bin/env bash
# Builds a real kube-apiserver and the etcd beneath it from the Go module proxy into a cache folder outside
# the checkout, and prints that folder. Does nothing when this recipe's programs are there already; needs
# `go` only when they are not.
#   tests/cluster/build.sh [FOLDER]
set -euo pipefail
kubernetes=${KUBERNETES_VERSION:-v1.34.4}
# Debian's etcd is too old for streaming lists.
etcd=${ETCD_VERSION:-v3.6.5}
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/kubernetes-$kubernetes-etcd-$etcd}
recipe="$(sha256sum <"$0" | cut -c1-16) $kubernetes $etcd"
mkdir -p "$out"
# Whoever comes while it is built waits.
exec 9>"$out/.lock"
flock 9
if [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$out"
    exit 0
fi
# From 1.21 on, go fetches the release that a module asks for.
if [ -z "$(go env GOTOOLCHAIN 2>/dev/null)" ]; then
    echo "go 1.21 or newer is not here to build kube-apiserver $kubernetes (https://go.dev/dl)" >&2
    exit 1
fi
echo "building kube-apiserver $kubernetes and etcd $etcd in $out: minutes, once" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0

# Builds the module of the current folder into a program of this name.
build() {
    go build -mod=mod -buildvcs=false -trimpath -ldflags '-s -w' -o "$out/$1" .
}

mkdir "$work/etcd" "$work/kube-apiserver"

cd "$work/etcd"
printf 'module etcd\n\ngo 1.24.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$etcd" >go.mod
cat >main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
build etcd

cd "$work/kube-apiserver"
gomod=$(go mod download -json "k8s.io/kubernetes@$kubernetes" |
    sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",\{0,1\}$/\1/p')
{
    printf 'module apiserver\n\ngo %s\n\n' "$(sed -n 's/^go //p' "$gomod")"
    printf 'require k8s.io/kubernetes %s\n\nreplace (\n' "$kubernetes"
    # The repository takes its staging modules from folders; each is published under the same number.
    sed -n "s|^[[:space:]]*\(k8s.io/[^ ]*\) => ./staging/src/.*|\t\1 => \1 v0.${kubernetes#v1.}|p" "$gomod"
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
build kube-apiserver

echo "$recipe" >"$out/.recipe"
echo "$out"
