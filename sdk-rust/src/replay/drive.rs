//! Lets a handler run as far as it can go.
//!
//! One future wraps the handler. Whenever the handler is quiet, one known outcome is delivered and the handler is polled
//! again; when nothing is left to deliver, step bodies may start, and what was done is reported where the server can be
//! reached. When no body runs any more and the handler waits for the server, its future is dropped and the answer goes out.
//! Quiet means pending and not woken since: a handler that yields (as large joins do) is polled again before anything is
//! decided.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::context::Ctx;
use crate::error::{Error, Failure};
use crate::function::ErasedHandler;
use crate::port::{Missing, Outbound};
use crate::raw::Raw;
use crate::replay::call::Replay;
use crate::replay::frame;
use crate::replay::link::{Heard, Linger, Link};
use crate::replay::merge::Ripe;
use crate::replay::signal::Signal;
use crate::replay::state::Next;
use crate::replay::undo;
use crate::replay::voice::TOGETHER_BYTES;
use crate::time;
use crate::wire::checkpoint::{self, Reply};
use crate::wire::{Answer, Op, Outcome, Terminal};

/// A handler with its input and its context.
pub(crate) type Handler = BoxFuture<'static, Result<Raw, Error>>;

/// With less than this left no body begins, unless the whole is short or bodies take long.
const LEFT_MIN: Duration = Duration::from_secs(10);

/// How long a branch that waits for something of its own may take to come to steps that must be undone, before the handler
/// of a run that has failed is dropped.
const UNDO_QUIET: Duration = Duration::from_secs(1);

/// How an invocation is driven.
pub(crate) struct Course {
    /// Where to report while the handler runs; without it everything goes out with the answer.
    pub(crate) link: Option<Link>,
    /// Where the outcomes are that were too large for the body.
    pub(crate) journal: Option<Journal>,
    /// How long the invocation may take.
    pub(crate) limit: Duration,
    /// The largest request to the server, in bytes.
    pub(crate) bytes_max: usize,
    /// Ends when no further body is to begin.
    pub(crate) drain: BoxFuture<'static, ()>,
}

/// Where parts of the journal are.
pub(crate) struct Journal {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) url: String,
    pub(crate) token: Arc<str>,
}

/// The invocation as a future of its answer. Dropping it drops the handler.
pub(crate) struct Drive {
    replay: Arc<Replay>,
    make: ErasedHandler,
    input: Raw,
    handler: Option<Handler>,
    /// How the handler has ended, until the answer can go out.
    ended: Option<Terminal>,
    /// What the run ends with when the handler that undoes is through.
    undoing: Option<Failure>,
    /// Nothing is left to undo.
    undone: bool,
    /// Until when a handler that has failed is left alone.
    quiet: Option<Pin<Box<tokio::time::Sleep>>>,
    course: Course,
    deadline: Instant,
    draining: bool,
    fetch: Option<(String, Fetch)>,
    signal: Arc<Signal>,
    waker: Waker,
    /// The host has polled, and nobody has looked yet what woke it.
    polled: bool,
}

type Fetch = BoxFuture<'static, Result<Outcome, Missing>>;

enum Turn {
    Again,
    Wait,
    Answer(Box<Answer>),
}

impl Drive {
    pub(crate) fn new(replay: Arc<Replay>, make: ErasedHandler, input: Raw, course: Course) -> Drive {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        let now = time::instant();
        let deadline = now.checked_add(course.limit).unwrap_or(now);
        let mut drive = Drive {
            replay,
            make,
            input,
            handler: None,
            ended: None,
            undoing: None,
            undone: false,
            quiet: None,
            course,
            deadline,
            draining: false,
            fetch: None,
            signal,
            waker,
            polled: false,
        };
        let live = drive.course.link.is_some();
        drive.replay.core().publishes_live(live);
        drive.begin();
        drive
    }

    /// The handler awaits something of its own, or a body hangs: what is done goes out, the rest is tried again.
    pub(crate) fn overdue(&mut self) -> Answer {
        let open = self.replay.core().open_ids();
        let what = if open.is_empty() {
            "a future that is not Backstitch's: put it into a step".to_owned()
        } else {
            format!("`{}`", open.join("`, `"))
        };
        let message = format!("the invocation took longer than {:?}; it was waiting for {what}", self.course.limit);
        self.close(Some(Terminal::Fail(Failure::new("Timeout".to_owned(), message, true))))
    }

