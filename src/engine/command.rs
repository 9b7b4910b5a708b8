//! What goes into the engine and what comes out: commands, transitions, replies, refusals. All of it plain data.

use crate::model::{
    Answer, Change, Checkpoint, DeploymentId, EntryId, EventDraft, EventId, FetchEnd, FetchToken, FunctionId, Hold,
    Key, Labels, MoveTo, News, NoTarget, ObjectKey, Payload, RunId, RunStatus, ScheduleKey, ScheduleSource,
    ScheduleSpec, Settle, Span, StateKey, Text, Timestamp, TimingProblem, Token,
};

/// What someone wants of a partition.
#[derive(Clone, Debug)]
pub enum Command {
    /// Accept events: all of them, or none.
    Ingest(Vec<EventDraft>),
    /// Start a run.
    Start(Start),
    /// Start a run that goes on from a point of another one.
    Fork(Box<Fork>),
    /// An invocation ended.
    Returned {
        /// The invocation.
        token: Token,
        /// What came of it.
        answer: Answer,
        /// When it began, by the partition's clock.
        started_at: Timestamp,
    },
    /// An HTTP call of the server ended.
    Fetched {
        /// The call.
        token: FetchToken,
        /// What came of it.
        end: FetchEnd,
        /// When it began, by the partition's clock.
        started_at: Timestamp,
    },
    /// A handler reports while its invocation is open.
    Checkpoint {
        /// The invocation.
        token: Token,
        /// What it did, and what it knows.
        checkpoint: Checkpoint,
    },
    /// An invocation has been open for a while.
    Note {
        /// The invocation.
        token: Token,
    },
    /// A signal for a run.
    Signal {
        /// The run.
        run: RunId,
        /// The signal's name; for an awakeable `$awakeable/` and the entry's id.
        name: Text,
        /// The id its sender gave it.
        id: Option<Text>,
        /// What the wait settles with.
        settle: Settle,
    },
    /// An update for a run: a signal with a reply.
    Update {
        /// The run.
        run: RunId,
        /// The update's name.
        name: Text,
        /// The id its sender gave it.
        id: Option<Text>,
        /// What it says.
        data: Payload,
    },
    /// Ask a run to stop.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// End a run at once, without its handler.
    Kill {
        /// The run.
        run: RunId,
    },
    /// Hold a run until somebody resumes it.
    Pause {
        /// The run.
        run: RunId,
    },
    /// Lift a run's hold.
    Resume {
        /// The run.
        run: RunId,
    },
    /// Move a run to another deployment of its app, and lift the hold that its old one led to.
    Move {
        /// The run.
        run: RunId,
        /// Where to.
        to: MoveTo,
    },
    /// Settle a compensation by hand.
    SettleEntry {
        /// The run.
        run: RunId,
        /// The compensation.
        entry: EntryId,
        /// What it settles with; nothing when it is skipped.
        value: Option<Payload>,
    },
    /// Say why a run does not move.
    Explain {
        /// The run.
        run: RunId,
    },
    /// A run may be due: a hint, the engine decides again.
    Wake {
        /// The run.
        run: RunId,
    },
    /// An entity of the `state` table may be due: a hint.
    WakeState {
        /// The entity.
        key: StateKey,
    },
    /// Deliver an event to the next open wait after `after`.
    Fanout {
        /// The event.
        event: EventId,
        /// (run number, position) of the last wait that was looked at.
        after: Option<(i64, u32)>,
    },
    /// Look through older events for a wait.
    Scan {
        /// The waiting run.
        run: RunId,
        /// The wait's position.
        idx: u32,
        /// The events' name and bounds: the key of the page to look at.
        page: Key,
    },
    /// Cancel the next awaited child, after position `after`, of a run that ended.
    Close {
        /// The run that ended.
        run: RunId,
        /// The position of the last child that was looked at.
        after: u32,
    },
    /// Make a schedule, or change what it is to do.
    PutSchedule(Box<PutSchedule>),
    /// Remove a schedule that came from there.
    EndSchedule {
        /// The schedule.
        key: ScheduleKey,
        /// Who says so: an app's manifest removes only what it declared, and the API only what it made.
        source: ScheduleSource,
    },
    /// Hold a schedule until somebody resumes it.
    PauseSchedule {
        /// The schedule.
        key: ScheduleKey,
        /// Why, for whoever looks at it.
        note: Option<Text>,
    },
    /// Lift a schedule's hold.
    ResumeSchedule {
        /// The schedule.
        key: ScheduleKey,
    },
    /// Start the run of one time of a schedule.
    RunTick(RunTick),
    /// Hold a run because deciding about it failed inside the server.
    Quarantine {
        /// The run.
        run: RunId,
        /// What happened.
        detail: String,
    },
}

