//! The handle by which others reach a partition's loop. It refuses what the loop cannot take now, at once and with a
//! hint when to come back; it never waits in a line without end.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::ends::{EndWatch, Ends};
use super::watch::{Followed, Watch, WatchAll, Watchers};
use crate::engine::{Command, Refusal, Reply};
use crate::model::{Channel, RunId};

/// A command on its way to the loop, with the place where its answer goes.
pub(crate) struct Envelope {
    /// What is wanted.
    pub(crate) command: Command,
    /// Who is told, once it may be told.
    pub(crate) reply: Option<Caller>,
}

/// What a caller is told, and the end of the run that it started or found if it wants to wait for that.
type Told = Result<(Reply, Option<EndWatch>), Declined>;

/// Someone who waits for what becomes of a command.
pub(crate) struct Caller {
    reply: oneshot::Sender<Told>,
    /// Whether the caller wants to wait for the end of the run that the reply names.
    follows: bool,
    end: Option<EndWatch>,
}

impl Caller {
    pub(super) fn new(follows: bool) -> (Caller, oneshot::Receiver<Told>) {
        let (reply, answer) = oneshot::channel();
        (Caller { reply, follows, end: None }, answer)
    }

    /// Begins to wait for a run's end, if the caller wants that, before anything can come of the run.
    pub(super) fn follow(&mut self, run: RunId, ends: &Arc<Ends>) {
        if self.follows {
            self.end = Some(ends.wait(run));
        }
    }

    /// Tells the caller. One that has gone away needs no answer.
    pub(super) fn tell(self, answer: Result<Reply, Declined>) {
        let _ = self.reply.send(answer.map(|reply| (reply, self.end)));
    }
}

/// Why a command was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Declined {
    /// The engine says no; asking again gives the same answer.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting already; nothing was done.
    #[error("failed to take the request: the server has {waiting} requests waiting; try again in a second")]
    Busy {
        /// How many are waiting.
        waiting: usize,
    },
    /// The ledger cannot be written, or the server is stopping. What was asked may or may not have been done: ask again
    /// with the same id or idempotency key.
    #[error("failed to make the request durable: {0}; it is safe to try again with the same id or idempotency key")]
    Unavailable(String),
}

/// A partition as others see it. Cheap to clone.
#[derive(Clone)]
pub struct Processor {
    pub(crate) outer: mpsc::Sender<Envelope>,
    pub(crate) reports: mpsc::Sender<Envelope>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) ends: Arc<Ends>,
}

impl Processor {
    /// Gives a command to the partition, and waits until what follows is durable.
    pub async fn submit(&self, command: Command) -> Result<Reply, Declined> {
        Ok(Processor::send(&self.outer, command, false).await?.0)
    }

    /// Gives a start to the partition. Beside the reply comes the end of a run that was created: nothing of it is missed.
    pub async fn submit_and_follow(&self, command: Command) -> Result<(Reply, Option<EndWatch>), Declined> {
        Processor::send(&self.outer, command, true).await
    }

    /// Gives the partition what the handler of an open invocation reports. It comes before new work, and is taken while
    /// the server stops: it ends what is under way.
    pub async fn report(&self, command: Command) -> Result<Reply, Declined> {
        Ok(Processor::send(&self.reports, command, false).await?.0)
    }

    async fn send(lane: &mpsc::Sender<Envelope>, command: Command, follows: bool) -> Told {
        let (caller, answer) = Caller::new(follows);
        let envelope = Envelope { command, reply: Some(caller) };
        lane.try_send(envelope).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Declined::Busy { waiting: lane.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => Declined::Unavailable("the server is stopping".to_owned()),
        })?;
        answer.await.unwrap_or_else(|_| Err(Declined::Unavailable("the server is stopping".to_owned())))
    }

    /// How many requests wait for the loop.
    pub fn waiting(&self) -> usize {
        self.outer.max_capacity() - self.outer.capacity()
    }

    /// Whether the partition's loop runs: false once it has stopped or halted.
    pub fn is_open(&self) -> bool {
        !self.outer.is_closed()
    }

    /// Tells a follower of all runs of this partition's, too: subscribe first, then read, then wait.
    pub fn watch_all(&self, follower: &WatchAll) {
        self.watchers.subscribe_all(follower);
    }

    /// Follows a run: subscribe first, then read, then wait.
    pub fn watch(&self, run: RunId) -> Watch {
        self.watchers.subscribe(Followed::Run(run))
    }

    /// Follows a channel: what is published there, from now on.
    pub fn follow(&self, channel: Channel) -> Watch {
        self.watchers.subscribe(Followed::Channel(channel))
    }

    /// Waits for a run's end: subscribe first, then read, then wait.
    pub fn await_end(&self, run: RunId) -> EndWatch {
        self.ends.wait(run)
    }
}
