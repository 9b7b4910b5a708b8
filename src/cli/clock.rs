//! `backstitch clock`: shows and skips the time of a server that `backstitch dev` runs.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::style::{DIM, styled};
use super::{Exit, screen};
use crate::api::ClockJson;
use crate::config::ClientFlags;
use crate::model::Span;

/// Show the time of a development server, and skip it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  backstitch clock\n  backstitch clock advance 3d\n  backstitch clock next")]
pub(super) struct Clock {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print the clock as a JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    Advance(Advance),
    Next(Next),
}

/// Let so much time pass at once. Sleeps, time-outs and pauses that fall due on the way fire in their order.
#[derive(Debug, Args)]
struct Advance {
    /// How long: 90s, 1h30m, 3d.
    #[arg(value_name = "DURATION")]
    by: Span,
}

/// Skip to the next timer.
#[derive(Debug, Args)]
struct Next {}

impl Clock {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let move_it = async |body| client.write(Method::POST, &["dev", "clock", "advance"], &[], &body).await;
        let clock: ClockJson = match &self.command {
            None => client.read(&["dev", "clock"], &[]).await?,
            Some(Command::Advance(Advance { by })) => move_it(json!({ "by": by })).await?,
            Some(Command::Next(Next {})) => move_it(json!({ "to": "next" })).await?,
        };
        if self.json {
            screen::json(&clock)?;
            return Ok(Exit::Done);
        }
        let ahead = if clock.skipped_ms == 0 { "the machine's time".to_owned() } else { format!("{} ahead", Span(clock.skipped_ms)) };
        screen::line(format!("{}  {}", clock.now, styled(DIM, ahead)))?;
        match clock.next {
            Some(next) => screen::line(format!("next timer at {next}, in {}", next.since(clock.now)))?,
            None => screen::line("nothing waits for a time")?,
        }
        if !clock.quiet {
            screen::note("handlers are still at work");
        }
        Ok(Exit::Done)
    }
}
