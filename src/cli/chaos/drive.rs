//! One run from its start to its end, by the API: what it waits for is sent at its start, and time is skipped where nothing
//! else can happen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::report::Came;
use crate::api::view::{JournalJson, RunJson};
use crate::api::{ClockJson, Code, EffectJson};
use crate::cli::client::{Client, ClientError};
use crate::cli::exit::refused;
use crate::limits::{CHAOS_LOOK_MS, CHAOS_RUN_MS, CHAOS_SKIPS_MAX};
use crate::model::{EntryKind, RunStatus};

/// A signal or an event.
pub(super) struct Message {
    pub(super) name: String,
    pub(super) data: Box<RawValue>,
}

/// What each run is started with.
pub(super) struct Sent {
    pub(super) input: Box<RawValue>,
    pub(super) signals: Vec<Message>,
    pub(super) events: Vec<Message>,
}

/// Starts a run, and drives it to its end, or to where it waits for what never comes.
pub(super) async fn run(client: &Client, app: &str, function: &str, sent: &Sent) -> Result<Came> {
    let started: Value = client
        .write(Method::POST, &["v1", "functions", app, function, "runs"], &[], &json!({ "input": sent.input }))
        .await?;
    let id = started["id"].as_str().unwrap_or_default().to_owned();
    for Message { name, data } in &sent.signals {
        let _: Value =
            client.write(Method::POST, &["v1", "runs", &id, "signals", name], &[], &json!({ "data": data })).await?;
    }
    for Message { name, data } in &sent.events {
        let _: Value =
            client.write(Method::POST, &["v1", "events"], &[], &json!({ "name": name, "data": data })).await?;
    }
    let in_time = tokio::time::timeout(Duration::from_millis(CHAOS_RUN_MS), to_its_end(client, &id));
    let stuck = match in_time.await {
        Ok(stuck) => stuck?,
        Err(_) => Some(format!("the run has not ended after {} s", CHAOS_RUN_MS / 1_000)),
    };
    came(client, &id, stuck).await
}

/// Drives a run; gives why it does not end.
async fn to_its_end(client: &Client, id: &str) -> Result<Option<String>> {
    let mut skips = 0;
    loop {
        let run: RunJson = client.read(&["v1", "runs", id], &[]).await?;
        if run.status.is_terminal() {
            return Ok(None);
        }
        if run.status == RunStatus::Paused {
            return Ok(Some(explained(client, id).await?));
        }
        let clock: ClockJson = client.read(&["dev", "clock"], &[]).await?;
        if !clock.quiet {
            tokio::time::sleep(Duration::from_millis(CHAOS_LOOK_MS)).await;
            continue;
        }
        // It may have ended between the two questions.
        let run: RunJson = client.read(&["v1", "runs", id], &[]).await?;
        match clock.next {
            _ if run.status.is_terminal() => return Ok(None),
            None => return Ok(Some(explained(client, id).await?)),
            Some(_) if skips >= CHAOS_SKIPS_MAX => {
                return Err(refused(format!("failed to drive {id} to its end: the clock was skipped {skips} times")));
            }
            Some(_) => {
                skips += 1;
                skip(client).await?;
            }
        }
    }
}

/// Skips to the next timer. One that was due in a moment may have fired by itself.
async fn skip(client: &Client) -> Result<()> {
    let to_next = json!({ "to": "next" });
    let skipped = client.write::<ClockJson>(Method::POST, &["dev", "clock", "advance"], &[], &to_next).await;
    match skipped.as_ref().map_err(|error| error.downcast_ref()) {
        Err(Some(ClientError::Refused { problem, .. })) if problem.code == Code::NoTimer => Ok(()),
        _ => skipped.map(drop),
    }
}

async fn explained(client: &Client, id: &str) -> Result<String> {
    let explanation: Value = client.read(&["v1", "runs", id, "explain"], &[]).await?;
    Ok(explanation["sentence"].as_str().map_or_else(|| explanation.to_string(), str::to_owned))
}

/// What has come of a run.
async fn came(client: &Client, id: &str, stuck: Option<String>) -> Result<Came> {
    let journal: JournalJson = client.read(&["v1", "runs", id, "journal"], &[]).await?;
    let mut entries = BTreeMap::new();
    let mut order = Vec::new();
    for entry in &journal.entries {
        if matches!(entry.op, EntryKind::Input | EntryKind::Outcome) {
            continue;
        }
        let err = entry.err.as_ref().map(|err| named(&text(err)));
        let outcome = entry
            .ok
            .as_ref()
            .map(text)
            .or(err)
            .unwrap_or_else(|| if entry.timeout { "timeout".to_owned() } else { "open".to_owned() });
        entries.insert(entry.id.to_string(), format!("{} {outcome}", entry.op.as_str()));
        order.push(entry.id.to_string());
    }
    let outcome = journal.entries.iter().find(|entry| entry.op == EntryKind::Outcome);
    let result = outcome.map(|entry| {
        entry.ok.as_ref().map(text).or_else(|| entry.err.as_ref().map(|err| named(&text(err)))).unwrap_or_default()
    });
    Ok(Came {
        status: journal.run.status.as_str().to_owned(),
        result: result.unwrap_or_default(),
        entries,
        order,
        stuck,
        ..Came::default()
    })
}

fn text(payload: &crate::model::Payload) -> String {
    String::from_utf8_lossy(payload.bytes()).into_owned()
}

/// An error without what differs from one throw to the next, such as its stack.
fn named(error: &str) -> String {
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    format!("{}: {}", error["name"].as_str().unwrap_or("Error"), error["message"].as_str().unwrap_or_default())
}

/// What was done to the world since it was last asked.
pub(super) async fn take_effects(client: &Client) -> Result<BTreeMap<String, u64>> {
    let effects: Vec<EffectJson> = client.read(&["dev", "effects"], &[]).await?;
    client.remove(&["dev", "effects"]).await?;
    Ok(effects.into_iter().map(|effect| (effect.name, effect.count)).collect())
}
