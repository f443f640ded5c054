//! A real cluster on this machine (`tests/cluster/`): a control plane, nodes with kubelet,
//! containerd, runc, a bridge CNI and kube-proxy, each in separate namespaces with an eth0, and an
//! external host.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::images;
use crate::netns;
use crate::program::{self, is_installed};
use crate::scrape;

/// The external host by an address for which nodes SNAT egress traffic.
pub const OUTSIDE: &str = "203.0.113.10";
/// The external host by an address without SNAT.
pub const OUTSIDE_ROUTED: &str = "192.168.50.10";

/// A running cluster. It is removed when the value is dropped or the process of the test ends.
pub struct Nodes {
    scripts: Scripts,
    guard: Child,
    // The guard waits for its end.
    stdin: Option<ChildStdin>,
}

/// The scripts of one cluster.
struct Scripts {
    name: String,
    state: PathBuf,
}

impl Scripts {
    /// Creates a command for a script of `tests/cluster/`.
    fn command(&self, script: &str) -> Command {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cluster");
        let mut command = Command::new(folder.join(script));
        command
            .env("KIPFIX_CLUSTER", &self.name)
            .env("KIPFIX_CLUSTER_DIR", &self.state)
            .stdin(Stdio::null());
        command
    }
}

impl Nodes {
    /// Starts a cluster with `count` nodes.
    ///
    /// # Errors
    /// If it cannot run on this machine.
    pub fn start(count: usize) -> Result<Self, String> {
        possible()?;
        let name = format!("kt{}", std::process::id());
        let state = std::env::temp_dir().join(format!("kipfix-{name}"));
        let archives = std::env::temp_dir().join(format!("kipfix-{name}-images"));
        std::fs::create_dir_all(&archives).map_err(|e| e.to_string())?;
        let images = images::make(&archives)?;
        let scripts = Scripts { name, state };
        const END: &str = r#"trap "" HUP INT TERM; cat; rm -rf "$1"; exec "$0""#;
        let down = scripts.command("down.sh");
        let mut guard = Command::new("sh");
        guard
            .args(["-c", END])
            .arg(down.get_program())
            .arg(&archives);
        guard.envs(
            down.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let mut guard = guard
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let stdin = guard.stdin.take();
        let nodes = Self {
            scripts,
            guard,
            stdin,
        };
        let begun = Instant::now();
        let mut up = nodes.scripts.command("up.sh");
        up.arg(count.to_string()).args(images);
        let up = up
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())?;
        if !up.status.success() {
            return Err(format!(
                "no cluster: {}",
                String::from_utf8_lossy(&up.stderr).trim()
            ));
        }
        eprintln!("{count} nodes are ready after {:?}", begun.elapsed());
        Ok(nodes)
    }

    /// A file of the control plane, such as `admin.conf`.
    pub fn credential(&self, file: &str) -> PathBuf {
        self.scripts.state.join("pki").join(file)
    }

    /// A program of the cluster, such as `operator`.
    pub fn built(&self, program: &str) -> PathBuf {
        let programs =
            std::fs::read_to_string(self.scripts.state.join("programs")).expect("programs");
        PathBuf::from(programs.trim()).join(program)
    }

    /// Runs kubectl and returns its output. Panics if it fails.
    pub fn kubectl(&self, line: &str) -> String {
        let output = self.try_kubectl(line);
        text(line, &output)
    }

    /// Like the above, but returns a failure.
    pub fn try_kubectl(&self, line: &str) -> Output {
        let mut command = self.scripts.command("kubectl");
        command.args(line.split_whitespace()).stdin(Stdio::null());
        command.output().expect("kubectl runs")
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) {
        let mut command = self.scripts.command("kubectl");
        command.args(["apply", "-f", "-"]).stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin
            .write_all(manifests.as_bytes())
            .expect("kubectl reads");
        drop(stdin);
        text(manifests, &child.wait_with_output().expect("kubectl ends"));
    }

    /// Reads an object or a list as JSON.
    pub fn get(&self, line: &str) -> Value {
        let json = self.kubectl(&format!("get {line} --output json"));
        serde_json::from_str(&json).expect("JSON")
    }

    /// Runs helm and returns its output. Panics if it fails.
    pub fn helm(&self, arguments: &[&str]) -> String {
        text(&format!("helm {arguments:?}"), &self.try_helm(arguments))
    }

    /// Like the above, but returns a failure.
    pub fn try_helm(&self, arguments: &[&str]) -> Output {
        let mut command = self.scripts.command("helm");
        command.args(arguments).output().expect("helm runs")
    }

