//! What `dev` says about apps: which there are, what changed in them, which have gone. Everything follows from two pictures
//! of the registry, the last and the next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::apps::shown;
use super::sample;
use super::screen::{self, plain};
use super::style::{BAD, BOLD, DIM, GOOD, MOVING, styled};
use crate::catalog::Catalog;
use crate::limits::{FIRST_LOOK_MS, FIRST_LOOK_PAUSE_MS, FUNCTIONS_SHOWN};
use crate::model::{App, FunctionConfig, Registry, Text};

/// Says what changes, until it is dropped.
/// With `starting`, an app is being started just now, and is given the time to answer.
pub(super) async fn tell(catalog: Catalog, starting: bool) {
    look(&catalog, starting).await;
    let mut registry = catalog.subscribe();
    let mut before = Arc::new(Registry::default());
    let mut hinted = false;
    loop {
        let now = registry.borrow_and_update().clone();
        for line in differences(&before, &now) {
            screen::note(line);
        }
        if let Some(hint) = next_command(&now).filter(|_| !hinted) {
            screen::note(format!("\n  try   {}\n", styled(BOLD, hint)));
            hinted = true;
        }
        before = now;
        if registry.changed().await.is_err() {
            // The server has stopped.
            return std::future::pending().await;
        }
    }
}

/// Asks what was registered in an earlier life, so that what is said of it first is true now.
async fn look(catalog: &Catalog, starting: bool) {
    let names: Vec<Text> = catalog.registry().apps.keys().cloned().collect();
    let answers = async {
        while join_all(names.iter().map(|name| catalog.sync(name))).await.iter().any(Result::is_err) && starting {
            tokio::time::sleep(Duration::from_millis(FIRST_LOOK_PAUSE_MS)).await;
        }
    };
    // An app that takes longer is told of when it has answered; the errors are in the registry.
    let _ = tokio::time::timeout(Duration::from_millis(FIRST_LOOK_MS), answers).await;
}

/// The lines that tell how one registry differs from another.
fn differences(before: &Registry, now: &Registry) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, app) in &now.apps {
        lines.extend(difference(name, before, now, app));
    }
    for name in before.apps.keys().filter(|name| !now.apps.contains_key(*name)) {
        lines.push(format!("{} {} is forgotten", styled(DIM, "–"), styled(BOLD, name)));
    }
    lines
}

fn difference(name: &Text, before: &Registry, now: &Registry, app: &App) -> Vec<String> {
    let known = before.apps.get(name);
    let title = styled(BOLD, plain(name, 60));
    if let Some(error) = &app.sync_error {
        let news = known.and_then(|known| known.sync_error.as_ref()) != Some(error);
        return if news { vec![format!("{} {title}  {}", styled(BAD, "✗"), plain(error, 600))] } else { Vec::new() };
    }
    let Some(deployment) = now.current(name) else { return Vec::new() };
    let functions = &deployment.manifest.functions;
    let address = styled(DIM, shown(&app.url));
    let Some(known) = known.filter(|known| known.current.is_some() && known.url == app.url) else {
        let sdk = styled(DIM, plain(&deployment.manifest.sdk, 40));
        let mut lines = vec![format!("{} {title}  {address}  {sdk}", styled(GOOD, "✓"))];
        lines.extend(functions.iter().take(FUNCTIONS_SHOWN).map(|function| function_line(name, function)));
        if functions.len() > FUNCTIONS_SHOWN {
            lines.push(styled(DIM, format!("    and {} more", functions.len() - FUNCTIONS_SHOWN)));
        }
        return lines;
    };
    if known.current != app.current {
        let old = before.current(name).map(|deployment| deployment.manifest.functions.as_slice()).unwrap_or_default();
        return vec![format!("{} {title} changed{}", styled(MOVING, "↻"), changed(old, functions))];
    }
    if known.sync_error.is_some() {
        return vec![format!("{} {title} is back  {address}", styled(GOOD, "✓"))];
    }
    Vec::new()
}

fn function_line(app: &str, function: &FunctionConfig) -> String {
    let events: Vec<String> = function.triggers.iter().map(|trigger| plain(&trigger.event, 60)).collect();
    let on = if events.is_empty() { String::new() } else { styled(DIM, format!("  on {}", events.join(", "))) };
    format!("    {}/{}{on}", plain(app, 60), plain(&function.id, 60))
}

fn changed(old: &[FunctionConfig], new: &[FunctionConfig]) -> String {
    let ids =
        |functions: &[FunctionConfig]| functions.iter().map(|function| function.id.clone()).collect::<BTreeSet<Text>>();
    let (old, new) = (ids(old), ids(new));
    let added = new.difference(&old).map(|id| styled(GOOD, format!(" +{}", plain(id, 60))));
    let gone = old.difference(&new).map(|id| styled(BAD, format!(" -{}", plain(id, 60))));
    let parts: Vec<String> = added.chain(gone).take(FUNCTIONS_SHOWN).collect();
    if parts.is_empty() { String::new() } else { format!(" {}", parts.concat()) }
}

/// What to type next: something that starts the first function there is. Where what it takes is not known, an empty object would be
/// accepted and fail in the handler, so nothing is suggested for it.
fn next_command(now: &Registry) -> Option<String> {
    let (id, function) = now.functions().next()?;
    Some(match function.triggers.first() {
        Some(trigger) => format!("backstitch send {} '<data as JSON>'", plain(&trigger.event, 60)),
        None => {
            let input = function.input.as_ref().and_then(sample::argument);
            let input = input.unwrap_or_else(|| "<input as JSON>".to_owned());
            format!("backstitch call {} '{input}'", plain(&id.to_string(), 120))
        }
    })
}