    fn begin(&mut self) {
        let (make, ctx, input) = (Arc::clone(&self.make), Ctx::new(Arc::clone(&self.replay)), self.input.clone());
        // Made when it is polled, so that what the handler does before it returns its future is marked too.
        self.set_handler(async move { make(ctx, input).await }.boxed());
    }

    fn set_handler(&mut self, handler: Handler) {
        self.handler = Some(handler);
        self.signal.set();
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Option<Answer> {
        loop {
            if let Some(end) = self.poll_handler() {
                self.conclude(end);
                if self.handler.is_some() {
                    continue;
                }
            }
            match self.turn(cx) {
                Turn::Again => {}
                Turn::Wait => return None,
                Turn::Answer(answer) => return Some(*answer),
            }
        }
    }

    /// The handler is over. If the run has failed for good, or ends with its cancellation, another one undoes what it did.
    fn conclude(&mut self, end: Terminal) {
        self.drop_handler();
        self.quiet = None;
        let mut core = self.replay.core();
        core.seal();
        if let Some(error) = self.undoing.take() {
            self.undone = true;
            self.ended = Some(core.undoes_after(&end).map_or(Terminal::Fail(error), Terminal::Fail));
            return;
        }
        match core.undoes_after(&end) {
            Some(error) => {
                drop(core);
                self.undoing = Some(error);
                self.set_handler(undo::handler(Arc::clone(&self.replay)));
            }
            None => self.ended = Some(end),
        }
    }

    /// Whether the end can go out: no child holds it back.
    fn is_over(&self) -> bool {
        self.ended.is_some() && !self.replay.core().holds_end()
    }

    /// What follows when the handler is quiet.
    fn turn(&mut self, cx: &mut Context<'_>) -> Turn {
        self.replay.core().hold_bodies();
        if self.replay.core().is_contradicted() {
            return Turn::Answer(Box::new(self.close(None)));
        }
        if self.ended.is_none() && self.signal.is_woken() {
            return Turn::Wait;
        }
        if let Some(turn) = self.listen(cx) {
            return turn;
        }
        if !self.undone
            && self.replay.core().has_failed()
            && let Some(end) = self.ended.take()
        {
            self.conclude(end);
            return Turn::Again;
        }
        let mut fetching = false;
        if self.ended.is_none() {
            match self.deliver(cx) {
                Some(Turn::Wait) => fetching = true,
                Some(turn) => return turn,
                None => {}
            }
        }
        if self.quiet.is_some() {
            return Turn::Wait;
        }
        let held = self.must_hold();
        if self.ended.is_none() && !fetching && !held && self.start_bodies() {
            return Turn::Again;
        }
        if !self.is_over() && !self.draining && self.report(cx) {
            return Turn::Again;
        }
        if self.course.link.as_ref().is_some_and(Link::is_flying) {
            return Turn::Wait;
        }
        if self.is_over()
            && let Some(end) = self.ended.take()
        {
            return Turn::Answer(Box::new(self.close(Some(end))));
        }
        if fetching { Turn::Wait } else { self.rest(cx, held) }
    }

    /// Hands over what comes next. `None`: nothing does; `Wait`: it is on its way.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Option<Turn> {
        let next = self.replay.core().deliver_next();
        if !matches!(next, Next::Failure) {
            self.quiet = None;
        }
        let wanted = match next {
            Next::Wake(wakers) => {
                wakers.into_iter().for_each(Waker::wake);
                return Some(Turn::Again);
            }
            Next::Failure => return Some(self.fail(cx)),
            Next::Fetch(id) => id,
            Next::Nothing => self.replay.core().wanted()?.to_owned(),
        };
        Some(self.poll_fetch(&wanted, cx).unwrap_or(Turn::Wait))
    }

