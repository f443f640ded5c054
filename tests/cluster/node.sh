#!/usr/bin/env bash
# A node. up.sh starts it as the first process of its namespaces.
#   node.sh NUMBER
. "$(dirname "$0")/settings.sh"
number=$1
name=node$number
own=$state/$name
mkdir -p "$own"/{var/lib/kubelet,var/lib/containerd,var/log,var/tmp,cgroups,cni}
hostname "$name"
mount -t proc proc /proc
# A sysfs of this network namespace, with the cgroups of the machine.
mount --rbind /sys/fs/cgroup "$own/cgroups"
mount -t sysfs sysfs /sys
mount --rbind "$own/cgroups" /sys/fs/cgroup
umount -l "$own/cgroups"
group=$KIPFIX_CLUSTER-$name
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    # Version 2: processes only in leaves.
    mkdir -p "/sys/fs/cgroup/$group/daemons"
    echo $$ >"/sys/fs/cgroup/$group/daemons/cgroup.procs"
else
    for controller in /sys/fs/cgroup/*/; do
        mkdir -p "$controller/$group"
        echo $$ >"$controller/$group/cgroup.procs" 2>/dev/null || true
    done
fi
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$own/var" /var
# kubelet sets sysctls of the machine unless they have the expected values: it sees files with these values.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=$own/sysctl-${setting##*/}
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
mount --make-rshared /
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

cat >"$own/containerd.toml" <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:test"
  restrict_oom_score_adj = true # without CAP_SYS_RESOURCE
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$own/cni"
TOML
cat >"$own/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/networks",
            "ranges": [[{"subnet": "$(pods4 "$number")"}], [{"subnet": "$(pods6 "$number")"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >"$own/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$group
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: 20000
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [$dns_service]
clusterDomain: cluster.local
resolvConf: ""
evictionHard: {memory.available: 100Mi}
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
nodeStatusUpdateFrequency: 5s
nodeLeaseDurationSeconds: 8
syncFrequency: 10s
YAML
containerd -c "$own/containerd.toml" >"$logs/$name-containerd.log" 2>&1 &
wait_for "containerd on $name" 60 ctr version
for image in "$state"/images/*.tar; do
    ctr -n k8s.io images import "$image" >>"$logs/$name-images.log" 2>&1
done
# Zones: node1 is in a separate one.
zone=zone-$((number == 1 ? 1 : 2))
kubelet --config="$own/kubelet.yaml" --kubeconfig="$pki/$name.conf" --hostname-override="$name" \
    --node-ip="$(node4 "$number"),$(node6 "$number")" --cert-dir=/var/lib/kubelet/pki \
    --node-labels="topology.kubernetes.io/zone=$zone,topology.kubernetes.io/region=here" \
    >"$logs/$name-kubelet.log" 2>&1 &
kube-proxy --kubeconfig="$pki/proxy.conf" --hostname-override="$name" --cluster-cidr="$all_pods" \
    --proxy-mode=iptables --conntrack-max-per-core=0 \
    --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
    >"$logs/$name-proxy.log" 2>&1 &
wait
