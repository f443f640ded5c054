//! Answers of the engine.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::http_client::Response;

/// Octets of an error that are shown.
const MAX_ERROR_OCTETS: usize = 300;

/// A series of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// Values of the requested labels, in their order.
    pub(super) labels: Vec<String>,
    /// Time, milliseconds since the epoch, and value.
    pub(super) points: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct AnswerJson<'a> {
    #[serde(borrow)]
    data: Option<DataJson<'a>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct DataJson<'a> {
    #[serde(borrow)]
    result: Vec<SeriesJson<'a>>,
}

#[derive(Deserialize)]
struct SeriesJson<'a> {
    #[serde(borrow)]
    metric: HashMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<(f64, Cow<'a, str>)>,
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
}

/// Reads an answer.
pub(super) fn parse(response: &Response, labels: &[&str]) -> anyhow::Result<Vec<Series>> {
    let parsed: Result<AnswerJson<'_>, _> = serde_json::from_slice(&response.body);
    if response.status != 200 {
        let text = String::from_utf8_lossy(&response.body);
        let error = parsed.ok().and_then(|answer| answer.error);
        let error: String = error
            .unwrap_or(text)
            .chars()
            .take(MAX_ERROR_OCTETS)
            .collect();
        bail!(
            "the engine answers with status {}: {}",
            response.status,
            error.trim()
        );
    }
    let answer = parsed.context("the engine does not answer as Prometheus does")?;
    let data = answer.data.context("the engine answers without data")?;
    let series = data.result.into_iter().map(|series| {
        let label = |name: &&str| {
            series
                .metric
                .get(*name)
                .map_or_else(String::new, |v| v.to_string())
        };
        Series {
            labels: labels.iter().map(label).collect(),
            points: series
                .value
                .iter()
                .chain(&series.values)
                .map(|(time, value)| (milliseconds(*time), rounded(value)))
                .collect(),
        }
    });
    Ok(series.collect())
}

fn milliseconds(seconds: f64) -> u64 {
    whole(seconds * 1000.0)
}

/// A value as a whole number. What is not a number is 0.
fn rounded(value: &str) -> u64 {
    whole(value.parse().unwrap_or(0.0))
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and NaN becomes 0"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(status: u16, body: &str) -> Result<Vec<Series>, String> {
        let response = Response {
            status,
            body: body.to_owned().into(),
        };
        parse(&response, &["a", "b"]).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn vectors_and_matrices_are_series_with_whole_values() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"b":"x\"","c":"y"},"value":[1700000000.5,"12.6"]},
            {"metric":{},"value":[1700000000,"NaN"]}]}}"#;
        let series = |labels: [&str; 2], points: &[(u64, u64)]| Series {
            labels: labels.map(str::to_owned).to_vec(),
            points: points.to_vec(),
        };
        let wanted = [
            series(["", "x\""], &[(1_700_000_000_500, 13)]),
            series(["", ""], &[(1_700_000_000_000, 0)]),
        ];
        assert_eq!(parsed(200, body).unwrap(), wanted);
        let body = r#"{"data":{"result":[{"metric":{"a":"1"},"values":[[1,"2"],[61,"-3"]]}]}}"#;
        let wanted = [series(["1", ""], &[(1000, 2), (61_000, 0)])];
        assert_eq!(parsed(200, body).unwrap(), wanted);
    }

    #[test]
    fn an_error_has_the_reason_of_the_engine() {
        for (status, body, reason) in [
            (
                422,
                r#"{"status":"error","error":"too many samples"}"#,
                "too many samples",
            ),
            (401, "who are you", "status 401: who are you"),
            (200, "<html>", "does not answer as Prometheus"),
            (200, r#"{"status":"success"}"#, "without data"),
        ] {
            let error = parsed(status, body).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
