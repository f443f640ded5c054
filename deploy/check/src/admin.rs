//! The admin port of a daemon: `/readyz` and `/metrics`.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most of an answer that is read.
const MAX_OCTETS: u64 = 256 << 20;

/// One daemon.
pub(crate) struct Party(SocketAddr);

/// All that a host name stands for.
pub(crate) fn parties(name: &str) -> Result<Vec<Party>> {
    let mut addresses: Vec<SocketAddr> = name
        .to_socket_addrs()
        .with_context(|| format!("{name} is not known"))?
        .collect();
    addresses.sort();
    addresses.dedup();
    ensure!(!addresses.is_empty(), "{name} has no address");
    Ok(addresses.into_iter().map(Party).collect())
}

impl Party {
    /// Fails with what `/readyz` says is missing.
    pub(crate) fn ready(&self) -> Result<()> {
        self.get("/readyz").map(drop)
    }

    pub(crate) fn metrics(&self) -> Result<Metrics> {
        self.get("/metrics").map(Metrics)
    }

    /// The body of an answer 200.
    fn get(&self, path: &str) -> Result<String> {
        let ask = || -> Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.0, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: {self}\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.take(MAX_OCTETS).read_to_string(&mut answer)?;
            let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
            if head.split(' ').nth(1) != Some("200") {
                bail!(
                    "{}: {}",
                    head.lines().next().unwrap_or_default(),
                    body.trim()
                );
            }
            Ok(body.to_owned())
        };
        ask().with_context(|| format!("http://{self}{path}"))
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A scrape in Prometheus' text format.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Sum over the series of a name; 0 where there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let of_name = series.split('{').next() == Some(name);
            of_name.then(|| value.parse::<f64>().ok()).flatten()
        };
        self.0.lines().filter_map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_name_are_added_up_and_no_others() {
        let metrics = Metrics("# HELP a b 9\na{x=\"1\"} 1\na{x=\"2\"} 2\nab 4\n".to_owned());
        assert_eq!((metrics.sum("a"), metrics.sum("none")), (3.0, 0.0));
    }
}
