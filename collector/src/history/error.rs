//! Failures of queries for the history.

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The begin is not before the end.
    #[error("invalid from: must be before to")]
    EmptyRange,
    /// A parameter of the query has something that an engine cannot answer.
    #[error("invalid {parameter}: {reason}")]
    Unanswerable {
        /// The parameter of the API.
        parameter: &'static str,
        /// Why not.
        reason: String,
    },
    /// There are too many different edges.
    #[error("invalid group_by: more than {0} edges; use fewer fields or a filter")]
    TooManyEdges(usize),
    /// The engine does not answer, or rejects the query.
    #[error("history: {0:#}")]
    Engine(anyhow::Error),
}

impl HistoryError {
    /// The engine cannot order by connection health.
    pub(super) fn no_health() -> Self {
        Self::Unanswerable {
            parameter: "order",
            reason: "this history has no connection health for these fields".into(),
        }
    }

    /// The parameter of the API that is invalid; `None` if it is the engine that fails.
    #[must_use]
    pub const fn parameter(&self) -> Option<&'static str> {
        match self {
            Self::EmptyRange => Some("from"),
            Self::Unanswerable { parameter, .. } => Some(parameter),
            Self::TooManyEdges(_) => Some("group_by"),
            Self::Engine(_) => None,
        }
    }
}
