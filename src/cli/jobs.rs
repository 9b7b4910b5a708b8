//! `backstitch jobs`: one action on every run that a filter matches. It is counted first and done by the server.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;

use super::client::Client;
use super::exit::usage;
use super::runs::{Matching, rough};
use super::style::{DIM, styled};
use super::table::{print, table};
use super::{Exit, screen};
use crate::api::JobCountJson;
use crate::api::view::{JobJson, PageJson};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;

/// Act on many runs at once, and see how far that has come.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Jobs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Start(Box<Start>),
    Show(Show),
    Stop(Stop),
}

/// List jobs, newest first.
#[derive(Debug, Args)]
struct List {
    /// Print one job a line as the API shows it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Do something with every run that matches. Runs that are created meanwhile are left alone.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: backstitch jobs start retry --status failed --function shop/order --since 1d --dry-run"
)]
struct Start {
    /// What to do: cancel, kill, pause, resume, retry, fork or move.
    action: String,
    #[command(flatten)]
    matching: Matching,
    /// Whatever runs there are, without a filter.
    #[arg(long)]
    all: bool,
    /// Of a fork: the entry to do again.
    #[arg(long, value_name = "ENTRY")]
    at: Option<String>,
    /// Of a move: a deployment's id, or `current`.
    #[arg(long, value_name = "DEPLOYMENT")]
    to: Option<String>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Show how far a job has come.
#[derive(Debug, Args)]
struct Show {
    /// The job's id.
    job: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Stop a job where it is. What it has done stays done.
#[derive(Debug, Args)]
struct Stop {
    /// The job's id.
    job: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Jobs {
    pub(super) async fn execute(self) -> Result<Exit> {
        match self.command {
            None => self.list.execute().await,
            Some(Command::List(list)) => list.execute().await,
            Some(Command::Start(start)) => start.execute().await,
            Some(Command::Show(show)) => show.execute().await,
            Some(Command::Stop(stop)) => stop.execute().await,
        }
    }
}

impl List {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let page: PageJson<JobJson> = client.read(&["v1", "jobs"], &[]).await?;
        if self.json {
            page.items.iter().try_for_each(screen::json)?;
            return Ok(Exit::Done);
        }
        if page.items.is_empty() {
            screen::note(
                "no jobs yet; `backstitch jobs start retry --status failed --dry-run` counts what one would do",
            );
            return Ok(Exit::Done);
        }
        let now = SystemClock::new().wall();
        let mut rows = table(&["job", "action", "status", "done", "failed", "of", "created", "last error…"]);
        for job in &page.items {
            rows.add_row([
                job.id.to_string(),
                job.action.as_str().to_owned(),
                job.status.as_str().to_owned(),
                job.done.to_string(),
                job.failed.to_string(),
                job.total.to_string(),
                format!("{} ago", rough(now.since(job.created_at))),
                screen::plain(job.last_error.as_deref().unwrap_or_default(), 200),
            ]);
        }
        print(&rows)?;
        Ok(Exit::Done)
    }
}

impl Start {
    async fn execute(self) -> Result<Exit> {
        let filter = self.matching.filter()?;
        if !self.all && filter.is_empty() {
            return Err(usage(
                "say which runs: --status, --app, --function, --tag, --attr, --text, --since and so on; or --all",
            ));
        }
        let mut body = serde_json::json!({ "action": self.action, "filter": filter, "dryRun": self.dry_run });
        let options = [("at", self.at), ("to", self.to)];
        for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            body["options"][name] = value.into();
        }
        let client = Client::new(self.flags)?;
        if self.dry_run {
            return counted(&client.write(Method::POST, &["v1", "jobs"], &[], &body).await?, self.json);
        }
        let job: JobJson = client.write(Method::POST, &["v1", "jobs"], &[], &body).await?;
        show(&job, self.json)
    }
}

impl Show {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        show(&client.read(&["v1", "jobs", &self.job], &[]).await?, self.json)
    }
}

impl Stop {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        show(&client.write(Method::DELETE, &["v1", "jobs", &self.job], &[], &serde_json::json!({})).await?, self.json)
    }
}

/// How many runs an action would be about.
pub(super) fn counted(count: &JobCountJson, json: bool) -> Result<Exit> {
    if json {
        screen::json(count)?;
    } else {
        screen::line(format!("{} runs match; nothing was done", count.total))?;
    }
    Ok(Exit::Done)
}

/// How far a job has come.
pub(super) fn show(job: &JobJson, json: bool) -> Result<Exit> {
    if json {
        screen::json(job)?;
        return Ok(Exit::Done);
    }
    let (action, status) = (job.action.as_str(), job.status.as_str());
    let progress = format!("{} done, {} failed, of {}", job.done, job.failed, job.total);
    screen::line(format!("{}  {action}  {status}  {}", job.id, styled(DIM, progress)))?;
    if let Some(error) = &job.last_error {
        screen::note(format!("the last failure: {}", screen::plain(error, 400)));
    }
    Ok(Exit::Done)
}
