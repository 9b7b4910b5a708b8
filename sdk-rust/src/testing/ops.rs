//! What the kit's server makes of each op: entries that settle, time out, or are tried again.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::duration;
use crate::error::{Delay, Failure};
use crate::function::Mode;
use crate::policy::Retry;
use crate::raw::Raw;
use crate::testing::child_failed;
use crate::testing::server::{Advance, Open, RUN_ID, Server, json};
use crate::time;
use crate::wire::{
    Due, Entry, EntryOp, EntryState, HeartbeatOp, Op, OpKind, Outcome as Settled, PublishOp, Report, digest,
};

impl Server {
    pub(super) async fn take(&mut self, op: Op) {
        match op {
            Op::Entry(op) => self.take_entry(op).await,
            Op::Heartbeat(op) => self.hear(op),
            Op::Reply { update, outcome } => self.answer_update(&update, outcome),
            Op::Status(value) => self.status = Some(json(&value)),
            Op::Publish(op) => self.listen(op),
            Op::Labels(labels) => self.labels = labels,
        }
    }

    /// Notes how far a body has come: what is said of an attempt that was lost is not forgotten.
    fn hear(&mut self, op: HeartbeatOp) {
        let HeartbeatOp { id, params, attempt, details } = op;
        let index = self.entry(&id, OpKind::Step, &params);
        let open = &mut self.entries[index];
        match &mut open.entry.state {
            EntryState::Run(due) if due.attempt == attempt => due.details = Some(details),
            state @ EntryState::Pending => {
                *state = EntryState::Run(Due { attempt, error: None, details: Some(details) });
            }
            EntryState::Run(_) | EntryState::Settled { .. } => {}
        }
    }

    /// Takes what is published: of a body only while its step is open, and this is its attempt.
    fn listen(&mut self, op: PublishOp) {
        let entry = self.entries.iter().find(|open| open.entry.id == op.id).map(|open| &open.entry.state);
        let current = match (op.attempt, entry) {
            (None, _) => true,
            (Some(attempt), None | Some(EntryState::Pending)) => attempt == 1,
            (Some(attempt), Some(EntryState::Run(due))) => attempt == due.attempt,
            (Some(_), Some(EntryState::Settled { .. })) => false,
        };
        if current {
            self.voices.take(op, self.invocations);
        }
    }

    /// The place of an entry, which is made if it is not there.
    fn entry(&mut self, id: &str, kind: OpKind, params: &Raw) -> usize {
        if let Some(index) = self.entries.iter().position(|open| open.entry.id == id) {
            return index;
        }
        let digest = Some(digest(params.as_bytes()));
        let entry = Entry { id: id.to_owned(), op: kind.as_str().to_owned(), digest, state: EntryState::Pending };
        self.entries.push(Open { entry, params: json(params), at: self.now(), due: None });
        self.entries.len() - 1
    }

    async fn take_entry(&mut self, op: EntryOp) {
        let params = json(&op.params);
        let index = self.entry(&op.id, op.kind, &op.params);
        let due = |key: &str| params.get(key).and_then(as_duration);
        match (op.kind, op.report) {
            (OpKind::Step, Some(report)) => self.step(index, report, &params),
            (OpKind::Sleep, _) => {
                let until = params.get("until").and_then(Value::as_str).and_then(|text| time::parse(text).ok());
                self.entries[index].due = until.or_else(|| Some(self.now() + due("for")?));
            }
            (OpKind::WaitSignal | OpKind::WaitEvent, _) => {
                self.entries[index].due = due("timeout").map(|timeout| self.now() + timeout);
                self.match_signals();
            }
            (OpKind::Invoke, _) => self.child(index, &params).await,
            (OpKind::Fetch, _) => self.fetch(index, &params),
            (OpKind::Send, _) => self.send(index, &params),
            (OpKind::State, _) => {
                self.objects.write(&self.run, &params);
                self.settle(index, Settled::Ok(Raw::null()));
            }
            (OpKind::Marker, _) => self.settle(index, Settled::Ok(Raw::null())),
            (OpKind::Step, None) => {}
        }
    }

