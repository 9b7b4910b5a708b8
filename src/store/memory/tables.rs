//! The tables of the oracle and how a batch changes them. It refuses what a database's constraints refuse, and what
//! the engine promises never to ask: a settled entry that changes, a run that rises again, an identity that moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits;
use crate::model::{
    App, Attempt, AttributeValue, Batch, Change, Deployment, DeploymentId, Entry, Event, EventId, FunctionId, Job,
    JobId, JobStatus, Labels, Messages, ObjectKey, ObjectValue, RunHead, RunId, RunStatus, Signal, StateKey, StateRow,
    Stream, Text, Timestamp, Verdict, Wait,
};
use crate::store::{Ownership, StoreError, text};

type Result<T> = std::result::Result<T, StoreError>;

/// Everything that the database holds. Rows are shared, so that a copy of the tables is cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) epoch: u32,
    pub(super) commit_no: u64,
    pub(super) now: Timestamp,
    pub(super) run_no: i64,
    pub(super) event_seq: i64,
    pub(super) message_no: i64,
    pub(super) runs: BTreeMap<i64, Arc<RunHead>>,
    pub(super) run_ids: BTreeMap<RunId, i64>,
    pub(super) run_names: BTreeMap<(FunctionId, Text), RunId>,
    pub(super) entries: BTreeMap<(i64, u32), Arc<Entry>>,
    pub(super) attempts: Vec<Arc<Attempt>>,
    pub(super) events: BTreeMap<i64, Arc<Event>>,
    pub(super) event_ids: BTreeMap<EventId, i64>,
    pub(super) verdicts: BTreeMap<(EventId, FunctionId), Verdict>,
    pub(super) waits: BTreeMap<(i64, u32), Arc<Wait>>,
    pub(super) signals: BTreeMap<(i64, u32), Arc<Signal>>,
    pub(super) state: BTreeMap<StateKey, StateRow>,
    pub(super) values: BTreeMap<(ObjectKey, Text), ObjectValue>,
    pub(super) messages: BTreeMap<i64, Arc<Messages>>,
    pub(super) streams: BTreeMap<(i64, Text), Stream>,
    pub(super) apps: BTreeMap<Text, App>,
    pub(super) deployments: BTreeMap<DeploymentId, Deployment>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    pub(super) secret: Option<[u8; 32]>,
}

fn refused<T>(why: String) -> Result<T> {
    Err(StoreError::Data(why))
}

impl Tables {
    /// One more epoch.
    pub(super) fn take_ownership(&mut self, partition: u16) -> Result<Ownership> {
        if partition != 0 {
            return refused(format!("partition {partition} does not exist: this database has one partition, 0"));
        }
        self.epoch += 1;
        Ok(Ownership {
            epoch: self.epoch,
            commit_no: self.commit_no,
            now: self.now,
            run_no: self.run_no,
            event_seq: self.event_seq,
            message_no: self.message_no,
        })
    }

