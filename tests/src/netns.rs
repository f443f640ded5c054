//! Network namespaces for live tests. Traffic never leaves them.

use std::fs::File;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::sched::{CloneFlags, setns};

use crate::program::{self, PATIENCE};
use crate::scrape::{self, Scrape};
use crate::skip;

/// A namespace that is deleted when the test ends.
pub struct Namespace(String);

impl Namespace {
    /// Creates a namespace with loopback up. The process id makes `name` unique.
    pub fn new(name: &str) -> Self {
        let name = format!("kt{}-{name}", std::process::id());
        run(&format!("ip netns add {name}"));
        run(&format!("ip -n {name} link set lo up"));
        Self(name)
    }

    /// The name for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs a command line in the namespace.
    pub fn run(&self, line: &str) -> String {
        program::text(&mut self.command(line))
    }

    /// Creates a command in the namespace.
    pub fn command(&self, line: &str) -> Command {
        program::shell_words(&format!("ip netns exec {} {line}", self.0))
    }

    /// Waits until a daemon of kipfix in the namespace is ready, by its HTTP port on 127.0.0.1. A
    /// probe is ready when it captures: the kernel lists a packet socket before that.
    pub fn wait_until_ready(&self, port: u16) {
        let address = format!("127.0.0.1:{port}");
        let is_ready = || self.ask(&address, "/readyz").is_some();
        let name = self.name();
        assert!(
            program::eventually(PATIENCE, is_ready),
            "no daemon on port {port} of {name} is ready"
        );
    }

    /// The body of the response of a server in the namespace, if its status is 200.
    pub fn ask(&self, address: &str, path: &str) -> Option<String> {
        let address = address.parse().expect("an address");
        inside(&self.0, || scrape::ask(address, path))
    }

    /// The metrics of a daemon in the namespace.
    pub fn scrape(&self, address: &str) -> Scrape {
        let text = self.ask(address, "/metrics");
        Scrape::parse(&text.unwrap_or_else(|| panic!("no metrics from {address}")))
    }

    /// Creates a command for a kipfix binary in the namespace.
    pub fn ours(&self, name: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0])
            .arg(program::binary(name));
        program::show_series_at_once(&mut command);
        command
    }
}

/// Host names in a namespace. Removed when dropped.
pub struct Hosts(PathBuf);

impl Hosts {
    /// `lines` are those of `/etc/hosts`.
    pub fn new(namespace: &Namespace, lines: &str) -> Self {
        let folder = Path::new("/etc/netns").join(namespace.name());
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("hosts"), lines).expect("names");
        Self(folder)
    }
}

/// The DNS server of a namespace. Removed when dropped.
pub struct Resolver(Hosts);

impl Resolver {
    /// `address` is that of the server.
    pub fn new(namespace: &Namespace, address: &str) -> Self {
        let resolver = Self(Hosts::new(namespace, "127.0.0.1 localhost\n"));
        let Self(Hosts(folder)) = &resolver;
        let line = format!("nameserver {address}\n");
        std::fs::write(folder.join("resolv.conf"), line).expect("an address");
        resolver
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(program::shell_words(&format!("ip netns del {}", self.0)).output());
    }
}

/// Runs `act` in a network namespace, on a thread of its own.
pub fn inside<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(Path::new("/run/netns").join(namespace)).expect("a namespace");
            setns(file, CloneFlags::CLONE_NEWNET).expect("enters it");
            act()
        });
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs a command line on the host.
pub fn run(line: &str) -> String {
    program::text(&mut program::shell_words(line))
}

/// Creates a veth pair: `a` in one namespace, `b` in another, both up, without offloads that merge
/// packets.
pub fn link(a: (&Namespace, &str), b: (&Namespace, &str)) {
    let ((left, left_name), (right, right_name)) = (a, b);
    run(&format!(
        "ip link add {left_name} netns {} type veth peer name {right_name} netns {}",
        left.name(),
        right.name()
    ));
    for (namespace, name) in [a, b] {
        run(&format!("ip -n {} link set {name} up", namespace.name()));
    }
}

/// Calls [`skip`] and returns true if this process cannot create namespaces.
pub fn missing() -> bool {
    let allowed = allowed();
    if !allowed {
        skip("needs root for network namespaces");
    }
    !allowed
}

/// Whether this process can create namespaces.
pub fn allowed() -> bool {
    // Tests of one process call it concurrently.
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let name = format!("kt{}-try", std::process::id());
        let made = program::shell_words(&format!("ip netns add {name}")).output();
        let made = made.is_ok_and(|o| o.status.success());
        if made {
            run(&format!("ip netns del {name}"));
        }
        made
    })
}
