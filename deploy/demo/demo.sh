#!/usr/bin/env bash
# `make demo`: runs kipfix on this machine, without a cluster.
#
# As root: two nodes with pods as network namespaces, real traffic, and a live probe on each node's
# eth0. Otherwise, or if network namespaces are not available: the same traffic as a generated
# capture. On a terminal it runs until Ctrl-C. It removes everything that it created.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/deps.sh demo
# The tests set it: they test their own build.
bin=${KIPFIX_BIN:-}
if [ -z "$bin" ]; then
    echo "building the probe and the collector (minutes, the first time) ..."
    cargo build --profile demo --locked -p kipfix-probe -p kipfix-collector -p kipfix-demo
    bin=$(cd "${CARGO_TARGET_DIR:-target}/demo" && pwd)
fi

here=$PWD/deploy/demo
run=$(mktemp -d "${TMPDIR:-/tmp}/kipfix-demo.XXXXXX")
prefix=kipfix-demo-$$
pids=()
# Settings for other daemons of this user do not apply here.
unset "${!KIPFIX_@}"
export RUST_LOG=info

# Starts a daemon in the background. Its log is shown if the demo fails.
start() {
    local name=$1
    shift
    : >"$run/$name.out"
    "$@" </dev/null >"$run/$name.out" 2>"$run/$name.log" &
    pids+=($!)
}

# Waits until what was started last has printed a number of lines: for a minute at most.
printed() {
    local left=600
    until [ "$(wc -l <"$run/$1.out")" -eq "$2" ]; do
        kill -0 "${pids[-1]}"
        ((left--))
        sleep 0.1
    done
}

stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}

# A namespace is removed with its last process, and its interfaces with it.
remove_namespaces() {
    local namespace
    for namespace in $(ip netns list 2>/dev/null | awk -v p="$1" 'index($1, p) == 1 { print $1 }'); do
        ip netns delete "$namespace" 2>/dev/null || true
    done
}

