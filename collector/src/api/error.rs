//! Errors of the API.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::aggregate::expression::ExpressionError;
use crate::history::HistoryError;
use crate::recent::MAX_FOLLOWERS;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: u16,
    /// One sentence.
    error: String,
    /// The parameter that is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// Where an expression is invalid: number of the character, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error.parameter() {
            Some(parameter) => Self::invalid(parameter, error.to_string()),
            None => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
        }
    }
}

impl ApiError {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            error: error.into(),
            parameter: None,
            column: None,
        }
    }

    /// A parameter is invalid.
    pub(super) fn invalid(parameter: &str, error: impl Into<String>) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, error)
        }
    }

    /// The same error under the name that a parameter has in this request.
    pub(super) fn with_parameter(mut self, from: &str, to: &str) -> Self {
        if self.parameter.as_deref() == Some(from) {
            self.parameter = Some(to.to_owned());
            let start = format!("invalid {from}");
            if let Some(rest) = self.error.strip_prefix(&start) {
                self.error = format!("invalid {to}{rest}");
            }
        }
        self
    }

    /// An expression, or a list of fields, is invalid.
    pub(super) fn expression(parameter: &str, error: &ExpressionError) -> Self {
        Self {
            column: Some(error.column),
            ..Self::invalid(parameter, format!("invalid {parameter}: {error}"))
        }
    }

    /// The request does not present the bearer token.
    pub(super) fn unauthorized() -> Self {
        let error = "a bearer token is required: Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    pub(super) fn not_found() -> Self {
        let error = "not found: see /api/v1/openapi.json";
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn method_not_allowed() -> Self {
        let error = "method not allowed: must be GET or HEAD";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// The collector keeps no history.
    pub(super) fn no_history() -> Self {
        let error = "the collector keeps no history: history_size is 0";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// The collector keeps no recent records.
    pub(super) fn no_recent_records() -> Self {
        let error = "the collector keeps no recent records: recent_records_size is 0";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// No more clients can follow.
    pub(super) fn too_many_followers() -> Self {
        let error = format!("{MAX_FOLLOWERS} clients follow already");
        Self::new(StatusCode::TOO_MANY_REQUESTS, error)
    }

    pub(super) fn too_many_requests() -> Self {
        let error = "too many concurrent requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, error)
    }

    /// A bug: the answer could not be written.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }

    /// The parameter that is invalid.
    #[cfg(test)]
    pub(super) fn parameter(&self) -> Option<&str> {
        self.parameter.as_deref()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        // It has only texts and numbers.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, headers, body).into_response();
        let header = match status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS => Some((RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}
