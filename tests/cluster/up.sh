#!/usr/bin/env bash
# Starts a real cluster on this machine, as root: a control plane and nodes in separate namespaces, without changes to
# the network of the machine. Removes the remains of a killed run first.
#   tests/cluster/up.sh NODES IMAGE.tar...     images for every node, OCI archives
set -euo pipefail
programs=$("$(dirname "$0")/build.sh")
. "$(dirname "$0")/settings.sh"
nodes=$1
shift
"$scripts/down.sh"
mkdir -p "$logs" "$pki" "$state/images"
echo "$programs" >"$state/programs"
echo "$nodes" >"$state/nodes"
PATH=$programs:$PATH
for image in "$@"; do
    ln -s "$(realpath "$image")" "$state/images/"
done

#------------ Certificates and users

cd "$pki"
key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1"
}
# certificate NAME SUBJECT EXTENSIONS
certificate() {
    key "$1.key"
    openssl req -new -key "$1.key" -subj "$2" |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile <(echo "$3") -out "$1.crt"
}
# user FILE NAME [GROUP]: a token and its kubeconfig.
user() {
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$2${3:+,$3}" >>tokens.csv
    cat >"$1.conf" <<YAML
apiVersion: v1
kind: Config
current-context: it
clusters: [{name: it, cluster: {server: "https://$switch4:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: me, user: {token: $token}}]
contexts: [{name: it, context: {cluster: it, user: me}}]
YAML
}
{
    key ca.key
    openssl req -x509 -new -key ca.key -days 30 -subj "/CN=$KIPFIX_CLUSTER" -out ca.crt
    certificate api /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:$api_service,IP:$switch4,IP:127.0.0.1"
    certificate to-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client "extendedKeyUsage=clientAuth"
    openssl genrsa -out accounts.key 2048
    openssl rsa -in accounts.key -pubout -out accounts.pub
    user admin admin system:masters
    user controllers system:kube-controller-manager
    user scheduler system:kube-scheduler
    user proxy system:kube-proxy
    for ((i = 1; i <= nodes; i++)); do
        user "node$i" "system:node:node$i" system:nodes
    done
} >"$logs/certificates.log" 2>&1
cd "$scripts"

#------------ The network

# host NAME: a namespace with its eth0 on the switch.
host() {
    ip netns add "$KIPFIX_CLUSTER-$1"
    inside "$1" ip link set lo up
    inside cp ip link add "$1" type veth peer name eth0 netns "/run/netns/$KIPFIX_CLUSTER-$1"
    inside cp ip link set "$1" master br0 up
    inside "$1" ip link set eth0 up
}
ip netns add "$KIPFIX_CLUSTER-cp"
inside cp ip link set lo up
inside cp ip link add br0 type bridge
inside cp ip addr add "$switch4/24" dev br0
inside cp ip addr add "$switch6/64" dev br0 nodad
inside cp ip link set br0 up
inside cp sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0
for ((i = 1; i <= nodes; i++)); do
    host "node$i"
    inside "node$i" ip addr add "$(node4 "$i")/24" dev eth0
    inside "node$i" ip addr add "$(node6 "$i")/64" dev eth0 nodad
    inside "node$i" ip route add default via "$switch4"
    inside "node$i" ip -6 route add default via "$switch6"
done
host outside
inside outside ip addr add 172.30.0.200/24 dev eth0
inside outside ip addr add "$outside_masqueraded/32" dev eth0
inside outside ip addr add "$outside_routed/32" dev eth0
inside cp ip route add "$outside_masqueraded" via 172.30.0.200
inside cp ip route add "$outside_routed" via 172.30.0.200
for from in cp outside $(seq -f 'node%g' "$nodes"); do
    for ((i = 1; i <= nodes; i++)); do
        if [ "$from" != "node$i" ]; then
            inside "$from" ip route add "$(pods4 "$i")" via "$(node4 "$i")"
            if [ "$from" != outside ]; then
                inside "$from" ip -6 route add "$(pods6 "$i")" via "$(node6 "$i")"
            fi
        fi
    done
done
for ((i = 1; i <= nodes; i++)); do
    inside "node$i" ip route add "$outside_masqueraded" via 172.30.0.200
    inside "node$i" ip route add "$outside_routed" via 172.30.0.200
    inside "node$i" iptables -w -t nat -A POSTROUTING -s "$(pods4 "$i")" -d "$outside_masqueraded" -j MASQUERADE
done

#------------ The processes

# spawn NAMESPACE SCRIPT...: the first process of new namespaces. Killing it stops all their processes.
spawn() {
    local namespace=$1
    shift
    setsid nsenter --net="/run/netns/$KIPFIX_CLUSTER-$namespace" -- \
        unshare --mount --pid --uts --ipc --propagation private --fork --kill-child \
        "$@" </dev/null >"$logs/$namespace.log" 2>&1 9>&- &
    echo $! >"$state/$namespace.pid"
}
spawn cp "$scripts/control-plane.sh"
for ((i = 1; i <= nodes; i++)); do
    spawn "node$i" "$scripts/node.sh" "$i"
done
wait_for "the API server" 120 inside cp kubectl --kubeconfig "$pki/admin.conf" get --raw /readyz
for ((i = 1; i <= nodes; i++)); do
    wait_for "node$i" 120 "$scripts/kubectl" get node "node$i"
    "$scripts/kubectl" patch node "node$i" >/dev/null \
        --patch "{\"spec\": {\"podCIDR\": \"$(pods4 "$i")\", \"podCIDRs\": [\"$(pods4 "$i")\", \"$(pods6 "$i")\"]}}"
done
"$scripts/kubectl" wait --for=condition=Ready node --all --timeout=120s >/dev/null
# Pods are rejected until their namespace has a ServiceAccount.
wait_for "the default ServiceAccount" 60 "$scripts/kubectl" get serviceaccount default
