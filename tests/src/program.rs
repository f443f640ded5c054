//! Programs: ours and our peers'.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The release binary of this name: `KIPFIX_BIN`, else `target/release` of this workspace.
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

/// `kipfix-probe`, to be given arguments.
pub fn probe() -> Command {
    quiet(binary("kipfix-probe"))
}

/// `kipfix-collector`, to be given arguments.
pub fn collector() -> Command {
    quiet(binary("kipfix-collector"))
}

fn quiet(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// True where a program of this name can be started.
pub fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()))
}

/// What a script of `tests/` that builds something prints at its end, asked once a process; else why it could
/// not be built. Arguments follow the script's name.
///
/// # Errors
/// The last line that the script said.
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
        let last = |said: &[u8]| {
            let said = String::from_utf8_lossy(said).into_owned();
            said.lines().last().unwrap_or("it said nothing").to_owned()
        };
        match output.status.success() {
            true => Ok(PathBuf::from(last(&output.stdout))),
            false => Err(format!("{line}: {}", last(&output.stderr))),
        }
    };
    built.entry(line).or_insert_with(build).clone()
}

/// Runs a command to its end; panics, with all that it said, where it fails.
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

/// Standard output of a command that must succeed.
pub fn text(command: &mut Command) -> String {
    String::from_utf8(output(command).stdout).expect("text")
}

/// A UDP port that was free a moment ago.
pub fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port()
}

/// A TCP port that was free a moment ago.
pub fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port()
}

/// True once `condition` is, asked every 20 ms until `limit` has passed.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
}

/// A process that is ended when the test is.
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

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True while it runs.
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

    /// SIGTERM, then the exit code; panics if it takes longer than 15 s.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        if self.is_alive() {
            self.signal("TERM");
        }
        self.wait(Duration::from_secs(15))
    }

    /// SIGINT, then the exit code; panics if it takes longer than `limit`.
    pub fn interrupt(self, limit: Duration) -> (Option<i32>, String) {
        self.signal("INT");
        self.wait(limit)
    }

    /// SIGKILL: it cannot tidy up.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for its end: exit code and what it wrote to a piped standard error.
    pub fn wait(mut self, limit: Duration) -> (Option<i32>, String) {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // Ends with the process; what hangs is ended by the limit below.
            let reader = std::thread::spawn(move || {
                let mut text = Vec::new();
                drop(stderr.read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            });
            let ended = eventually(limit, || !matches!(self.child.try_wait(), Ok(None)));
            assert!(ended, "{} still runs after {limit:?}", self.name);
            said = reader.join().expect("the reader ends");
        } else {
            let ended = eventually(limit, || !matches!(self.child.try_wait(), Ok(None)));
            assert!(ended, "{} still runs after {limit:?}", self.name);
        }
        (self.child.wait().expect("ended").code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until somebody has bound this UDP port in the namespace of process `pid`.
pub fn wait_for_udp(pid: u32, port: u16) {
    let listens = || is_in_table(pid, "udp", &format!(":{port:04X} "));
    assert!(
        eventually(Duration::from_secs(10), listens),
        "nobody listens on UDP {port}"
    );
}

/// As [`wait_for_udp`], for an address of which others have the same port.
pub fn wait_for_udp_on(pid: u32, address: SocketAddrV4) {
    let ip = u32::from_be_bytes(address.ip().octets()).swap_bytes();
    let listens = || is_in_table(pid, "udp", &format!(" {ip:08X}:{:04X} ", address.port()));
    assert!(
        eventually(Duration::from_secs(10), listens),
        "nobody listens on UDP {address}"
    );
}

/// Waits until somebody listens on this TCP port in the namespace of process `pid`.
pub fn wait_for_tcp(pid: u32, port: u16) {
    // 0A is LISTEN, behind the address of the other side, of which there is none.
    let listens = || {
        is_in_table(pid, "tcp", &format!(":{port:04X} 00000000:0000 0A"))
            || is_in_table(
                pid,
                "tcp",
                &format!(":{port:04X} {}:0000 0A", "0".repeat(32)),
            )
    };
    assert!(
        eventually(Duration::from_secs(10), listens),
        "nobody listens on TCP {port}"
    );
}

/// Whether the kernel's table of sockets of either family has this, seen from process `pid`.
fn is_in_table(pid: u32, protocol: &str, text: &str) -> bool {
    ["", "6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{protocol}{family}"));
        table.is_ok_and(|table| table.contains(text))
    })
}

/// A command line split at blanks, for peers whose calls read better whole.
pub fn shell_words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words.map(OsStr::new));
    command
}
