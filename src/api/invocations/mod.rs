//! Invocations: what an SDK says while its handler is at work, and what it asks. Only whoever has the token of an invocation
//! is heard, and only as long as it is its run's current one. The bodies are the protocol's, not the API's own: the dialect
//! reads and writes them.

mod pages;
mod report;
mod reports;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::Doors;
use super::error::{Code, Problem};
use crate::engine::Refusal;
use crate::model::Token;
use crate::processor::Declined;

/// The addresses of invocations.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(report::report))
        .routes(routes!(reports::reports))
        .routes(routes!(pages::journal))
}

/// The invocation that a request speaks for.
fn invocation(doors: &Doors, headers: &HeaderMap) -> Result<Token, Problem> {
    let written = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = written.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(|| {
        let detail = "failed to know the invocation: send its token as `authorization: Bearer inv_…`";
        Problem::new(Code::Unauthorized, detail)
    })?;
    Ok(doors.secrets.unseal(token.trim())?)
}

/// What a handler is told when its report was not taken. A run that is gone is one that has moved on.
fn declined(token: Token, declined: Declined) -> Problem {
    match declined {
        Declined::Refused(Refusal::UnknownRun(_)) => Refusal::Stale(token).into(),
        other => other.into(),
    }
}

/// A body that the dialect wrote.
fn json(body: Bytes) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
