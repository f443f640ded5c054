//! ClickHouse's engine behind an HTTP interface (`tests/clickhouse_bridge.py`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::missing;
use crate::certificates::Certificates;
use crate::program::{self, Running, free_tcp_port};
use crate::skip;

/// A server. Stopped when dropped.
pub struct ClickHouse {
    _running: Running,
    _folder: tempfile::TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its port with TLS.
    pub tls_port: u16,
    /// The certificates of that port, for the host `localhost`.
    pub certificates: Certificates,
}

impl ClickHouse {
    /// Starts a server. With `password`, inserts need it. Calls [`skip`] and returns `None` if that
    /// is not possible.
    pub fn start(password: Option<&str>) -> Option<Self> {
        if missing(&["python3"]) {
            return None;
        }
        let engine = program::built_by("clickhouse_engine.sh");
        let engine = engine.map_err(|reason| skip(&reason)).ok()?;
        let folder = tempfile::tempdir().expect("a folder");
        let (port, tls_port) = (free_tcp_port(), free_tcp_port());
        let certificates = Certificates::new();
        let mut command = Command::new("python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clickhouse_bridge.py"))
            .arg(port.to_string())
            .arg(folder.path())
            .env("PYTHONPATH", engine)
            .env("BRIDGE_TLS_PORT", tls_port.to_string())
            .env("BRIDGE_CERTIFICATE", certificates.path("server.crt"))
            .env("BRIDGE_KEY", certificates.path("server.key"));
        if let Some(password) = password {
            command.env("BRIDGE_PASSWORD", password);
        }
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let server = Self {
            _running: running,
            _folder: folder,
            port,
            tls_port,
            certificates,
        };
        let ready = program::eventually(program::PATIENCE, || {
            let mut ports = [port, tls_port].into_iter();
            ports.all(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
        });
        assert!(ready, "the server does not start");
        Some(server)
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connects");
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("sends");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("answers");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    /// Executes a statement and returns its rows. Panics if it fails.
    pub fn query(&self, statement: &str) -> Vec<Value> {
        let outcome = self.try_query(statement);
        outcome.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// Executes a statement and returns its rows, or the error of the engine.
    pub fn try_query(&self, statement: &str) -> Result<Vec<Value>, String> {
        let (status, body) = self.post("/", statement);
        if status != 200 {
            return Err(body);
        }
        let rows = body.lines().filter(|line| !line.is_empty());
        Ok(rows
            .map(|row| serde_json::from_str(row).expect("JSON"))
            .collect())
    }

    /// Executes the statements of a file of `deploy/clickhouse/`. Returns the rows of the last one.
    pub fn run(&self, file: &str) -> Vec<Value> {
        self.execute(&read(file))
    }

    /// Executes statements and returns the rows of the last one. Panics if one fails.
    pub fn execute(&self, text: &str) -> Vec<Value> {
        self.try_execute(text)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Executes statements up to the first that fails. Returns the rows of the last one, or the
    /// error of the engine.
    pub fn try_execute(&self, text: &str) -> Result<Vec<Value>, String> {
        let is_code = |line: &&str| !line.trim_start().starts_with("--");
        let code: Vec<&str> = text.lines().filter(is_code).collect();
        let mut rows = Vec::new();
        for statement in code.join("\n").split(';') {
            if !statement.trim().is_empty() {
                let outcome = self.try_query(statement.trim());
                rows = outcome.map_err(|error| format!("{statement}: {error}"))?;
            }
        }
        Ok(rows)
    }

    /// Lets the next inserts fail: `refuse` or `mute`.
    pub fn fail(&self, mode: &str, count: u32) {
        let (status, _) = self.post(&format!("/fail?mode={mode}&count={count}"), "");
        assert_eq!(status, 200);
    }

    /// The URL of a table.
    pub fn url(&self, table: &str) -> String {
        format!("clickhouse://127.0.0.1:{}/kipfix/{table}", self.port)
    }
}

/// The text of a file of `deploy/clickhouse/`.
pub fn read(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/clickhouse/");
    std::fs::read_to_string(folder.to_owned() + file).unwrap_or_else(|e| panic!("{file}: {e}"))
}
