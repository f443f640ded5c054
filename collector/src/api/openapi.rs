//! `GET /api/v1/openapi.json`: the description of the API, generated from its types.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, openapi};

use super::{edges, endpoints, exporters, flows, graph, status};

/// The API of the collector of kipfix.
#[derive(OpenApi)]
#[openapi(
    info(title = "kipfix-collector", contact(), license(name = "Apache-2.0")),
    paths(
        edges::get,
        endpoints::get,
        exporters::get,
        flows::get,
        status::get,
        graph::health,
        graph::fields,
        graph::data
    ),
    modifiers(&BearerScheme),
    security((), ("bearer" = []))
)]
struct Document;

/// Describes the bearer token, which requests need if the collector has one.
struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", scheme);
    }
}

pub(super) fn answer() -> Response {
    /// It is the same for every request.
    static TEXT: LazyLock<String> =
        LazyLock::new(|| Document::openapi().to_pretty_json().unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_documents_its_parameters_and_answers() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let get = |path: &str| &document["paths"][path]["get"];
        let parameters = get("/api/v1/edges")["parameters"].as_array().unwrap();
        let names: Vec<&str> = parameters
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "from", "to", "group_by", "filter", "order", "limit", "points"
            ]
        );
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{parameter}");
        }
        for path in [
            "/api/v1/edges",
            "/api/v1/endpoints",
            "/api/v1/exporters",
            "/api/v1/flows",
            "/api/v1/status",
        ] {
            assert!(get(path)["summary"].is_string(), "{path}");
            assert!(get(path)["responses"]["200"].is_object(), "{path}");
            assert!(get(path)["responses"]["400"].is_object(), "{path}");
            assert!(get(path)["responses"]["401"].is_object(), "{path}");
        }
        let scheme = &document["components"]["securitySchemes"]["bearer"];
        assert_eq!(scheme["scheme"], "bearer");
    }
}
