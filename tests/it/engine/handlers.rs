//! The handlers of these tests: they execute their programs on what they are shown, answer, report by checkpoint, go on
//! after a crash of the server if their invocation was noted, and check what they are told.

use std::sync::Arc;

use backstitch_server::engine::{CallEnd, Command, Decision, Refusal, Reply};
use backstitch_server::model::{
    Answer, Checkpoint, Entry, HandlerOp, News, Payload, Snapshot, Terminal, Timestamp, Token,
};

use super::harness::{Item, World};
use super::program::{self, Handled};
use super::registry::program_of;

/// An invocation that a handler has.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) snapshot: Box<Snapshot>,
    pub(super) started_at: Timestamp,
    /// The number of the last checkpoint that was sent.
    pub(super) n: u32,
    /// What the run is after the checkpoint whose reply the handler waits for.
    pub(super) asked: Option<Vec<Arc<Entry>>>,
}

impl World {
    pub(super) fn call(&mut self, snapshot: Box<Snapshot>) {
        let token = snapshot.token;
        assert_eq!(token.epoch, self.epoch);
        let older = self.newest_token.insert(token.run, token);
        assert!(older.is_none_or(|older| older < token), "tokens grow: {older:?} before {token:?}");
        if !self.partition.is_current(token) {
            return self.partition.call_ended(token, CallEnd::Unused, self.now);
        }
        let durable = self.safe.entries_of(token.run);
        for entry in &snapshot.entries {
            let kept = durable.get(entry.idx as usize).expect("a handler is shown durable entries only");
            assert!(!entry.is_settled() || **entry == *kept, "a handler was shown another outcome than is durable");
        }
        self.safe.objects.check_shown(&snapshot.head, snapshot.state.as_ref());
        let current = self.calls.iter().filter(|call| self.partition.is_current(call.snapshot.token));
        let others = current.filter(|call| call.snapshot.token.run == token.run).count();
        assert_eq!(others, 0, "run {} has two current invocations", token.run);
        self.acks.given(token, program::seen(&snapshot));
        self.calls.push(Call { snapshot, started_at: self.now, n: 0, asked: None });
    }

    /// A handler reports what it did, and goes on when it has the reply.
    pub(super) fn checkpoint(&mut self, at: usize) {
        if self.calls[at].asked.is_some() {
            return;
        }
        let snapshot = self.calls[at].snapshot.clone();
        let Answer::Ops { seen, mut ops, .. } = self.handle(&snapshot) else { return };
        // Now and then only what its bodies have said so far, before any of them has ended.
        let says = |op: &HandlerOp| matches!(op, HandlerOp::Publish(_));
        if ops.iter().any(says) && self.moment().seed.is_multiple_of(3) {
            ops.retain(says);
            ops.truncate(ops.len().div_ceil(2));
        }
        let call = &mut self.calls[at];
        call.n += u32::from(!ops.is_empty());
        call.asked = Some(call.snapshot.entries.clone());
        let checkpoint = Checkpoint { n: call.n, seen, ops };
        let command = Command::Checkpoint { token: snapshot.token, checkpoint };
        self.decide(Item { command, caller: true });
    }

    /// A handler is told everything that has settled since it last knew, once, in order.
    pub(super) fn check_news(&mut self, token: Token, checkpoint: &Checkpoint, news: &News) {
        let entries = self.book.entries_of(token.run);
        if news.stop.is_none() {
            let mut settled: Vec<&Entry> =
                entries.iter().filter(|entry| entry.seq.is_some_and(|seq| seq > checkpoint.seen)).collect();
            settled.sort_by_key(|entry| entry.seq);
            let told: Vec<&Entry> = news.settled.iter().map(|told| &*told.entry).collect();
            assert_eq!(told, settled, "a handler is told what has settled");
            for told in news.settled.iter().filter(|told| told.own) {
                let reported = checkpoint.ops.iter().find_map(|op| match op {
                    HandlerOp::Step(report) if report.id == told.entry.id => Some(report),
                    _ => None,
                });
                let Some(report) = reported else { panic!("not its own: {:?}", told.entry) };
                assert_eq!(told.entry.outcome, Some(report.result.outcome()), "its own is what it reported");
            }
        }
        let after = entries.iter().cloned().map(Arc::new).collect();
        if let Some(call) = self.calls.iter_mut().find(|call| call.snapshot.token == token) {
            call.asked = Some(after);
        }
    }

    /// The reply to a checkpoint arrives: the handler knows more, or stops.
    pub(super) fn reported(&mut self, token: Token, answer: &Result<Reply, Refusal>) {
        let Some(at) = self.calls.iter().position(|call| call.snapshot.token == token) else { return };
        match answer {
            Ok(Reply::News(News { stop: None, .. })) => {
                let call = &mut self.calls[at];
                if let Some(entries) = call.asked.take() {
                    call.snapshot.entries = entries;
                }
                let seen = program::seen(&call.snapshot);
                self.acks.given(token, seen);
            }
            _ => {
                self.calls.swap_remove(at);
                self.stale.push(token);
            }
        }
    }

    /// Whether a handler still works on an invocation of before the last crash.
    pub(super) fn is_noted(&self, token: Token) -> bool {
        self.safe.head(token.run).is_some_and(|head| head.open_token == Some(token))
    }

    /// A handler answers as its program says.
    pub(super) fn answer(&mut self, at: usize) {
        let call = self.calls.swap_remove(at);
        let answer = self.handle(&call.snapshot);
        self.returned(&call, answer);
    }

    /// Executes the program of an invocation.
    pub(super) fn handle(&mut self, snapshot: &Snapshot) -> Answer {
        let index = program_of(&snapshot.head.function);
        let Handled { answer, ran } = program::handle(&self.programs[index], snapshot);
        for id in &ran {
            self.acks.ran(snapshot.token.run, id);
        }
        answer
    }

    /// An answer arrives.
    pub(super) fn returned(&mut self, call: &Call, answer: Answer) {
        let token = call.snapshot.token;
        self.stale.push(token);
        let command = Command::Returned { token, answer, started_at: call.started_at };
        self.decide(Item { command, caller: true });
    }

    /// An answer with a token of old arrives: nothing may come of it.
    pub(super) fn returned_stale(&mut self, token: Token) {
        if self.partition.is_current(token) || self.is_noted(token) {
            return;
        }
        let end = Some(Terminal::Done(Payload::null()));
        let answer = Answer::Ops { seen: 0, ops: Vec::new(), end, awaiting: Vec::new() };
        let command = Command::Returned { token, answer, started_at: self.now };
        let at = self.moment();
        match self.partition.decide(at, &self.registry, &command) {
            Decision::Decided(_) => panic!("a stale answer was taken: {token}"),
            Decision::Refused(_) | Decision::Need(_) => {}
        }
    }
}
