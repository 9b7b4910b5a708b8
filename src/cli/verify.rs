//! `backstitch verify`: proves that a data directory is in order, with a server at work on it or without one. It reads and
//! changes nothing.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::exit::{refused, usage};
use super::style::{BAD, DIM, GOOD, styled};
use super::{Exit, screen};
use crate::config::{Layers, Mode, Storage, VerifyFlags};
use crate::store::sqlite::{self, Checked};

/// Prove that a data directory is in order: that every run has a reason to move, and that everything agrees.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch verify --data-dir /var/lib/backstitch")]
pub(super) struct Verify {
    /// Look at what `backstitch start` would use, and not at what `backstitch dev` would.
    #[arg(long)]
    start: bool,
    /// Print each check as a JSON object on a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: VerifyFlags,
}

/// A check for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckJson<'a> {
    check: &'a str,
    promise: &'a str,
    found: u64,
    examples: Vec<ExampleJson<'a>>,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// One thing that is not as it should be.
#[derive(Serialize)]
struct ExampleJson<'a> {
    run: Option<&'a str>,
    what: &'a str,
}

impl Verify {
    pub(super) async fn execute(self) -> Result<Exit> {
        let layers = Layers::load(self.flags.0.clone())?;
        let mode = if self.start { Mode::Start } else { Mode::Dev };
        let dir = Storage::read(&layers, mode)?.data_dir;
        let shown = dir.display().to_string();
        let verified = tokio::task::spawn_blocking(move || sqlite::verify(&dir)).await?;
        let Some(verified) = verified.map_err(|error| refused(error.to_string()))? else {
            return Err(usage(format!("there is no database in {shown}; say where it is with --data-dir")));
        };
        for check in &verified.checks {
            self.show(check)?;
        }
        let faults: u64 = verified.checks.iter().map(|check| check.found).sum();
        if !self.json {
            let what = if faults == 0 { "all is in order".to_owned() } else { format!("{faults} findings") };
            screen::note(styled(DIM, format!("{} runs in {shown}: {what}", verified.runs)));
        }
        Ok(if faults == 0 { Exit::Done } else { Exit::No })
    }

    fn show(&self, check: &Checked) -> Result<()> {
        let Checked { name, promise, remedy, found, examples } = check;
        if self.json {
            let examples = examples.iter().map(|it| ExampleJson { run: it.run.as_deref(), what: &it.what }).collect();
            let remedy = (*found > 0).then_some(*remedy);
            return screen::json(&CheckJson { check: name, promise, found: *found, examples, remedy });
        }
        if *found == 0 {
            screen::line(format!("{} {name:9} {promise}", styled(GOOD, "✓")))?;
            return Ok(());
        }
        screen::line(format!("{} {name:9} not so {found} times: {promise}", styled(BAD, "✗")))?;
        for example in examples {
            let run = example.run.as_deref().map(|run| format!("{run}  ")).unwrap_or_default();
            screen::line(format!("            {run}{}", screen::plain(&example.what, 300)))?;
        }
        if *found > examples.len() as u64 {
            screen::line(styled(DIM, format!("            and {} more", found - examples.len() as u64)))?;
        }
        screen::line(format!("            {} {remedy}", styled(DIM, "→")))?;
        Ok(())
    }
}
