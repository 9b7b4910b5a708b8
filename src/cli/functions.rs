//! `backstitch functions`: lists functions, and pauses and resumes them.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::client::Client;
use super::exit::usage;
use super::style::{BOLD, DIM, ODD, styled};
use super::table::{print, table};
use super::{Exit, screen};
use crate::api::PausedJson;
use crate::api::view::{FunctionJson, PageJson};
use crate::config::ClientFlags;

/// List functions; pause and resume them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Functions {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Pause(Pause),
    Resume(Resume),
}

/// List all functions, with what starts them.
#[derive(Debug, Args)]
struct List {
    /// Print one function a line as the API shows it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Hold back the runs of a function: new ones are accepted and wait.
#[derive(Debug, Args)]
struct Pause {
    #[command(flatten)]
    on: OnFunction,
}

/// Let the runs of a paused function go.
#[derive(Debug, Args)]
struct Resume {
    #[command(flatten)]
    on: OnFunction,
}

#[derive(Debug, Args)]
struct OnFunction {
    /// The function: app/function.
    function: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Functions {
    pub(super) async fn execute(self) -> Result<Exit> {
        match self.command {
            None => self.list.execute().await,
            Some(Command::List(list)) => list.execute().await,
            Some(Command::Pause(Pause { on })) => on.ask("pause", "is paused; its runs wait").await,
            Some(Command::Resume(Resume { on })) => on.ask("resume", "is not paused; its runs go on").await,
        }
    }
}

impl List {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let page: PageJson<FunctionJson> = client.read(&["v1", "functions"], &[]).await?;
        if self.json {
            for function in &page.items {
                screen::json(function)?;
            }
            return Ok(Exit::Done);
        }
        let mut rows = table(&["function", "started by", "state"]);
        for function in &page.items {
            let events = function.triggers.iter().map(|trigger| trigger.event.to_string());
            let failures = function.failure_of.iter().map(|of| format!("failures of {of}"));
            let started_by: Vec<String> = events.chain(failures).collect();
            let started_by = if started_by.is_empty() { styled(DIM, "calls") } else { started_by.join(", ") };
            let state = if function.paused { styled(ODD, "paused") } else { String::new() };
            rows.add_row(vec![styled(BOLD, format!("{}/{}", function.app, function.function)), started_by, state]);
        }
        if page.items.is_empty() {
            screen::note("There are no functions: register an app with `backstitch apps add ADDRESS`.");
        } else {
            print(&rows)?;
        }
        Ok(Exit::Done)
    }
}

impl OnFunction {
    async fn ask(self, act: &str, what: &str) -> Result<Exit> {
        let Some((app, function)) = self.function.split_once('/').filter(|(app, id)| !app.is_empty() && !id.is_empty())
        else {
            return Err(usage(format!("`{}` is no function; write app/function", self.function)));
        };
        let client = Client::new(self.flags)?;
        let now: PausedJson = client.act(&["v1", "functions", app, function, act]).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            let already = if now.changed { "" } else { " (as it was before)" };
            screen::line(format!("{} {what}{already}", self.function))?;
        }
        Ok(Exit::Done)
    }
}