    /// The failure's turn: the handler is over, as soon as it has come to the steps that are to be undone.
    fn fail(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.replay.core().lacks_steps() {
            let quiet = self.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(UNDO_QUIET)));
            if quiet.as_mut().poll(cx).is_pending() {
                return Turn::Wait;
            }
        }
        self.quiet = None;
        let end = self.replay.core().fail();
        self.conclude(end);
        Turn::Again
    }

    /// What follows when nothing is known that could move the handler on, and nothing is under way to the server.
    fn rest(&mut self, cx: &mut Context<'_>, held: bool) -> Turn {
        let core = self.replay.core();
        if core.is_busy() {
            if let Some(link) = &mut self.course.link {
                link.stop_lingering();
            }
            return Turn::Wait;
        }
        if held && core.has_startable() {
            drop(core);
            return Turn::Answer(Box::new(self.close(Some(Terminal::Yield))));
        }
        if !core.is_waiting() {
            return Turn::Wait;
        }
        if let Some(link) = self.course.link.as_mut().filter(|_| !self.draining)
            && core.may_settle_until(link.linger_end())
        {
            match link.linger(cx, core.seen(), core.next_retry()) {
                Linger::Begun => return Turn::Again,
                Linger::Goes => return Turn::Wait,
                Linger::Over => {}
            }
        }
        drop(core);
        Turn::Answer(Box::new(self.close(None)))
    }

    /// Takes in what the server has said.
    fn listen(&mut self, cx: &mut Context<'_>) -> Option<Turn> {
        // What lies still is asked once for each time that the host polls: whatever it says later wakes the host.
        let polled = std::mem::take(&mut self.polled);
        if polled && !self.draining && self.course.drain.as_mut().poll(cx).is_ready() {
            self.draining = true;
            self.course.drain = std::future::pending().boxed();
        }
        let link = self.course.link.as_mut()?;
        let seen = self.replay.core().seen();
        let beats = self.ended.is_none() || self.replay.core().holds_end();
        match link.poll(cx, seen, beats, polled)? {
            Heard::Reply(reply, ops) => {
                link.stop_lingering();
                self.merge(reply, &ops);
            }
            Heard::Beat(reply) => {
                if self.merge(reply, &[])
                    && let Some(link) = &mut self.course.link
                {
                    link.stop_lingering();
                    link.go_on_beating(self.replay.core().seen());
                }
            }
            Heard::Stale => return Some(Turn::Answer(Box::new(self.forget()))),
            Heard::Lost(ops) => self.lose(ops),
        }
        Some(Turn::Again)
    }

    fn merge(&mut self, reply: Reply, confirmed: &[Op]) -> bool {
        self.draining |= reply.drain;
        let merged = self.replay.core().merge(reply, confirmed, time::instant());
        merged.unwrap_or_else(|why| {
            tracing::warn!(run = %self.replay.run.id, reason = %why, "an invocation goes on without checkpoints");
            let ops = self.course.link.as_mut().map(Link::take_back).unwrap_or_default();
            self.lose(ops);
            false
        })
    }

    /// From here on everything goes out with the answer.
    fn lose(&mut self, ops: Vec<Op>) {
        self.course.link = None;
        let mut core = self.replay.core();
        core.publishes_live(false);
        core.put_back(ops);
    }

    /// Sends what is to be reported, if nothing is under way. False: there is nothing, or nobody to tell it.
    fn report(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(link) = self.course.link.as_mut().filter(|link| !link.is_flying()) else { return false };
        let mut core = self.replay.core();
        let noted = core.has_notes();
        let said = core.published().is_some_and(|bytes| bytes >= TOGETHER_BYTES || link.poll_said(cx).is_ready());
        let due = core.presses() || said || noted && link.poll_notes(cx).is_ready();
        if !due {
            return false;
        }
        if noted {
            core.gather_notes();
            link.noted();
        }
        let seen = core.seen();
        let (body, count) = checkpoint::write(link.next_number(), seen, core.ops(), self.course.bytes_max);
        if count == 0 {
            // Larger than any request: the answer says so.
            self.course.link = None;
            return true;
        }
        let ops = core.take_ops(count);
        link.send(ops, body);
        true
    }

    /// Whether no further body may begin: the server or the host is about to stop.
    fn must_hold(&self) -> bool {
        let Some(link) = &self.course.link else { return false };
        let core = self.replay.core();
        if !link.has_reported() && !core.has_ops() {
            return false;
        }
        self.draining
            || core.longest_body().is_some_and(|longest| {
                let left = self.deadline.saturating_duration_since(time::instant());
                left < LEFT_MIN.min(self.course.limit / 2).max(longest + longest / 2)
            })
    }

    /// Lets bodies start that wait for it; false if there are none. A step that is due again and has used up its body makes
    /// the handler begin anew, once nothing else runs: a body is made but once, since it may own what it uses.
    fn start_bodies(&mut self) -> bool {
        let mut core = self.replay.core();
        let now = time::instant();
        let flying = self.course.link.as_ref().is_some_and(Link::is_flying);
        if let Ripe::Rebirth = core.ripen(now)
            && !core.is_busy()
            && !core.has_ops()
            && !flying
        {
            drop(core);
            self.drop_handler();
            self.drop_undos();
            self.replay = self.replay.reborn(now);
            self.replay.core().publishes_live(self.course.link.is_some());
            (self.undoing, self.undone) = (None, false);
            self.begin();
            return true;
        }
        let Some(wakers) = core.release_bodies() else { return false };
        drop(core);
        wakers.into_iter().for_each(Waker::wake);
        true
    }

    /// The outcome that is to be delivered next and has to be fetched. `None`: it is on its way.
    fn poll_fetch(&mut self, id: &str, cx: &mut Context<'_>) -> Option<Turn> {
        let Some(journal) = &self.course.journal else {
            return Some(Turn::Answer(Box::new(
                self.unavailable(&format!("the outcome of `{id}` is nowhere to be had")),
            )));
        };
        if self.fetch.as_ref().is_none_or(|(fetched, _)| fetched != id) {
            let outcome = journal.outbound.outcome(&journal.url, &journal.token, id);
            self.fetch = Some((id.to_owned(), outcome.boxed()));
        }
        let (_, fetch) = self.fetch.as_mut()?;
        let Poll::Ready(fetched) = fetch.as_mut().poll(cx) else { return None };
        self.fetch = None;
        Some(match fetched {
            Ok(outcome) => {
                self.replay.core().fetched(id, outcome);
                Turn::Again
            }
            Err(Missing::Stale) => Turn::Answer(Box::new(self.forget())),
            Err(Missing::Failed(why)) => Turn::Answer(Box::new(self.unavailable(&why))),
        })
    }

    fn unavailable(&mut self, why: &str) -> Answer {
        self.close(Some(unavailable(why)))
    }

    fn poll_handler(&mut self) -> Option<Terminal> {
        let handler = self.handler.as_mut()?;
        // What undoes looks by itself what has come.
        if !self.signal.is_woken() && self.undoing.is_none() {
            return None;
        }
        let _frame = frame::enter(self.replay.frame(false));
        self.signal.reset();
        let mut cx = Context::from_waker(&self.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut cx)));
        if let Some(input) = self.replay.core().takes_next() {
            return Some(Terminal::ContinueAsNew(input));
        }
        match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(Ok(value))) => Some(Terminal::Done(value)),
            Ok(Poll::Ready(Err(error))) => Some(Terminal::Fail(error.into_failure())),
            Err(payload) => Some(panicked(payload.as_ref())),
        }
    }

    /// The answer to an invocation that nobody listens to any more.
    fn forget(&mut self) -> Answer {
        self.drop_handler();
        let mut answer = self.replay.core().answer(None);
        (answer.ops, answer.terminal, answer.awaiting) = (Vec::new(), None, Vec::new());
        answer
    }

    fn close(&mut self, terminal: Option<Terminal>) -> Answer {
        if let Some(link) = &mut self.course.link {
            let ops = link.take_back();
            self.replay.core().put_back(ops);
        }
        let answer = self.replay.core().answer(terminal);
        self.drop_handler();
        answer
    }

    fn drop_handler(&mut self) {
        let handler = self.handler.take();
        self.drop_safely(handler);
    }

    /// What undoes steps may hold on to the run's own context, which would then never go.
    fn drop_undos(&mut self) {
        let undos = self.replay.core().take_undos();
        self.drop_safely(undos);
    }

    /// A destructor of the user's that panics must not take the answer with it.
    fn drop_safely<T>(&self, of_the_user: T) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(of_the_user))) {
            let error = Error::panic(payload.as_ref(), "a destructor of the suspended handler");
            tracing::error!(run = %self.replay.run.id, %error, "a panic while a handler was dropped");
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.drop_handler();
        self.drop_undos();
    }
}

impl Future for Drive {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.signal.attach(cx.waker());
        self.polled = true;
        match self.advance(cx) {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.signal.detach();
                Poll::Pending
            }
        }
    }
}

/// How an invocation ends whose journal cannot be had: it is tried again.
pub(crate) fn unavailable(why: &str) -> Terminal {
    Terminal::Fail(Failure::new("JournalUnavailable".to_owned(), why.to_owned(), true))
}

fn panicked(payload: &(dyn Any + Send)) -> Terminal {
    Terminal::Fail(Error::panic(payload, "the handler").into_failure())
}
