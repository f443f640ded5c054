//! The page at `/`: its files are part of the program. They contain no data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The content security policy: everything comes from the collector, nothing is inline.
const POLICY: &str = include_str!("../../../web/csp.txt");

/// A file of the page.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    content_type: &'static str,
    octets: &'static [u8],
}

/// What `web/` builds.
const FILES: [File; 6] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        octets: include_bytes!("../../../web/dist/index.html"),
    },
    File {
        path: "/assets/app.js",
        content_type: "text/javascript; charset=utf-8",
        octets: include_bytes!("../../../web/dist/assets/app.js"),
    },
    File {
        path: "/assets/app.css",
        content_type: "text/css; charset=utf-8",
        octets: include_bytes!("../../../web/dist/assets/app.css"),
    },
    File {
        path: "/assets/layout-worker.js",
        content_type: "text/javascript; charset=utf-8",
        octets: include_bytes!("../../../web/dist/assets/layout-worker.js"),
    },
    File {
        path: "/assets/favicon.svg",
        content_type: "image/svg+xml",
        octets: include_bytes!("../../../web/dist/assets/favicon.svg"),
    },
    File {
        path: "/assets/licenses.txt",
        content_type: "text/plain; charset=utf-8",
        octets: include_bytes!("../../../web/dist/assets/licenses.txt"),
    },
];

/// The routes of the page.
pub(super) fn router() -> Router {
    FILES.into_iter().fold(Router::new(), |router, file| {
        let tag: Arc<str> = entity_tag(file.octets).into();
        let answer = move |request: HeaderMap| std::future::ready(file.answer(&tag, &request));
        router.route(file.path, get(answer))
    })
}

impl File {
    fn answer(&self, tag: &str, request: &HeaderMap) -> Response {
        let headers = [
            (CACHE_CONTROL, "no-cache"),
            (ETAG, tag),
            (CONTENT_SECURITY_POLICY, POLICY.trim()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        let known = request.get_all(IF_NONE_MATCH).into_iter();
        let mut known = known.filter_map(|value| value.to_str().ok());
        if known.any(|tags| tags.split(',').any(|known| known.trim() == tag)) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = [(CONTENT_TYPE, self.content_type)];
        (headers, content_type, self.octets).into_response()
    }
}

/// A strong entity tag (RFC 9110 §8.8.3): other octets have another tag.
fn entity_tag(octets: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_loads_is_served() {
        let index = String::from_utf8(FILES[0].octets.to_vec()).unwrap();
        let names = index
            .split(['"', '\''])
            .filter(|text| text.starts_with("./"));
        let mut count = 0;
        for name in names {
            let path = name.trim_start_matches('.');
            assert!(FILES.iter().any(|file| file.path == path), "{name}");
            count += 1;
        }
        assert!(count >= 3, "{index}");
        let built = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../web/dist/assets"));
        for file in built.unwrap() {
            let path = format!("/assets/{}", file.unwrap().file_name().to_str().unwrap());
            assert!(FILES.iter().any(|file| file.path == path), "{path}");
        }
    }

    #[test]
    fn a_file_has_the_policy_and_is_not_sent_again() {
        let file = &FILES[1];
        let tag = entity_tag(file.octets);
        let answer = file.answer(&tag, &HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::OK);
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let request = |tags: &str| {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, tags.parse().unwrap());
            file.answer(&tag, &request).status()
        };
        assert_eq!(request(&tag), StatusCode::NOT_MODIFIED);
        assert_eq!(request(&format!("\"x\", {tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(request("\"x\""), StatusCode::OK);
    }
}
