//! `/metrics`, read as Prometheus would.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::program;

/// The samples of a scrape: name with labels as written → value.
#[derive(Debug, Default)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads the text format; panics on a line that is none.
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            samples
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                    (
                        series.to_owned(),
                        value.parse().unwrap_or_else(|_| panic!("{line}")),
                    )
                })
                .collect(),
        )
    }

    /// Asks a daemon.
    pub fn of(address: SocketAddr) -> Self {
        Self::parse(&body(get(address, "/metrics", "")))
    }

    /// Asks a daemon whose address only exists in the namespace of process `pid`.
    pub fn in_namespace(namespace: &str, address: SocketAddr) -> Self {
        let mut curl = Command::new("ip");
        curl.args(["netns", "exec", namespace, "bash", "-c"]);
        curl.arg(format!(
            "exec 3<>/dev/tcp/{}/{}; printf 'GET /metrics HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3",
            address.ip(),
            address.port()
        ));
        Self::parse(&body(program::text(&mut curl)))
    }

    /// The sum over the series of a metric whose labels include all of `labels` (`key="value"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let of_name = |series: &str| {
            series == name
                || series
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('{'))
        };
        let matching = self
            .0
            .iter()
            .filter(|(series, _)| of_name(series) && labels.iter().all(|l| series.contains(l)));
        matching.map(|(_, value)| *value as u64).sum()
    }

    /// True where a metric of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.0
            .keys()
            .any(|series| series.split('{').next() == Some(name))
    }

    /// All series of a metric.
    pub fn series(&self, name: &str) -> Vec<(&str, f64)> {
        let series = self
            .0
            .iter()
            .filter(|(s, _)| s.split('{').next() == Some(name));
        series.map(|(s, v)| (s.as_str(), *v)).collect()
    }
}

/// One HTTP/1.1 request; the whole answer.
pub fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    let mut stream =
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).expect("connects");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    answer
}

/// The body of an answer that is text, chunks put together.
pub fn body(answer: impl AsRef<[u8]>) -> String {
    let answer = String::from_utf8_lossy(answer.as_ref()).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer}"));
    if !head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        return body.to_owned();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        if length == 0 {
            break;
        }
        whole.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
    }
    whole
}
