//! What charts show: how many runs were created, how they ended and how long they took, and how many were open, over a span of time in
//! equal pieces. Counts come from the ledger, so they are there after a restart; what was open when is what the recorder saw, and what each
//! request sees itself.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::doors::Doors;
use super::error::{FieldError, Problem};
use crate::limits::{STATS_PIECES, STATS_SAMPLE, STATS_SPAN_MS_DEFAULT, STATS_SPAN_MS_MAX, STATS_SPAN_MS_MIN};
use crate::model::{RunHead, RunStatus, Span, Text, Timestamp};
use crate::store::RunFilter;
use crate::telemetry::Moment;

/// The address of the figures.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// Figures over a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
struct StatsJson {
    /// Pieces of equal length, the oldest first; the last one ends at the next round time.
    pieces: Vec<PieceJson>,
    /// How long runs took, over all pieces.
    took: Option<TookJson>,
}

/// Figures of one piece.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsPiece)]
struct PieceJson {
    /// Its begin.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Its end, which is the begin of the next one.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Of the runs that were created in it, how many stand how now; statuses that none has are left out.
    #[schema(value_type = BTreeMap<String, u64>)]
    statuses: BTreeMap<Text, u64>,
    /// How long those took that have ended.
    took: Option<TookJson>,
    /// The most runs that were open at once; not known of times when the server was down or that are long ago, nor of a single app.
    open: Option<OpenJson>,
}

/// How long runs took that completed or failed, from when they might start to their end, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StatsTook)]
struct TookJson {
    /// The median.
    p50: u64,
    /// What 95 of 100 did not exceed.
    p95: u64,
    /// How many runs were looked at: the newest 50 of a piece at most.
    of: usize,
}

/// Runs that were open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsOpen)]
struct OpenJson {
    /// Ready, or waiting for their start.
    backlog: u64,
    /// Waiting for a time, a signal, an event, a child.
    waiting: u64,
    /// Failing and tried again.
    failing: u64,
    /// Held.
    held: u64,
}

impl From<Moment> for OpenJson {
    fn from(moment: Moment) -> OpenJson {
        let Moment { at: _, backlog, waiting, failing, held } = moment;
        OpenJson { backlog, waiting, failing, held }
    }
}

/// Figures of what.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatsQuery {
    /// How far back: 1 m to 90 d, 1 h if left out.
    #[param(value_type = Option<String>, example = "24h")]
    span: Option<String>,
    /// Of this app.
    app: Option<String>,
    /// Of the function with this id.
    function: Option<String>,
}

