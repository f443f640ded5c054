//! Attribution with objects as distributions and network plugins create them, with a real API
//! server. Each test has its own namespace and addresses.
#![allow(clippy::unwrap_used, reason = "test code")]

use kipfix_tests::api_server::ApiServer;
use kipfix_tests::collector::{Collector, assert_members, flow, to_external};
use kipfix_tests::objects::{self, long_running_pod};
use kipfix_tests::program::{PATIENCE, eventually};
use serde_json::json;

/// A flow from an address to an external one has these names.
#[track_caller]
fn assert_from(ours: &Collector, ip: &str, expected: &[(&str, &str)]) {
    assert_members(&ours.attribute(&to_external(ip)), expected);
}

/// Addresses of nodes, as each distribution reports them, with the name of the node.
#[test]
fn nodes_of_common_distributions_have_all_their_addresses() {
    let Some((server, admin)) = ApiServer::with_namespace("distributions") else {
        return;
    };
    let node = |name: &str, internal: &[&str]| {
        let node = objects::node(name).node_address("Hostname", name);
        let all = internal.iter();
        all.fold(node, |node, ip| node.node_address("InternalIP", ip))
    };
    for object in [
        // No pod CIDR: pods have addresses of the VPC.
        node("ip-10-50-0-1.ec2.internal", &["10.50.0.1"])
            .node_address("ExternalIP", "203.0.113.50")
            .node_address("InternalDNS", "ip-10-50-0-1.ec2.internal")
            .node_address("ExternalDNS", "ec2-203-0-113-50.compute.amazonaws.com"),
        node("eks-v6", &["2001:db8:50::1", "10.50.0.2"]),
        node("aks-vmss000000", &["10.50.1.1"]).label("kubernetes.azure.com/agentpool", "a"),
        node("gke-default-1", &["10.50.2.1"])
            .node_address("ExternalIP", "")
            .pod_cidrs(&["10.50.130.0/24"]),
        node("k3s-1", &["10.50.3.1"])
            .pod_cidrs(&["10.50.131.0/24"])
            .annotation("flannel.alpha.coreos.com/backend-type", "vxlan")
            .annotation("flannel.alpha.coreos.com/public-ip", "203.0.113.53")
            .annotation("k3s.io/external-ip", "203.0.113.54"),
        // Canal: Flannel's network with Calico's policy.
        node("rke2-1", &["10.50.4.1"])
            .pod_cidrs(&["10.50.132.0/24"])
            .annotation("flannel.alpha.coreos.com/backend-type", "vxlan")
            .annotation("projectcalico.org/IPv4Address", "10.50.4.1/24")
            .annotation("projectcalico.org/IPv4IPIPTunnelAddr", "10.50.132.1")
            .annotation("rke2.io/external-ip", "203.0.113.55"),
        node("talos-1", &["10.50.5.1"])
            .annotation("networking.talos.dev/self-ips", "10.50.5.1,10.50.5.2")
            .annotation("networking.talos.dev/kubespan-ip", "fd50:5::1"),
        node("kilo-1", &["10.50.6.1"]).annotation("kilo.squat.ai/wireguard-ip", "10.50.6.2/16"),
        node("submariner-1", &["10.50.7.1"])
            .annotation("submariner.io/cniIfaceIp", "10.50.135.1")
            .annotation("submariner.io/globalIp", "242.50.0.1"),
        node("router-1", &["10.50.8.1"]).annotation("kube-router.io/pod-cidrs", "10.50.136.0/24"),
        node("ovn-1", &["10.50.9.1"])
            .annotation(
                "k8s.ovn.org/node-subnets",
                r#"{"default":["10.50.140.0/23"],"tenant":["10.50.142.0/24"]}"#,
            )
            .annotation("k8s.ovn.org/secondary-host-egress-ips", r#"["192.0.2.59"]"#),
        // Calico's IPAM does not use the pod CIDRs.
        node("calico-1", &["10.50.10.1"])
            .pod_cidrs(&["10.50.144.0/24"])
            .annotation("projectcalico.org/IPv4Address", "10.50.10.1/24")
            .annotation("projectcalico.org/IPv4VXLANTunnelAddr", "10.50.145.64"),
        // Neither addresses nor labels yet.
        objects::node("registering"),
    ] {
        admin.create(object);
    }
    let ours = server.watching(&[]);
    for (name, addresses) in [
        (
            "ip-10-50-0-1.ec2.internal",
            &["10.50.0.1", "203.0.113.50"][..],
        ),
        ("eks-v6", &["2001:db8:50::1", "10.50.0.2"]),
        ("aks-vmss000000", &["10.50.1.1"]),
        ("gke-default-1", &["10.50.2.1", "10.50.130.1"]),
        (
            "k3s-1",
            &[
                "10.50.3.1",
                "10.50.131.0",
                "10.50.131.1",
                "203.0.113.53",
                "203.0.113.54",
            ],
        ),
        (
            "rke2-1",
            &["10.50.4.1", "10.50.132.0", "10.50.132.1", "203.0.113.55"],
        ),
        ("talos-1", &["10.50.5.1", "10.50.5.2", "fd50:5::1"]),
        ("kilo-1", &["10.50.6.1", "10.50.6.2"]),
        ("submariner-1", &["10.50.7.1", "10.50.135.1", "242.50.0.1"]),
        ("router-1", &["10.50.8.1", "10.50.136.1"]),
        (
            "ovn-1",
            &[
                "10.50.9.1",
                "10.50.140.1",
                "10.50.140.2",
                "10.50.142.2",
                "192.0.2.59",
            ],
        ),
        ("calico-1", &["10.50.10.1", "10.50.145.64"]),
    ] {
        for ip in addresses {
            let expected = [
                ("sourceNodeName", name),
                ("trafficClass", "node_to_external"),
            ];
            assert_from(&ours, ip, &expected);
        }
    }
    for (ip, node) in [("10.50.144.9", ""), ("10.50.130.9", "gke-default-1")] {
        let expected = [
            ("sourceNodeName", node),
            ("trafficClass", "pod_to_external"),
        ];
        assert_from(&ours, ip, &expected);
    }
}

#[test]
fn a_virtual_node_takes_no_address_from_the_pod_or_node_behind_it() {
    let ns = "virtual";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("aks-1").node_address("InternalIP", "10.51.9.1"));
    let taint = json!([{"key": "virtual-kubelet.io/provider", "value": "azure",
                        "effect": "NoSchedule"}]);
    let aci = objects::node("virtual-node-aci-linux").label("type", "virtual-kubelet");
    let aci = aci.set("spec/taints", taint);
    admin.create(aci.node_address("InternalIP", "10.51.0.7"));
    let liqo = objects::node("milan").label("liqo.io/type", "virtual-node");
    admin.create(liqo.node_address("InternalIP", "10.51.9.1"));
    admin.create(long_running_pod(
        ns,
        "aci-connector",
        "aks-1",
        &["10.51.0.7"],
    ));
    // A pod that runs elsewhere, with an address of its own.
    let burst = long_running_pod(ns, "burst", "virtual-node-aci-linux", &["10.51.240.4"]);
    admin.create(burst);
    let ours = server.watching(&[]);
    for (ip, pod, node, class) in [
        ("10.51.0.7", "aci-connector", "aks-1", "pod_to_external"),
        ("10.51.9.1", "", "aks-1", "node_to_external"),
        (
            "10.51.240.4",
            "burst",
            "virtual-node-aci-linux",
            "pod_to_external",
        ),
    ] {
        let expected = [
            ("sourcePodName", pod),
            ("sourceNodeName", node),
            ("trafficClass", class),
        ];
        assert_from(&ours, ip, &expected);
    }
}

