//! `POST /v1/invocations/reports`: what the handlers of one process report at the same moment, in one request. Each report is taken
//! or refused by itself; the reply comes when all are through.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{json, report};
use crate::api::body;
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::limits::{ANSWER_BYTES_MAX, REPORTS_AT_ONCE_MAX};

/// Reports of several invocations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reports<'a> {
    #[serde(borrow)]
    reports: Vec<One<'a>>,
}

/// A report, and the token of its invocation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One<'a> {
    token: &'a str,
    #[serde(borrow)]
    report: &'a RawValue,
}

/// Reports of several invocations.
#[derive(ToSchema)]
#[schema(as = Reports)]
#[expect(dead_code, reason = "it is only described here")]
struct ReportsJson {
    /// At most 256, each of another invocation.
    reports: Vec<TokenReportJson>,
}

/// One of them.
#[derive(ToSchema)]
#[schema(as = TokenReport)]
#[expect(dead_code, reason = "it is only described here")]
struct TokenReportJson {
    /// The invocation's token.
    token: String,
    /// As `POST /v1/invocations` takes it.
    #[schema(value_type = Object)]
    report: (),
}

/// What became of them.
#[derive(ToSchema)]
#[schema(as = Replies)]
#[expect(dead_code, reason = "it is only described here")]
struct RepliesJson {
    /// In the order of the reports.
    replies: Vec<ReplyJson>,
}

/// What became of one.
#[derive(ToSchema)]
#[schema(as = Reply)]
#[expect(dead_code, reason = "it is only described here")]
struct ReplyJson {
    /// The status that `POST /v1/invocations` would have answered with.
    status: u16,
    /// The body that it would have answered with: news, or a problem.
    #[schema(value_type = Object)]
    body: (),
}

/// Report for several handlers at work at once, and hear what is new for each. One that is refused does not touch the others.
#[utoipa::path(
    post, path = "/v1/invocations/reports", tag = "invocations", operation_id = "reportInvocations",
    request_body = ReportsJson,
    responses((status = 200, description = "Each report was taken, or refused by itself", body = RepliesJson))
)]
pub(super) async fn reports(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let received = body::receive(&headers, body, ANSWER_BYTES_MAX, false).await?;
    let Reports { reports } = received.json()?;
    if reports.is_empty() || reports.len() > REPORTS_AT_ONCE_MAX {
        let detail = format!("has {} reports; send 1 to {REPORTS_AT_ONCE_MAX}", reports.len());
        return Err(Problem::field(FieldError::at("/reports", detail)));
    }
    let replies = join_all(reports.iter().map(|one| taken(&doors, one))).await;
    let mut out = Vec::with_capacity(replies.iter().map(|(_, body)| body.len() + 24).sum::<usize>() + 16);
    out.extend_from_slice(b"{\"replies\":[");
    for (at, (status, body)) in replies.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"status\":" } else { b",{\"status\":" });
        out.extend_from_slice(status.as_str().as_bytes());
        out.extend_from_slice(b",\"body\":");
        out.extend_from_slice(body);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(json(out.into()))
}

/// What one of them is answered with.
async fn taken(doors: &Doors, one: &One<'_>) -> (StatusCode, Bytes) {
    // Bytes of its own: what is kept of a report must not keep all the others.
    let report = Bytes::copy_from_slice(one.report.get().as_bytes());
    let taken = match doors.secrets.unseal(one.token) {
        Ok(token) => report::taken(doors, token, &report, false).await,
        Err(error) => Err(error.into()),
    };
    match taken {
        Ok(news) => (StatusCode::OK, news),
        Err(problem) => problem.print(),
    }
}
