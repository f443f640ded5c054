//! Processes of kipfix and of its peers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Timeout of a wait for something that has to happen. Only a test that fails waits as long: what
/// takes a second can take many on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Path of a release binary: in `KIPFIX_BIN`, otherwise in `target/release` of this workspace.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("KIPFIX_BIN").map_or_else(
        || {
            // target/<profile>/deps/<test> → target/release
            let test = std::env::current_exe().expect("a test has a path");
            test.ancestors().nth(3).expect("target").join("release")
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: make build", path.display());
    path
}

/// A command for `kipfix-probe`.
pub fn probe() -> Command {
    quiet(binary("kipfix-probe"))
}

/// A command for `kipfix-collector`.
pub fn collector() -> Command {
    quiet(binary("kipfix-collector"))
}

fn quiet(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    show_series_at_once(&mut command);
    command
}

/// Lets a collector show new series with their values in the first scrape.
pub fn show_series_at_once(command: &mut Command) {
    command.env("KIPFIX_COLLECTOR__SERIES_BIRTH", "0s");
}

/// Whether a program is in `PATH`.
pub fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()))
}

/// Runs a build script of `tests/` once per process. Returns the path that it prints. Arguments
/// follow the name of the script.
///
/// # Errors
/// The last line of the script on standard error.
pub fn built_by(line: &'static str) -> Result<PathBuf, String> {
    static BUILT: Mutex<BTreeMap<&str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let mut words = line.split_whitespace();
        let script = words.next().unwrap_or_default();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/").to_owned() + script;
        let mut command = Command::new(&path);
        let output = command.args(words).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{path}: {error}"))?;
        let last = |printed: &[u8]| {
            let printed = String::from_utf8_lossy(printed).into_owned();
            printed.lines().last().unwrap_or("no output").to_owned()
        };
        match output.status.success() {
            true => Ok(PathBuf::from(last(&output.stdout))),
            false => Err(format!("{line}: {}", last(&output.stderr))),
        }
    };
    built.entry(line).or_insert_with(build).clone()
}

