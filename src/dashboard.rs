//! The web UI, as files in the binary: `dashboard/` built, with a compressed version beside each. The UI uses the public API
//! and nothing else, so this room knows nobody; it does not know what a run is.
//!
//! Files whose names carry a hash are kept by browsers for ever; `index.html` is asked for each time, and answered with "not
//! modified" as long as it is. Below `/ui/` every path without a file is a page of the UI, and gets `index.html`: which pages
//! there are is the UI's business. A server that was built without Node.js says how to get the UI, and serves everything else.

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

/// Where the UI lives. Everything else of the address space is the API's.
const HOME: &str = "/ui/";

/// The page that every other page is made of.
const INDEX: &str = "index.html";

/// What Vite names so has a hash of its content in the name.
const HASHED: &str = "assets/";

/// Encodings in the order of preference, with the ending of their files.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// What is said where the UI should be, if it was not built.
const MISSING: &str = "This server was built without its dashboard. Build it with `make dashboard` (it needs Node.js 20 or \
     newer), then build the server again. The API and the command line are here all the same: see /openapi.json.\n";

/// What a page may do: load its own files, ask its own server, and nothing else. No inline scripts, no other origin, no frames.
/// Styles may be set on single elements, as virtualised lists do with heights.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' \
     data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The built UI. Empty where it was not built.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Files;

/// The addresses of the UI: `/` leads to `/ui/`, and everything below `/ui/` is the UI's.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let home = || std::future::ready(Redirect::temporary(HOME));
    Router::new().route("/", get(home)).route("/ui", get(home)).route(HOME, get(serve)).route("/ui/{*path}", get(serve))
}

async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().strip_prefix(HOME).unwrap_or_default();
    let mut answer = match (Files::get(path), Files::get(INDEX)) {
        (Some(file), _) if !path.is_empty() => whole(path, file, &headers),
        // A file that an older or newer server has: a page in its place would be a script that does not parse.
        (None, Some(_)) if path.starts_with(HASHED) => StatusCode::NOT_FOUND.into_response(),
        (_, Some(index)) => whole(INDEX, index, &headers),
        (_, None) => (StatusCode::NOT_FOUND, MISSING).into_response(),
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A file in the best encoding that the client takes, or the word that it has it already.
fn whole(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", &hex(&file.metadata.sha256_hash())[..32]);
    let lasting = path.starts_with(HASHED);
    let caching = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|list| list.split(',')).any(|one| one.trim().trim_start_matches("W/") == tag);
    let common = [
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::ETAG, tag),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (encoding, ending) in ENCODINGS.into_iter().filter(|(encoding, _)| accepts(accepted, encoding)) {
        if let Some(compressed) = Files::get(&format!("{path}{ending}")) {
            return (common, kind, [(header::CONTENT_ENCODING, encoding)], compressed.data).into_response();
        }
    }
    (common, kind, file.data).into_response()
}

/// Whether a client takes an encoding: it is named, and not refused by `q=0`.
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|part| {
            part.strip_prefix("q=").is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality == 0.0))
        });
        named && !refused
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: (bool, bool)) {
        assert_eq!((accepts(header, "br"), accepts(header, "gzip")), expected, "{header}");
    }

    #[test]
    fn encodings_are_taken_as_the_client_says() {
        check("gzip, deflate, br", (true, true));
        check("gzip", (false, true));
        check("br;q=0, GZIP;q=0.5", (false, true));
        check("brotli, x-gzip", (false, false));
        check("", (false, false));
    }
}
