#!/usr/bin/env bash
# The control plane. up.sh starts it as the first process of its namespaces.
. "$(dirname "$0")/settings.sh"
mount -t proc proc /proc
as() {
    echo "--kubeconfig=$pki/$1.conf --authentication-kubeconfig=$pki/$1.conf --authorization-kubeconfig=$pki/$1.conf"
}

etcd --data-dir "$state/etcd" --unsafe-no-fsync >"$logs/etcd.log" 2>&1 &
kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 \
    --advertise-address="$switch4" --endpoint-reconciler-type=master-count \
    --service-cluster-ip-range="$services" --allow-privileged --profiling=false \
    --tls-cert-file="$pki/api.crt" --tls-private-key-file="$pki/api.key" --client-ca-file="$pki/ca.crt" \
    --token-auth-file="$pki/tokens.csv" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction \
    --kubelet-client-certificate="$pki/to-kubelet.crt" --kubelet-client-key="$pki/to-kubelet.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/accounts.pub" --service-account-signing-key-file="$pki/accounts.key" \
    >"$logs/api.log" 2>&1 &
wait_for "the API server" 120 admin get --raw /readyz
# shellcheck disable=SC2046 # words
kube-controller-manager $(as controllers) --leader-elect=false --use-service-account-credentials \
    --kube-api-qps=500 --kube-api-burst=1000 --profiling=false \
    --service-account-private-key-file="$pki/accounts.key" --root-ca-file="$pki/ca.crt" \
    --cluster-cidr="$all_pods" --allocate-node-cidrs=false \
    --service-cluster-ip-range="$services" --node-monitor-period=2s --node-monitor-grace-period=12s \
    >"$logs/controllers.log" 2>&1 &
# shellcheck disable=SC2046 # words
kube-scheduler $(as scheduler) --leader-elect=false >"$logs/scheduler.log" 2>&1 &

cat >"$state/Corefile" <<CONF
.:53 {
    errors
    ready
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $pki/admin.conf it
    }
    cache 5
}
CONF
coredns -conf "$state/Corefile" >"$logs/coredns.log" 2>&1 &
admin apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns_service, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$switch4]}]
YAML
wait