impl Command {
    /// The run that the command is about, if it is about one that exists already.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Command::Ingest(_) | Command::Start(_) | Command::WakeState { .. } | Command::Fanout { .. } => None,
            Command::PutSchedule(_)
            | Command::EndSchedule { .. }
            | Command::PauseSchedule { .. }
            | Command::ResumeSchedule { .. }
            | Command::RunTick(_) => None,
            Command::Returned { token, .. } | Command::Checkpoint { token, .. } | Command::Note { token } => {
                Some(token.run)
            }
            Command::Fetched { token, .. } => Some(token.run),
            Command::Fork(fork) => Some(fork.run),
            Command::Signal { run, .. }
            | Command::Update { run, .. }
            | Command::Cancel { run }
            | Command::Kill { run }
            | Command::Pause { run }
            | Command::Resume { run }
            | Command::Move { run, .. }
            | Command::SettleEntry { run, .. }
            | Command::Explain { run }
            | Command::Wake { run }
            | Command::Scan { run, .. }
            | Command::Close { run, .. }
            | Command::Quarantine { run, .. } => Some(*run),
        }
    }
}

/// A start by REST.
#[derive(Clone, Debug)]
pub struct Start {
    /// What to run.
    pub function: FunctionId,
    /// With what.
    pub input: Payload,
    /// The name that the client chose.
    pub name: Option<Text>,
    /// The client's idempotency key.
    pub idempotency_key: Option<Text>,
    /// How long to wait before the first invocation.
    pub delay: Option<Span>,
    /// The key, for a handler of an object.
    pub key: Option<Text>,
    /// What people find the run by.
    pub labels: Labels,
}

/// What a schedule is to do.
#[derive(Clone, Debug)]
pub struct PutSchedule {
    /// The schedule.
    pub key: ScheduleKey,
    /// What it is to do.
    pub spec: ScheduleSpec,
    /// Who says so.
    pub source: ScheduleSource,
}

/// The run of one time of a schedule, outside of its course.
#[derive(Clone, Debug)]
pub struct RunTick {
    /// The schedule.
    pub key: ScheduleKey,
    /// The logical time; now if left out.
    pub at: Option<Timestamp>,
    /// The logical time before it, of a backfill.
    pub previous: Option<Timestamp>,
    /// The backfill that it is for.
    pub job: Option<Text>,
}

/// A new run that begins with settled entries of another one.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The other run. It stays as it is.
    pub run: RunId,
    /// Up to where its entries are copied.
    pub from: ForkFrom,
    /// Copied entries that get another outcome.
    pub edits: Vec<(EntryId, Settle)>,
    /// Another input than that of the other run.
    pub input: Option<Payload>,
    /// What makes it, for whoever may ask twice: the same cause finds the same fork.
    pub cause: Option<Text>,
    /// Whether only to say what would be copied.
    pub dry_run: bool,
}

/// Up to where a fork copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkFrom {
    /// Up to the settlement of this entry, which is made again.
    Entry(EntryId),
    /// Up to the last edited entry, with it. Without edits nothing is copied.
    Edits,
    /// Up to the first entry that failed; everything if none did. The other run must have failed or been cancelled.
    Failure,
}

