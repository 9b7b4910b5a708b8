//! Undoing: the handler that takes over when a run has failed for good, or has ended with its cancellation.
//!
//! It undoes what succeeded and says how it is undone: the last first, one after the other, each as a step of its own in the
//! journal. The steps' own handler is gone by then, so what undoes a step was left here when the step was created.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::policy::Retry;
use crate::raw::Raw;
use crate::replay::call::Replay;
use crate::replay::drive::Handler;
use crate::replay::state::{Core, SlotKey};
use crate::step::{Run, Step};
use crate::wire::{EntryState, Outcome};

/// How a step is undone.
pub(crate) struct Undo {
    pub(crate) body: UndoBody,
    pub(crate) retry: Option<Retry>,
}

/// Undoes a step, given its result.
pub(crate) type UndoBody = Box<dyn FnOnce(Raw, Step) -> BoxFuture<'static, Result<Box<RawValue>, Error>> + Send>;

/// A step that is to be undone.
struct Task {
    id: String,
    result: Raw,
    undo: Undo,
}

impl Core {
    /// Keeps how a step is undone.
    pub(crate) fn keep_undo(&mut self, key: SlotKey, undo: Undo) {
        self.undos.insert(key.0, undo);
    }

    /// The step that is undone next; pending while its result is to be fetched, or while one that has succeeded is not
    /// durable yet: it was the last, and the end would forget it.
    fn poll_undo(&mut self) -> Poll<Option<Task>> {
        if self.owes_undo() {
            return Poll::Pending;
        }
        let last = self.undos.keys().filter_map(|place| Some((self.success_of(*place)?.0, *place))).max();
        let Some((_, place)) = last else { return Poll::Ready(None) };
        let id = self.slots[place].id.clone();
        let Some((_, Outcome::Ok(result))) = self.success_of(place) else {
            self.wanted = Some(id);
            return Poll::Pending;
        };
        let result = result.clone();
        match self.undos.remove(&place) {
            Some(undo) => Poll::Ready(Some(Task { id, result, undo })),
            None => Poll::Ready(None),
        }
    }

    /// Whether a step that can be undone has succeeded, and the server has not confirmed it.
    pub(super) fn owes_undo(&self) -> bool {
        let unheard = |place: &usize| {
            let slot = &self.slots[*place];
            let known = self.entries.get(&slot.id);
            slot.succeeded && known.is_some_and(|known| !matches!(known.state, Some(EntryState::Settled { .. })))
        };
        self.sealed && self.undos.keys().any(unheard)
    }

    /// The entry whose outcome is to be fetched, so that it can be undone.
    pub(crate) fn wanted(&self) -> Option<&str> {
        self.wanted.as_deref()
    }

    /// Gives out what undoes steps, to be dropped where the user's code may run: it may hold anything.
    pub(crate) fn take_undos(&mut self) -> impl Send + use<> {
        std::mem::take(&mut self.undos)
    }
}

/// The handler that undoes. What it comes to says nothing: the run ends with the error that it has failed with.
pub(super) fn handler(replay: Arc<Replay>) -> Handler {
    let undo = async move {
        while let Some(Task { id, result, undo }) = poll_fn(|_| replay.core().poll_undo()).await {
            // A compensation that the journal has settled is done, whatever it settled with.
            let _ = Run::undoing(&replay, &id, result, undo).await;
        }
        Ok(Raw::null())
    };
    undo.boxed()
}
