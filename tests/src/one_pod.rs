//! An inventory of one node with one pod, and one named network outside the cluster.

/// The inventory.
pub const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1}]
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";
/// The address of the pod.
pub const WEB: &str = "10.1.1.1";
/// An address of the network.
pub const OFFICE: &str = "198.51.100.7";
