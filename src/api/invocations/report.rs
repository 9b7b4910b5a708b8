//! `POST /v1/invocations`: a handler reports what it did and is told what is new, at once or as soon as there is anything.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use utoipa::ToSchema;

use std::time::Duration;

use super::{declined, invocation, json};
use crate::api::body;
use crate::api::doors::{Doors, unexpected};
use crate::api::error::{FieldError, Problem};
use crate::dialect::native::{Report, decode_report, encode_reply};
use crate::engine::{Command, Refusal, Reply};
use crate::limits::{ANSWER_BYTES_MAX, POLLS_MAX, WATCH_POLL_MS};
use crate::model::{Checkpoint, EntryId, News, Retry, Span, Stop, Token};

/// A report, as section 9 of the protocol has it.
#[derive(ToSchema)]
#[schema(as = Report)]
#[expect(dead_code, reason = "it is only described here; the dialect reads it")]
struct ReportJson {
    /// The number of a checkpoint with ops, from 1; without ops the last number that was replied to.
    n: Option<u32>,
    /// The greatest `seq` that the SDK knows.
    seen: u32,
    /// What was done.
    #[schema(value_type = Vec<Object>)]
    ops: Vec<()>,
    /// How long the reply may wait for something to tell, at most `30s`.
    wait: Option<String>,
    /// Of an answer whose connection is gone: `true`.
    #[schema(rename = "final")]
    is_final: Option<bool>,
    /// Of such an answer: what it waits for.
    awaiting: Option<Vec<Vec<String>>>,
}

/// What is new, as section 9 of the protocol has it; empty for an answer.
#[derive(ToSchema)]
#[schema(as = News)]
#[expect(dead_code, reason = "it is only described here; the dialect writes it")]
struct NewsJson {
    /// What has settled, by `seq`, in the form of the journal.
    #[schema(value_type = Option<Vec<Object>>)]
    settled: Option<Vec<()>>,
    /// Steps that are to run again.
    #[schema(value_type = Option<Vec<Object>>)]
    retry: Option<Vec<()>>,
    /// `drain` when the server is about to stop.
    stop: Option<String>,
}

/// Report what a handler at work did, and hear what is new.
#[utoipa::path(
    post, path = "/v1/invocations", tag = "invocations", operation_id = "reportInvocation",
    params(("authorization" = String, Header, description = "`Bearer` and the invocation's token")),
    request_body = ReportJson,
    responses((status = 200, description = "What was reported is durable; this is new", body = NewsJson))
)]
pub(super) async fn report(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let token = invocation(&doors, &headers)?;
    let received = body::receive(&headers, body, ANSWER_BYTES_MAX, false).await?;
    Ok(json(taken(&doors, token, &received.bytes, true).await?))
}

/// Takes what a handler reports; the reply.
pub(super) async fn taken(doors: &Doors, token: Token, report: &Bytes, may_wait: bool) -> Result<Bytes, Problem> {
    match decode_report(report)? {
        Report::Final(answer) => {
            let started_at = doors.clock.wall();
            match ask(doors, token, Command::Returned { token, answer, started_at }).await? {
                Reply::Status(_) => Ok(Bytes::from_static(b"{}")),
                reply => Err(unexpected(&reply)),
            }
        }
        Report::Checkpoint { wait, .. } if wait > Span(0) && !may_wait => {
            let detail = "is not for reports that come together: the others would wait, too";
            Err(Problem::field(FieldError::at("/wait", detail)))
        }
        Report::Checkpoint { checkpoint, wait } => Ok(encode_reply(&news(doors, token, checkpoint, wait).await?)),
    }
}

async fn ask(doors: &Doors, token: Token, command: Command) -> Result<Reply, Problem> {
    doors.report(token.run, command).await.map_err(|no| declined(token, no))
}

/// Gives the checkpoint to the run's owner. When there is nothing to tell, waits for it as long as the handler wants, or
/// until the server begins to stop.
async fn news(doors: &Doors, token: Token, checkpoint: Checkpoint, wait: Span) -> Result<News, Problem> {
    if wait == Span(0) {
        return told(doors, token, checkpoint).await;
    }
    let place = doors.polling.enter();
    let _place = place.ok_or_else(|| Problem::busy(format!("failed to wait: {POLLS_MAX} handlers wait already")))?;
    // Subscribe first, then ask, then wait: what becomes durable in between is not missed.
    let mut changes = doors.cluster.owner_of(token.run).watch(token.run);
    let again = Checkpoint { ops: Vec::new(), ..checkpoint };
    let first = told(doors, token, checkpoint).await?;
    if !first.settled.is_empty() || first.stop.is_some() {
        return Ok(first);
    }
    let due = steps(&first.retry);
    let deadline = tokio::time::sleep(wait.std());
    tokio::pin!(deadline);
    loop {
        let over = tokio::select! {
            () = &mut deadline => true,
            () = doors.drained() => true,
            () = changes.changed() => false,
            // Behind every wake-up there is a slow look, in case one was lost.
            () = tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)) => false,
        };
        let news = told(doors, token, again.clone()).await?;
        // What another reply has told the handler of meanwhile is no reason to end this one.
        let settled = news.settled.iter().any(|told| told.entry.seq > Some(news.told));
        if over || settled || news.stop.is_some() || steps(&news.retry) != due {
            return Ok(news);
        }
    }
}

/// Which steps are to run again, as which attempt, and whether now.
fn steps(retry: &[Retry]) -> Vec<(EntryId, u32, bool)> {
    retry.iter().map(|retry| (retry.id.clone(), retry.attempt, retry.due_in == Span(0))).collect()
}

async fn told(doors: &Doors, token: Token, checkpoint: Checkpoint) -> Result<News, Problem> {
    match ask(doors, token, Command::Checkpoint { token, checkpoint }).await? {
        Reply::News(News { stop: Some(Stop::Stale), .. }) => Err(Refusal::Stale(token).into()),
        Reply::News(news) => Ok(news),
        reply => Err(unexpected(&reply)),
    }
}
