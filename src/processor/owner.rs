//! The loop that owns one partition: commands in, decisions, one commit in flight and one batch filling, the gate,
//! timers. It never waits for anything but its own next event, and it never speaks before it has written.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::committing::Committing;
use super::ends::{End, Ends};
use super::fetching::Fetching;
use super::gate::{Gate, Outgoing};
use super::handle::{Declined, Envelope};
use super::loading::Load;
use super::parking::Parking;
use super::watch::{Followed, Watchers};
use crate::clock::{Clock, PartitionTime};
use crate::dispatch::{Fetcher, Invoker};
use crate::engine::{CallEnd, Command, Decision, Partition, Poll, Refusal, Reply, Transition};
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, PARKED_MAX};
use crate::model::{
    Answer, Batch, Change, Checkpoint, Key, Moment, News, Registry, StateKey, Stop, Timestamp, Token, Undelivered,
};
use crate::store::{Commit, Store, StoreError};

/// Everything that a partition's loop works with.
pub struct Parts {
    /// The partition's number.
    pub partition: u16,
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Who calls handlers.
    pub invoker: Arc<dyn Invoker>,
    /// Who makes HTTP calls for runs.
    pub fetcher: Arc<dyn Fetcher>,
    /// What is registered, always the newest.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// Why a partition's loop ended other than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// The ledger cannot be used any more by this process.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Memory could not be brought in step with the ledger, twice in a row.
    #[error(
        "failed to apply what was decided: {0}; the partition stays down so that nothing gets worse, please report it"
    )]
    Apply(String),
}

pub(super) struct Owner {
    pub(super) parts: Parts,
    pub(super) partition: Partition,
    pub(super) epoch: u32,
    pub(super) time: PartitionTime,
    skips: Option<watch::Receiver<u64>>,
    pub(super) durable: u64,
    pub(super) horizon: Timestamp,
    pub(super) inner: VecDeque<Envelope>,
    pub(super) scans: JoinSet<super::recovery::Scan>,
    pub(super) registry: Arc<Registry>,
    pub(super) reports: mpsc::Receiver<Envelope>,
    pub(super) outer: mpsc::Receiver<Envelope>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) ends: Arc<Ends>,
    pub(super) gate: Gate,
    pub(super) parking: Parking,
    pub(super) filling: Filling,
    pub(super) committing: Committing,
    pub(super) deferred_loads: Vec<(u64, Vec<Key>)>,
    pub(super) loads: JoinSet<Load>,
    pub(super) calls: JoinSet<Ended>,
    pub(super) fetching: Fetching,
    /// Commits that still hold one command each, after one was refused for its data.
    pub(super) single: usize,
    pub(super) lone: Option<crate::model::RunId>,
    panics: u32,
    pub(super) draining: bool,
}

/// A call that ended.
pub(super) struct Ended {
    token: Token,
    started_at: Timestamp,
    answer: Answer,
}

impl Ended {
    pub(super) fn envelope(self) -> Envelope {
        let Ended { token, started_at, answer } = self;
        Envelope { command: Command::Returned { token, answer, started_at }, reply: None }
    }
}

/// The batch that is being filled while another is committed.
#[derive(Default)]
pub(super) struct Filling {
    pub(super) changes: Vec<Change>,
    commands: usize,
    bytes: usize,
}

/// Returns when the wall clock was moved.
async fn skipped(skips: &mut Option<watch::Receiver<u64>>) {
    let moved = match skips {
        Some(skips) => skips.changed().await.is_ok(),
        None => false,
    };
    if !moved {
        std::future::pending::<()>().await;
    }
}

