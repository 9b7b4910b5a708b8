//! One entry as a future sees it: named at the call, registered at the first poll.
//!
//! Refuses to work where no journal could follow it: in a spawned task, and inside a step's body. Both are errors of the
//! call, never panics, and neither moves a counter, so that they do not change what the rest of the handler is called.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::app::State;
use crate::error::Error;
use crate::object::Held;
use crate::raw::Raw;
use crate::replay::frame::{self, Frame};
use crate::replay::ids::Numbers;
use crate::replay::state::{Arrived, Core, Registration, SlotKey, StepPoll};
use crate::testing::Stubs;
use crate::time::Clock;
use crate::wire::{Invocation, OpKind, Report, Run, Trigger};

/// One invocation of one run, shared by its contexts and futures.
pub(crate) struct Replay {
    pub(crate) run: Run,
    pub(crate) trigger: Trigger,
    pub(crate) host: Host,
    /// The state of the object that the run belongs to.
    pub(crate) object: Held,
    core: Mutex<Core>,
    numbers: Mutex<Numbers>,
}

/// What an app brings to each of its invocations.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) clock: Clock,
    /// What handlers share.
    pub(crate) state: State,
    /// Outcomes that the test kit has given to steps instead of their bodies'.
    pub(crate) stubs: Arc<Stubs>,
}

impl Replay {
    /// Everything an invocation says but its input and its links.
    pub(crate) fn new(mut invocation: Invocation, host: Host) -> Arc<Replay> {
        let core = Mutex::new(Core::new(&mut invocation));
        let Invocation { run, trigger, state, .. } = invocation;
        Arc::new(Replay { run, trigger, host, object: Held::new(state), core, numbers: Mutex::default() })
    }

    /// The same invocation for a handler that begins anew. What is left of the handler before has no part in it: its calls
    /// are refused.
    pub(crate) fn reborn(&self, now: Instant) -> Arc<Replay> {
        let core = Mutex::new(self.core().reborn(now));
        let (run, trigger, host) = (self.run.clone(), self.trigger.clone(), self.host.clone());
        Arc::new(Replay { run, trigger, host, object: self.object.reborn(), core, numbers: Mutex::default() })
    }

    /// The outcome that a test has given to this attempt of a step.
    pub(crate) fn stub(&self, id: &str, attempt: u32) -> Option<Result<Raw, Error>> {
        Some(self.host.stubs.get(id, attempt)?.map_err(Error::own))
    }

    // A panic cannot happen under these locks: no user code runs there.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark that this run's code carries while it is polled.
    pub(crate) fn frame(&self, body: bool) -> Frame {
        Frame { run: std::ptr::from_ref(self).addr(), body }
    }

    /// Whether the handler itself is running here, and not one of its bodies or a task that it has spawned.
    pub(crate) fn is_handler_here(&self) -> bool {
        frame::current() == Some(self.frame(false))
    }

    /// Refuses what belongs into the handler itself: a body is one unit, and tasks are not replayed.
    pub(crate) fn check_place(&self, name: &str) -> Result<(), Error> {
        if self.is_handler_here() {
            return Ok(());
        }
        if frame::current() == Some(self.frame(true)) {
            return Err(Error::terminal(
                "NestedStepError",
                format!("`{name}` was called inside a step's body: a body is one unit, call it before or after"),
            ));
        }
        Err(Error::terminal(
            "OutsideRunError",
            format!(
                "`{name}` was called or polled outside its handler, as by tokio::spawn: use join!, select! or Ctx::map"
            ),
        ))
    }
}

/// The entry of one durable call.
pub(crate) struct Call {
    pub(crate) replay: Arc<Replay>,
    pub(crate) id: String,
    pub(crate) name: String,
    kind: OpKind,
    holds_end: bool,
    /// The misuse that the first poll answers with.
    refused: Option<Error>,
    params: Option<Raw>,
    slot: Option<SlotKey>,
    running: bool,
}

