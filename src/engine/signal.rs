//! Signals: each settles the first wait that wants it, or is kept in order with its run until one comes.

use super::chain;
use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::run::AWAKEABLE;
use super::run_draft::RunDraft;
use crate::limits::EARLY_SIGNALS_MAX;
use crate::model::{RunId, Settle, Signal, Text};

/// Takes a signal for a run. One with an id that came before changes nothing.
pub(super) fn signal(
    draft: &mut Draft<'_>,
    id: RunId,
    name: &Text,
    client_id: Option<&Text>,
    settle: &Settle,
) -> Part<Reply> {
    let now = draft.now();
    let addressed = id;
    // An awakeable belongs to an entry, and so to one run of a chain.
    let id = if name.starts_with(AWAKEABLE) { id } else { chain::newest(draft, id)? };
    if let Some(client_id) = client_id {
        let known =
            |run: &RunDraft<'_>| run.signals().any(|kept| !kept.wants_reply && kept.id.as_ref() == Some(client_id));
        let known = known(draft.run(addressed)?) || known(draft.run(id)?);
        if known || chain::delivered_to(draft, addressed, id, client_id.clone())?.is_some() {
            return Ok(Reply::Signalled { fresh: false });
        }
    }
    let run = draft.run(id)?;
    if let Some(entry) = name.strip_prefix(AWAKEABLE) {
        let settled = run.find(entry).is_some_and(|idx| run.entry(idx).is_settled());
        if settled || run.signals().any(|kept| kept.name == *name) {
            return Err(Refusal::AlreadySettled.into());
        }
    }
    if run.head.status.is_terminal() {
        return Err(Refusal::Ended(id, run.head.status).into());
    }
    let waiting = run.wait_for(name);
    let kept = run.signals().filter(|kept| kept.is_open()).count();
    if waiting.is_none() && kept >= EARLY_SIGNALS_MAX {
        return Err(Refusal::TooManySignals { run: id, name: name.clone(), limit: EARLY_SIGNALS_MAX }.into());
    }
    // A signal that finds its wait leaves no row, unless its id must be remembered.
    if waiting.is_none() || client_id.is_some() {
        run.add_signal(Signal {
            run_no: 0,
            order: 0,
            name: name.clone(),
            id: client_id.cloned(),
            settle: settle.clone(),
            at: now,
            consumed_by: waiting,
            wants_reply: false,
            reply: None,
        });
    }
    if let Some(idx) = waiting {
        draft.settle(id, idx, settle.clone())?;
    }
    Ok(Reply::Signalled { fresh: true })
}