impl Owner {
    pub(super) fn new(
        parts: Parts,
        (reports, outer): (mpsc::Receiver<Envelope>, mpsc::Receiver<Envelope>),
        watchers: Arc<Watchers>,
        ends: Arc<Ends>,
        taken: super::recovery::Taken,
    ) -> Owner {
        let registry = parts.registry.borrow().clone();
        let mut owner = Owner {
            registry,
            partition: taken.partition,
            epoch: taken.epoch,
            time: PartitionTime::starting_at(taken.now, &*parts.clock),
            skips: parts.clock.skips(),
            durable: taken.commit_no,
            horizon: taken.horizon,
            inner: VecDeque::new(),
            scans: JoinSet::new(),
            reports,
            outer,
            watchers,
            ends,
            gate: Gate::default(),
            parking: Parking::default(),
            filling: Filling::default(),
            committing: Committing::default(),
            deferred_loads: Vec::new(),
            loads: JoinSet::new(),
            calls: JoinSet::new(),
            fetching: Fetching::default(),
            single: 0,
            lone: None,
            panics: 0,
            draining: false,
            parts,
        };
        owner.partition.begin_batch(owner.durable + 1);
        owner.follow(taken.commands);
        owner
    }

    pub(super) fn now(&mut self) -> Timestamp {
        self.time.now(&*self.parts.clock)
    }

    pub(super) fn follow(&mut self, commands: Vec<Command>) {
        self.inner.extend(commands.into_iter().map(|command| Envelope { command, reply: None }));
    }

    /// Runs until the server stops or the partition cannot go on.
    pub(super) async fn run(mut self) -> Result<(), Halted> {
        let mut stop = self.parts.stop.clone();
        while !*stop.borrow_and_update() {
            self.work()?;
            self.turn(&mut stop).await?;
        }
        self.drain().await
    }

    /// One pass over everything that can be done without waiting.
    fn work(&mut self) -> Result<(), Halted> {
        while self.has_room() {
            let now = self.now();
            let due = |owner: &mut Owner| {
                let command = owner.partition.next_due(now)?;
                Some(Envelope { command, reply: None })
            };
            let Some(envelope) = self.inner.pop_front().or_else(|| due(self)) else { break };
            self.decide(envelope)?;
        }
        while self.has_room() {
            let Some(Ok(ended)) = self.calls.try_join_next() else { break };
            self.decide(ended.envelope())?;
        }
        while self.has_room() {
            let Some(fetched) = self.fetching.try_next() else { break };
            self.fetched(fetched)?;
        }
        while self.has_room() {
            let Ok(envelope) = self.reports.try_recv() else { break };
            self.decide(envelope)?;
        }
        while self.has_room() && self.parking.len() < PARKED_MAX {
            let Ok(envelope) = self.outer.try_recv() else { break };
            self.decide(envelope)?;
        }
        self.invoke();
        self.commit();
        Ok(())
    }

    /// Waits for the next thing to happen, and takes it.
    async fn turn(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Halted> {
        let now = self.now();
        let idle = self.inner.is_empty() || !self.has_room();
        let timer = self.partition.wake_at().map_or(Duration::from_secs(60), |at| at.since(now).std());
        let timer = if self.has_room() { timer } else { Duration::from_secs(60) };
        let rescan = super::recovery::rescan_at(self.horizon).since(now).std();
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            (commit_no, commit) = self.committing.next() => return self.committed(commit_no, commit).await,
            Some(loaded) = self.loads.join_next() => return self.loaded(loaded).await,
            Some(Ok(ended)) = self.calls.join_next(), if self.has_room() => return self.decide(ended.envelope()),
            fetched = self.fetching.next(), if self.has_room() => {
                return fetched.map_or(Ok(()), |fetched| self.fetched(fetched));
            }
            Some(envelope) = self.reports.recv(), if self.has_room() => return self.decide(envelope),
            Some(scan) = self.scans.join_next() => return self.scanned(scan).await,
            Ok(()) = self.parts.registry.changed() => self.reread_registry(),
            // What is due now is looked at in the next pass.
            () = skipped(&mut self.skips) => {}
            Some(envelope) = self.outer.recv(), if self.has_room() && self.parking.len() < PARKED_MAX => {
                return self.decide(envelope);
            }
            () = tokio::time::sleep(timer), if idle => {}
            () = tokio::time::sleep(rescan), if self.scans.is_empty() => self.scan_timers(),
            () = std::future::ready(()), if !idle => {}
        }
        Ok(())
    }