impl Call {
    /// Numbers the call.
    pub(crate) fn new(replay: &Arc<Replay>, scope: &str, kind: OpKind, name: &str) -> Call {
        let numbered = replay.check_place(name).and_then(|()| replay.numbers().entry(scope, name));
        let (id, refused) = match numbered {
            Ok(id) => (id, None),
            Err(error) => (String::new(), Some(error)),
        };
        let mut call = Call::known(replay, kind, id, name.to_owned());
        call.refused = refused;
        call
    }

    /// The call of an entry whose id is not the author's.
    pub(crate) fn known(replay: &Arc<Replay>, kind: OpKind, id: String, name: String) -> Call {
        Call {
            replay: Arc::clone(replay),
            id,
            name,
            kind,
            holds_end: false,
            refused: None,
            params: None,
            slot: None,
            running: false,
        }
    }

    /// The run does not end before this has settled.
    pub(crate) fn hold_end(&mut self, holds: bool) {
        self.holds_end = holds;
    }

    /// Answers the first poll with this error, unless there is one already.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    /// Makes a call of the same name, under the next repeat of its id.
    pub(crate) fn again(&self, scope: &str) -> Call {
        Call::new(&self.replay, scope, self.kind, &self.name)
    }

    /// Registers the entry, once. The parameters are asked for at that moment and stand from then on.
    pub(crate) fn register(&mut self, params: impl FnOnce() -> Result<Raw, Error>) -> Result<SlotKey, Error> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        self.replay.check_place(&self.name)?;
        if self.id.is_empty() {
            return Err(Error::terminal(
                "OutsideRunError",
                format!("`{}` was refused and then polled again", self.name),
            ));
        }
        if let Some(slot) = self.slot {
            return Ok(slot);
        }
        let params = params()?;
        let registration = Registration {
            kind: self.kind,
            id: &self.id,
            name: &self.name,
            params: &params,
            holds_end: self.holds_end,
        };
        let slot = self.replay.core().register(registration);
        self.params = Some(params);
        self.slot = Some(slot);
        Ok(slot)
    }

    /// The entry's outcome, once it has been delivered.
    pub(crate) fn poll_outcome(
        &mut self,
        cx: &Context<'_>,
        params: impl FnOnce() -> Result<Raw, Error>,
    ) -> Poll<Result<Arrived, Error>> {
        let slot = match self.register(params) {
            Ok(slot) => slot,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let outcome = ready!(self.replay.core().poll_outcome(slot, cx));
        Poll::Ready(outcome)
    }

    /// As [`Call::poll_outcome`], or the word to run the body.
    pub(crate) fn poll_step(&mut self, cx: &Context<'_>, params: impl FnOnce() -> Result<Raw, Error>) -> StepPoll {
        let slot = match self.register(params) {
            Ok(slot) => slot,
            Err(error) => return StepPoll::Outcome(Err(error)),
        };
        let poll = self.replay.core().poll_step(slot, cx);
        self.running = matches!(poll, StepPoll::Start(_));
        poll
    }

    /// The outcome that came while the body ran: it is to be dropped.
    pub(crate) fn poll_interruption(&mut self, cx: &Context<'_>) -> Poll<Result<Arrived, Error>> {
        let Some(slot) = self.slot.filter(|_| self.running) else { return Poll::Pending };
        let outcome = ready!(self.replay.core().poll_outcome(slot, cx));
        self.running = false;
        Poll::Ready(outcome)
    }

    /// The entry's place, once it is registered.
    pub(crate) fn slot(&self) -> Option<SlotKey> {
        self.slot
    }

    /// The entry's place and parameters, once it is registered.
    pub(crate) fn registered(&self) -> Option<(SlotKey, Raw)> {
        self.slot.zip(self.params.clone())
    }

    /// The body that [`Call::poll_step`] asked for has ended.
    pub(crate) fn report(&mut self, report: Report) {
        if let (Some(slot), Some(params), true) = (self.slot, &self.params, self.running) {
            self.replay.core().report(slot, &self.name, params, report);
            self.running = false;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.replay.core().abandon(slot);
        }
    }
}
