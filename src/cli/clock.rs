//! `backstitch clock`: shows and skips the time of a server that `backstitch dev` runs.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::style::{DIM, styled};
use super::{Exit, screen};
use crate::api::ClockJson;
use crate::config::ClientFlags;
use crate::model::Span;

/// Show the time of a development server, and skip it.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  backstitch clock\n  backstitch clock advance 3d\n  backstitch clock next"
)]
pub(super) struct Clock {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    asked: Asked,
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
    #[command(flatten)]
    asked: Asked,
}

/// Skip to the next timer.
#[derive(Debug, Args)]
struct Next {
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
struct Asked {
    /// Print the clock as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Clock {
    pub(super) async fn execute(self) -> Result<Exit> {
        let (body, Asked { json, flags }) = match self.command {
            None => (Value::Null, self.asked),
            Some(Command::Advance(Advance { by, asked })) => (json!({ "by": by }), asked),
            Some(Command::Next(Next { asked })) => (json!({ "to": "next" }), asked),
        };
        let client = Client::new(flags)?;
        let clock: ClockJson = match body {
            Value::Null => client.read(&["dev", "clock"], &[]).await?,
            body => client.write(Method::POST, &["dev", "clock", "advance"], &[], &body).await?,
        };
        if json {
            screen::json(&clock)?;
            return Ok(Exit::Done);
        }
        let ahead = match clock.skipped_ms {
            0 => "the machine's time".to_owned(),
            ms => format!("{} ahead of the machine's", Span(ms)),
        };
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
