//! Writes the objects of a cluster of any size through the API server.
//!
//! All properties of an object follow from its number, so a test knows the object of every address:
//! see [`Plan`].

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::{Client, Error};
use tokio::task::JoinSet;

use crate::cluster::{self, Cluster};
use crate::objects::{self, Object};

/// Maximum number of concurrent requests.
const CONNECTIONS: u32 = 64;

/// Pods per ReplicaSet.
const REPLICAS: u32 = 20;

/// Namespaces over which the pods are spread.
const NAMESPACES: u32 = 100;

/// The objects of the cluster: nodes in three zones, with an equal number of pods, each owned by
/// the ReplicaSet of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of nodes, up to 32,768, each with a `/24` of `10.0.0.0/9`.
    pub nodes: u32,
    /// Number of pods, up to 253 per node.
    pub pods: u32,
}

/// Duration of the writes.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// All nodes.
    pub nodes: Duration,
    /// All namespaces and ReplicaSets.
    pub owners: Duration,
    /// All pods: creation and status, two requests each.
    pub pods: Duration,
}

impl Plan {
    /// The node of this number.
    pub fn node_name(&self, node: u32) -> String {
        format!("node-{node:05}")
    }

    /// The zone of a node.
    pub fn zone(&self, node: u32) -> String {
        format!("zone-{}", node % 3)
    }

    /// The number of the node on which a pod runs.
    pub fn node_of(&self, pod: u32) -> u32 {
        pod % self.nodes
    }

    /// The address of a pod, in the pod CIDR of its node.
    pub fn pod_address(&self, pod: u32) -> Ipv4Addr {
        let [_, _, high, low] = self.node_of(pod).to_be_bytes();
        let host = u8::try_from(pod / self.nodes + 2).expect("up to 253 pods per node");
        Ipv4Addr::new(10, high, low, host)
    }

    /// The namespace of a pod.
    pub fn namespace(&self, pod: u32) -> String {
        format!("team-{:02}", pod / REPLICAS % NAMESPACES)
    }

    /// The Deployment of a pod.
    pub fn deployment(&self, pod: u32) -> String {
        format!("app-{:05}", pod / REPLICAS)
    }

    /// The name of a pod.
    pub fn pod_name(&self, pod: u32) -> String {
        format!("{}-5d4f8c7b9d-{:05}", self.deployment(pod), pod % REPLICAS)
    }

    /// Writes all objects and waits for the last response.
    pub fn write(self, admin: &Cluster) -> Took {
        assert!(
            self.nodes <= 1 << 15 && self.pods <= self.nodes * 253,
            "{self:?} is too large"
        );
        let began = Instant::now();
        write_all(admin, self.nodes, move |client, node| async move {
            cluster::create(&client, self.node(node)).await
        });
        let nodes = began.elapsed();
        write_all(admin, NAMESPACES, |client, number| async move {
            cluster::create(&client, objects::namespace(&format!("team-{number:02}"))).await
        });
        let sets = self.pods.div_ceil(REPLICAS);
        let sets = write_all(admin, sets, move |client, set| async move {
            cluster::create(&client, self.replica_set(set)).await
        });
        let owners = began.elapsed() - nodes;
        let sets = Arc::new(sets);
        write_all(admin, self.pods, move |client, pod| {
            let sets = Arc::clone(&sets);
            async move {
                let owner = &sets[usize::try_from(pod / REPLICAS).expect("an index")];
                cluster::create(&client, self.pod(pod).owned_by(owner)).await
            }
        });
        let pods = began.elapsed() - nodes - owners;
        Took {
            nodes,
            owners,
            pods,
        }
    }

    fn node(&self, node: u32) -> Object {
        let [_, _, high, low] = node.to_be_bytes();
        objects::node(&self.node_name(node))
            .place("region-0", &self.zone(node))
            .node_address("InternalIP", &format!("172.16.{high}.{low}"))
            .pod_cidrs(&[&format!("10.{high}.{low}.0/24")])
    }

    fn replica_set(&self, set: u32) -> Object {
        let pod = set * REPLICAS;
        let (namespace, name) = (self.namespace(pod), self.deployment(pod));
        let deployment = objects::foreign_owner("apps/v1", "Deployment", &name);
        objects::workload("ReplicaSet", &namespace, &format!("{name}-5d4f8c7b9d"))
            .owned_by(&deployment)
    }

    fn pod(&self, pod: u32) -> Object {
        objects::pod(&self.namespace(pod), &self.pod_name(pod))
            .label("app.kubernetes.io/name", &self.deployment(pod))
            .label("pod-template-hash", "5d4f8c7b9d")
            .on(&self.node_name(self.node_of(pod)))
            .running(&[&self.pod_address(pod).to_string()])
    }
}

/// Writes `count` objects over several connections and returns them in order.
fn write_all<F>(
    admin: &Cluster,
    count: u32,
    write: impl Fn(Client, u32) -> F + Clone + Send + 'static,
) -> Vec<Object>
where
    F: Future<Output = Result<Object, Error>> + Send,
{
    let next = Arc::new(AtomicU32::new(0));
    admin.wait(async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (client, next, write) = (admin.client().clone(), Arc::clone(&next), write.clone());
            connections.spawn_on(
                async move {
                    let mut written = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return written;
                        }
                        let object = write(client.clone(), number).await;
                        written.push((number, object.unwrap_or_else(|e| panic!("{number}: {e}"))));
                    }
                },
                admin.runtime().handle(),
            );
        }
        let mut all: Vec<_> = connections.join_all().await.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, object)| object).collect()
    })
}