finish() {
    local code=$?
    trap '' HUP INT TERM
    if [ "$code" -ne 0 ]; then
        tail -n 5 "$run"/*.log >&2 2>/dev/null || true
        echo "the demo failed" >&2
    fi
    stop_all
    remove_namespaces "$prefix-"
    rm -rf "$run"
    exit "$code"
}
trap finish EXIT
trap 'exit 0' HUP INT TERM

inside() {
    local namespace=$1
    shift
    ip netns exec "$prefix-$namespace" "$@"
}

# cable NAMESPACE INTERFACE NAMESPACE INTERFACE
cable() {
    ip link add name "$2" netns "$prefix-$1" type veth peer name "$4" netns "$prefix-$3"
    inside "$1" ip link set "$2" up
    inside "$3" ip link set "$4" up
}

# bridge NAMESPACE NAME PORT...: the ports exist already.
bridge() {
    local namespace=$1 name=$2 port
    shift 2
    inside "$namespace" ip link add name "$name" type bridge mcast_snooping 0
    inside "$namespace" ip link set "$name" up
    for port in "$@"; do
        inside "$namespace" ip link set "$port" master "$name"
    done
}

# node NAME ADDRESS POD_CIDR_PREFIX POD...: a node with its bridge and its pods, numbered from .10.
node() {
    local name=$1 address=$2 net=$3 pod number=10
    shift 3
    cable fabric "$name" "$name" eth0
    inside "$name" ip address add "$address/24" dev eth0
    inside "$name" ip route add default dev eth0
    inside "$name" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    for pod in "$@"; do
        cable "$pod" eth0 "$name" "pod-$pod"
        inside "$pod" ip address add "$net.$number/24" dev eth0
        inside "$pod" ip route add default via "$net.1"
        number=$((number + 1))
    done
    bridge "$name" cni0 "${@/#/pod-}"
    inside "$name" ip address add "$net.1/24" dev cni0
}

# The cluster: node-a with the pods web and cart, node-b with db and dns, a collector, and an external
# host, all on one switch.
make_cluster() {
    local name
    for name in fabric node-a node-b web cart db dns collector outside; do
        ip netns add "$prefix-$name"
        # The demo uses IPv4 only. Neighbour discovery would add rows without a workload.
        inside "$name" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' || true
        inside "$name" ip link set lo up
    done
    node node-a 10.9.0.1 10.1.1 web cart
    node node-b 10.9.0.2 10.1.2 db dns
    inside node-a ip route add 10.1.2.0/24 via 10.9.0.2
    inside node-b ip route add 10.1.1.0/24 via 10.9.0.1
    cable fabric collector collector eth0
    inside collector ip address add 10.9.0.100/24 dev eth0
    cable fabric outside outside eth0
    inside outside ip address add 192.0.2.10/32 dev eth0
    inside outside ip address add 203.0.113.5/32 dev eth0
    inside outside ip route add 10.9.0.0/24 dev eth0 src 192.0.2.10
    inside outside ip route add 10.1.1.0/24 via 10.9.0.1 src 192.0.2.10
    inside outside ip route add 10.1.2.0/24 via 10.9.0.2 src 192.0.2.10
    bridge fabric switch node-a node-b collector outside
}

# One round of the traffic of all hosts.
make_traffic() {
    local host callers=()
    for host in outside web cart db node-a; do
        inside "$host" "$bin/kipfix-demo" call "$host" </dev/null 2>>"$run/traffic.log" &
        callers+=($!)
    done
    for host in "${callers[@]}"; do
        wait "$host"
    done
}

ready() {
    "$bin/kipfix-demo" ready "$1"
}

live() {
    local host node ports
    start collector ip netns exec "$prefix-collector" "$bin/kipfix-collector" \
        --listen udp://10.9.0.100:4739 --http 127.0.0.1:8080 --kubernetes off \
        --series-birth 0s --inventory "$here/inventory.yaml"
    for node in node-a node-b; do
        start "probe-$node" ip netns exec "$prefix-$node" "$bin/kipfix-probe" \
            --interface eth0 --export udp://10.9.0.100:4739 --node-name "$node" \
            --active-timeout 5s --idle-timeout 1s --admin 127.0.0.1:9473
    done
    start forward "$bin/kipfix-demo" forward \
        "/run/netns/$prefix-collector=127.0.0.1:8080=8080" \
        "/run/netns/$prefix-node-a=127.0.0.1:9473=9473" \
        "/run/netns/$prefix-node-b=127.0.0.1:9473=9474"
    printed forward 3
    mapfile -t ports <"$run/forward.out"
    collector=${ports[0]} probes=("${ports[@]:1}")
    ready "$collector"
    ready "${probes[0]}"
    ready "${probes[1]}"

    echo "traffic: an external office opens a web shop, the shop queries its database and DNS, a backup leaves the cluster ..."
    for host in web db dns outside node-b; do
        start "serve-$host" ip netns exec "$prefix-$host" "$bin/kipfix-demo" serve "$host"
        printed "serve-$host" 1
    done
    # A probe reports the initiator of UDP after it has observed for an idle timeout.
    sleep 1.5
    make_traffic
}

replay() {
    local node listen reading=()
    collector=127.0.0.1:$("$bin/kipfix-demo" port tcp 8080) probes=()
    listen=udp://127.0.0.1:$("$bin/kipfix-demo" port udp 4739)
    start collector "$bin/kipfix-collector" --listen "$listen" --http "$collector" \
        --kubernetes off --series-birth 0s --inventory "$here/inventory.yaml"
    ready "$collector"
    for node in node-a node-b; do
        "$bin/kipfix-demo" capture "$node" >"$run/$node.pcap"
        start "probe-$node" "$bin/kipfix-probe" --read "$run/$node.pcap" \
            --export "$listen" --node-name "$node" --log-format json
        reading+=("${pids[-1]}")
        probes+=("$run/probe-$node.log")
    done
    wait "${reading[0]}"
    wait "${reading[1]}"
}

remove_dead_demos() {
    local pid
    for pid in $(ip netns list 2>/dev/null | sed -n 's/^kipfix-demo-\([0-9]*\)-.*/\1/p' | sort -u); do
        kill -0 "$pid" 2>/dev/null || remove_namespaces "kipfix-demo-$pid-"
    done
}

if [ "$(id -u)" -eq 0 ]; then
    remove_dead_demos
    # Not as the condition itself: bash ignores `set -e` there.
    set +e
    (set -e && make_cluster) >"$run/cluster.log" 2>&1
    made=$?
    set -e
    if [ $made -eq 0 ]; then
        variant=live
        echo "two nodes and four pods as network namespaces, a probe on each node's eth0"
    else
        variant=replay
        echo "network namespaces are not available ($(tail -n 1 "$run/cluster.log")): replaying a capture instead"
        remove_namespaces "$prefix-"
    fi
else
    variant=replay
    echo "not root: replaying a generated capture instead of network namespaces"
fi
$variant

"$bin/kipfix-demo" report "$collector" "${probes[@]}"

echo
if ! [ -t 1 ] || ! [ -t 0 ]; then
    echo "run it in a terminal to see the map of this traffic in a browser; README.md has the installation in a cluster"
    exit
fi
echo "next steps:"
echo "  http://$collector/          the map of this traffic"
echo "  http://$collector/metrics   the metrics of the collector"
if [ $variant = live ]; then
    echo "  http://${probes[0]}/metrics   the self-metrics of the probe on node-a"
fi
echo "  README.md                       installation in a cluster"
echo
if [ $variant = live ]; then
    echo "the traffic continues; press Ctrl-C to stop and remove the demo"
    while make_traffic; do
        sleep 2
    done
else
    echo "press Ctrl-C to stop and remove the demo"
    wait
fi
