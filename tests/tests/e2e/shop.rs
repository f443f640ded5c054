//! Who talks on the cluster: pods of the traffic generator in the namespace `shop`, and a host
//! outside.

use std::process::Stdio;

use kipfix_tests::images;
use kipfix_tests::nodes::Nodes;
use kipfix_tests::program::{self, Running};

/// Runs the traffic generator in a pod of the namespace `shop`.
pub fn call(nodes: &Nodes, workload: &str, line: &str) {
    nodes.exec(
        "shop",
        &format!("deployment/{workload}"),
        &format!("/kipfix-traffic call {line}"),
    );
}

/// A Deployment of one pod of the traffic generator on a node, in the namespace `shop`.
pub fn workload(name: &str, node: usize, port: u16, host_network: bool) -> String {
    let image = kipfix_tests::images::TRAFFIC;
    format!(
        r#"---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      hostNetwork: {host_network}
      terminationGracePeriodSeconds: 0
      nodeSelector: {{kubernetes.io/hostname: node{node}}}
      tolerations: [{{operator: Exists}}]
      containers:
        - {{name: it, image: "{image}", imagePullPolicy: Never, args: [serve, "{port}"]}}
"#
    )
}

/// The address of a workload's pod.
pub fn pod_address(nodes: &Nodes, workload: &str) -> String {
    let list = nodes.get(&format!("pods --namespace shop --selector app={workload}"));
    list["items"][0]["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The namespace `shop` and what is in it; gone when dropped.
pub struct Shop<'a>(&'a Nodes);

impl<'a> Shop<'a> {
    pub fn open(nodes: &'a Nodes, manifests: &str) -> Self {
        nodes.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
        let shop = Self(nodes);
        nodes.apply(manifests);
        nodes.kubectl(
            "wait --namespace shop --for=condition=Available deployment --all --timeout=120s",
        );
        shop
    }
}

impl Drop for Shop<'_> {
    fn drop(&mut self) {
        self.0
            .try_kubectl("delete namespace shop --wait --timeout=60s");
    }
}

/// A server of the traffic generator on the host outside.
pub fn serve_outside(nodes: &Nodes) -> Running {
    let traffic = images::program("kipfix-traffic").unwrap();
    let mut command = nodes.inside("outside", traffic.to_str().unwrap());
    command.args(["serve", "7002"]).stdin(Stdio::null());
    let running = Running::start(&mut command);
    program::wait_for_tcp(running.pid(), 7002);
    running
}

/// Runs the traffic generator there.
pub fn call_from_outside(nodes: &Nodes, line: &str) {
    let traffic = images::program("kipfix-traffic").unwrap();
    let mut command = nodes.inside("outside", traffic.to_str().unwrap());
    program::output(command.arg("call").args(line.split_whitespace()));
}
