//! Calls that are disturbed on purpose, to find out whether an app bears it: an answer is lost, an invocation delivered twice,
//! the app's process killed. Used by `backstitch dev --chaos` and by nobody else.
//!
//! It compares what one app does from one and the same journal. It decides nothing about runs, and makes no answers up but the
//! one that says that none came.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Invoker;
use crate::limits::{FAULT_REVIVAL_MS, FAULTS_SEEN_MAX};
use crate::model::{Answer, Deployment, Entry, EntryStatus, HandlerOp, Snapshot, Terminal, Undelivered};

/// What is done to one call of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped, and the process killed, so many milliseconds after the call began.
    Before(u64),
    /// The answer is lost, and the process killed.
    After,
    /// The call is made twice at the same time; one of the answers counts.
    Twice,
    /// The call is made once more when its answer has been taken; that answer comes too late.
    Late,
}

/// What a call led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the handler did, in order: ids of entries, or how the run ended.
    pub ops: Vec<String>,
}

/// A plan, and what came of it. One run after the other.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
    kills: Mutex<Option<mpsc::Sender<Kill>>>,
    calls: tokio::sync::Mutex<JoinSet<()>>,
}

/// The app's process is to be killed; answer when it is there again.
pub type Kill = oneshot::Sender<()>;

#[derive(Default)]
struct State {
    /// Which call of the run, from 0, and what is done to it.
    plan: Option<(usize, Fault)>,
    hit: bool,
    seen: Vec<Seen>,
    /// The journals that a handler was given, and the operations that it answered with.
    ways: Vec<(String, BTreeSet<String>)>,
    contradictions: Vec<String>,
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What each call led to.
    pub calls: Vec<Seen>,
    /// Whether the call of the plan was made.
    pub hit: bool,
    /// Where one journal led to different operations.
    pub contradictions: Vec<String>,
}

impl Faults {
    /// Disturbs nothing yet. Whoever can kill the app's process reads the other end.
    pub fn channel() -> (Arc<Faults>, mpsc::Receiver<Kill>) {
        let (kills, wanted) = mpsc::channel(1);
        (Arc::new(Faults { kills: Mutex::new(Some(kills)), ..Faults::default() }), wanted)
    }

    /// An invoker whose calls are disturbed as planned.
    pub fn around(self: &Arc<Faults>, inner: Arc<dyn Invoker>) -> Disturbed {
        Disturbed { inner, faults: Arc::clone(self) }
    }

    /// Begins anew: this is to be done to the call of this number.
    pub fn plan(&self, plan: Option<(usize, Fault)>) {
        *self.state() = State { plan, ..State::default() };
    }

