//! Says in one reason why a run does not move.

use super::command::{Explanation, Reply};
use super::draft::{Draft, Part};
use super::wait::until;
use super::{Partition, fetch, object, run::awaited_signal};
use crate::model::{Entry, EntryKind, EntryStatus, RunId, RunStatus, Timestamp, UPDATE};

/// The one reason why a run stands where it stands.
pub(super) fn explain(draft: &mut Draft<'_>, partition: &Partition, id: RunId) -> Part<Reply> {
    let turn = draft.turn(id).map(|turn| turn.started_at);
    let (registry, now) = (draft.registry, draft.now());
    if let Some((object, holder, place)) = object::place(draft, id)? {
        return Ok(Reply::Explanation(Explanation::InLine { object, holder, place }));
    }
    let run = draft.run(id)?;
    let head = &run.head;
    let explanation = match (head.status, turn) {
        (status, _) if status.is_terminal() => Explanation::Ended(status),
        (RunStatus::Paused, _) => match head.hold.clone() {
            Some(hold) => Explanation::Held(hold),
            None => Explanation::Ready,
        },
        (_, Some(since)) => Explanation::Running(since),
        (RunStatus::Queued, _) => Explanation::Delayed(head.wake_at.unwrap_or_default()),
        (RunStatus::Backoff, _) => Explanation::Backoff {
            failures: head.failures.max(head.losses),
            next_at: head.wake_at.unwrap_or_default(),
            error: head.last_error.clone(),
        },
        (RunStatus::Suspended, _) => {
            let open = run.open().into_iter().map(|idx| run.entry(idx));
            Explanation::Waiting(open.map(|entry| describe(partition, id, entry, now)).collect())
        }
        _ if registry.is_paused(&head.function) => Explanation::FunctionPaused(head.function.clone()),
        _ => match registry.deployment_of(&head.function, head.deployment) {
            None => match head.deployment {
                Some(pinned) => Explanation::DeploymentGone(pinned),
                None => Explanation::NoDeployment(head.function.clone()),
            },
            Some(deployment) => partition.turns.outage(deployment.id).unwrap_or(Explanation::Ready),
        },
    };
    Ok(Reply::Explanation(explanation))
}

fn describe(partition: &Partition, run: RunId, entry: &Entry, now: Timestamp) -> String {
    let id = &entry.id;
    let time = until(entry.due_at);
    let param = |name: &str| {
        let params: serde_json::Value = entry.params.read().unwrap_or_default();
        params.get(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    match entry.kind {
        EntryKind::Step if entry.status == EntryStatus::Backoff => {
            format!("step `{id}`: attempt {} is due at {}", entry.failures + 1, entry.due_at.unwrap_or_default())
        }
        EntryKind::Fetch => fetch::describe(partition, run, entry, now),
        EntryKind::Sleep => format!("sleep `{id}`{time}"),
        EntryKind::WaitSignal => match awaited_signal(entry) {
            Some(name) if name.starts_with(UPDATE) => format!("update `{}` for `{id}`{time}", &name[UPDATE.len()..]),
            Some(name) if !name.starts_with('$') => format!("signal `{name}` for `{id}`{time}"),
            _ => format!("awakeable `{id}`{time}"),
        },
        EntryKind::WaitEvent => {
            let filter = param("if");
            let filter = if filter.is_empty() { filter } else { format!(" with `{filter}`") };
            format!("event `{}`{filter} for `{id}`{time}", param("event"))
        }
        EntryKind::Invoke => {
            let child = entry.child.map(|child| child.to_string()).unwrap_or_default();
            format!("child run {child} of `{}` for `{id}`{time}", param("function"))
        }
        kind => format!("{kind} `{id}`{time}"),
    }
}
