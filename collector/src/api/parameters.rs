//! Parameters of requests.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::aggregate::RecordFields;
use crate::aggregate::expression::{Expression, parse_fields};
use crate::aggregate::field::Field;
use crate::history::TimeBounds;

/// Maximum of `limit`.
pub(super) const MAX_LIMIT: usize = 10_000;
/// Begin of the default range, relative to its end, milliseconds.
const DEFAULT_FROM: i64 = -900_000;

/// The range of time of a request: the description of its parameters, which [`time`] reads.
#[expect(
    dead_code,
    reason = "the parameters are read as texts, for their errors"
)]
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TimeParameters {
    /// Begin of the range, Unix milliseconds. If negative, relative to the end. Default: 15 minutes
    /// before the end.
    from: Option<i64>,
    /// End of the range, Unix milliseconds. Default: now.
    to: Option<u64>,
}

/// Parses the text behind the `?`. Unknown and repeated parameters are errors.
pub(super) fn parse<P: DeserializeOwned>(query: &str) -> Result<P, ApiError> {
    serde_urlencoded::from_str(query).map_err(|error| {
        let error = error.to_string();
        // As in: unknown field `x`, expected one of `from`, `to`.
        let name = error.split('`').nth(1).unwrap_or_default().to_owned();
        let error = error.replace("field", "parameter");
        ApiError::invalid(&name, format!("invalid query: {error}"))
    })
}

/// A number in a range, or the default.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    name: &str,
    text: Option<&str>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, ApiError> {
    let Some(text) = text else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        ApiError::invalid(
            name,
            format!("invalid {name} {text:?}: must be {least}–{most}"),
        )
    })
}

/// One of the named values, or the first of them.
pub(super) fn choice<T: Copy>(
    name: &str,
    text: Option<&str>,
    values: &[(&'static str, T)],
) -> Result<T, ApiError> {
    let mut named = values.iter();
    let found = match text {
        None => named.next(),
        Some(text) => named.find(|(value, _)| *value == text),
    };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let text = text.unwrap_or_default();
        let values: Vec<&str> = values.iter().map(|(value, _)| *value).collect();
        let values = values.join(", ");
        ApiError::invalid(
            name,
            format!("invalid {name} {text:?}: must be one of {values}"),
        )
    })
}

/// `from` and `to`.
pub(super) fn time(from: Option<&str>, to: Option<&str>) -> Result<TimeBounds, ApiError> {
    /// Beyond the year 200,000.
    const MAX: i64 = 1 << 53;
    Ok(TimeBounds {
        from: number("from", from, DEFAULT_FROM, -MAX..=MAX)?,
        to: match to {
            Some(_) => Some(number("to", to, 0, 0..=MAX.unsigned_abs())?),
            None => None,
        },
    })
}

/// True for the fields that are known of what is selected.
pub(super) type IsKnown = fn(&Field) -> bool;

/// `filter` of edges.
pub(super) fn filter(
    text: Option<&str>,
    is_known: IsKnown,
) -> Result<Option<Expression>, ApiError> {
    expression(text, is_known, "is not kept in the history")
}

/// `filter` of records. Its fields must be known of a record.
pub(super) fn record_filter(text: Option<&str>) -> Result<Option<Expression>, ApiError> {
    expression(text, RecordFields::have, "is not known of a record")
}

fn expression(
    text: Option<&str>,
    is_known: IsKnown,
    reason: &str,
) -> Result<Option<Expression>, ApiError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let expression: Expression = text
        .parse()
        .map_err(|error| ApiError::expression("filter", &error))?;
    if let Some(field) = expression.fields().find(|field| !is_known(field)) {
        return Err(refused("filter", field, reason));
    }
    Ok(Some(expression))
}

/// `group_by` of edges, with a default.
pub(super) fn group_by(
    text: Option<&str>,
    default: &str,
    is_known: IsKnown,
) -> Result<Vec<Field>, ApiError> {
    let fields = parse_fields(text.unwrap_or(default))
        .map_err(|error| ApiError::expression("group_by", &error))?;
    for (index, field) in fields.iter().enumerate() {
        if !is_known(field) {
            return Err(refused("group_by", field, "is not kept in the history"));
        }
        if fields.iter().take(index).any(|earlier| earlier == field) {
            return Err(refused("group_by", field, "is repeated"));
        }
    }
    Ok(fields)
}

fn refused(parameter: &str, field: &Field, reason: &str) -> ApiError {
    let error = format!("invalid {parameter}: {field} {reason}");
    ApiError::invalid(parameter, error)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::history::StoredEdge;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        limit: Option<String>,
        filter: Option<String>,
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_named() {
        let parsed: Parameters = parse("limit=5&filter=a%20b+c").unwrap();
        assert_eq!(parsed.limit.as_deref(), Some("5"));
        assert_eq!(parsed.filter.as_deref(), Some("a b c"));
        for (query, name) in [("limits=5", "limits"), ("limit=1&limit=2", "limit")] {
            let error = parse::<Parameters>(query).unwrap_err();
            assert_eq!(error.parameter(), Some(name));
        }
    }

    #[test]
    fn a_number_outside_of_its_range_is_an_error() {
        assert_eq!(number("limit", None, 1000, 1..=10_000), Ok(1000));
        assert_eq!(number("limit", Some("7"), 1000, 1..=10_000), Ok(7));
        for text in ["", "0", "10001", "-1", "1e3", "99999999999999999999"] {
            let error = number("limit", Some(text), 1000, 1..=10_000).unwrap_err();
            assert_eq!(error.parameter(), Some("limit"), "{text:?}");
        }
    }

    #[test]
    fn a_field_that_is_not_stored_is_an_error() {
        assert_eq!(filter(Some(" "), StoredEdge::has), Ok(None));
        assert!(
            filter(Some("src.namespace == \"shop\""), StoredEdge::has)
                .unwrap()
                .is_some()
        );
        let error = filter(Some("port == 53"), StoredEdge::has).unwrap_err();
        assert_eq!(error.parameter(), Some("filter"));
        for text in ["src.namespace,port", "class,scope,class"] {
            let error = group_by(Some(text), "class", StoredEdge::has).unwrap_err();
            assert_eq!(error.parameter(), Some("group_by"));
        }
        assert_eq!(
            group_by(None, "class,scope", StoredEdge::has)
                .unwrap()
                .len(),
            2
        );
    }
}