/// Figures over the last hour, or another span, in 30 pieces: throughput, failures, how long runs took, what was open.
#[utoipa::path(
    get, path = "/v1/stats", tag = "runs", operation_id = "showStats", params(StatsQuery),
    responses((status = 200, description = "The figures", body = StatsJson))
)]
async fn stats(State(doors): State<Doors>, RawQuery(query): RawQuery) -> Result<Json<StatsJson>, Problem> {
    let query: StatsQuery = body::query(query.as_deref())?;
    let span = query.span.as_deref().map(|text| body::id::<Span>("span", text)).transpose()?;
    let span = span.unwrap_or(Span(STATS_SPAN_MS_DEFAULT));
    if !(STATS_SPAN_MS_MIN..=STATS_SPAN_MS_MAX).contains(&span.0) {
        return Err(Problem::field(FieldError::of("span", "must be from 1m to 90d")));
    }
    let (app, function) = (query.app.map(Text::from), query.function.map(Text::from));
    let of_all = app.is_none() && function.is_none();
    let filter = RunFilter { app, function, ..RunFilter::default() };
    let now = doors.clock.wall();
    if of_all {
        // What is open this moment is known without the recorder.
        let statuses = RunStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect();
        let open = doors.store.count_runs(RunFilter { statuses, ..filter.clone() }).await?;
        doors.metrics.history.record(Moment::of(now, |status| open.of(status)));
    }
    let mut all = Vec::new();
    let mut pieces = Vec::with_capacity(STATS_PIECES);
    for (from, until) in cut(now, span) {
        let within = RunFilter { since: Some(from), until: Some(until), ..filter.clone() };
        let counts = doors.store.count_runs(within.clone()).await?;
        let ended = counts.of(RunStatus::Completed) + counts.of(RunStatus::Failed);
        let mut sample = Vec::new();
        if ended > 0 {
            let statuses = vec![RunStatus::Completed, RunStatus::Failed];
            let page = doors.store.runs(RunFilter { statuses, limit: STATS_SAMPLE, ..within }).await?;
            sample = page.runs.iter().filter_map(took).collect();
        }
        // Of a busy piece each run that is looked at stands for many.
        let weight = ended as f64 / sample.len().max(1) as f64;
        all.extend(sample.iter().map(|ms| (*ms, weight)));
        let known = RunStatus::ALL.into_iter().filter(|status| counts.of(*status) > 0);
        pieces.push(PieceJson {
            from,
            until,
            statuses: known.map(|status| (status.as_str().into(), counts.of(status))).collect(),
            took: summary(sample.into_iter().map(|ms| (ms, 1.0)).collect()),
            open: doors.metrics.history.most(from, until).filter(|_| of_all).map(OpenJson::from),
        });
    }
    Ok(Json(StatsJson { pieces, took: summary(all) }))
}

/// Pieces of equal length that end at the round time after `now`, so that they stay the same for a while.
fn cut(now: Timestamp, span: Span) -> Vec<(Timestamp, Timestamp)> {
    let count = i64::try_from(STATS_PIECES).unwrap_or(1);
    let second = 1_000;
    let size = (i64::try_from(span.0).unwrap_or(i64::MAX) / count / second).max(1) * second;
    let end = (now.0 / size + 1) * size;
    let at = |n: i64| Timestamp((end - n * size).max(0));
    (0..count).rev().map(|n| (at(n + 1), at(n))).collect()
}

fn took(run: &RunHead) -> Option<u64> {
    Some(run.ended_at?.since(run.started_at).0)
}

/// The quantiles of durations that stand for so many each, by nearest rank.
fn summary(mut sample: Vec<(u64, f64)>) -> Option<TookJson> {
    sample.sort_unstable_by_key(|(ms, _)| *ms);
    let whole: f64 = sample.iter().map(|(_, weight)| weight).sum();
    let longest = sample.last()?.0;
    let quantile = |share: f64| {
        let mut passed = 0.0;
        let reaches = |(_, weight): &&(u64, f64)| {
            passed += weight;
            // What was added up in another order may differ in the last digit.
            passed >= share * whole - 1e-9
        };
        sample.iter().find(reaches).map_or(longest, |(ms, _)| *ms)
    };
    Some(TookJson { p50: quantile(0.5), p95: quantile(0.95), of: sample.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another_and_stay() {
        let pieces = cut(Timestamp(10_000_000), Span(3_600_000));
        assert_eq!((pieces.len(), pieces[29]), (30, (Timestamp(9_960_000), Timestamp(10_080_000))));
        assert!(pieces.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!(cut(Timestamp(10_000_001), Span(3_600_000)), pieces);
        assert_eq!(cut(Timestamp(0), Span(3_600_000))[0], (Timestamp(0), Timestamp(0)), "before time there is nothing");
    }

    #[test]
    fn quantiles_count_what_each_stands_for() {
        assert_eq!(summary(Vec::new()), None);
        let even = summary((1..=100).map(|ms| (ms, 1.0)).collect());
        assert_eq!(even, Some(TookJson { p50: 50, p95: 95, of: 100 }));
        let uneven = summary(vec![(1_000, 1.0), (1, 99.0)]);
        assert_eq!(uneven, Some(TookJson { p50: 1, p95: 1, of: 2 }));
    }
}
