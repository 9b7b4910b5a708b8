//! A partition without a store: every command is a batch of its own and durable at once, and nothing is ever loaded.

use std::collections::BTreeMap;

use backstitch_server::engine::{Command, Decision, Partition, Poll, Refusal, Reply, Start};
use backstitch_server::model::{
    Answer, Change, Entry, EntryId, HandlerOp, Key, Loaded, Moment, Outcome, Payload, Registry, RunHead, RunId,
    Snapshot, Span,
};

use super::harness::START;
use super::registry::{function, plain_start, registry};

/// The partition and what surrounds it.
pub(super) struct House {
    pub(super) partition: Partition,
    pub(super) registry: Registry,
    /// What became of messages.
    pub(super) said: Vec<Change>,
    batch: u64,
    heads: BTreeMap<RunId, RunHead>,
    entries: BTreeMap<(i64, EntryId), Entry>,
}

impl House {
    /// At most `idle` runs rest in memory.
    pub(super) fn new(idle: usize) -> House {
        let mut partition = Partition::new(1, 0, 0, 0);
        partition.keep_at_most(idle, 9);
        let (registry, said) = (registry(1, false), Vec::new());
        House { partition, registry, said, batch: 0, heads: BTreeMap::new(), entries: BTreeMap::new() }
    }

    /// Decides a command and what follows from it. What is asked for is not there.
    pub(super) fn take(&mut self, command: &Command) -> Result<Reply, Refusal> {
        self.batch += 1;
        self.partition.begin_batch(self.batch);
        let moment = Moment { now: START, seed: u128::from(self.batch) };
        let transition = loop {
            match self.partition.decide(moment, &self.registry, command) {
                Decision::Decided(transition) => break transition,
                Decision::Refused(refusal) => return Err(refusal),
                Decision::Need(keys) => keys.into_iter().for_each(|key| {
                    let loaded = match &key {
                        Key::EventName(_) => Loaded::EventName { last_seq: 0, paths: Vec::new() },
                        Key::Waits(_) => Loaded::Waits(Vec::new()),
                        Key::Channel(_) => Loaded::State(None),
                        other => panic!("nothing is there but what was made: {other:?}"),
                    };
                    self.partition.install(key, loaded);
                }),
            }
        };
        for change in &transition.changes {
            self.partition.apply(change);
            match change {
                Change::RunCreated(head) | Change::RunChanged(head) => drop(self.heads.insert(head.id, head.clone())),
                Change::EntryAdded(entry) | Change::EntryChanged(entry) => {
                    self.entries.insert((entry.run_no, entry.id.clone()), entry.clone());
                }
                Change::MessagesAdded(_) | Change::MessagesCut(_) | Change::MessagesDropped(..) => {
                    self.said.push(change.clone());
                }
                _ => {}
            }
        }
        self.partition.durable(self.batch);
        for command in &transition.follow_ups {
            self.take(command)?;
        }
        Ok(transition.reply)
    }

    /// Starts a run, which rests or is in line for its turn.
    pub(super) fn start(&mut self, ready: bool, bytes: usize) -> RunId {
        let input = Payload::trusted(format!("\"{}\"", "x".repeat(bytes)));
        let delay = (!ready).then_some(Span(5_000));
        let start = Start { delay, ..plain_start(function(0), input) };
        match self.take(&Command::Start(start)) {
            Ok(Reply::Run { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a signal `s9`.
    pub(super) fn signal(&mut self, run: RunId) -> Result<Reply, Refusal> {
        let settle = Outcome::Ok(Payload::null());
        self.take(&Command::Signal { run, name: "s9".into(), id: None, settle })
    }

    /// The next invocation answers with these ops and no end.
    pub(super) fn answer(&mut self, ops: impl FnOnce(&Snapshot) -> Vec<HandlerOp>) {
        let Poll::Invoke(snapshot, _) = self.partition.poll(START, &self.registry) else { panic!("a run is ready") };
        let seen = snapshot.entries.iter().filter_map(|entry| entry.seq).max().unwrap_or(0);
        let answer = Answer::Ops { seen, ops: ops(&snapshot), end: None, awaiting: Vec::new() };
        let token = snapshot.token;
        self.take(&Command::Returned { token, answer, started_at: START }).expect("the answer is taken");
        self.partition.call_ended(token, backstitch_server::engine::CallEnd::Answered, START);
    }

    /// The run's row.
    pub(super) fn head(&self, run: RunId) -> &RunHead {
        &self.heads[&run]
    }

    /// The run's entries.
    pub(super) fn entries(&self, run: RunId) -> impl Iterator<Item = &Entry> {
        let run_no = self.head(run).run_no;
        self.entries.values().filter(move |entry| entry.run_no == run_no)
    }
}