    /// Creates a command in the network namespace of `cp`, `node1` … or `outside`.
    pub fn inside(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}-{place}", self.scripts.name))
            .arg("--")
            .arg(program);
        command
    }

    /// The body of the response of a server that `cp` reaches, if its status is 200.
    pub fn ask(&self, address: &str, path: &str) -> Option<String> {
        let address = address.parse().expect("an address");
        netns::inside(&format!("{}-cp", self.scripts.name), || {
            scrape::ask(address, path)
        })
    }

    /// The address of a node's eth0.
    pub fn address(&self, node: usize) -> String {
        format!("172.30.0.{}", 10 + node)
    }

    /// Runs a command line in the first container of a pod, or of a workload (`deployment/NAME`).
    pub fn exec(&self, namespace: &str, pod: &str, line: &str) -> String {
        self.kubectl(&format!("exec --namespace {namespace} {pod} -- {line}"))
    }

    /// Lists all objects with a label in all namespaces, except events: `KIND.GROUP/NAME`.
    pub fn everything_labelled(&self, label: &str) -> Vec<String> {
        let kinds = self.kubectl("api-resources --verbs=list --output name");
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| !kind.starts_with("events"))
            .collect();
        let found = self.kubectl(&format!(
            "get {} --all-namespaces --selector {label} --output name --ignore-not-found",
            kinds.join(",")
        ));
        found
            .lines()
            .map(str::to_owned)
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// Collects information about a failure.
    pub fn describe(&self, namespace: &str) -> String {
        let mut printed = String::new();
        for line in [
            format!("get all --namespace {namespace} --output wide"),
            format!("get events --namespace {namespace} --sort-by=.lastTimestamp"),
            format!(
                "logs --namespace {namespace} --selector app.kubernetes.io/name=kipfix --tail 15 --prefix"
            ),
        ] {
            let output = self.try_kubectl(&line);
            writeln!(printed, "{}", String::from_utf8_lossy(&output.stdout)).expect("a text");
        }
        printed
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.stdin = None;
        drop(self.guard.wait());
    }
}

/// Octets and packets of a counter in the firewall of a node: the reference for tests.
pub struct Meter<'a> {
    nodes: &'a Nodes,
    node: String,
    chain: &'static str,
    name: String,
}

impl<'a> Meter<'a> {
    /// Counts packets that leave a node by eth0 and match (`--source …`), before SNAT.
    pub fn leaving(nodes: &'a Nodes, node: usize, matching: &str) -> Self {
        Self::new(
            nodes,
            node,
            "POSTROUTING",
            &format!("--out-interface eth0 {matching}"),
        )
    }

    /// Counts packets that arrive at a node.
    pub fn arriving(nodes: &'a Nodes, node: usize, matching: &str) -> Self {
        Self::new(
            nodes,
            node,
            "PREROUTING",
            &format!("--in-interface eth0 {matching}"),
        )
    }

    fn new(nodes: &'a Nodes, node: usize, chain: &'static str, matching: &str) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let meter = Self {
            nodes,
            node: format!("node{node}"),
            chain,
            name: format!("meter-{number}-"),
        };
        let rule = format!(
            "--wait --table mangle --append {chain} {matching} --match comment --comment {}",
            meter.name
        );
        let mut command = nodes.inside(&meter.node, "iptables");
        program::output(command.args(rule.split_whitespace()));
        meter
    }

    /// Reads (octets, packets).
    pub fn read(&self) -> (u64, u64) {
        let mut command = self.nodes.inside(&self.node, "iptables");
        let line = [
            "--wait", "--table", "mangle", "--list", self.chain, "-v", "-x", "-n",
        ];
        let table = program::text(command.args(line));
        let mark = format!("/* {} */", self.name);
        let line = table
            .lines()
            .find(|line| line.contains(&mark))
            .expect("the meter's rule");
        let mut numbers = line
            .split_whitespace()
            .map(|word| word.parse().expect("a count"));
        let packets = numbers.next().expect("packets");
        (numbers.next().expect("octets"), packets)
    }
}

fn text(what: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Checks whether a cluster can run on this machine.
fn possible() -> Result<(), String> {
    if !netns::allowed() {
        return Err("not root, or no network namespaces here".to_owned());
    }
    for program in [
        "containerd",
        "runc",
        "nsenter",
        "openssl",
        "iptables",
        "conntrack",
    ] {
        if !is_installed(program) {
            return Err(format!("{program} is not installed: deploy/deps.sh test"));
        }
    }
    for file in [images::BUSYBOX, "/usr/lib/cni/bridge"] {
        if !PathBuf::from(file).exists() {
            return Err(format!("{file} is not here: deploy/deps.sh test"));
        }
    }
    program::built_by("cluster/build.sh")?;
    program::built_by("go_program.sh prometheus").map(drop)
}

/// Polls `condition` twice per second. Returns whether it became true within `limit`.
pub fn within(limit: Duration, condition: impl FnMut() -> bool) -> bool {
    program::poll(Duration::from_millis(500), limit, condition)
}