    fn step(&mut self, index: usize, report: Report, params: &Value) {
        let id = self.entries[index].entry.id.clone();
        match report.outcome {
            Ok(_) => self.voices.keep(&id, report.attempt, self.invocations),
            Err(_) => self.voices.cut(&id),
        }
        let failure = match report.outcome {
            Ok(value) => return self.settle(index, Settled::Ok(value)),
            Err(failure) => failure,
        };
        let undoes = params.get("compensates").is_some();
        let given = params.get("retry").and_then(|retry| serde_json::from_value(retry.clone()).ok());
        let policy: Retry = given.unwrap_or_else(|| if undoes { Retry::attempts(10) } else { Retry::default() });
        let until = params.get("scheduleToClose").and_then(as_duration).map(|limit| self.entries[index].at + limit);
        let due = wait(&policy, report.attempt, &failure).map(|wait| self.now() + wait);
        match due {
            // The run is held: somebody has to undo it by hand.
            None if undoes => (self.entries[index].entry.state, self.entries[index].due) = (EntryState::Pending, None),
            None => self.settle(index, Settled::Err(failure)),
            Some(due) if until.is_some_and(|until| due > until) => {
                let message = "the step took longer than its scheduleToClose".to_owned();
                let mut late = Failure::new("Timeout".to_owned(), message, false);
                late.data = Some(serde_json::json!({ "lastError": failure }));
                self.settle(index, Settled::Err(late));
            }
            Some(due) => {
                let open = &mut self.entries[index];
                let details = match &mut open.entry.state {
                    EntryState::Run(now) => now.details.take(),
                    EntryState::Pending | EntryState::Settled { .. } => None,
                };
                let attempt = report.attempt + 1;
                open.entry.state = EntryState::Run(Due { attempt, error: Some(failure), details });
                open.due = Some(due);
            }
        }
    }

    async fn child(&mut self, index: usize, params: &Value) {
        let input = params.get("input").cloned().unwrap_or_default();
        let function = params.get("function").and_then(Value::as_str).unwrap_or_default().to_owned();
        let app = params.get("app").and_then(Value::as_str);
        if params.get("detached").is_some() {
            self.started.push((function, input));
            return self.settle(index, Settled::Ok(ids_of(&[RUN_ID.to_owned()])));
        }
        if let Some(outcome) = self.children.get(&self.entries[index].entry.id).cloned() {
            return self.settle(index, outcome);
        }
        let key = params.get("key").and_then(Value::as_str);
        if app.is_none_or(|app| app == self.app.id) && self.app.functions.contains_key(&function) {
            let outcome = self.run_child(&function, key, &input).await;
            return self.settle(index, outcome);
        }
        self.entries[index].due = params.get("timeout").and_then(as_duration).map(|timeout| self.now() + timeout);
    }

    /// Runs a child to its end, with this run's stubs for steps of its ids.
    fn run_child(&self, function: &str, key: Option<&str>, input: &Value) -> BoxFuture<'static, Settled> {
        let mut child = Server::new(self.app.clone(), function);
        child.stubs = self.stubs.clone();
        child.fetches = self.fetches.clone();
        child.run.key = key.map(str::to_owned);
        child.objects = self.objects.beside(&self.run, self.mode());
        if child.mode() == Some(Mode::Exclusive) && child.objects.is_held(&child.run) {
            let message = format!("`{function}` waits for a key that its caller holds");
            return std::future::ready(Settled::Err(Failure::new("Deadlock".to_owned(), message, false))).boxed();
        }
        child.input = Raw::written(input.to_string().into_bytes());
        child.skip_to(self.now());
        child.trigger.kind = "invoke".to_owned();
        async move {
            loop {
                match child.advance().await {
                    Advance::Ended(Ok(value)) => return Settled::Ok(value),
                    Advance::Ended(Err(failure)) => return Settled::Err(child_failed(&failure)),
                    Advance::Waiting if child.skip() => {}
                    Advance::Waiting => {
                        let message =
                            format!("the child waits for {}: give it an outcome", child.open_ids().join(", "));
                        return Settled::Err(Failure::new("BlockedTest".to_owned(), message, false));
                    }
                }
            }
        }
        .boxed()
    }

    /// How the run works on its object, if it has one.
    fn mode(&self) -> Option<Mode> {
        self.app.functions.get(&self.run.function)?.manifest.mode
    }

    fn send(&mut self, index: usize, params: &Value) {
        let mut ids = Vec::new();
        for event in params.get("events").and_then(Value::as_array).into_iter().flatten() {
            let name = event.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.sent.push((name, event.get("data").cloned().unwrap_or_default()));
            ids.push(format!("evt_{:026}", self.sent.len()));
        }
        self.settle(index, Settled::Ok(ids_of(&ids)));
    }
}

/// The wait before the next attempt; none if there is none.
pub(super) fn wait(policy: &Retry, attempt: u32, failure: &Failure) -> Option<Duration> {
    if !failure.retryable || policy.is_final(&failure.name) {
        return None;
    }
    let wait = policy.wait_after(attempt)?;
    Some(failure.retry_after.as_ref().and_then(delay).unwrap_or(wait))
}

fn delay(delay: &Delay) -> Option<Duration> {
    match delay {
        Delay::Millis(ms) => Some(Duration::from_millis(*ms)),
        Delay::Text(text) => duration::parse(text).ok(),
    }
}

pub(super) fn as_duration(value: &Value) -> Option<Duration> {
    serde_json::from_value(value.clone()).ok().as_ref().and_then(delay)
}

fn ids_of(ids: &[String]) -> Raw {
    Raw::written(serde_json::json!({ "ids": ids }).to_string().into_bytes())
}
