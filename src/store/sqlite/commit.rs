//! One batch, one transaction: the epoch and the commit number first, then rows table by table. It says `Failed` only
//! when nothing can have been written, and `Unknown` when COMMIT itself did not say.

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection, ToSql, params};

use super::error::sorted;
use super::payloads::Payloads;
use super::plan::{Image, Plan, Write};
use super::sql;
use crate::model::{
    Attempt, AttributeValue, Batch, Before, Change, DeploymentId, Entry, Event, EventId, IdText, Labels, Messages,
    ObjectKey, ObjectValue, Outcome, Payload, RunHead, RunId, Signal, StateRow, Stream, Timestamp, Verdict, Wait,
};
use crate::store::{Commit, StoreError, text};

type Done = Result<(), StoreError>;

/// The statements of a commit. They are kept with the connection, prepared, from one commit to the next.
pub(super) struct Committer<'c> {
    connection: &'c Connection,
    advance: CachedStatement<'c>,
    run_insert: Lazy<'c>,
    run_update: Lazy<'c>,
    entry_insert: Lazy<'c>,
    entry_update: Lazy<'c>,
    payloads: Payloads<'c>,
}

/// A statement that is looked up once for all the rows of a commit, if there are any.
struct Lazy<'c> {
    text: &'static str,
    found: Option<CachedStatement<'c>>,
}

impl<'c> Lazy<'c> {
    fn new(text: &'static str) -> Lazy<'c> {
        Lazy { text, found: None }
    }

    fn execute(&mut self, connection: &'c Connection, row: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        let statement = match &mut self.found {
            Some(found) => found,
            none => none.insert(connection.prepare_cached(self.text)?),
        };
        statement.execute(row)
    }
}

