//! `GET /v1/runs/{run}/explain`: the one reason why a run does not move.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::{self, Params};
use crate::api::doors::{Doors, unexpected};
use crate::api::error::Problem;
use crate::api::view::HoldJson;
use crate::engine::{Command, Explanation, Reply};
use crate::model::{Failure, Payload, RunId, Timestamp};

/// The one reason why a run does not move.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
pub struct ExplanationJson {
    /// The run.
    #[schema(value_type = String)]
    pub run: Option<RunId>,
    /// The kind of reason: `ended`, `held`, `running`, `ready`, `delayed`, `inLine`, `backoff`, `unreachable`,
    /// `functionPaused`, `noDeployment`, `deploymentGone` or `waiting`.
    pub reason: String,
    /// The reason in a sentence.
    pub sentence: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// When something happens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// What it waits for, each in a few words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Failed attempts so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub error: Option<Payload>,
    /// How many runs wait for the same deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldJson>,
}

impl ExplanationJson {
    fn new(run: RunId, explanation: Explanation) -> ExplanationJson {
        ExplanationJson { run: Some(run), ..ExplanationJson::from(explanation) }
    }
}

impl From<Explanation> for ExplanationJson {
    fn from(explanation: Explanation) -> ExplanationJson {
        let is = |reason: &str, sentence: String| ExplanationJson {
            reason: reason.to_owned(),
            sentence,
            ..ExplanationJson::default()
        };
        match explanation {
            Explanation::Ended(status) => is("ended", format!("It has ended: it is {status}.")),
            Explanation::Held(hold) => ExplanationJson {
                since: Some(hold.since),
                hold: Some(HoldJson::from(&hold)),
                ..is("held", format!("It is held since {}: {}", hold.since, hold.detail))
            },
            Explanation::Running(since) => ExplanationJson {
                since: Some(since),
                ..is("running", format!("Its handler is executing since {since}."))
            },
            Explanation::Ready => is("ready", "It waits for its turn to be invoked.".to_owned()),
            Explanation::Delayed(until) => ExplanationJson {
                next_at: Some(until),
                ..is("delayed", format!("Its start is delayed until {until}."))
            },
            Explanation::InLine { object, holder, place } => {
                let holder = holder.map_or_else(|| "it is being passed on".to_owned(), |run| format!("{run} holds it"));
                let sentence = format!(
                    "It waits for its turn with `{}` `{}`: {holder}, {} in line.",
                    object.object,
                    object.key,
                    ordinal(place)
                );
                ExplanationJson { waits_for: vec![format!("key {object}")], ..is("inLine", sentence) }
            }
            Explanation::Backoff { failures, next_at, error } => {
                let last = error.as_ref().map(Failure::from_payload);
                let last = last.map(|error| format!(" with {}: {}", error.name, error.message)).unwrap_or_default();
                // Contradictions of the journal are not counted: another version may be rolling out.
                let which = if failures == 0 { "The last attempt".to_owned() } else { format!("Attempt {failures}") };
                let sentence = format!("{which} failed{last}. The next is due at {next_at}.");
                ExplanationJson { next_at: Some(next_at), failures: Some(failures), error, ..is("backoff", sentence) }
            }
            Explanation::Unreachable { since, reason, next_at, runs } => {
                let sentence = format!(
                    "Its deployment cannot be reached since {since}: {reason}. It is tried again at {next_at}; \
                     {runs} runs wait for it."
                );
                ExplanationJson {
                    since: Some(since),
                    next_at: Some(next_at),
                    runs: Some(runs),
                    ..is("unreachable", sentence)
                }
            }
            Explanation::FunctionPaused(function) => is(
                "functionPaused",
                format!("Its function is paused. Resume it with `backstitch functions resume {function}`."),
            ),
            Explanation::NoDeployment(function) => is(
                "noDeployment",
                format!(
                    "Nobody serves `{function}`: app `{}` is not registered. Register it with `backstitch apps add URL`.",
                    function.app
                ),
            ),
            Explanation::DeploymentGone(deployment) => is(
                "deploymentGone",
                format!("It is pinned to {deployment}, which is not known any more. Move it with `backstitch move`."),
            ),
            Explanation::Waiting(waits) => ExplanationJson {
                waits_for: waits.clone(),
                ..is("waiting", format!("It waits for {}.", waits.join("; ")))
            },
        }
    }
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// Say in one reason why a run does not move.
#[utoipa::path(
    get, path = "/v1/runs/{run}/explain", tag = "runs", operation_id = "explainRun",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The reason", body = ExplanationJson))
)]
pub(super) async fn explain(
    State(doors): State<Doors>,
    Params(run): Params<String>,
) -> Result<Json<ExplanationJson>, Problem> {
    let run: RunId = body::id("run", &run)?;
    match doors.command(run, Command::Explain { run }).await? {
        Reply::Explanation(explanation) => Ok(Json(ExplanationJson::new(run, explanation))),
        reply => Err(unexpected(&reply)),
    }
}
