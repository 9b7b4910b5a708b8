//! How a run ended: waiting for it, and showing it. The value goes to the standard output alone, so that it can be piped.

use anyhow::Result;

use super::tree::failure_line;
use crate::api::ResultJson;
use crate::cli::client::Client;
use crate::cli::style::{BAD, DIM, ODD, styled};
use crate::cli::{Exit, screen};
use crate::clock::{Clock as _, SystemClock};
use crate::limits::CALL_WAIT_MS;
use crate::model::{RunId, RunStatus, Span};

/// Waits for a run's end as long as `wait`, in requests of half a minute.
pub(in crate::cli) async fn wait(client: &Client, run: RunId, wait: Span) -> Result<ResultJson> {
    let clock = SystemClock::new();
    loop {
        let rest = wait.0.saturating_sub(clock.monotonic_ms());
        let query = [("wait", Span(rest.min(CALL_WAIT_MS)).to_string())];
        let result: ResultJson = client.read(&["v1", "runs", &run.to_string(), "result"], &query).await?;
        if result.status.is_terminal() || rest == 0 {
            return Ok(result);
        }
        if clock.monotonic_ms() >= wait.0 {
            return Ok(result);
        }
    }
}

/// Prints how it ended, and returns the way out that says the same.
pub(in crate::cli) fn show(result: &ResultJson, json: bool) -> Result<Exit> {
    let exit = super::exit_of(result.status);
    if json {
        screen::json(result)?;
        return Ok(exit);
    }
    match (result.status, &result.ok, &result.err) {
        (RunStatus::Completed, ok, _) => {
            let value = ok.as_ref().map_or("null".into(), |value| String::from_utf8_lossy(value.bytes()));
            screen::line(value)?;
            screen::note(styled(DIM, format!("{} is completed", result.id)));
        }
        (status, _, Some(error)) if status.is_terminal() => {
            screen::note(format!("{} {} is {status}: {}", styled(BAD, "✗"), result.id, failure_line(error)));
            screen::note(styled(DIM, format!("  backstitch run {} shows its journal", result.id)));
        }
        (status, ..) if status.is_terminal() => screen::note(format!("{} is {status}", result.id)),
        (status, ..) => {
            screen::note(format!("{} {} has not ended yet: it is {status}", styled(ODD, "…"), result.id));
            screen::note(styled(
                DIM,
                format!("  backstitch run {} --watch follows it, backstitch explain {} says why", result.id, result.id),
            ));
        }
    }
    Ok(exit)
}
