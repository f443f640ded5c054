//! Requests to the API, and its answers.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kipfix_export::tls::Credentials;
use kipfix_service::exit::{BadSettings, Failure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use url::Url;

use super::flags::TopFlags;
use super::view::View;
use crate::aggregate::expression::Expression;
use crate::http_client::{Authentication, ClientSettings, HttpClient};

/// Maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The API of one collector.
#[derive(Debug)]
pub(super) struct ApiClient {
    runtime: Runtime,
    http: HttpClient,
    server: Url,
    filter: Option<Expression>,
    milliseconds: u64,
    limit: u32,
}

/// Edges, and the state of the collector.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) edges: EdgesJson,
    status: StatusJson,
}

#[derive(Debug, Deserialize)]
pub(super) struct EdgesJson {
    source: String,
    from: u64,
    to: u64,
    pub(super) edges: Vec<EdgeJson>,
    truncated: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct EdgeJson {
    pub(super) labels: HashMap<String, String>,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) connections: u64,
}

#[derive(Debug, Deserialize)]
struct StatusJson {
    cluster: String,
    ready: bool,
    loss: LossJson,
}

#[derive(Debug, Deserialize)]
struct LossJson {
    records: u64,
    sequence_lost: u64,
    kernel_drops: u64,
    unusable: u64,
}

#[derive(Deserialize)]
struct ErrorJson {
    error: String,
}

impl ApiClient {
    pub(super) fn new(flags: &TopFlags) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let settings = ClientSettings {
            credentials: Credentials {
                ca: flags.ca.clone(),
                cert: flags.cert.clone(),
                key: flags.key.clone(),
            },
            authentication: flags.token_file.clone().map(Authentication::Bearer),
            timeout: TIMEOUT,
        };
        let http =
            HttpClient::new(settings).map_err(|error| BadSettings::new(format!("{error:#}")))?;
        Ok(Self {
            runtime,
            http,
            server: flags.server.clone(),
            filter: flags.filter.clone(),
            milliseconds: flags.last.milliseconds(),
            limit: flags.limit,
        })
    }

    /// The edges of a view.
    pub(super) fn ask(&self, view: View) -> anyhow::Result<Answer> {
        let mut edges = self.url("edges");
        let filters = [view.filter(), self.filter.as_ref().map(Expression::text)];
        let filters: Vec<String> = filters
            .into_iter()
            .flatten()
            .map(|filter| format!("({filter})"))
            .collect();
        edges
            .query_pairs_mut()
            .append_pair("from", &format!("-{}", self.milliseconds))
            .append_pair("group_by", view.group_by())
            .append_pair("limit", &self.limit.to_string())
            .append_pair("filter", &filters.join(" && "));
        Ok(Answer {
            edges: self.get(&edges)?,
            status: self.get(&self.url("status"))?,
        })
    }

    fn url(&self, name: &str) -> Url {
        let mut url = self.server.clone();
        let path = format!("{}/api/v1/{name}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    fn get<T: DeserializeOwned>(&self, url: &Url) -> anyhow::Result<T> {
        let response = self.runtime.block_on(self.http.get(url))?;
        if response.status != 200 {
            let error = reason(&response.body);
            bail!(
                "the server answers with status {}: {error}",
                response.status
            );
        }
        serde_json::from_slice(&response.body).context("the server is not a kipfix-collector")
    }
}

/// The reason in a response with an error: that of the API, or the first line of a text.
fn reason(body: &[u8]) -> String {
    const MAX_CHARACTERS: usize = 200;
    if let Ok(json) = serde_json::from_slice::<ErrorJson>(body) {
        return json.error;
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return "no reason".into();
    }
    let characters = line.chars().filter(|c| !c.is_control());
    characters.take(MAX_CHARACTERS).collect()
}

impl Answer {
    /// Length of the range, milliseconds.
    pub(super) fn milliseconds(&self) -> u64 {
        self.edges.to.saturating_sub(self.edges.from).max(1)
    }

    /// One line about the answer.
    pub(super) fn title(&self, view: View) -> String {
        let (edges, status) = (&self.edges, &self.status);
        let loss = &status.loss;
        let seconds = self.milliseconds() / 1000;
        let mut parts = vec![format!("{}, last {seconds} s", view.as_str())];
        if !status.cluster.is_empty() {
            parts.push(format!("cluster {}", status.cluster));
        }
        if edges.source != "ring" {
            parts.push(format!("from {}", edges.source));
        }
        if edges.truncated {
            parts.push(format!("largest {} edges", edges.edges.len()));
        }
        if !status.ready {
            parts.push("not ready".into());
        }
        parts.push(format!("{} records", loss.records));
        for (name, lost) in [
            ("lost on the way", loss.sequence_lost),
            ("dropped by the kernel", loss.kernel_drops),
            ("unusable", loss.unusable),
        ] {
            if lost > 0 {
                parts.push(format!("{lost} {name}"));
            }
        }
        parts.join("  |  ")
    }
}
