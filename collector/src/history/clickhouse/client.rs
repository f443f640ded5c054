//! Requests to the HTTP interface, and their answers.

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::MAX_GROUPS;
use super::settings::ClickHouseSettings;
use super::statement::Statement;
use crate::history::error::HistoryError;
use crate::http_client::{HttpClient, Response};

/// Characters of an error that are shown.
const MAX_ERROR_CHARACTERS: usize = 300;
/// Codes of exceptions of the server.
const TOO_MANY_ROWS: u32 = 158;
const CANNOT_COMPILE_REGEXP: u32 = 427;

/// A client of one server.
#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient,
    url: Url,
}

/// An answer in the format JSONCompact.
#[derive(Deserialize)]
struct AnswerJson {
    data: Vec<Row>,
}

/// A row of an answer.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Row(Vec<Value>);

impl Row {
    /// The value of a column; null if there is none.
    pub(super) fn value(&self, at: usize) -> &Value {
        self.0.get(at).unwrap_or(&Value::Null)
    }

    /// The text of a column; empty if it is not a text.
    pub(super) fn text(&self, at: usize) -> &str {
        self.value(at).as_str().unwrap_or_default()
    }

    /// The number of a column; 0 if it is not a number.
    pub(super) fn number(&self, at: usize) -> u64 {
        number(self.value(at))
    }
}

/// A number, which older servers write in quotes; 0 if it is not a number.
pub(super) fn number(value: &Value) -> u64 {
    let text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or_else(text).unwrap_or(0)
}

impl Client {
    pub(super) fn new(settings: &ClickHouseSettings) -> anyhow::Result<Self> {
        let mut client = settings.client.clone();
        // The server gives up first, and its answer has the reason.
        client.timeout = client.timeout.saturating_add(GRACE);
        Ok(Self {
            http: HttpClient::new(client)?,
            url: settings.url.clone(),
        })
    }

    /// The rows of a statement.
    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<Row>, HistoryError> {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        // The status is sent when the statement is complete, so that it has every failure.
        query.append_pair("wait_end_of_query", "1");
        query.append_pair("cancel_http_readonly_queries_on_client_close", "1");
        for (name, value) in &statement.parameters {
            query.append_pair(&format!("param_{name}"), value);
        }
        drop(query);
        let response = self.http.post_text(&url, statement.text).await;
        rows_of(&response.map_err(HistoryError::Engine)?)
    }
}

/// Additional time of a request after the time of the statement.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

fn rows_of(response: &Response) -> Result<Vec<Row>, HistoryError> {
    if response.status == 200 {
        let answer: Result<AnswerJson, _> = serde_json::from_slice(&response.body);
        let answer = answer.context("the engine does not answer as ClickHouse does");
        return Ok(answer.map_err(HistoryError::Engine)?.data);
    }
    let text = String::from_utf8_lossy(&response.body);
    let message: String = text.trim().chars().take(MAX_ERROR_CHARACTERS).collect();
    Err(match code(&text) {
        Some(TOO_MANY_ROWS) if text.contains("GROUP BY") => HistoryError::TooManyEdges(MAX_GROUPS),
        Some(CANNOT_COMPILE_REGEXP) => HistoryError::Unanswerable {
            parameter: "filter",
            reason: format!("the engine does not accept a regular expression: {message}"),
        },
        _ => HistoryError::Engine(anyhow!(
            "the engine answers with status {}: {message}",
            response.status
        )),
    })
}

/// The code of an exception, as in `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(status: u16, body: &str) -> Result<Vec<Row>, String> {
        let body = body.to_owned().into();
        rows_of(&Response { status, body }).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_have_texts_and_numbers() {
        let body = r#"{"meta":[],"data":[["a",5,"6",null]],"rows":1}"#;
        let rows = rows(200, body).unwrap();
        assert_eq!(rows[0].text(0), "a");
        assert_eq!((rows[0].number(1), rows[0].number(2)), (5, 6));
        assert_eq!((rows[0].number(3), rows[0].number(9)), (0, 0));
    }

    #[test]
    fn an_error_has_the_reason_of_the_engine() {
        for (status, body, reason) in [
            (
                200,
                "{",
                "history: the engine does not answer as ClickHouse",
            ),
            (
                404,
                "Code: 60. DB::Exception: Unknown table",
                "status 404: Code: 60. DB::Exception: Unknown table",
            ),
            (
                500,
                "Code: 158. DB::Exception: Limit for rows to GROUP BY exceeded",
                "invalid group_by: more than 1000000 edges",
            ),
            (
                500,
                "Code: 427. DB::Exception: bad",
                "invalid filter: the engine",
            ),
        ] {
            let error = rows(status, body).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