    pub(super) fn has_room(&self) -> bool {
        let commands = if self.single > 0 { 1 } else { BATCH_COMMANDS_MAX };
        self.filling.commands < commands && self.filling.bytes < BATCH_BYTES_MAX
    }

    fn reread_registry(&mut self) {
        self.registry = self.parts.registry.borrow_and_update().clone();
        self.partition.registry_changed();
    }

    /// Decides one command. The lane of a call that ended learns of it whether the answer counts or not.
    pub(super) fn decide(&mut self, envelope: Envelope) -> Result<(), Halted> {
        let ended = call_end(&envelope.command);
        let fetched = match &envelope.command {
            Command::Fetched { token, .. } => Some(*token),
            _ => None,
        };
        if !self.decide_or_park(envelope)? {
            return Ok(());
        }
        if let Some((token, end)) = ended {
            let now = self.now();
            self.partition.call_ended(token, end, now);
        }
        if let Some(token) = fetched {
            self.partition.fetch_ended(token);
        }
        Ok(())
    }

    /// Folds what follows into memory and into the filling batch. False when the command waits for keys.
    fn decide_or_park(&mut self, envelope: Envelope) -> Result<bool, Halted> {
        let at = Moment { now: self.now(), seed: self.parts.clock.entropy() };
        let decided = catch_unwind(AssertUnwindSafe(|| self.partition.decide(at, &self.registry, &envelope.command)));
        match decided {
            Ok(Decision::Decided(transition)) => self.take(envelope, transition)?,
            Ok(Decision::Refused(refusal)) => self.say(envelope, Err(Declined::Refused(refusal))),
            Ok(Decision::Need(keys)) => {
                self.load(&keys);
                self.parking.park(envelope, keys);
                return Ok(false);
            }
            Err(panic) => {
                let detail = panic_text(&*panic);
                tracing::error!(run.id = ?envelope.command.run(), error = detail, "deciding a command panicked");
                if let (Some(run), false) =
                    (envelope.command.run(), matches!(envelope.command, Command::Quarantine { .. }))
                {
                    self.follow(vec![Command::Quarantine { run, detail: detail.clone() }]);
                }
                self.say(envelope, Err(Declined::Refused(Refusal::Internal(detail))));
            }
        }
        Ok(true)
    }

