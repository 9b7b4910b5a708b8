//! What web pages of other origins may read: streams and results, with a token, if their origin is on the list. Everything
//! else stays closed to them.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Lets these origins in; nothing if there are none.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.to_vec();
    let allowed = move |origin: &HeaderValue, request: &Parts| {
        let known = |it: &String| it == "*" || it.as_bytes() == origin.as_bytes();
        is_open(request.uri.path()) && origins.iter().any(known)
    };
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET])
        .allow_headers([header::AUTHORIZATION, header::CACHE_CONTROL, HeaderName::from_static("last-event-id")]);
    Some(layer)
}

/// Whether an address is one of a stream or of a result.
fn is_open(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    matches!(parts[..], ["v1", "runs", _, "stream" | "result"] | ["v1", "channels", _, "stream"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_results_are_open_and_nothing_else() {
        for path in ["/v1/runs/run_1/stream", "/v1/runs/run_1/result", "/v1/channels/a%2Fb/stream"] {
            assert!(is_open(path), "{path}");
        }
        for path in
            ["/v1/runs", "/v1/runs/run_1", "/v1/runs/run_1/watch", "/v1/runs/run_1/cancel", "/v1/subscriptions", "/"]
        {
            assert!(!is_open(path), "{path}");
        }
    }
}
