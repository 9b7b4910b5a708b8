//! A research agent: a model plans, then picks one tool after the other, and at the end writes a report. Every call of the
//! model and of a tool is a step: kept once it is done, tried again when it fails. Tools that cost something wait for a
//! person first, for as long as it takes.

mod llm;
pub mod model;
mod tools;

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use llm::Llm;

/// What an action of the agent was, and what it found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    pub tool: String,
    pub argument: String,
    pub found: String,
}

/// What the agent comes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub report: String,
    pub notes: Vec<Note>,
}

#[derive(Serialize, Deserialize)]
struct Plan {
    steps: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Action {
    tool: String,
    argument: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    report: String,
}

/// How others refer to the agent: its input is the question.
pub const RESEARCH: FunctionRef<String, Report> = FunctionRef::new("research-rust/research");

const TURNS_MAX: usize = 8;

/// The app that serves the agent.
pub fn app(llm: Llm) -> App {
    App::new("research-rust").function_fn("research", move |ctx, question| research(ctx, question, llm.clone()))
}

fn model_retry() -> Retry {
    Retry::attempts(6).initial_interval(500.milliseconds())
}

async fn research(ctx: Ctx, question: String, llm: Llm) -> Result<Report, Error> {
    let plan: Plan =
        ctx.run("plan", |_| llm.chat("plan", json!({ "question": question }))).retry(model_retry()).await?;
    let mut notes: Vec<Note> = Vec::new();
    // One wait for a rejection serves the whole run: a wait that has lost its race is still open, and a second one of its
    // kind would never see the signal that the first one takes. It is registered when it is first polled.
    let mut rejection = ctx.signal::<String>("reject");
    let mut rejected: Option<String> = None;

    for turn in 1..=TURNS_MAX {
        let ctx = ctx.scope(&format!("turn-{turn}"));
        let about = json!({ "question": question, "plan": plan.steps, "notes": notes });
        let action: Action = ctx.run("think", |_| llm.chat("act", about)).retry(model_retry()).await?;
        if action.tool == "finish" {
            break;
        }
        if rejected.is_none() && tools::asks(&action.tool) {
            rejected = select! {
                approval = ctx.signal::<String>("approve").timeout(1.days()) => match approval? {
                    Some(_) => None,
                    None => Some("nobody answered for a day".to_owned()),
                },
                reason = &mut rejection => Some(reason?),
            };
        }
        let found = match &rejected {
            Some(reason) if tools::asks(&action.tool) => format!("not allowed: {reason}"),
            _ => use_tool(&ctx, &action).await?,
        };
        notes.push(Note { tool: action.tool, argument: action.argument, found });
    }

    let about = json!({ "question": question, "notes": notes });
    let Written { report } = ctx.run("write", |_| llm.chat("write", about)).retry(model_retry()).await?;
    Ok(Report { report, notes })
}

/// A tool that fails for good is something to work with, too: the model reads what happened.
async fn use_tool(ctx: &Ctx, action: &Action) -> Result<String, Error> {
    let retry = Retry::attempts(4).initial_interval(500.milliseconds()).non_retryable(["NotFound"]);
    match ctx.run("tool", |step| tools::run(&action.tool, &action.argument, step)).retry(retry).await {
        Err(error) if !error.is_cancelled() => Ok(format!("failed: {}", error.message())),
        other => other,
    }
}
