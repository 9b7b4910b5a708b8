//! `backstitch fork` and `backstitch retry`: a new run that goes on from a point of another one.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::exit::usage;
use super::style::{DIM, styled};
use super::{Exit, input, screen, target};
use crate::api::{ForkPlanJson, ForkedJson};
use crate::config::ClientFlags;
use crate::model::RunId;

/// Start a run that goes on from a point of another one. What was done before that point is not done again.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch fork run_01… --at charge --edit 'quote={\"cents\": 0}'\n\n\
        Without --at, everything up to the last edit is kept; without edits nothing is, and the run is made again as a whole.")]
pub(super) struct Fork {
    /// The run: its id, or app/function/name.
    run: String,
    /// The entry to do again, by its id: what settled before it is kept.
    #[arg(long, value_name = "ENTRY")]
    at: Option<String>,
    /// Another result for an entry that is kept. May be given more than once.
    #[arg(long = "edit", value_name = "ENTRY=JSON")]
    edits: Vec<String>,
    /// Another input.
    #[arg(long, value_name = "INPUT", help = format!("Another input: {}", input::HELP))]
    input: Option<String>,
    /// Only show what would be kept.
    #[arg(long)]
    dry_run: bool,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Start a failed or cancelled run again from its first failure.
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The run: its id, or app/function/name.
    run: String,
    /// Only show what would be kept.
    #[arg(long)]
    dry_run: bool,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    edits: BTreeMap<String, Edit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Edit {
    ok: Box<RawValue>,
}

impl Fork {
    pub(super) async fn execute(self) -> Result<Exit> {
        let edits = self.edits.iter().map(|text| edit(text)).collect::<Result<_>>()?;
        let input = self.input.as_deref().map(|text| input::json(Some(text))).transpose()?;
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let body = Body { at: self.at, edits, input, dry_run: self.dry_run };
        ask(&client, run, "fork", &body, self.dry_run, self.json).await
    }
}

impl Retry {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let body = serde_json::json!({ "dryRun": self.dry_run });
        ask(&client, run, "retry", &body, self.dry_run, self.json).await
    }
}

fn edit(text: &str) -> Result<(String, Edit)> {
    let Some((entry, value)) = text.split_once('=').filter(|(entry, _)| !entry.is_empty()) else {
        return Err(usage(format!("--edit {text}: write ENTRY=JSON, such as --edit 'quote={{\"cents\": 0}}'")));
    };
    Ok((entry.to_owned(), Edit { ok: input::json(Some(value))? }))
}

async fn ask(
    client: &Client,
    run: RunId,
    verb: &str,
    body: &impl Serialize,
    dry_run: bool,
    json: bool,
) -> Result<Exit> {
    let path = ["v1", "runs", &run.to_string(), verb];
    if dry_run {
        let plan: ForkPlanJson = client.write(Method::POST, &path, &[], body).await?;
        if json {
            screen::json(&plan)?;
        } else {
            let line =
                |what: &str, id: &str| screen::line(format!("{}  {}", styled(DIM, what), screen::plain(id, 256)));
            plan.copied.iter().try_for_each(|id| line("kept ", id))?;
            plan.again.iter().try_for_each(|id| line("again", id))?;
            screen::note(format!(
                "{} kept, {} done again if asked for; nothing was started",
                plan.copied.len(),
                plan.again.len()
            ));
        }
        return Ok(Exit::Done);
    }
    let forked: ForkedJson = client.write(Method::POST, &path, &[], body).await?;
    if json {
        screen::json(&forked)?;
    } else {
        let kept = match forked.copied {
            0 => "from its beginning".to_owned(),
            1 => "with 1 entry of the other run".to_owned(),
            copied => format!("with {copied} entries of the other run"),
        };
        screen::line(format!("{}  {}", forked.id, styled(DIM, kept)))?;
    }
    Ok(Exit::Done)
}
