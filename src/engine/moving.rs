//! Moving: a run goes on at another deployment of its app. What it was at stays as it was done; the next invocation asks
//! the other code.

use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::{chain, hold};
use crate::model::{HoldKind, MoveTo, NoTarget, RunId, RunStatus};

/// Moves a run. One that is held because of what its deployment is goes on, and so does one that would be tried again
/// later.
pub(super) fn move_to(draft: &mut Draft<'_>, id: RunId, to: MoveTo) -> Part<Reply> {
    let id = chain::newest(draft, id)?;
    let registry = draft.registry;
    let run = draft.run(id)?;
    let function = &run.head.function;
    if run.head.status.is_terminal() {
        return Err(Refusal::Ended(id, run.head.status).into());
    }
    let (deployment, pin) = registry.target(&function.app, to).map_err(|why| Refusal::CannotMove(id, why))?;
    if deployment.function(&function.function).is_none() {
        return Err(Refusal::CannotMove(id, NoTarget::NoFunction(deployment.id, function.clone())).into());
    }
    run.head.deployment = pin;
    match run.head.status {
        RunStatus::Paused if run.head.hold.as_ref().is_some_and(|hold| is_about_code(hold.kind)) => {
            return hold::resume(draft, id);
        }
        RunStatus::Backoff => {
            hold::forgive(run);
            run.make_ready();
        }
        _ => {}
    }
    Ok(Reply::Status(run.head.status))
}

/// Whether other code can be what a held run waits for.
fn is_about_code(kind: HoldKind) -> bool {
    match kind {
        HoldKind::Mismatch
        | HoldKind::Signature
        | HoldKind::UnknownFunction
        | HoldKind::Protocol
        | HoldKind::TooLarge
        | HoldKind::Lost
        | HoldKind::Compensation => true,
        HoldKind::Quarantine | HoldKind::Operator => false,
    }
}