    fn take(&mut self, mut envelope: Envelope, transition: Transition) -> Result<(), Halted> {
        let Transition { changes, follow_ups, mut reply } = transition;
        if !changes.is_empty() {
            self.lone = envelope.command.run();
            self.filling.commands += 1;
        }
        let batch = self.filling_no();
        for change in &changes {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.partition.apply(change))) {
                return self.apply_panicked(&panic_text(&*panic));
            }
            self.filling.bytes += bytes_of(change);
            let changed = match change {
                Change::RunCreated(head) | Change::RunChanged(head) => Some(Followed::Run(head.id)),
                // What settles for another run, such as a child's parent, need not change that run's row.
                Change::EntryAdded(entry) | Change::EntryChanged(entry) => {
                    self.partition.run_at(entry.run_no).map(Followed::Run)
                }
                Change::MessagesAdded(it) | Change::MessagesCut(it) => Some(Followed::Channel(it.channel.clone())),
                _ => None,
            };
            changed.into_iter().for_each(|what| self.gate.changed(batch, what));
        }
        // Whoever follows a run does not have to look at it again for each word that its handler says.
        if !changes.iter().all(is_said)
            && let Some(run) = envelope.command.run()
        {
            self.gate.changed(batch, Followed::Run(run));
        }
        if let (Reply::Run { id, created: true }, Some(caller)) = (&reply, &mut envelope.reply) {
            caller.follow(*id, &self.ends);
        }
        self.hold_ends(batch, &changes);
        self.filling.changes.extend(changes);
        self.follow(follow_ups);
        if let (Command::Checkpoint { token, checkpoint }, Reply::News(news)) = (&envelope.command, &mut reply) {
            self.tell(*token, checkpoint, news);
        }
        self.say(envelope, Ok(reply));
        Ok(())
    }

    /// How runs ended goes to those who wait for that, as soon as it is durable.
    fn hold_ends(&mut self, batch: u64, changes: &[Change]) {
        for change in changes {
            let (Change::RunCreated(head) | Change::RunChanged(head)) = change else { continue };
            if head.status.is_terminal() && self.ends.is_awaited(head.id) {
                let outcome = self.partition.outcome(head.id);
                self.gate.ended(batch, End { run: head.id, status: head.status, outcome });
            }
        }
    }

    /// A handler at work is told what is new: from here on it knows.
    fn tell(&mut self, token: Token, checkpoint: &Checkpoint, news: &mut News) {
        if news.stop.is_some() {
            return;
        }
        let shown = news.settled.last().and_then(|told| told.entry.seq).unwrap_or(0).max(checkpoint.seen);
        let now = self.now();
        self.partition.heard(token, checkpoint.n, shown, now);
        news.stop = self.draining.then_some(Stop::Drain);
    }

    /// What is in memory and may not be trusted is dropped; the next turn reloads. Twice in a row is the end.
    fn apply_panicked(&mut self, detail: &str) -> Result<(), Halted> {
        tracing::error!(error = detail, "applying a change panicked; reloading the partition");
        self.panics += 1;
        if self.panics > 1 {
            return Err(Halted::Apply(detail.to_owned()));
        }
        let error = StoreError::Unavailable("a change could not be applied".to_owned());
        self.committing.fail(error);
        Ok(())
    }

    fn filling_no(&self) -> u64 {
        self.durable + 1 + u64::from(!self.committing.is_empty())
    }

    /// The newest batch that memory reflects: what is told now must wait for it.
    pub(super) fn newest(&self) -> u64 {
        if self.filling.changes.is_empty() { self.filling_no() - 1 } else { self.filling_no() }
    }

    pub(super) fn say(&mut self, envelope: Envelope, answer: Result<crate::engine::Reply, Declined>) {
        if let Some(caller) = envelope.reply {
            self.gate.hold(self.newest(), Outgoing::Reply(caller, answer));
        }
    }

    /// Calls handlers of runs that are ready, as far as there is room.
    fn invoke(&mut self) {
        let now = self.now();
        loop {
            match self.partition.poll(now, &self.registry) {
                Poll::Invoke(snapshot, deployment) => {
                    let batch = self.partition.batch_of(snapshot.token.run).unwrap_or(self.durable);
                    if batch <= self.durable {
                        self.call(snapshot, deployment);
                    } else {
                        self.gate.hold(batch, Outgoing::Invoke(snapshot, deployment));
                    }
                }
                Poll::Fetch(call) => {
                    let batch = self.partition.batch_of(call.token.run).unwrap_or(self.durable);
                    if batch <= self.durable {
                        self.fetch(call);
                    } else {
                        self.gate.hold(batch, Outgoing::Fetch(call));
                    }
                }
                Poll::Abandon(token) => self.fetching.abandon(token),
                Poll::Load(keys) => self.start_load(keys),
                Poll::Idle => break,
            }
        }
    }

    fn call(&mut self, snapshot: Box<crate::model::Snapshot>, deployment: Arc<crate::model::Deployment>) {
        let token = snapshot.token;
        let started_at = self.now();
        if self.draining || !self.partition.is_current(token) {
            return self.partition.call_ended(token, CallEnd::Unused, started_at);
        }
        let invoker = self.parts.invoker.clone();
        self.calls.spawn(async move {
            let call = AssertUnwindSafe(async move { invoker.invoke(*snapshot, deployment).await });
            let answer = call.catch_unwind().await.unwrap_or_else(|panic| {
                let reason = format!("the server's own call panicked: {}", panic_text(&*panic));
                Answer::Undelivered(Undelivered::Lost { reason })
            });
            Ended { token, started_at, answer }
        });
    }

    /// Begins the next commit when none is under way.
    pub(super) fn commit(&mut self) {
        if self.filling.changes.is_empty() || !self.committing.is_empty() {
            if self.committing.is_empty() {
                self.release();
            }
            return;
        }
        let commit_no = self.durable + 1;
        let filling = std::mem::take(&mut self.filling);
        let now = self.now();
        let batch =
            Batch { partition: self.parts.partition, epoch: self.epoch, commit_no, now, changes: filling.changes };
        let store = self.parts.store.clone();
        self.committing.begin(commit_no, async move { store.commit(Arc::new(batch)).await });
        self.partition.begin_batch(commit_no + 1);
    }

    pub(super) async fn committed(&mut self, commit_no: u64, commit: Commit) -> Result<(), Halted> {
        match commit {
            Commit::Done => {
                assert_eq!(commit_no, self.durable + 1, "commits are numbered without gaps");
                self.durable = commit_no;
                self.panics = 0;
                self.single = self.single.saturating_sub(1);
                self.partition.durable(commit_no);
                self.release();
                self.start_deferred_loads();
                Ok(())
            }
            Commit::Failed(error @ StoreError::Fenced { .. }) => Err(Halted::Store(error)),
            Commit::Failed(StoreError::Data(detail)) => self.refused_data(detail).await,
            Commit::Failed(error) => self.reload(error).await,
            Commit::Unknown(error) => self.resolve_unknown(commit_no, error).await,
        }
    }

    /// Lets out what has become durable.
    fn release(&mut self) {
        let opened = self.gate.open(self.durable);
        for item in opened.outgoing {
            match item {
                Outgoing::Reply(caller, answer) => caller.tell(answer),
                Outgoing::Invoke(snapshot, deployment) => self.call(snapshot, deployment),
                Outgoing::Fetch(call) => self.fetch(call),
            }
        }
        if !self.watchers.is_empty() {
            self.watchers.notify(opened.changed.into_iter());
        }
        self.ends.tell(opened.ended);
    }
}