/// What a fork is made from: ids of the other run's entries, in order of creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForkPlan {
    /// They are copied.
    pub copied: Vec<EntryId>,
    /// They are not: what the handler asks for again is done again.
    pub again: Vec<EntryId>,
}

/// What a command leads to.
#[derive(Debug)]
pub enum Decision {
    /// This happens.
    Decided(Transition),
    /// Nothing happens, and the caller is told why.
    Refused(Refusal),
    /// Ask again when these keys are resident.
    Need(Vec<Key>),
}

/// What happens: changes to write, commands that follow for others, an answer to the caller.
#[derive(Debug, Default)]
pub struct Transition {
    /// What is written, in order.
    pub changes: Vec<Change>,
    /// What follows. After a crash each can be derived again from what was written.
    pub follow_ups: Vec<Command>,
    /// What the caller is told, once the changes are durable.
    pub reply: Reply,
}

/// What a caller is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    #[default]
    Done,
    /// The events are accepted.
    Accepted(Vec<AcceptedEvent>),
    /// The run exists.
    Run {
        /// Its id.
        id: RunId,
        /// Whether this command made it.
        created: bool,
    },
    /// The fork exists.
    Forked {
        /// Its id.
        id: RunId,
        /// How many entries it begins with, besides its input.
        copied: usize,
        /// Whether this command made it.
        created: bool,
    },
    /// What a fork would be made from.
    ForkPlan(ForkPlan),
    /// The signal is kept or has settled a wait. False when a signal with its id came before.
    Signalled {
        /// Whether it was new.
        fresh: bool,
    },
    /// The update is kept with a run.
    Updated {
        /// The run: of a chain the one that was the newest.
        run: RunId,
        /// Its id.
        id: Text,
        /// Whether it was new.
        fresh: bool,
    },
    /// The schedule is as it was asked for.
    Scheduled {
        /// Whether this command made it.
        created: bool,
        /// Whether this command changed anything.
        changed: bool,
    },
    /// Where the run stands after the command.
    Status(RunStatus),
    /// Why the run does not move.
    Explanation(Explanation),
    /// What a handler at work is told.
    News(News),
}

/// One accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedEvent {
    /// Its id.
    pub id: EventId,
    /// Whether it is new: false when its client-chosen id was seen before.
    pub fresh: bool,
    /// The runs that it started now.
    pub runs: Vec<(FunctionId, RunId)>,
}