    /// Applies a batch. The caller drops the tables when this fails.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<()> {
        if batch.partition != 0 || batch.epoch != self.epoch {
            return Err(StoreError::Fenced { partition: batch.partition, epoch: batch.epoch });
        }
        if batch.commit_no != self.commit_no + 1 {
            return refused(format!("commit {} does not follow commit {}", batch.commit_no, self.commit_no));
        }
        self.commit_no = batch.commit_no;
        self.now = batch.now;
        for change in &batch.changes {
            self.apply(change)?;
        }
        Ok(())
    }

    /// Writes an app and the deployment that was found.
    pub(super) fn put_app(&mut self, app: App, deployment: Option<Deployment>) -> Result<()> {
        text::name(&app.name)?;
        if let Some(deployment) = deployment {
            self.deployments.insert(deployment.id, deployment);
        }
        self.apps.insert(app.name.clone(), app);
        Ok(())
    }

    /// Writes a deployment.
    pub(super) fn put_deployment(&mut self, deployment: Deployment) -> Result<()> {
        text::name(&deployment.app)?;
        self.deployments.insert(deployment.id, deployment);
        Ok(())
    }

    /// Forgets deployments that nothing needs.
    pub(super) fn prune_deployments(&mut self, keep: usize) -> Vec<DeploymentId> {
        let mut ages: BTreeMap<Text, Vec<&Deployment>> = BTreeMap::new();
        for deployment in self.deployments.values() {
            ages.entry(deployment.app.clone()).or_default().push(deployment);
        }
        let needed = |id: DeploymentId| {
            self.apps.values().any(|app| app.current == Some(id))
                || self.runs.values().any(|run| run.deployment == Some(id) && !run.status.is_terminal())
        };
        let mut gone = Vec::new();
        for mut deployments in ages.into_values() {
            deployments.sort_by_key(|it| std::cmp::Reverse((it.seen_at, it.created_at, it.id.to_string())));
            gone.extend(deployments.iter().skip(keep).map(|it| it.id).filter(|id| !needed(*id)));
        }
        gone.sort_unstable();
        self.deployments.retain(|id, _| !gone.contains(id));
        gone
    }

    /// Writes a job, and forgets the oldest that ended.
    pub(super) fn put_job(&mut self, job: Job) -> Result<()> {
        self.jobs.insert(job.id, job);
        let ended = self.jobs.values().filter(|job| job.status != JobStatus::Running);
        let old: Vec<JobId> = ended.rev().skip(limits::JOBS_KEPT_MAX).map(|job| job.id).collect();
        self.jobs.retain(|id, _| !old.contains(id));
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::RunCreated(head) => self.create_run(head),
            Change::RunChanged(head) => self.change_run(head),
            Change::EntryAdded(entry) => self.add_entry(entry),
            Change::EntryChanged(entry) => self.change_entry(entry),
            Change::AttemptAdded(attempt) => {
                self.run_of(attempt.run_no)?;
                self.attempts.push(Arc::new(attempt.clone()));
                Ok(())
            }
            Change::EventAdded(event) => self.add_event(event),
            Change::VerdictAdded(event, function, verdict) => self.add_verdict(*event, function, verdict),
            Change::WaitOpened(wait) => self.open_wait(wait),
            Change::WaitChanged(wait) => self.change_wait(wait),
            Change::WaitClosed(wait) => {
                self.waits.remove(&(wait.run_no, wait.idx));
                Ok(())
            }
            Change::SignalAdded(signal) => self.add_signal(signal),
            Change::SignalChanged(signal) => self.change_signal(signal),
            Change::StatePut(row) => {
                text::name(row.key.columns().1.as_str())?;
                self.state.insert(row.key.clone(), row.clone());
                Ok(())
            }
            Change::StateDeleted(key) => {
                self.state.remove(key);
                Ok(())
            }
            Change::ValuePut(value) => {
                text::name(&value.object.line())?;
                text::name(&value.name)?;
                self.values.insert((value.object.clone(), value.name.clone()), value.clone());
                Ok(())
            }
            Change::ValuesKept(object) => {
                self.values.retain(|(of, _), value| of != object || value.value.is_some());
                self.values.iter_mut().filter(|((of, _), _)| of == object).for_each(|(_, value)| value.before = None);
                Ok(())
            }
            Change::MessagesAdded(messages) => self.add_messages(messages),
            Change::MessagesCut(notice) => self.cut_messages(notice),
            Change::MessagesDropped(channel, up_to) => {
                self.messages.retain(|no, messages| messages.channel != *channel || no > up_to);
                Ok(())
            }
            Change::StreamPut(stream) => {
                self.run_of(stream.run_no)?;
                text::name(&stream.source)?;
                self.streams.insert((stream.run_no, stream.source.clone()), stream.clone());
                Ok(())
            }
            Change::StreamDeleted(run_no, source) => {
                self.streams.remove(&(*run_no, source.clone()));
                Ok(())
            }
        }
    }

    fn add_messages(&mut self, messages: &Messages) -> Result<()> {
        self.run_of(messages.run_no)?;
        text::name(messages.channel.as_str())?;
        text::name(&messages.source)?;
        text::name(&messages.topic)?;
        self.message_no = self.message_no.max(messages.no);
        match self.messages.insert(messages.no, Arc::new(messages.clone())) {
            Some(_) => refused(format!("the message {} exists already", messages.no)),
            None => Ok(()),
        }
    }

    fn cut_messages(&mut self, notice: &Messages) -> Result<()> {
        let said = |it: &Messages| {
            (it.channel == notice.channel && it.run_no == notice.run_no && it.source == notice.source)
                && it.data.is_some()
                && it.cut_by.is_none()
        };
        for messages in self.messages.range_mut(notice.first..).map(|(_, messages)| messages).filter(|it| said(it)) {
            *messages = Arc::new(Messages { cut_by: Some(notice.no), ..(**messages).clone() });
        }
        self.add_messages(notice)
    }

    fn run_of(&self, run_no: i64) -> Result<&Arc<RunHead>> {
        self.runs.get(&run_no).ok_or_else(|| StoreError::Data(format!("run number {run_no} does not exist")))
    }

    fn create_run(&mut self, head: &RunHead) -> Result<()> {
        text::name(&head.function.app)?;
        text::name(&head.function.function)?;
        if self.run_ids.insert(head.id, head.run_no).is_some() {
            return refused(format!("the run {} exists already", head.id));
        }
        if let Some(name) = &head.name {
            text::name(name)?;
            let other = self.run_names.insert((head.function.clone(), name.clone()), head.id);
            let other = other.and_then(|id| self.runs.get(self.run_ids.get(&id)?));
            if other.is_some_and(|run| run.status != RunStatus::Continued) {
                return refused(format!("{} has a run named `{name}` already", head.function));
            }
        }
        labels(&head.labels)?;
        self.run_no = self.run_no.max(head.run_no);
        match self.runs.insert(head.run_no, Arc::new(head.clone())) {
            Some(other) => refused(format!("run number {} belongs to {}", head.run_no, other.id)),
            None => Ok(()),
        }
    }

    fn change_run(&mut self, head: &RunHead) -> Result<()> {
        let old = self.run_of(head.run_no)?;
        // Of a run that has ended, what is left to do after it may still come to its end; nothing else.
        if old.status.is_terminal() && (RunHead { wake_at: old.wake_at, ..head.clone() }) != **old {
            return refused(format!("the run {} has ended and cannot change", old.id));
        }
        let identity = |run: &RunHead| {
            let born = (run.id, run.function.clone(), run.name.clone(), run.trigger, run.event, run.born_seq);
            (
                born,
                run.parent,
                run.root,
                run.created_at,
                run.key.clone(),
                (run.previous, run.chain, run.seed, run.tick.clone()),
            )
        };
        if identity(old) != identity(head) {
            return refused(format!("the run {} cannot become another one", old.id));
        }
        labels(&head.labels)?;
        self.runs.insert(head.run_no, Arc::new(head.clone()));
        Ok(())
    }

    fn add_entry(&mut self, entry: &Entry) -> Result<()> {
        self.run_of(entry.run_no)?;
        text::name(&entry.id)?;
        text::name(entry.name.as_deref().unwrap_or_default())?;
        coherent(entry)?;
        match self.entries.insert((entry.run_no, entry.idx), Arc::new(entry.clone())) {
            Some(other) => refused(format!("entry {} of run {} is `{}` already", entry.idx, entry.run_no, other.id)),
            None => Ok(()),
        }
    }

    fn change_entry(&mut self, entry: &Entry) -> Result<()> {
        let Some(old) = self.entries.get(&(entry.run_no, entry.idx)) else {
            return refused(format!("entry {} of run {} does not exist", entry.idx, entry.run_no));
        };
        if old.is_settled() {
            return refused(format!("entry `{}` of run {} is settled and cannot change", old.id, old.run_no));
        }
        let identity = |entry: &Entry| {
            let made = (entry.id.clone(), entry.kind, entry.name.clone(), entry.params.clone());
            (made, entry.deployment, entry.created_at, entry.copied)
        };
        if identity(old) != identity(entry) {
            return refused(format!("entry `{}` of run {} cannot become another one", old.id, old.run_no));
        }
        coherent(entry)?;
        self.entries.insert((entry.run_no, entry.idx), Arc::new(entry.clone()));
        Ok(())
    }

    fn add_event(&mut self, event: &Event) -> Result<()> {
        text::name(&event.name)?;
        text::name(event.client_id.as_deref().unwrap_or_default())?;
        if self.event_ids.insert(event.id, event.seq).is_some() {
            return refused(format!("the event {} exists already", event.id));
        }
        self.event_seq = self.event_seq.max(event.seq);
        match self.events.insert(event.seq, Arc::new(event.clone())) {
            Some(other) => refused(format!("event number {} belongs to {}", event.seq, other.id)),
            None => Ok(()),
        }
    }

    fn add_verdict(&mut self, event: EventId, function: &FunctionId, verdict: &Verdict) -> Result<()> {
        if !self.event_ids.contains_key(&event) {
            return refused(format!("the event {event} does not exist"));
        }
        let verdict = match verdict {
            Verdict::Filtered => Verdict::Filtered,
            Verdict::FilterFailed(detail) => Verdict::FilterFailed(text::prose(detail).into_owned()),
        };
        match self.verdicts.insert((event, function.clone()), verdict) {
            Some(_) => refused(format!("{function} has its verdict on {event} already")),
            None => Ok(()),
        }
    }

    fn open_wait(&mut self, wait: &Wait) -> Result<()> {
        if self.run_of(wait.run_no)?.id != wait.run {
            return refused(format!("run number {} is not {}", wait.run_no, wait.run));
        }
        text::name(&wait.index.event)?;
        text::name(&wait.index.path)?;
        match self.waits.insert((wait.run_no, wait.idx), Arc::new(wait.clone())) {
            Some(_) => refused(format!("entry {} of run {} waits already", wait.idx, wait.run_no)),
            None => Ok(()),
        }
    }

    fn change_wait(&mut self, wait: &Wait) -> Result<()> {
        let Some(old) = self.waits.get(&(wait.run_no, wait.idx)) else {
            return refused(format!("entry {} of run {} does not wait", wait.idx, wait.run_no));
        };
        if **old != (Wait { scanned_to: old.scanned_to, ..wait.clone() }) {
            return refused(format!("the wait of entry {} of run {} cannot become another", wait.idx, wait.run_no));
        }
        self.waits.insert((wait.run_no, wait.idx), Arc::new(wait.clone()));
        Ok(())
    }

    fn add_signal(&mut self, signal: &Signal) -> Result<()> {
        self.run_of(signal.run_no)?;
        text::name(&signal.name)?;
        text::name(signal.id.as_deref().unwrap_or_default())?;
        match self.signals.insert((signal.run_no, signal.order), Arc::new(signal.clone())) {
            Some(_) => refused(format!("run {} has a signal number {} already", signal.run_no, signal.order)),
            None => Ok(()),
        }
    }

    fn change_signal(&mut self, signal: &Signal) -> Result<()> {
        let Some(old) = self.signals.get(&(signal.run_no, signal.order)) else {
            return refused(format!("run {} has no signal number {}", signal.run_no, signal.order));
        };
        if old.reply.is_some() || old.consumed_by.is_some() && old.consumed_by != signal.consumed_by {
            return refused(format!(
                "signal {} of run {} is consumed once, and replied to once",
                signal.order, signal.run_no
            ));
        }
        let changeable = Signal { consumed_by: old.consumed_by, reply: None, ..signal.clone() };
        if **old != changeable {
            return refused(format!("signal {} of run {} cannot become another", signal.order, signal.run_no));
        }
        self.signals.insert((signal.run_no, signal.order), Arc::new(signal.clone()));
        Ok(())
    }
}

/// An outcome is there exactly when the entry is settled.
fn coherent(entry: &Entry) -> Result<()> {
    if entry.is_settled() == entry.outcome.is_some() {
        return Ok(());
    }
    refused(format!("entry `{}` of run {} must have an outcome exactly when it is settled", entry.id, entry.run_no))
}

/// Labels hold texts that are keys of indexes.
fn labels(labels: &Labels) -> Result<()> {
    let values = labels.attributes.values().filter_map(|value| match value {
        AttributeValue::Text(text) => Some(text),
        _ => None,
    });
    labels.tags.iter().chain(values).try_for_each(|text| text::name(text).map(drop))
}
