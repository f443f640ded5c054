//! The program, running, and what a probe would send it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kipfix-collector"));
    command.env_remove("RUST_LOG");
    command
}

/// The Messages that a probe sends for `count` records of 100 octets, templates first.
pub(crate) fn messages(count: u32) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings::default());
    let mut sent = Vec::new();
    for number in 0..count {
        let mut record = FlowRecord {
            octet_delta_count: 100,
            packet_delta_count: 1,
            ..FlowRecord::default()
        };
        record.key.source_address = Address::from_v4_bits(0x0a01_0000 + number % 65_536);
        record.key.destination_address = Address::from_v4_bits(0xc000_0201);
        session
            .add(&record, 0, &mut |message| {
                sent.push(message.octets.to_vec())
            })
            .unwrap();
    }
    session.flush(0, &mut |message| sent.push(message.octets.to_vec()));
    sent
}

/// A running collector; killed when the test ends early.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Where it listens, in the order of the settings.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) http: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(["--http", "127.0.0.1:0", "--kubernetes", "off"]);
        if !arguments.contains(&"--series-birth") {
            command.args(["--series-birth", "0s"]);
        }
        command.args(["--log-format", "json"]).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut listen = Vec::new();
        let http = loop {
            let line = lines.next().unwrap().unwrap();
            let line: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            // The sockets of several workers share a port.
            let address = |name: &str| {
                let text = line[name].as_str()?.split('#').next()?;
                text.parse::<SocketAddr>().ok()
            };
            listen.extend(address("listen"));
            if let Some(http) = address("http") {
                break http;
            }
        };
        listen.dedup();
        // Later lines must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            listen,
            http,
        }
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to stop; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}
