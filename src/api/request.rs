//! What happens around every request: it gets an id and is let in or not, a panic becomes a problem, and one line is
//! logged about it. Addresses
//! are logged as routes, because a path may hold a token.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::doors::Doors;
use super::error::{Cause, Problem};
use crate::limits::REQUEST_ID_BYTES_MAX;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id and logs what came of it.
pub(super) async fn around(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let id = clients_id(request.headers()).unwrap_or_else(|| fresh_id(doors.clock.entropy()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let begun = doors.clock.monotonic_ms();
    let mut response = match doors.guard.check(&method, request.uri(), request.headers()) {
        Ok(()) => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| panicked(&*panic)),
        Err(problem) => problem.into_response(),
    };
    let duration_ms = doors.clock.monotonic_ms().saturating_sub(begun);
    let (status, route) = (response.status().as_u16(), route.as_ref().map_or("-", MatchedPath::as_str));
    let request_id = id.to_str().unwrap_or_default();
    match response.extensions().get::<Cause>() {
        Some(Cause(cause)) => tracing::error!(
            http.method = %method, http.route = route, http.status = status, http.request_id = request_id,
            duration_ms, error = cause, "a request failed inside the server"
        ),
        None => tracing::debug!(
            http.method = %method, http.route = route, http.status = status, http.request_id = request_id,
            duration_ms, "a request was answered"
        ),
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The id that the client sent, if it is fit to stand in a log.
fn clients_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let fit = !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic);
    fit.then(|| id.clone())
}

fn fresh_id(entropy: u128) -> HeaderValue {
    let mut text = String::from("req_");
    // Writing to a string cannot fail.
    let _ = write!(text, "{entropy:032x}");
    HeaderValue::from_str(&text).expect("hexadecimal digits may stand in a header")
}

/// A handler that panics is a defect of the server; the client is told so, and other requests go on.
fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("a request's handler panicked: {}", text.unwrap_or("no message"))).into_response()
}