impl<'c> Committer<'c> {
    /// Fails when the tables are not those of this version.
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Committer<'c>> {
        Ok(Committer {
            connection,
            advance: connection.prepare_cached(sql::PARTITION_ADVANCE)?,
            run_insert: Lazy::new(sql::RUN_INSERT),
            run_update: Lazy::new(sql::RUN_UPDATE),
            entry_insert: Lazy::new(sql::ENTRY_INSERT),
            entry_update: Lazy::new(sql::ENTRY_UPDATE),
            payloads: Payloads::new(connection),
        })
    }

    /// Writes a batch.
    pub(super) fn commit(&mut self, batch: &Batch) -> Commit {
        let plan = match Plan::of(batch) {
            Ok(plan) => plan,
            Err(error) => return Commit::Failed(error),
        };
        if let Err(error) = self.execute(sql::TRANSACTION_BEGIN, &[]) {
            return Commit::Failed(error);
        }
        if let Err(error) = self.write(batch, &plan) {
            self.roll_back();
            return Commit::Failed(error);
        }
        match self.execute(sql::TRANSACTION_COMMIT, &[]) {
            Ok(_) => Commit::Done,
            Err(error) => {
                self.roll_back();
                Commit::Unknown(error)
            }
        }
    }

    /// Some errors end the transaction by themselves; the others leave that to us. When even this fails, the caller
    /// sees the transaction still open and gives the connection up.
    fn roll_back(&mut self) {
        if !self.connection.is_autocommit() {
            let _ = self.execute(sql::TRANSACTION_ROLLBACK, &[]);
        }
    }

    fn write(&mut self, batch: &Batch, plan: &Plan<'_>) -> Done {
        self.advance(batch, plan)?;
        self.payloads.begin(&plan.uses);
        for image in &plan.runs {
            self.run(image)?;
        }
        for image in &plan.entries {
            self.entry(image)?;
        }
        for change in &plan.others {
            self.other(change)?;
        }
        Ok(())
    }

    fn advance(&mut self, batch: &Batch, plan: &Plan<'_>) -> Done {
        let commit_no = i64::try_from(batch.commit_no).unwrap_or(i64::MAX);
        let advance =
            params![batch.partition, commit_no, batch.now.0, plan.run_no, plan.event_seq, batch.epoch, plan.message_no];
        if self.advance.execute(advance).map_err(sorted)? == 1 {
            return Ok(());
        }
        let epoch = self.connection.query_row(sql::OWNERSHIP_EPOCH, [batch.partition], |row| row.get::<_, u32>(0));
        match epoch {
            Ok(epoch) if epoch == batch.epoch => {
                Err(StoreError::Data(format!("commit {commit_no} does not follow the last commit")))
            }
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => {
                Err(StoreError::Fenced { partition: batch.partition, epoch: batch.epoch })
            }
            Err(error) => Err(sorted(error)),
        }
    }

    fn run(&mut self, image: &Image<'_, RunHead>) -> Done {
        let run = image.row;
        let status = run.status.as_str();
        let deployment = run.deployment.map(DeploymentId::text);
        let ended_at = at(run.ended_at);
        let last_error = run.last_error.as_ref().map(|error| &**error.bytes());
        let awaiting = if run.awaiting.is_empty() { None } else { Some(json(&run.awaiting)?) };
        let hold = run.hold.as_ref().map(json).transpose()?;
        let (wake_at, cancel_by, mismatch_since) = (at(run.wake_at), at(run.cancel_by), at(run.mismatch_since));
        let open_token = run.open_token.map(|token| token.to_string());
        let queue_key = run.queue.as_ref().map(|place| text::name(&place.key)).transpose()?;
        let queue_order = run.queue.as_ref().map(|place| place.order);
        let (start_by, deadline) = (at(run.start_by), at(run.deadline));
        let value = run.value.as_ref().map(|value| &**value.bytes());
        let (tags, attributes) = labels(&run.labels)?;
        let labelled = tags.is_some() || attributes.is_some();
        if image.write == Write::Update {
            let mut update = |labelled: bool| {
                self.run_update.execute(
                    self.connection,
                    params![
                        run.run_no,
                        run.id.text(),
                        status,
                        deployment,
                        run.started_at.0,
                        ended_at,
                        run.failures,
                        run.losses,
                        last_error,
                        awaiting,
                        hold,
                        wake_at,
                        cancel_by,
                        mismatch_since,
                        run.seen,
                        open_token,
                        queue_key,
                        queue_order,
                        start_by,
                        deadline,
                        value,
                        labelled
                    ],
                )
            };
            if labelled {
                label(self.connection, run.run_no, tags, attributes)?;
            }
            let mut changed = update(labelled);
            // It may be that the row still has the labels that the run had.
            if matches!(changed, Ok(0)) && !labelled {
                label(self.connection, run.run_no, None, None)?;
                changed = update(true);
            }
            return one(changed, || format!("the run {} does not exist or has ended; it cannot change", run.id));
        }
        let inserted = self.run_insert.execute(
            self.connection,
            params![
                run.run_no,
                run.id.text(),
                text::name(&run.function.app)?,
                text::name(&run.function.function)?,
                run.name.as_deref().map(text::name).transpose()?,
                status,
                run.trigger.as_str(),
                run.event.map(EventId::text),
                run.born_seq,
                run.parent.map(|parent| parent.run.text()),
                run.parent.map(|parent| parent.idx),
                (run.root != run.id).then(|| run.root.text()),
                deployment,
                run.created_at.0,
                run.started_at.0,
                ended_at,
                run.failures,
                run.losses,
                last_error,
                awaiting,
                hold,
                wake_at,
                cancel_by,
                mismatch_since,
                run.seen,
                open_token,
                run.key.as_deref().map(text::name).transpose()?,
                queue_key,
                queue_order,
                start_by,
                deadline,
                run.previous.map(|previous| previous.run.text()),
                run.previous.map(|previous| previous.origin.as_str()),
                run.chain.map(RunId::text),
                run.seed.map(RunId::text),
                value,
                run.tick.as_ref().map(|tick| tick.schedule.to_string()),
                run.tick.as_ref().map(|tick| tick.at.0)
            ],
        );
        inserted.map_err(sorted)?;
        if labelled { label(self.connection, run.run_no, tags, attributes) } else { Ok(()) }
    }

    fn entry(&mut self, image: &Image<'_, Entry>) -> Done {
        let entry = image.row;
        let status = entry.status.as_str();
        let (result, payload) = split(entry.outcome.as_ref());
        let (outcome, outcome_no) = self.payloads.place(payload)?;
        let last_error = entry.last_error.as_ref().map(|error| &**error.bytes());
        let child = entry.child.map(RunId::text);
        let details = entry.details.as_ref().map(|details| &**details.bytes());
        if image.write == Write::Update {
            let changed = self.entry_update.execute(
                self.connection,
                params![
                    entry.run_no,
                    entry.idx,
                    status,
                    entry.seq,
                    result,
                    outcome,
                    outcome_no,
                    at(entry.due_at),
                    entry.failures,
                    last_error,
                    child,
                    at(entry.settled_at),
                    details
                ],
            );
            return one(changed, || {
                format!("entry {} of run {} does not exist or is settled; it cannot change", entry.idx, entry.run_no)
            });
        }
        let (params, params_no) = self.payloads.place(Some(&entry.params))?;
        let inserted = self.entry_insert.execute(
            self.connection,
            params![
                entry.run_no,
                entry.idx,
                text::name(&entry.id)?,
                entry.kind.as_str(),
                entry.name.as_deref().map(text::name).transpose()?,
                status,
                entry.seq,
                params,
                params_no,
                result,
                outcome,
                outcome_no,
                at(entry.due_at),
                entry.failures,
                last_error,
                entry.deployment.map(DeploymentId::text),
                child,
                entry.created_at.0,
                at(entry.settled_at),
                details,
                entry.copied
            ],
        );
        inserted.map(drop).map_err(sorted)
    }

    fn other(&mut self, change: &Change) -> Done {
        match change {
            Change::AttemptAdded(attempt) => self.attempt(attempt),
            Change::EventAdded(event) => self.event(event),
            Change::VerdictAdded(event, function, verdict) => {
                let detail = verdict.detail().map(text::prose);
                let (app, function) = (text::name(&function.app)?, text::name(&function.function)?);
                let row = params![event.text(), app, function, Verdict::word(verdict), detail];
                self.execute(sql::VERDICT_INSERT, row).map(drop)
            }
            Change::WaitOpened(wait) => self.wait(wait),
            Change::WaitChanged(wait) => {
                let row = params![wait.run_no, wait.idx, wait.scanned_to];
                self.execute_one(sql::WAIT_UPDATE, row, || {
                    format!("entry {} of run {} does not wait", wait.idx, wait.run_no)
                })
            }
            Change::WaitClosed(wait) => self.execute(sql::WAIT_DELETE, params![wait.run_no, wait.idx]).map(drop),
            Change::SignalAdded(signal) => self.signal(signal),
            Change::SignalChanged(signal) => self.signal_changed(signal),
            Change::StatePut(row) => self.state(row),
            Change::StateDeleted(key) => {
                let (kind, key) = key.columns();
                self.execute(sql::STATE_DELETE, params![kind, key]).map(drop)
            }
            Change::ValuePut(value) => self.value(value),
            Change::ValuesKept(object) => self.values_kept(object),
            Change::MessagesAdded(messages) => self.messages(messages),
            Change::MessagesCut(notice) => self.messages_cut(notice),
            Change::MessagesDropped(channel, up_to) => {
                self.execute(sql::MESSAGES_DROP, params![channel.as_str(), up_to]).map(drop)
            }
            Change::StreamPut(stream) => self.stream(stream),
            Change::StreamDeleted(run_no, source) => {
                self.execute(sql::STREAM_DELETE, params![run_no, source]).map(drop)
            }
            Change::RunCreated(_) | Change::RunChanged(_) | Change::EntryAdded(_) | Change::EntryChanged(_) => Ok(()),
        }
    }

    fn attempt(&mut self, attempt: &Attempt) -> Done {
        let (error, error_no) = self.payloads.place(Some(&attempt.error))?;
        let (started_at, ended_at) = (attempt.started_at.0, attempt.ended_at.0);
        let row = params![attempt.run_no, attempt.idx, attempt.number, started_at, ended_at, error, error_no];
        self.execute(sql::ATTEMPT_INSERT, row).map(drop)
    }

    fn event(&mut self, event: &Event) -> Done {
        let (data, data_no) = self.payloads.place(Some(&event.data))?;
        let client_id = event.client_id.as_deref().map(text::name).transpose()?;
        let source = event.source.map(RunId::text);
        let name = text::name(&event.name)?;
        let row = params![event.seq, event.id.text(), name, data, data_no, event.at.0, client_id, source];
        self.execute(sql::EVENT_INSERT, row).map(drop)
    }

    fn wait(&mut self, wait: &Wait) -> Done {
        let (event, path) = (text::name(&wait.index.event)?, text::name(&wait.index.path)?);
        let filter = wait.filter.as_ref().map(|filter| &**filter.bytes());
        let scan = (wait.after_seq, wait.scanned_to, wait.scan_end);
        let row = params![wait.run_no, wait.idx, event, path, wait.index.value, scan.0, scan.1, scan.2, filter];
        self.execute(sql::WAIT_INSERT, row).map(drop)
    }

    fn signal(&mut self, signal: &Signal) -> Done {
        let (result, payload) = split(Some(&signal.settle));
        let (payload, payload_no) = self.payloads.place(payload)?;
        let id = signal.id.as_deref().map(text::name).transpose()?;
        let (name, at) = (text::name(&signal.name)?, signal.at.0);
        let (consumed_by, wants_reply) = (signal.consumed_by, signal.wants_reply);
        let row =
            params![signal.run_no, signal.order, name, id, result, payload, payload_no, at, consumed_by, wants_reply];
        self.execute(sql::SIGNAL_INSERT, row).map(drop)
    }

    fn signal_changed(&mut self, signal: &Signal) -> Done {
        let (result, reply) = split(signal.reply.as_ref());
        let (reply, reply_no) = self.payloads.place(reply)?;
        let row = params![signal.run_no, signal.order, signal.consumed_by, result, reply, reply_no];
        self.execute_one(sql::SIGNAL_UPDATE, row, || {
            format!("signal {} of run {} does not exist, or cannot change so", signal.order, signal.run_no)
        })
    }

    fn state(&mut self, row: &StateRow) -> Done {
        let (kind, key) = row.key.columns();
        let row = params![kind, text::name(&key)?, at(row.wake_at), &**row.value.bytes()];
        self.execute(sql::STATE_PUT, row).map(drop)
    }

    fn value(&self, value: &ObjectValue) -> Done {
        let (app, object) = (text::name(&value.object.app)?, text::name(&value.object.object)?);
        let (key, name) = (text::name(&value.object.key)?, text::name(&value.name)?);
        let before = match &value.before {
            Some(Before::Was(before)) => Some(&**before.bytes()),
            Some(Before::Absent) | None => None,
        };
        let (now, changed) = (value.value.as_ref().map(|value| &**value.bytes()), value.before.is_some());
        self.execute(sql::VALUE_PUT, params![app, object, key, name, now, changed, before]).map(drop)
    }

    fn values_kept(&self, object: &ObjectKey) -> Done {
        let row = params![object.app, object.object, object.key];
        self.execute(sql::VALUES_FORGET, row)?;
        self.execute(sql::VALUES_KEEP, row).map(drop)
    }

    fn messages(&self, messages: &Messages) -> Done {
        let (channel, source) = (text::name(messages.channel.as_str())?, text::name(&messages.source)?);
        let data = messages.data.as_ref().map(|data| &**data.bytes());
        let row = params![
            messages.no,
            messages.first,
            channel,
            messages.run_no,
            source,
            messages.attempt,
            text::name(&messages.topic)?,
            data,
            messages.at.0
        ];
        self.execute(sql::MESSAGES_INSERT, row).map(drop)
    }

    fn messages_cut(&self, notice: &Messages) -> Done {
        let row = params![notice.channel.as_str(), notice.run_no, notice.source, notice.first, notice.no];
        self.execute(sql::MESSAGES_CUT, row)?;
        self.messages(notice)
    }

    fn stream(&self, stream: &Stream) -> Done {
        let source = text::name(&stream.source)?;
        let token = stream.token.map(|token| token.to_string());
        let row = params![stream.run_no, source, stream.attempt, token, stream.next, json(&stream.channels)?];
        self.execute(sql::STREAM_PUT, row).map(drop)
    }

    /// The rarer statements live in the connection's own cache.
    fn execute(&self, statement: &str, row: &[&dyn ToSql]) -> Result<usize, StoreError> {
        execute(self.connection, statement, row).map_err(sorted)
    }

    fn execute_one(&self, statement: &str, row: &[&dyn ToSql], why: impl FnOnce() -> String) -> Done {
        one(execute(self.connection, statement, row), why)
    }
}

