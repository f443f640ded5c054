//! Reads the `/metrics` of a daemon: an HTTP GET, and a parser for the Prometheus text format.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Timeout for the connection and for each read.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a response, in octets.
const MAX_OCTETS: u64 = 256 << 20;

/// Connects with a timeout for the connection and for each read.
///
/// # Errors
/// If the connection fails.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Returns the body of a GET.
///
/// # Errors
/// If the status is not 200 (with the status line and the body), or the request fails.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    connect(address)
        .and_then(|stream| get_over(stream, path))
        .with_context(|| format!("http://{address}{path}"))
}

/// Returns the body of a GET over a connection.
///
/// # Errors
/// As [`get`].
pub fn get_over(mut stream: impl Read + Write, path: &str) -> Result<String> {
    // HTTP/1.0, so that the response is not chunked.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: kipfix\r\nConnection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut response = String::new();
    stream.take(MAX_OCTETS).read_to_string(&mut response)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .context("not an HTTP response")?;
    if head.split(' ').nth(1) != Some("200") {
        let status = head.lines().next().unwrap_or_default();
        bail!("{status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// The samples of one `/metrics`, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrape(Vec<Sample>);

/// One sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels by their name, unescaped.
    pub labels: BTreeMap<String, String>,
    /// Name and labels as written.
    pub series: String,
    value: String,
}

impl Scrape {
    /// Reads `/metrics` of the daemon at `address`.
    ///
    /// # Errors
    /// As [`get`] and [`Scrape::parse`].
    pub fn of(address: SocketAddr) -> Result<Self> {
        Self::parse(&get(address, "/metrics")?)
    }

    /// Parses the Prometheus text format.
    ///
    /// # Errors
    /// For the first line that is not a sample or a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample =
            |line: &str| Sample::parse(line).with_context(|| format!("not a sample: {line}"));
        lines.map(sample).collect::<Result<_>>().map(Self)
    }

    /// All samples, in their order.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// The samples of a metric.
    pub fn metric(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The sum of a metric whose values are integers. `None` if it has no sample.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<u64> {
        self.metric(name)
            .filter_map(Sample::count)
            .reduce(|sum, value| sum + value)
    }

    /// The sums of a metric whose values are integers, by the value of a label.
    #[must_use]
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.metric(name) {
            *sums.entry(sample.label(label)).or_default() += sample.count().unwrap_or_default();
        }
        sums
    }
}

impl Extend<Sample> for Scrape {
    fn extend<I: IntoIterator<Item = Sample>>(&mut self, samples: I) {
        self.0.extend(samples);
    }
}

impl IntoIterator for Scrape {
    type Item = Sample;
    type IntoIter = std::vec::IntoIter<Sample>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Sample {
    /// Creates a sample without labels.
    #[must_use]
    pub fn new(name: &str, value: u64) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            series: name.to_owned(),
            value: value.to_string(),
        }
    }

    /// Parses `name{label="value",…} 1`. A timestamp is not supported.
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        value.parse::<f64>().ok()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some(Self {
            name: name.to_owned(),
            labels: parse_labels(labels)?,
            series: series.to_owned(),
            value: value.to_owned(),
        })
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value.parse().unwrap_or(f64::NAN)
    }

    /// The value, if it is an integer from 0 on.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.value.parse().ok()
    }

    /// The value of a label. Empty if there is no such label.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Parses `label="value",…`, with escapes in the values.
fn parse_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let (mut labels, mut rest) = (BTreeMap::new(), text);
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, character) in after.char_indices() {
            match (escaped, character) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, other) => value.push(other),
            }
            escaped = false;
        }
        labels.insert(name.to_owned(), value);
        rest = after.get(end? + 1..)?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    const TEXT: &str = "# HELP a_total b 9\n# TYPE a_total counter\n\
                        a_total{x=\"1, {y}\",z=\"\\\"\\\\\\n\"} 1\na_total{x=\"2\"} 2\na 4\nratio 0.5\n";

    #[test]
    fn the_samples_of_one_metric_are_summed() {
        let scrape = Scrape::parse(TEXT).unwrap();
        assert_eq!(scrape.sum("a_total"), Some(3));
        assert_eq!((scrape.sum("a"), scrape.sum("none")), (Some(4), None));
        assert_eq!(
            scrape
                .metric("ratio")
                .map(Sample::value)
                .collect::<Vec<_>>(),
            [0.5]
        );
        let by_label = scrape.by_label("a_total", "x");
        assert_eq!(by_label, BTreeMap::from([("1, {y}", 1), ("2", 2)]));
    }

    #[test]
    fn labels_are_unescaped() {
        let scrape = Scrape::parse(TEXT).unwrap();
        let sample = &scrape.samples()[0];
        assert_eq!((sample.label("z"), sample.label("absent")), ("\"\\\n", ""));
        assert_eq!(sample.series, "a_total{x=\"1, {y}\",z=\"\\\"\\\\\\n\"}");
    }

    #[test]
    fn a_line_that_is_not_a_sample_is_an_error() {
        for line in ["a", "a{x=\"1\" 2", "a{x=\"1} 2", "a{x} 2", "a b"] {
            let error = Scrape::parse(line).unwrap_err();
            assert_eq!(error.to_string(), format!("not a sample: {line}"));
        }
    }

    #[test]
    fn an_error_status_is_reported_with_the_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for response in [
                "200 OK\r\n\r\na 1\n",
                "503 Service Unavailable\r\n\r\nwarming up\n",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines();
                while lines.next().unwrap().unwrap() != "" {}
                write!(stream, "HTTP/1.1 {response}").unwrap();
            }
        });
        assert_eq!(Scrape::of(address).unwrap().sum("a"), Some(1));
        assert_eq!(
            format!("{:#}", get(address, "/readyz").unwrap_err()),
            format!("http://{address}/readyz: HTTP/1.1 503 Service Unavailable: warming up")
        );
        server.join().unwrap();
    }
}
