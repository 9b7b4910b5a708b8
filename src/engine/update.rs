//! Updates: signals whose sender waits for a reply. Each is kept with its run, settles the first wait for it, and gets
//! one reply: the handler's first, or none if the run ends before.

use super::chain;
use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::run::update_signal;
use crate::limits::EARLY_SIGNALS_MAX;
use crate::model::{Outcome, Payload, RunId, Settle, Signal, Text};

/// Takes an update for a run. One with an id that came before changes nothing, also after the run's end.
pub(super) fn update(
    draft: &mut Draft<'_>,
    id: RunId,
    name: &Text,
    client_id: Option<&Text>,
    data: &Payload,
) -> Part<Reply> {
    let now = draft.now();
    let fresh_id = || Text::from(format!("upd_{:016x}", draft.chance_bits()));
    let update = client_id.cloned().unwrap_or_else(fresh_id);
    let newest = chain::newest(draft, id)?;
    for run in [id, newest] {
        if find(draft.run(run)?.signals(), &update).is_some() {
            return Ok(Reply::Updated { run, id: update, fresh: false });
        }
    }
    // Nobody can repeat an id that is made here.
    if client_id.is_some()
        && let Some(run) = chain::delivered_to(draft, id, newest, update_signal(&update))?
    {
        return Ok(Reply::Updated { run, id: update, fresh: false });
    }
    let id = newest;
    let run = draft.run(id)?;
    if run.head.status.is_terminal() {
        return Err(Refusal::Ended(id, run.head.status).into());
    }
    if run.signals().filter(|kept| kept.is_open()).count() >= EARLY_SIGNALS_MAX {
        return Err(Refusal::TooManySignals { run: id, name: name.clone(), limit: EARLY_SIGNALS_MAX }.into());
    }
    let signal = update_signal(name);
    let waiting = run.wait_for(&signal);
    let settle = Settle::Ok(told(&update, data));
    run.add_signal(Signal {
        run_no: 0,
        order: 0,
        name: signal,
        id: Some(update.clone()),
        settle: settle.clone(),
        at: now,
        consumed_by: waiting,
        wants_reply: true,
        reply: None,
    });
    if let Some(idx) = waiting {
        draft.settle(id, idx, settle)?;
    }
    Ok(Reply::Updated { run: id, id: update, fresh: true })
}

/// Takes a handler's reply. A second one, and one to an update that the run never got, change nothing.
pub(super) fn reply(draft: &mut Draft<'_>, run: RunId, update: &Text, reply: &Outcome) -> Part<()> {
    let run = draft.run(run)?;
    if let Some(signal) = find(run.signals(), update).filter(|signal| signal.reply.is_none()) {
        let signal = Signal { reply: Some(reply.clone()), ..signal.clone() };
        run.change_signal(signal);
    }
    Ok(())
}

fn find<'a>(mut signals: impl Iterator<Item = &'a Signal>, update: &Text) -> Option<&'a Signal> {
    signals.find(|signal| signal.wants_reply && signal.id.as_ref() == Some(update))
}

/// The update that a wait settled with, if it did with one.
pub(super) fn id_of(outcome: &Outcome) -> Option<Text> {
    #[derive(serde::Deserialize)]
    struct Update {
        id: Text,
    }
    outcome.payload()?.read::<Update>().ok().map(|update| update.id)
}

/// What the wait settles with: the data stay the bytes that came.
pub(super) fn told(update: &Text, data: &Payload) -> Payload {
    let id = serde_json::Value::from(&**update).to_string();
    let mut bytes = format!(r#"{{"id":{id},"data":"#).into_bytes();
    bytes.extend_from_slice(data.bytes());
    bytes.push(b'}');
    Payload::trusted(bytes)
}