#[test]
fn the_pool_of_a_node_is_that_of_its_provider() {
    let Some((server, admin)) = ApiServer::with_namespace("pools") else {
        return;
    };
    let labels = [
        ("karpenter.sh/nodepool", "spot"),
        ("eks.amazonaws.com/nodegroup", "managed"),
        ("cloud.google.com/gke-nodepool", "default-pool"),
        ("kubernetes.azure.com/agentpool", "system"),
        ("doks.digitalocean.com/node-pool", "pool-1"),
        ("k8s.scaleway.com/pool-name", "dev"),
        ("ibm-cloud.kubernetes.io/worker-pool-name", "default"),
        ("worker.gardener.cloud/pool", "workers"),
        ("kops.k8s.io/instancegroup", "nodes-a"),
        ("alpha.eksctl.io/nodegroup-name", "ng-1"),
    ];
    for (number, (label, pool)) in labels.iter().enumerate() {
        let node = objects::node(&format!("pool-{number}")).label(label, pool);
        // As eksctl does with a managed group.
        let node = node.label("alpha.eksctl.io/nodegroup-name", pool);
        admin.create(node.node_address("InternalIP", &format!("10.52.0.{number}")));
    }
    let named = server.watching(&[]);
    for (number, (_, pool)) in labels.iter().enumerate() {
        let ip = format!("10.52.0.{number}");
        assert_from(&named, &ip, &[("sourceNodePool", pool)]);
    }
    let one = server.watching(&["--node-pool-labels", "kops.k8s.io/instancegroup"]);
    assert_from(&one, "10.52.0.8", &[("sourceNodePool", "nodes-a")]);
    assert_from(&one, "10.52.0.1", &[("sourceNodePool", "")]);
}

