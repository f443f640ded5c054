//! `/metrics` of a running daemon, and HTTP requests to it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::program::PATIENCE;

/// The samples of a scrape.
#[derive(Debug, Default)]
pub struct Scrape(kipfix_scrape::Scrape);

impl Scrape {
    /// Parses the text format. Panics on a malformed line.
    pub fn parse(text: &str) -> Self {
        Self(kipfix_scrape::Scrape::parse(text).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Reads the metrics of a daemon.
    pub fn of(address: SocketAddr) -> Self {
        Self::parse(&body(get(address, "/metrics", "")))
    }

    /// The sum over the series of a metric whose labels include all of `labels` (`key="value"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let matching = self
            .0
            .metric(name)
            .filter(|sample| labels.iter().all(|label| sample.series.contains(label)));
        matching.map(|sample| sample.value() as u64).sum()
    }

    /// Whether a metric has a series.
    pub fn has(&self, name: &str) -> bool {
        self.0.metric(name).next().is_some()
    }

    /// The series of all metrics whose value is not 0, a line each, for the message of a failed
    /// check.
    pub fn text_without_zeros(&self) -> String {
        let samples = self.0.samples().iter();
        samples
            .filter(|sample| sample.value() != 0.0)
            .map(|sample| format!("{} {}\n", sample.series, sample.value()))
            .collect()
    }

    /// All series of a metric: name with labels as written, and value.
    pub fn series(&self, name: &str) -> Vec<(&str, f64)> {
        let samples = self.0.metric(name);
        samples
            .map(|sample| (sample.series.as_str(), sample.value()))
            .collect()
    }
}

/// Sends an HTTP/1.1 request and returns the whole response.
pub fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    try_get(address, path, headers).expect("a response")
}

/// Sends an HTTP/1.1 request and returns the body of the response, if its status is 200.
pub fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let response = try_get(address, path, "").ok()?;
    response
        .starts_with(b"HTTP/1.1 200 ")
        .then(|| body(response))
}

fn try_get(address: SocketAddr, path: &str, headers: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    )?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(response)
}

/// Percent-encodes the value of a parameter.
pub fn encoded(text: &str) -> String {
    let encode = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b',' => char::from(octet).into(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Returns the body of a text response, with its chunks joined.
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
