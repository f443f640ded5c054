//! Access to the API: a request must present the bearer token of a file (RFC 6750 §2.1).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kipfix_service::secret;
use kipfix_service::sync::lock;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::Api;
use super::error::ApiError;
use crate::clock;

/// Minimum interval between two reads of the file.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Why a file has no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("http_token_file: cannot use {}: {reason}", path.display())]
pub struct TokenError {
    path: PathBuf,
    reason: String,
}

/// SHA-256 of a token. Digests have equal lengths, so a comparison does not disclose the length of
/// the token.
#[derive(Clone, Copy)]
struct TokenDigest([u8; 32]);

impl TokenDigest {
    fn of(token: &[u8]) -> Self {
        let mut octets = [0; 32];
        for (octet, value) in octets.iter_mut().zip(digest(&SHA256, token).as_ref()) {
            *octet = *value;
        }
        Self(octets)
    }

    /// Compares in constant time.
    fn is_equal(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The bearer token of the API. It is read again when its file changes.
pub struct BearerToken {
    path: PathBuf,
    state: Mutex<TokenState>,
}

struct TokenState {
    digest: TokenDigest,
    /// The failure of the last read, if it failed.
    failure: Option<TokenError>,
    read: Instant,
}

/// The result of a read of the file that differs from the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    Replaced,
    Failed,
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl BearerToken {
    /// Reads the token: the first line of the file, without surrounding whitespace.
    ///
    /// # Errors
    /// The file cannot be read, or its first line is not a token.
    pub fn load(path: &Path, now: Instant) -> Result<Self, TokenError> {
        let state = TokenState {
            digest: read(path)?,
            failure: None,
            read: now,
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Whether a request presents the token. A changed file is read first; if that fails, the
    /// previous token stays in use.
    fn permits(&self, request: &HeaderMap, now: Instant) -> (bool, Option<Reload>) {
        let mut state = lock(&self.state);
        let is_due = now.saturating_duration_since(state.read) >= READ_INTERVAL;
        let reload = is_due.then(|| state.reload(&self.path, now)).flatten();
        let expected = state.digest;
        drop(state);
        let token = presented(request).map(TokenDigest::of);
        let is_permitted = token.is_some_and(|token| token.is_equal(&expected));
        (is_permitted, reload)
    }
}

impl TokenState {
    fn reload(&mut self, path: &Path, now: Instant) -> Option<Reload> {
        self.read = now;
        match read(path) {
            Ok(digest) => {
                self.failure = None;
                let is_changed = !digest.is_equal(&self.digest);
                self.digest = digest;
                is_changed.then_some(Reload::Replaced)
            }
            Err(error) if self.failure.as_ref() == Some(&error) => None,
            Err(error) => {
                tracing::error!(%error, "cannot reload the token; the previous one stays in use");
                self.failure = Some(error);
                Some(Reload::Failed)
            }
        }
    }
}

/// Answers a request that does not present the token by 401.
pub(super) async fn require_token(
    State((api, token)): State<(Arc<Api>, Arc<BearerToken>)>,
    request: Request,
    next: Next,
) -> Response {
    let metrics = api.scrape.metrics.api();
    let (is_permitted, reload) = token.permits(request.headers(), clock::monotonic());
    match reload {
        None => {}
        Some(Reload::Replaced) => {
            metrics.on_token_loaded();
            tracing::info!(file = %token.path.display(), "token reloaded");
        }
        Some(Reload::Failed) => metrics.on_token_failed(),
    }
    if is_permitted {
        return next.run(request).await;
    }
    metrics.on_rejected();
    ApiError::unauthorized().into_response()
}

/// The token of the header `Authorization: Bearer TOKEN`. The scheme is case-insensitive (RFC 9110
/// §11.1).
fn presented(request: &HeaderMap) -> Option<&[u8]> {
    let value = request.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

fn read(path: &Path) -> Result<TokenDigest, TokenError> {
    // Checked before the file is opened: opening a pipe blocks until it has a writer.
    let metadata = std::fs::metadata(path);
    let token = metadata.and_then(|metadata| {
        if metadata.is_file() {
            secret::read_token(path)
        } else {
            Err(io::Error::other("not a regular file"))
        }
    });
    token
        .map(|token| TokenDigest::of(token.as_bytes()))
        .map_err(|error| TokenError {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn permits(token: &BearerToken, header: &str, now: Instant) -> bool {
        let mut request = HeaderMap::new();
        request.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        token.permits(&request, now).0
    }

    #[test]
    fn only_the_first_line_without_surrounding_whitespace_is_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, " s3cret-+/= \r\nsecond\n").unwrap();
        let now = clock::monotonic();
        let token = BearerToken::load(&file, now).unwrap();
        for header in [
            "Bearer s3cret-+/=",
            "bearer s3cret-+/=",
            "BEARER   s3cret-+/=",
        ] {
            assert!(permits(&token, header, now), "{header}");
        }
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cret-+/",
            "Bearer s3cret-+/=x",
            "Bearer S3CRET-+/=",
            "Bearer second",
            "Bearers3cret-+/=",
            "Basic s3cret-+/=",
            "s3cret-+/=",
        ] {
            assert!(!permits(&token, header, now), "{header}");
        }
        assert!(!token.permits(&HeaderMap::new(), now).0);
    }

    #[test]
    fn a_file_without_a_token_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let error = |path: &Path| {
            let error = BearerToken::load(path, clock::monotonic()).unwrap_err();
            let sentence = error.to_string();
            assert!(
                sentence.starts_with("http_token_file: cannot use /"),
                "{sentence}"
            );
            assert!(sentence.contains(path.to_str().unwrap()), "{sentence}");
            sentence
        };
        assert!(error(&file).contains("No such file"));
        assert!(error(folder.path()).contains("not a regular file"));
        for (content, reason) in [
            ("", "empty"),
            (" \t\n", "empty"),
            ("\ntoken\n", "empty"),
            ("two words", "without spaces"),
            ("käse", "printable ASCII"),
            (&"x".repeat(4097), "longer than 4096"),
        ] {
            std::fs::write(&file, content).unwrap();
            assert!(error(&file).contains(reason), "{content:?}");
        }
    }

    #[test]
    fn a_changed_file_replaces_the_token_and_an_unusable_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "first").unwrap();
        let mut now = clock::monotonic();
        let token = BearerToken::load(&file, now).unwrap();
        let none = HeaderMap::new();
        std::fs::write(&file, "second").unwrap();
        assert!(permits(&token, "Bearer first", now));
        now += READ_INTERVAL;
        assert_eq!(token.permits(&none, now), (false, Some(Reload::Replaced)));
        assert!(permits(&token, "Bearer second", now));
        assert!(!permits(&token, "Bearer first", now));
        std::fs::write(&file, "").unwrap();
        now += READ_INTERVAL;
        assert_eq!(token.permits(&none, now), (false, Some(Reload::Failed)));
        now += READ_INTERVAL;
        // One failure is counted once.
        assert_eq!(token.permits(&none, now), (false, None));
        assert!(permits(&token, "Bearer second", now));
        assert!(!permits(&token, "Bearer ", now));
        std::fs::write(&file, "third").unwrap();
        now += READ_INTERVAL;
        assert!(permits(&token, "Bearer third", now));
    }
}
