//! Requests to the HTTP interface of ClickHouse, and its responses.

use std::fmt::Write as _;

use kipfix_export::counters::LossReason;
use kipfix_export::url::Login;

use super::target::ClickHouseTarget;
use crate::emit::authority::Authority;
use crate::emit::delivery::Compression;
use crate::emit::enriched::columns;

/// Octets of a response that are read.
pub(super) const MAX_RESPONSE_OCTETS: u64 = 64 << 10;
/// Maximum number of header lines of a response.
const MAX_HEADERS: usize = 64;
/// Octets of the message of an error in the log.
const MAX_MESSAGE_OCTETS: usize = 300;

/// The header line for the compression of the body, or nothing.
const fn content_encoding(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "",
        Compression::Gzip => "Content-Encoding: gzip\r\n",
        Compression::Lz4 => "Content-Encoding: lz4\r\n",
    }
}

/// The head of a request that inserts rows. `password` is that of the user of the target.
pub(super) fn head(
    target: &ClickHouseTarget,
    token: &str,
    password: &str,
    body_octets: usize,
) -> String {
    let ClickHouseTarget {
        database, table, ..
    } = target;
    let names: Vec<&str> = columns().map(|column| column.name).collect();
    let names = names.join(",");
    // The parts of the query are letters, digits and '_'.
    let query = format!("INSERT%20INTO%20{database}.{table}%20({names})%20FORMAT%20RowBinary");
    let host = Authority(&target.host, target.port);
    let mut head = format!(
        "POST /?query={query}&insert_deduplication_token={token}\
         &deduplicate_blocks_in_dependent_materialized_views=1&wait_end_of_query=1 HTTP/1.1\r\n\
         Host: {host}\r\nConnection: close\r\nContent-Length: {body_octets}\r\n{}",
        content_encoding(target.compression)
    );
    if let Some(Login { user, .. }) = &target.parameters.login {
        write!(
            head,
            "X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n"
        )
        .ok();
    }
    head.push_str("\r\n");
    head
}

/// What the server has done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The rows are stored.
    Stored,
    /// They are not, and may be later. The reason counts rows that are lost meanwhile.
    Retry(LossReason, String),
    /// They are not, and never will be.
    Rejected(String),
}

/// Reads a response.
pub(super) fn answer(response: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let body = match parsed.parse(response) {
        Ok(httparse::Status::Complete(end)) => response.get(end..).unwrap_or_default(),
        _ => return Answer::Retry(LossReason::Failed, "invalid response".into()),
    };
    let header = |name: &str| {
        let mut headers = parsed.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let code = header("X-ClickHouse-Exception-Code").and_then(|code| code.parse().ok());
    let status = parsed.code.unwrap_or_default();
    if status == 200 && code.is_none() {
        return Answer::Stored;
    }
    let is_chunked = header("Transfer-Encoding").is_some_and(|e| e.eq_ignore_ascii_case("chunked"));
    let message = message(if is_chunked { first_chunk(body) } else { body });
    let message = format!("HTTP status {status}: {message}");
    match (code, status) {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE.
        (Some(60 | 81), _) => Answer::Retry(LossReason::NotFound, message),
        // REQUIRED_PASSWORD, WRONG_PASSWORD, UNKNOWN_USER, ACCESS_DENIED, AUTHENTICATION_FAILED.
        (Some(192..=194 | 497 | 516), _) | (None, 401 | 403) => {
            Answer::Retry(LossReason::Unauthorized, message)
        }
        // NO_SUCH_COLUMN_IN_TABLE, THERE_IS_NO_COLUMN, UNKNOWN_IDENTIFIER: the table can be
        // changed.
        (Some(8 | 16 | 47), _) => Answer::Retry(LossReason::Rejected, message),
        // Rows that do not fit the types of the columns.
        (Some(6 | 26 | 27 | 32 | 33 | 38 | 41 | 53 | 72 | 117 | 131 | 321 | 349), _) => {
            Answer::Rejected(message)
        }
        _ => Answer::Retry(LossReason::Unreachable, message),
    }
}

/// The first chunk of a chunked body. It has the message of an error.
fn first_chunk(body: &[u8]) -> &[u8] {
    match httparse::parse_chunk_size(body) {
        Ok(httparse::Status::Complete((begin, size))) => {
            let rest = body.get(begin..).unwrap_or_default();
            let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            rest.get(..size).unwrap_or_default()
        }
        _ => body,
    }
}

/// The first line of a body, without control characters.
fn message(body: &[u8]) -> String {
    let body = body
        .get(..body.len().min(MAX_MESSAGE_OCTETS))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, headers: &str, body: &str) -> Answer {
        answer(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").as_bytes())
    }

    #[test]
    fn an_answer_follows_from_the_code_of_the_exception() {
        assert_eq!(answered("200 OK", "", ""), Answer::Stored);
        let code = |code: u16| format!("X-ClickHouse-Exception-Code: {code}\r\n");
        assert!(matches!(answer(b""), Answer::Retry(LossReason::Failed, _)));
        for (number, loss) in [
            (60, LossReason::NotFound),
            (516, LossReason::Unauthorized),
            (16, LossReason::Rejected),
            (252, LossReason::Unreachable),
        ] {
            let answered = answered("500 Error", &code(number), "Code: DB::Exception\n");
            let message = "HTTP status 500: Code: DB::Exception".to_owned();
            assert_eq!(answered, Answer::Retry(loss, message));
        }
        let refused = answered("400 Bad", &code(33), "x");
        assert!(matches!(refused, Answer::Rejected(_)));
        // An exception after the head was sent.
        assert!(matches!(
            answered("200 OK", &code(241), ""),
            Answer::Retry(..)
        ));
        let proxy = answered("403 Forbidden", "", "");
        assert!(matches!(proxy, Answer::Retry(LossReason::Unauthorized, _)));
    }

    #[test]
    fn the_message_of_a_chunked_body_is_its_first_line() {
        let headers = "X-ClickHouse-Exception-Code: 60\r\nTransfer-Encoding: chunked\r\n";
        let body = "f\r\nno such\ttable\nx\r\n0\r\n\r\n";
        let message = "HTTP status 404: no suchtable".to_owned();
        assert_eq!(
            answered("404 Not Found", headers, body),
            Answer::Retry(LossReason::NotFound, message)
        );
    }

    #[test]
    fn a_request_names_the_columns_and_the_token() {
        let target = ClickHouseTarget::parse("h/d/t?user=u&password-file=/p").unwrap();
        let head = head(&target, "abc", "secret", 7);
        for part in [
            "POST /?query=INSERT%20INTO%20d.t%20(flowEndMilliseconds,",
            "connectionDurationSumMilliseconds)%20FORMAT%20RowBinary&",
            "insert_deduplication_token=abc&",
            "\r\nHost: h:8123\r\n",
            "\r\nContent-Length: 7\r\n",
            "\r\nContent-Encoding: lz4\r\n",
            "\r\nX-ClickHouse-User: u\r\nX-ClickHouse-Key: secret\r\n\r\n",
        ] {
            assert!(head.contains(part), "{part} in {head}");
        }
    }
}