/// Why nothing happens. Messages say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No app has such a function.
    #[error(
        "failed to start `{0}`: no registered app has this function; register its app, or look at `backstitch apps` for what there is"
    )]
    UnknownFunction(FunctionId),
    /// The start names no key that can be used, or a key where there is none.
    #[error("failed to start `{0}`: {1}")]
    Key(FunctionId, String),
    /// There is no such run.
    #[error("failed to find run {0}: it was never started here, or its retention is over")]
    UnknownRun(RunId),
    /// The run has ended.
    #[error("failed to change run {0}: it is {1} already")]
    Ended(RunId, RunStatus),
    /// The invocation is not the run's current one.
    #[error("failed to take the answer of invocation {0}: the run has moved on; stop and start nothing")]
    Stale(Token),
    /// The client's name or key was used with another input.
    #[error(
        "failed to start `{function}`: the {what} `{key}` was used before with another input, or for another key (run {run}); choose another, or send the same"
    )]
    Conflict {
        /// The function.
        function: FunctionId,
        /// `run id` or `idempotency key`.
        what: &'static str,
        /// The client's text.
        key: Text,
        /// The run that has it.
        run: RunId,
    },
    /// The client's key belongs to another run than its name.
    #[error(
        "failed to start `{function}`: the idempotency key `{key}` belongs to run {run}, {}, and not to the run id `{name}`; choose another key, or leave one of them out",
        has_name(.has)
    )]
    TwoRuns {
        /// The function.
        function: FunctionId,
        /// The run id that the client asked for.
        name: Text,
        /// The client's key.
        key: Text,
        /// The run that has the key.
        run: RunId,
        /// The run id that it has.
        has: Option<Text>,
    },
    /// The run keeps too many signals that nothing waits for.
    #[error(
        "failed to keep signal `{name}`: run {run} has {limit} early signals that nothing waits for, or updates without a reply"
    )]
    TooManySignals {
        /// The run.
        run: RunId,
        /// The signal.
        name: Text,
        /// The bound.
        limit: usize,
    },
    /// The awakeable, or the compensation, has its outcome already.
    #[error("failed to settle: it has its outcome already")]
    AlreadySettled,
    /// The run has no such entry.
    #[error("failed to find entry `{entry}` in run {run}; `backstitch run {run} --json` lists what there is")]
    UnknownEntry {
        /// The run.
        run: RunId,
        /// What was asked for.
        entry: EntryId,
    },
    /// An entry cannot have another outcome in a fork.
    #[error("failed to edit entry `{entry}` of run {run}: {why}")]
    Edit {
        /// The run.
        run: RunId,
        /// The entry.
        entry: EntryId,
        /// What is in the way.
        why: &'static str,
    },
    /// Only what failed is retried.
    #[error("failed to retry run {0}: it is {1}, and only failed and cancelled runs are retried; fork it instead")]
    NotFailed(RunId, RunStatus),
    /// The entry is no compensation that the run owes.
    #[error(
        "failed to settle `{1}` of run {0}: only compensations are settled by hand (`$undo/` and the step's id), of steps that \
         succeeded, once the run has failed or was cancelled"
    )]
    NothingToUndo(RunId, EntryId),
    /// The run is not held.
    #[error("failed to resume run {0}: it is not paused but {1}")]
    NotHeld(RunId, RunStatus),
    /// The run cannot be there.
    #[error("failed to move run {0}: {1}")]
    CannotMove(RunId, NoTarget),
    /// There is no such schedule.
    #[error("failed to find the schedule {0}: `backstitch schedules` shows what there is")]
    UnknownSchedule(ScheduleKey),
    /// The app's code says what the schedule is to do.
    #[error("failed to change the schedule {0}: its app declares it; change its trigger in the code, or pause it")]
    DeclaredSchedule(ScheduleKey),
    /// It says no times.
    #[error("failed to put the schedule {0}: {1}")]
    Timing(ScheduleKey, TimingProblem),
    /// The server failed inside.
    #[error("failed to decide: {0}; this is a defect of the server, please report it")]
    Internal(String),
}

fn has_name(name: &Option<Text>) -> String {
    name.as_ref().map_or_else(|| "which has no run id".to_owned(), |name| format!("whose run id is `{name}`"))
}

/// Why a run does not move right now: one reason, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// It has ended.
    Ended(RunStatus),
    /// It is held.
    Held(Hold),
    /// A handler is executing since then.
    Running(Timestamp),
    /// It waits for its turn to be invoked.
    Ready,
    /// Its start is delayed until then.
    Delayed(Timestamp),
    /// Another run has the key of its object.
    InLine {
        /// The key.
        object: ObjectKey,
        /// The run that has it; nothing while it is passed on.
        holder: Option<RunId>,
        /// Its place in line: 1 is the next.
        place: u64,
    },
    /// Its last invocation failed; the next is due then.
    Backoff {
        /// Failed attempts so far.
        failures: u32,
        /// When the next is due.
        next_at: Timestamp,
        /// The failure as JSON.
        error: Option<Payload>,
    },
    /// Its deployment cannot be reached.
    Unreachable {
        /// Since when.
        since: Timestamp,
        /// What happens when it is called.
        reason: String,
        /// When it is tried again.
        next_at: Timestamp,
        /// How many runs wait for it.
        runs: usize,
    },
    /// Somebody paused its function.
    FunctionPaused(FunctionId),
    /// Its app is not registered, or has no deployment.
    NoDeployment(FunctionId),
    /// The deployment that it is pinned to is gone.
    DeploymentGone(DeploymentId),
    /// It waits for entries to settle; each is described in a few words.
    Waiting(Vec<String>),
}
