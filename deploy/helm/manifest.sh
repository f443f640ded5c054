#!/usr/bin/env bash
# Prints the chart with its defaults as plain manifests, for `kubectl apply`; deploy/kipfix.yaml is that.
#   deploy/helm/manifest.sh [HELM]
set -euo pipefail
cd "$(dirname "$0")"
helm=${1:-helm}
cat <<'YAML'
# kipfix with its defaults, for `kubectl apply -f`. Made from the chart (make manifest); helm has more to set. Dashboards are in
# grafana/, the images in whatever registry the image fields below are changed to.
apiVersion: v1
kind: Namespace
metadata:
  name: kipfix
  labels:
    # The probes are on their nodes' network.
    pod-security.kubernetes.io/enforce: privileged
YAML
"$helm" template kipfix kipfix --namespace kipfix --no-hooks --kube-version 1.30.0 --skip-tests \
    --set dashboards.enabled=false 2>/dev/null | sed '/^# Source: /d; /helm.sh\/chart: /d; /managed-by: Helm/d'