/// Runs a command to its end. Panics with its output if it fails.
pub fn output(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command to its end, whatever its exit code.
pub fn ended(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command to its end and returns its standard output. Panics if it fails.
pub fn text(command: &mut Command) -> String {
    String::from_utf8(output(command).stdout).expect("text")
}

/// Ports that tests give to programs. They are below the ports that the kernel gives to connections
/// (`ip_local_port_range`), so no connection takes one before its program has bound it, or while
/// that restarts.
const PORTS: Range<u16> = 20_000..32_000;

/// Returns a free UDP port of 127.0.0.1. Each call returns another one.
pub fn free_udp_port() -> u16 {
    free_port(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// Returns a free TCP port of 127.0.0.1. Each call returns another one.
pub fn free_tcp_port() -> u16 {
    free_port(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

fn free_port(is_free: impl Fn(u16) -> bool) -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time start at different ports.
    let first = std::process::id().wrapping_mul(101);
    let count = u32::from(PORTS.end - PORTS.start);
    let mut ports = PORTS.map(|_| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        PORTS.start + (first.wrapping_add(call) % count) as u16
    });
    ports.find(|port| is_free(*port)).expect("a free port")
}

/// Polls `condition` every 20 ms. Returns whether it became true within `limit`.
pub fn eventually(limit: Duration, condition: impl FnMut() -> bool) -> bool {
    poll(Duration::from_millis(20), limit, condition)
}

/// Polls `condition` at an interval. Returns whether it became true within `limit`.
pub(crate) fn poll(
    interval: Duration,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(interval);
    }
}

/// Runs a command with this standard input and returns its output.
pub fn feed(command: &mut Command, text: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).ok());
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

/// A process that is killed when the value is dropped.
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts a command in the background.
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { child, name }
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by name (`TERM`, `INT`, …).
    pub fn signal(&self, signal: &str) {
        output(
            Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(self.pid().to_string()),
        );
    }

    /// Sends SIGTERM and returns the exit code and standard error. Panics after 30 s, the grace
    /// period of a pod.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        if self.is_alive() {
            self.signal("TERM");
        }
        self.wait(Duration::from_secs(30))
    }

    /// Sends SIGINT and returns the exit code and standard error. Panics after `limit`.
    pub fn interrupt(self, limit: Duration) -> (Option<i32>, String) {
        self.signal("INT");
        self.wait(limit)
    }

    /// Sends SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for its end. Returns the exit code and the content of a piped standard error.
    pub fn wait(mut self, limit: Duration) -> (Option<i32>, String) {
        // The thread ends with the process. The limit below ends a process that hangs.
        let reader = self.child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                drop(stderr.read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let ended = eventually(limit, || !self.is_alive());
        assert!(ended, "{} still runs after {limit:?}", self.name);
        let printed = reader.map(|reader| reader.join().expect("the reader ends"));
        let code = self.child.wait().expect("ended").code();
        (code, printed.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until a process has bound a UDP port in the network namespace of process `pid`.
pub fn wait_for_udp(pid: u32, port: u16) {
    let listens = || is_in_table(pid, "udp", &format!(":{port:04X} "));
    assert!(
        eventually(PATIENCE, listens),
        "no process listens on UDP port {port}"
    );
}

/// Like [`wait_for_udp`], for one address.
pub fn wait_for_udp_on(pid: u32, address: SocketAddrV4) {
    let ip = u32::from_be_bytes(address.ip().octets()).swap_bytes();
    let listens = || is_in_table(pid, "udp", &format!(" {ip:08X}:{:04X} ", address.port()));
    assert!(
        eventually(PATIENCE, listens),
        "no process listens on UDP {address}"
    );
}

/// Whether the process behind a UDP port has read all datagrams, seen from process `pid`.
pub(crate) fn is_udp_read(pid: u32, port: u16) -> bool {
    let port = format!(":{port:04X}");
    ["", "6"].iter().all(|family| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/udp{family}"));
        let table = table.unwrap_or_default();
        // Columns: number, local address, remote address, state, tx_queue:rx_queue.
        table.lines().all(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_port = columns.get(1).is_some_and(|local| local.ends_with(&port));
            !is_port
                || columns
                    .get(4)
                    .is_some_and(|queues| queues.ends_with(":00000000"))
        })
    })
}

/// Waits until the process behind a UDP port has read all datagrams, seen from process `pid`.
pub fn wait_for_udp_read(pid: u32, port: u16) {
    assert!(
        eventually(PATIENCE, || is_udp_read(pid, port)),
        "datagrams in the receive buffer of UDP port {port} are not read"
    );
}

/// Waits until every thread of process `pid` and of its children sleeps, seen twice in a row: they
/// have processed all that they have read.
pub fn wait_for_sleep(pid: u32) {
    let sleeps = |pid: u32| {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
        threads.into_iter().flatten().flatten().all(|thread| {
            let status = status(&thread.path());
            status.is_none_or(|status| status.starts_with('S'))
        })
    };
    let mut before = false;
    let twice = || {
        let now = sleeps(pid) && children(pid).into_iter().all(sleeps);
        std::mem::replace(&mut before, now) && now
    };
    assert!(
        eventually(PATIENCE, twice),
        "process {pid} does not come to rest"
    );
}

/// Waits until a process has a packet socket in its network namespace. It may not be bound to an
/// interface yet.
pub fn wait_for_capture(pid: u32) {
    let captures = || {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/packet"));
        table.is_ok_and(|table| table.lines().count() > 1)
    };
    let ready = eventually(PATIENCE, captures);
    assert!(ready, "process {pid} does not capture");
}

/// The status of a process or thread by its folder in `/proc`: state, parent, …
fn status(folder: &Path) -> Option<String> {
    let status = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name, in parentheses, can contain anything.
    status.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let children = processes.filter_map(|process| {
        let child = process.file_name().to_str()?.parse().ok()?;
        let parent: u32 = status(&process.path())?.split(' ').nth(1)?.parse().ok()?;
        (parent == pid).then_some(child)
    });
    children.collect()
}

/// Waits until a process listens on a TCP port in the network namespace of process `pid`.
pub fn wait_for_tcp(pid: u32, port: u16) {
    // 0A is LISTEN. The remote address before it is zero.
    let listens = || {
        is_in_table(pid, "tcp", &format!(":{port:04X} 00000000:0000 0A"))
            || is_in_table(
                pid,
                "tcp",
                &format!(":{port:04X} {}:0000 0A", "0".repeat(32)),
            )
    };
    assert!(
        eventually(PATIENCE, listens),
        "no process listens on TCP port {port}"
    );
}

/// Whether the socket table of either address family contains a text, in the namespace of process
/// `pid`.
fn is_in_table(pid: u32, protocol: &str, text: &str) -> bool {
    ["", "6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{protocol}{family}"));
        table.is_ok_and(|table| table.contains(text))
    })
}

/// Splits a command line at blanks.
pub fn shell_words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words.map(OsStr::new));
    command
}
