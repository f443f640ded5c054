//! An imagined cluster: which address belongs to which pod. `inventory` prints it for a collector.

use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Namespaces over which the workloads are spread.
const NAMESPACES: u32 = 100;
/// Pods that fit on a node.
const MAX_PODS_OF_NODE: u32 = 253;
/// Nodes that fit into the address plan.
const MAX_NODES: u32 = 1 << 15;

/// Size of the cluster.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Cluster {
    /// Pods
    #[arg(long, default_value_t = 3500)]
    pub(crate) pods: u32,
    /// Nodes
    #[arg(long, default_value_t = 32)]
    pub(crate) nodes: u32,
    /// Pods of a workload
    #[arg(long, default_value_t = 20)]
    pub(crate) replicas: u32,
}

impl Cluster {
    /// Checks the sizes.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { pods, nodes, .. } = *self;
        ensure!(
            (2..=MAX_NODES).contains(&nodes),
            "invalid nodes \"{nodes}\": must be 2–{MAX_NODES}"
        );
        ensure!(
            pods >= nodes && pods <= nodes * MAX_PODS_OF_NODE,
            "invalid pods \"{pods}\": must be 1–{MAX_PODS_OF_NODE} per node"
        );
        ensure!(
            self.replicas > 0,
            "invalid replicas \"0\": must be at least 1"
        );
        Ok(())
    }

    /// The address of a pod.
    pub(crate) fn address(&self, pod: u32, is_ipv6: bool) -> IpAddr {
        let (node, host) = (self.node_of(pod), pod / self.nodes + 2);
        let [_, _, high, low] = node.to_be_bytes();
        if is_ipv6 {
            Ipv6Addr::new(0xfd00, 0x10, node as u16, 0, 0, 0, 0, host as u16).into()
        } else {
            Ipv4Addr::new(10, high, low, host as u8).into()
        }
    }

    /// The node of a pod.
    pub(crate) fn node_of(&self, pod: u32) -> u32 {
        pod % self.nodes
    }

    /// A pod on another node than `pod`; any of them, according to `random`.
    pub(crate) fn remote_pod(&self, pod: u32, random: u32) -> u32 {
        let other = random % self.pods;
        if self.node_of(other) != self.node_of(pod) {
            other
        } else if other + 1 < self.pods {
            other + 1
        } else {
            other - 1
        }
    }

    /// A node as an inventory file has it.
    fn node(&self, node: u32) -> Value {
        let [_, _, high, low] = node.to_be_bytes();
        json!({
            "name": format!("node-{node:05}"),
            "addresses": [format!("172.16.{high}.{low}")],
            "podCIDRs": [format!("10.{high}.{low}.0/24"), format!("fd00:10:{node:x}::/64")],
            "zone": format!("zone-{}", node % 3),
            "region": "region-0",
        })
    }

    /// A pod as an inventory file has it.
    fn pod(&self, pod: u32) -> Value {
        let workload = pod / self.replicas;
        json!({
            "name": format!("app-{workload:05}-{:03}", pod % self.replicas),
            "namespace": format!("team-{:02}", workload % NAMESPACES),
            "addresses": [self.address(pod, false), self.address(pod, true)],
            "node": format!("node-{:05}", self.node_of(pod)),
            "workload": {"kind": "Deployment", "name": format!("app-{workload:05}")},
        })
    }
}

/// Prints the inventory file: JSON, which is YAML, too.
pub(crate) fn inventory(cluster: &Cluster) -> Result<()> {
    cluster.check()?;
    let inventory = json!({
        "nodes": (0..cluster.nodes).map(|node| cluster.node(node)).collect::<Vec<_>>(),
        "pods": (0..cluster.pods).map(|pod| cluster.pod(pod)).collect::<Vec<_>>(),
    });
    let mut out = BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut out, &inventory)?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CLUSTER: Cluster = Cluster {
        pods: 3500,
        nodes: 32,
        replicas: 20,
    };

    #[test]
    fn no_two_pods_share_an_address() {
        CLUSTER.check().unwrap();
        let addresses = |is_ipv6| (0..CLUSTER.pods).map(move |pod| CLUSTER.address(pod, is_ipv6));
        let distinct: HashSet<IpAddr> = addresses(false).chain(addresses(true)).collect();
        assert_eq!(distinct.len(), 7000);
    }

    #[test]
    fn a_remote_pod_is_on_another_node() {
        for pod in 0..CLUSTER.pods {
            for random in [0, pod, pod + 32, CLUSTER.pods - 1, u32::MAX] {
                let remote = CLUSTER.remote_pod(pod, random);
                assert!(remote < CLUSTER.pods);
                assert_ne!(CLUSTER.node_of(pod), CLUSTER.node_of(remote));
            }
        }
    }

    #[test]
    fn sizes_beyond_the_address_plan_are_refused() {
        for (pods, nodes) in [(10, 1), (1, 2), (2 * 254, 2), (1 << 20, 1 << 16)] {
            let cluster = Cluster {
                pods,
                nodes,
                ..CLUSTER
            };
            assert!(cluster.check().is_err(), "{pods} {nodes}");
        }
    }
}