fn execute(connection: &Connection, statement: &str, row: &[&dyn ToSql]) -> rusqlite::Result<usize> {
    connection.prepare_cached(statement)?.execute(row)
}

/// Gives a run its labels, if they are others than it has.
fn label(connection: &Connection, run_no: i64, tags: Option<String>, attributes: Option<String>) -> Done {
    execute(connection, sql::RUN_LABEL, params![run_no, tags, attributes]).map(drop).map_err(sorted)
}

/// Tags and attributes as the JSON of their columns: nothing where there are none.
fn labels(labels: &Labels) -> Result<(Option<String>, Option<String>), StoreError> {
    for value in labels.attributes.values() {
        if let AttributeValue::Text(value) = value {
            text::name(value)?;
        }
    }
    labels.tags.iter().try_for_each(|tag| text::name(tag).map(drop))?;
    let written = |json: serde_json::Result<String>| json.map_err(|error| StoreError::Data(error.to_string()));
    let tags = (!labels.tags.is_empty()).then(|| written(serde_json::to_string(&labels.tags))).transpose()?;
    let attributes =
        (!labels.attributes.is_empty()).then(|| written(serde_json::to_string(&labels.attributes))).transpose()?;
    Ok((tags, attributes))
}

impl ToSql for IdText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&**self))
    }
}

/// A statement must have changed exactly one row.
fn one(changed: rusqlite::Result<usize>, why: impl FnOnce() -> String) -> Done {
    if changed.map_err(sorted)? == 1 { Ok(()) } else { Err(StoreError::Data(why())) }
}

fn at(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

fn split(outcome: Option<&Outcome>) -> (Option<&'static str>, Option<&Payload>) {
    (outcome.map(Outcome::word), outcome.and_then(Outcome::payload))
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Data(error.to_string()))
}