fn call_end(command: &Command) -> Option<(Token, CallEnd)> {
    let Command::Returned { token, answer, .. } = command else { return None };
    let end = match answer {
        Answer::Undelivered(Undelivered::NotReached { reason, retry_after }) => {
            CallEnd::NotReached { reason: reason.clone(), retry_after: *retry_after }
        }
        Answer::Ops { .. } => CallEnd::Answered,
        _ => CallEnd::Reached,
    };
    Some((*token, end))
}

/// Whether a change is about what a handler publishes, and nothing else.
fn is_said(change: &Change) -> bool {
    match change {
        Change::MessagesAdded(_)
        | Change::MessagesCut(_)
        | Change::MessagesDropped(..)
        | Change::StreamPut(_)
        | Change::StreamDeleted(..) => true,
        Change::StatePut(row) => matches!(row.key, StateKey::Channel(_)),
        Change::StateDeleted(key) => matches!(key, StateKey::Channel(_)),
        _ => false,
    }
}

fn bytes_of(change: &Change) -> usize {
    match change {
        Change::EntryAdded(entry) | Change::EntryChanged(entry) => entry.payload_bytes(),
        Change::EventAdded(event) => event.data.len(),
        Change::SignalAdded(signal) => signal.settle.payload().map_or(0, crate::model::Payload::len),
        Change::AttemptAdded(attempt) => attempt.error.len(),
        Change::ValuePut(value) => value.bytes(),
        Change::MessagesAdded(messages) => messages.data.as_ref().map_or(0, crate::model::Payload::len),
        _ => 0,
    }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
