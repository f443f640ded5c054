#!/usr/bin/env bash
# Fetches definitions of resources of other projects from the Go module proxy, into a cache directory outside the
# checkout, and prints that directory: HTTPRoute (Gateway API), SecurityContextConstraints (OpenShift). Those of the
# Prometheus operator and of cert-manager come with build.sh.
# Does nothing if they exist. Needs `go` otherwise.
#   tests/cluster/definitions.sh [FOLDER]
set -euo pipefail
# MODULE VERSION CHECKSUM FILE...
modules=(
    "sigs.k8s.io/gateway-api v1.4.1 h1:NPxFutNkKNa8UfLd2CMlEuhIPMQgDQ6DXNKG9sHbJU8= config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
    "github.com/openshift/api v0.0.0-20251015095338-264e80a2b6e7 h1:Ot2fbEEPmF3WlPQkyEW/bUCV38GMugH/UmZvxpWceNc= security/v1/zz_generated.crd-manifests/0000_03_config-operator_01_securitycontextconstraints.crd.yaml"
)

recipe=$(sha256sum <"$0" | cut -c1-16)
out=${1:-${KIPFIX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kipfix}/definitions-$recipe}
mkdir -p "$out"
# Concurrent callers wait.
exec 9>"$out/.lock"
flock 9
if [ ! -e "$out/.complete" ]; then
    if ! command -v go >/dev/null; then
        echo "go is not here to fetch definitions of resources (https://go.dev/dl)" >&2
        exit 1
    fi
    for line in "${modules[@]}"; do
        read -r module version checksum files <<<"$line"
        # The proxy's answer is verified with the checksum database, and with the checksum above.
        json=$(cd "$out" && go mod download -json "$module@$version")
        field() { sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" <<<"$json"; }
        if [ "$(field Sum)" != "$checksum" ]; then
            echo "$module@$version has the checksum $(field Sum), not $checksum" >&2
            exit 1
        fi
        for file in $files; do
            install -m 644 "$(field Dir)/$file" "$out/"
        done
    done
    touch "$out/.complete"
fi
echo "$out"
