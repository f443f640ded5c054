#!/usr/bin/env bash
# Builds the Kubernetes programs that Debian does not have from the Go module proxy, into a cache directory
# outside the checkout, and prints that directory:
#   etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl, coredns
#   helm, kubeconform, operator (the Prometheus operator), crds/ (third-party resource definitions)
# Does nothing if the programs of this version of the script exist. Needs `go` otherwise, for about five minutes on
# two cores.
#   tests/cluster/build.sh [FOLDER]
set -euo pipefail
kubernetes=v1.34.4
# Debian's etcd is too old for streaming lists.
etcd=v3.6.5
coredns=v1.14.0
helm=v3.19.5
kubeconform=v0.8.0
operator=v0.85.0
cert_manager=v1.19.1

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/cluster-$kubernetes}
recipe=$(cat "$0" "$here/programs/main.go" | sha256sum | cut -c1-16)
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ "$(cat "$out/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$out"
    exit 0
fi
# Go 1.21 and newer fetch the toolchain that a module requires.
if [ -z "$(go env GOTOOLCHAIN 2>/dev/null)" ]; then
    echo "go 1.21 or newer is not here to build Kubernetes $kubernetes (https://go.dev/dl)" >&2
    exit 1
fi
echo "building Kubernetes $kubernetes, helm and what belongs to them in $out: minutes, once" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0

# Prints a field of the JSON for a module.
downloaded() {
    go mod download -json "$2" | sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p"
}

# One module for all programs: shared packages are compiled once.
gomod=$(downloaded GoMod "k8s.io/kubernetes@$kubernetes")
{
    printf 'module programs\n\ngo %s\n\nrequire (\n' "$(sed -n 's/^go //p' "$gomod")"
    printf '\t%s\n' "k8s.io/kubernetes $kubernetes" "go.etcd.io/etcd/server/v3 $etcd" \
        "github.com/coredns/coredns $coredns" "helm.sh/helm/v3 $helm" \
        "github.com/yannh/kubeconform $kubeconform" \
        "github.com/prometheus-operator/prometheus-operator $operator"
    printf ')\n\nreplace (\n'
    # The repository uses its staging modules by path. They are published with the same version.
    sed -n "s|^[[:space:]]*\(k8s.io/[^ ]*\) => ./staging/src/.*|\t\1 => \1 v0.${kubernetes#v1.}|p" "$gomod"
    printf ')\n'
} >go.mod
cp "$here/programs/main.go" .

# build NAME PACKAGE [VARIABLE=VALUE]...
build() {
    local name=$1 package=$2 value flags='-s -w'
    shift 2
    for value in "$@"; do
        flags+=" -X $value"
    done
    go build -mod=mod -buildvcs=false -trimpath -ldflags "$flags" -o "$out/$name" "$package"
}

IFS=. read -r major minor _ <<<"${kubernetes#v}"
version=k8s.io/component-base/version
build kubernetes . "$version.gitVersion=$kubernetes" "$version.gitMajor=$major" \
    "$version.gitMinor=$minor" "$version.gitTreeState=clean" "$version.buildDate=1970-01-01T00:00:00Z"
for program in etcd kube-{apiserver,controller-manager,scheduler,proxy} kubelet kubectl coredns; do
    ln -sf kubernetes "$out/$program"
done
# Without these, helm assumes the oldest release of Kubernetes.
helm_module=helm.sh/helm/v3
build helm $helm_module/cmd/helm "$helm_module/internal/version.version=$helm" \
    "$helm_module/pkg/chartutil.k8sVersionMajor=$major" "$helm_module/pkg/chartutil.k8sVersionMinor=$minor" \
    "$helm_module/pkg/lint/rules.k8sVersionMajor=$major" "$helm_module/pkg/lint/rules.k8sVersionMinor=$minor"
build kubeconform github.com/yannh/kubeconform/cmd/kubeconform
build operator github.com/prometheus-operator/prometheus-operator/cmd/operator

mkdir -p "$out/crds"
cp "$(downloaded Dir github.com/prometheus-operator/prometheus-operator@$operator)"/example/prometheus-operator-crd/*.yaml \
    "$(downloaded Dir github.com/cert-manager/cert-manager@$cert_manager)"/deploy/crds/*.yaml "$out/crds"
chmod u+w "$out"/crds/*
echo "$recipe" >"$out/.recipe"
echo "$out"