    /// What has come of the plan, once nothing is under way any more that it led to.
    pub async fn found(&self) -> Found {
        let mut calls = self.calls.lock().await;
        while calls.join_next().await.is_some() {}
        let state = self.state();
        Found { calls: state.seen.clone(), hit: state.hit, contradictions: state.contradictions.clone() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a call, and says what is to be done to it. Only the run that was started by hand is disturbed, not its children.
    fn begin(&self, snapshot: &Snapshot) -> Option<Fault> {
        if snapshot.head.parent.is_some() {
            return None;
        }
        let mut state = self.state();
        let number = state.seen.len();
        if number < FAULTS_SEEN_MAX {
            state.seen.push(Seen::default());
        }
        match state.plan {
            Some((at, fault)) if at == number && !state.hit => {
                state.hit = true;
                Some(fault)
            }
            _ => None,
        }
    }

    /// Notes what a call led to, and compares it with what the same journal led to before.
    fn note(&self, snapshot: &Snapshot, answer: &Answer, counts: bool) {
        let Answer::Ops { ops, end, .. } = answer else { return };
        if snapshot.head.parent.is_some() {
            return;
        }
        let names: Vec<String> =
            ops.iter().filter_map(|op| Some(op.id()?.to_string())).chain(end.as_ref().map(ended)).collect();
        let way: BTreeSet<String> = ops.iter().filter_map(described).chain(end.as_ref().map(ended)).collect();
        let journal = journal_of(snapshot);
        let mut state = self.state();
        if counts && let Some(last) = state.seen.last_mut() {
            last.ops = names;
        }
        let before = state.ways.iter().find(|(known, _)| *known == journal).map(|(_, way)| way.clone());
        match before {
            None if state.ways.len() < FAULTS_SEEN_MAX => state.ways.push((journal, way)),
            Some(before) if before != way => {
                let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                    let list: Vec<&str> = a.difference(b).map(String::as_str).collect();
                    if list.is_empty() { "nothing else".to_owned() } else { list.join(", ") }
                };
                let text = format!(
                    "the same journal led to {} first, and to {} then",
                    only(&before, &way),
                    only(&way, &before)
                );
                state.contradictions.push(text);
            }
            _ => {}
        }
    }

    /// Has the app's process killed, if it is somebody's to kill, and waits until it is there again.
    async fn kill(&self) {
        let kills = self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(kills) = kills else { return };
        let (revived, back) = oneshot::channel();
        if kills.send(revived).await.is_ok() {
            // A process that does not come back is told of by the calls that do not reach it.
            let _ = tokio::time::timeout(Duration::from_millis(FAULT_REVIVAL_MS), back).await;
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

/// An invoker whose calls are disturbed.
#[derive(Clone)]
pub struct Disturbed {
    inner: Arc<dyn Invoker>,
    faults: Arc<Faults>,
}

impl Invoker for Disturbed {
    fn invoke(&self, snapshot: Snapshot, deployment: Arc<Deployment>) -> BoxFuture<'static, Answer> {
        let this = self.clone();
        async move { this.disturbed(snapshot, deployment).await }.boxed()
    }
}

impl Disturbed {
    async fn disturbed(&self, snapshot: Snapshot, deployment: Arc<Deployment>) -> Answer {
        let Disturbed { inner, faults } = self;
        let call = || inner.invoke(snapshot.clone(), deployment.clone());
        match faults.begin(&snapshot) {
            None => {
                let answer = call().await;
                faults.note(&snapshot, &answer, true);
                answer
            }
            Some(Fault::Before(after_ms)) => {
                if let Ok(answer) = tokio::time::timeout(Duration::from_millis(after_ms), call()).await {
                    faults.note(&snapshot, &answer, false);
                }
                faults.kill().await;
                lost("the connection was dropped")
            }
            Some(Fault::After) => {
                let answer = call().await;
                faults.note(&snapshot, &answer, true);
                faults.kill().await;
                lost("the answer was dropped")
            }
            Some(Fault::Twice) => {
                let (first, second) = tokio::join!(call(), call());
                faults.note(&snapshot, &first, true);
                faults.note(&snapshot, &second, false);
                second
            }
            Some(Fault::Late) => {
                let answer = call().await;
                faults.note(&snapshot, &answer, true);
                let (again, faults) = (call(), Arc::clone(faults));
                let late = async move {
                    let answer = again.await;
                    faults.note(&snapshot, &answer, false);
                };
                self.faults.calls.lock().await.spawn(late);
                answer
            }
        }
    }
}

fn lost(how: &str) -> Answer {
    Answer::Undelivered(Undelivered::Lost { reason: format!("{how}, on purpose") })
}

fn ended(end: &Terminal) -> String {
    match end {
        Terminal::Done(_) => "done",
        Terminal::Fail(..) => "fail",
        Terminal::ContinueAsNew(_) => "continueAsNew",
        Terminal::Yield => "yield",
    }
    .to_owned()
}

/// An operation without what its body came to: that may differ from one attempt to the next.
fn described(op: &HandlerOp) -> Option<String> {
    let (id, kind) = (op.id()?, op.kind()?);
    if matches!(op, HandlerOp::Heartbeat(_)) {
        return None;
    }
    let params = match op {
        HandlerOp::Sleep { params, .. } | HandlerOp::Send { params, .. } => Some(params),
        HandlerOp::WaitSignal(op) => Some(&op.params),
        HandlerOp::WaitEvent(op) => Some(&op.params),
        HandlerOp::Invoke(op) => Some(&op.params),
        HandlerOp::State(op) => Some(&op.params),
        _ => None,
    };
    Some(match params {
        None => format!("{} `{id}`", kind.as_str()),
        Some(params) => format!("{} `{id}` with {}", kind.as_str(), String::from_utf8_lossy(params.bytes())),
    })
}

/// What a handler is told by a journal: the entries and where they stand.
fn journal_of(snapshot: &Snapshot) -> String {
    let entry = |entry: &Arc<Entry>| match entry.status {
        EntryStatus::Settled => format!("{}={}", entry.id, entry.seq.unwrap_or_default()),
        _ => entry.id.to_string(),
    };
    let mut lines: Vec<String> = snapshot.entries.iter().map(entry).collect();
    lines.sort();
    lines.join("\n")
}
