# Settings of the cluster scripts. A cluster has separate network namespaces: NAME-cp (control plane, and the switch
# `br0` between all), NAME-node1 ... (each with an eth0), NAME-outside.
set -euo pipefail
# Its name is the prefix of everything that it creates, so several clusters can run at a time.
: "${KIPFIX_CLUSTER:=kipfix-cluster}"
# Its state: certificates, etcd's data, containerd's folders, logs.
: "${KIPFIX_CLUSTER_DIR:=${TMPDIR:-/tmp}/$KIPFIX_CLUSTER}"
export KIPFIX_CLUSTER KIPFIX_CLUSTER_DIR

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=$KIPFIX_CLUSTER_DIR
pki=$state/pki
logs=$state/logs
# The programs of build.sh. The etcd of Debian is too old.
if [ -e "$state/programs" ]; then
    PATH=$(cat "$state/programs"):$PATH
fi

switch4=172.30.0.1
switch6=fd00:30::1
node4() { echo "172.30.0.$((10 + $1))"; }
node6() { echo "fd00:30::$((10 + $1))"; }
pods4() { echo "10.244.$1.0/24"; }
pods6() { echo "fd00:244:0:$1::/64"; }
all_pods=10.244.0.0/16,fd00:244::/56
services=10.96.0.0/16,fd00:96::/112
api_service=10.96.0.1
dns_service=10.96.0.10
# An external host. Nodes SNAT traffic of pods to the first address, as most clusters do for the internet, but not to
# the second one, as for internal networks.
outside_masqueraded=203.0.113.10
outside_routed=192.168.50.10

# inside NAMESPACE COMMAND...
inside() {
    local namespace=$1
    shift
    nsenter --net="/run/netns/$KIPFIX_CLUSTER-$namespace" -- "$@"
}

# wait_for WHAT SECONDS COMMAND...
wait_for() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "timed out: $what" >&2
            return 1
        fi
        sleep 0.2
    done
}

admin() {
    kubectl --kubeconfig "$pki/admin.conf" "$@"
}