#[test]
fn an_address_of_a_node_that_no_object_reports_comes_from_a_file() {
    let Some((server, admin)) = ApiServer::with_namespace("files") else {
        return;
    };
    let node = objects::node("stored").place("r1", "z9");
    admin.create(node.node_address("InternalIP", "10.53.9.1"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nodes.yaml");
    std::fs::write(&file, "nodes: [{name: stored, addresses: [192.0.2.53]}]").unwrap();
    let ours = server.watching(&["--inventory", file.to_str().unwrap()]);
    for ip in ["10.53.9.1", "192.0.2.53"] {
        let expected = [
            ("sourceNodeName", "stored"),
            ("sourceZone", "z9"),
            ("trafficClass", "node_to_external"),
        ];
        assert_from(&ours, ip, &expected);
    }
}

#[test]
fn pods_of_extensions_belong_to_the_workloads_that_users_know() {
    let ns = "extensions";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let owner = |api: &str, kind: &str, name: &str| objects::foreign_owner(api, kind, name);
    let version = owner("v1", "ReplicationController", "cart-7");
    let revision = admin.create(objects::workload(
        "Deployment",
        ns,
        "hello-00001-deployment",
    ));
    let revision_set = objects::workload("ReplicaSet", ns, "hello-00001-deployment-6b");
    let revision_set = admin.create(revision_set.owned_by(&revision));
    let mut number = 0;
    let mut next = |name: &str| {
        number += 1;
        long_running_pod(ns, name, "elsewhere", &[&format!("10.54.0.{number}")])
    };
    let pods = [
        next("cart-7-x")
            .owned_by(&version)
            .annotation("openshift.io/deployment-config.name", "cart")
            .annotation("openshift.io/deployment.name", "cart-7"),
        next("old-x").owned_by(&owner("v1", "ReplicationController", "old")),
        next("virt-launcher-db-x").owned_by(&owner(
            "kubevirt.io/v1",
            "VirtualMachineInstance",
            "db",
        )),
        next("hello-x").owned_by(&revision_set),
        // Of a virtual cluster, whose controllers are not in this cluster.
        next("web-x-default-x-team").owned_by(&owner("v1", "Service", "team")),
        next("clone-x").owned_by(&owner("apps.kruise.io/v1alpha1", "CloneSet", "clone")),
        // An owner that is not a controller.
        next("cached").label("app", "cache").push(
            "metadata/ownerReferences",
            json!({"apiVersion": "example.com/v1", "kind": "Cache", "name": "c",
                   "uid": "00000000-0000-4000-8000-00000000c0de"}),
        ),
        next("kube-proxy-elsewhere").owned_by(&owner("v1", "Node", "elsewhere")),
    ];
    for pod in pods {
        admin.create(pod);
    }
    let ours = server.watching(&[]);
    for (number, (kind, name)) in [
        ("DeploymentConfig", "cart"),
        ("ReplicationController", "old"),
        ("VirtualMachineInstance", "db"),
        ("Deployment", "hello-00001-deployment"),
        ("Service", "team"),
        ("CloneSet", "clone"),
        ("Pod", "cache"),
        ("Pod", "kube-proxy"),
    ]
    .into_iter()
    .enumerate()
    {
        let ip = format!("10.54.0.{}", number + 1);
        let expected = [
            ("sourcePodNamespace", ns),
            ("sourceWorkloadKind", kind),
            ("sourceWorkloadName", name),
        ];
        assert_from(&ours, &ip, &expected);
    }
}

#[test]
fn the_address_of_a_node_has_the_ports_of_the_load_balancers_that_use_it() {
    let ns = "klipper";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    admin.create(objects::node("edge").node_address("InternalIP", "10.55.9.1"));
    // k3s: the address of the Service is the node's, where a pod has its port. kube-proxy
    // translates before that port.
    let balancer = admin.create(objects::workload("DaemonSet", ns, "svclb-traefik"));
    let pod = long_running_pod(ns, "svclb-traefik-x", "edge", &["10.55.0.2"]).owned_by(&balancer);
    admin.create(pod.host_port(80, 80, "TCP"));
    let traefik = objects::service(ns, "traefik", &["10.96.55.1"]);
    admin.create(traefik.load_balancer(&["10.55.9.1"]));
    let ports = json!([{"name": "mail", "port": 25, "protocol": "TCP"}]);
    let mail = objects::service(ns, "mail", &["10.96.55.2"]).load_balancer(&["10.55.9.1"]);
    admin.create(mail.set("spec/ports", ports));
    let ours = server.watching(&[]);
    for (port, service, class) in [
        (80, "traefik", "external_to_service"),
        (25, "mail", "external_to_service"),
        (22, "", "external_to_node"),
    ] {
        let mut record = flow("198.51.100.7", "10.55.9.1");
        record.key.destination_port = port;
        let expected = [
            ("destinationPodName", ""),
            ("destinationServiceName", service),
            ("trafficClass", class),
        ];
        assert_members(&ours.attribute(&record), &expected);
    }
}

#[test]
fn a_pod_on_a_failed_node_leaves_its_address_to_the_next_pod() {
    let ns = "failed";
    let Some((server, admin)) = ApiServer::with_namespace(ns) else {
        return;
    };
    let node = admin.create(objects::node("spot-1").node_address("InternalIP", "10.56.9.1"));
    admin.create(long_running_pod(ns, "old", "spot-1", &["10.56.0.5"]));
    let ours = server.watching(&[]);
    let has_pod = |name: &str| {
        let pod = || ours.attribute(&to_external("10.56.0.5"))["sourcePodName"].clone();
        let is_reached = eventually(PATIENCE, || pod().as_str().unwrap_or_default() == name);
        assert!(is_reached, "{name}");
    };
    has_pod("old");
    // The cloud has given the address to a pod on another machine.
    let next = objects::pod(ns, "next").on("spot-2");
    admin.create(next.running(&["10.56.0.5"]));
    has_pod("");
    let taint = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]);
    admin.patch(&node, &json!({"spec": {"taints": taint}}));
    has_pod("next");
}
