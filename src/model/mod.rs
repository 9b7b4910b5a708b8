//! The words everything else is said in: ids, times, payloads, events, runs, entries, functions, failures, and the
//! changes that the engine decides and the store writes. Plain data with parsing and printing; no I/O, no clock, no
//! decisions. Engine and store never meet each other: they meet in [`Change`] and [`Key`].

mod answer;
mod app;
mod change;
mod checkpoint;
mod duration;
mod entry;
mod event;
mod failure;
mod fetch;
mod function;
mod hex;
mod ids;
mod job;
mod labels;
mod object;
mod payload;
mod registry;
mod run;
mod schedule;
mod signal;
mod snapshot;
mod stream;
mod time;
mod timetable;
mod wait;

pub use answer::{
    Answer, Awaiting, EventDraft, FetchOp, HandlerOp, Heartbeat, InvokeOp, Mismatch, Note, Problem, ProblemCode,
    PublishOp, StateOp, StepReport, StepResult, Terminal, Undelivered, WaitEventOp, WaitSignalOp,
};
pub use app::{App, Deployment, DeploymentLimits, DeploymentState, Manifest, MoveTo, MoveToError};
pub use change::{Batch, Change, Key, Loaded, MarkKey, MarkScope, StateKey, StateRow, StoredRun};
pub use checkpoint::{Checkpoint, News, Retry, Stop, Told};
pub use duration::{DurationError, Span};
pub use entry::{Attempt, Entry, EntryId, EntryKind, EntryStatus, Outcome, digest_of};
pub use event::{Event, OWN_EVENTS, Verdict};
pub use failure::{Failure, FailureTest, names, shape};
pub use fetch::{BodyEncoding, FetchCall, FetchEnd, FetchOptions, FetchRequest, FetchTarget, FetchToken};
pub use function::{
    CancelOn, DeclaredSchedule, FunctionConfig, FunctionId, RetryPolicy, Text, Trigger, policy_defaults,
};
pub use hex::hex;
pub use ids::{DeploymentId, EventId, IdError, IdText, JobId, RunId, Token, derive, partition_key};
pub use job::{Job, JobAction, JobFilter, JobOptions, JobStatus};
pub use labels::{
    AttributeTest, AttributeTestError, AttributeValue, Bound, LabelProblem, Labels, Number, Wanted, checked_attributes,
    checked_tags,
};
pub use object::{Before, ObjectKey, ObjectLock, ObjectMode, ObjectValue, state_json};
pub use payload::{Payload, PayloadError};
pub use registry::{Home, NoTarget, Registry};
pub use run::{Hold, HoldKind, Origin, ParentLink, Previous, QueuePlace, RunHead, RunStatus, TriggerKind};
pub use schedule::{
    Backfill, Overlap, Reprocess, Schedule, ScheduleKey, ScheduleKeyError, SchedulePause, ScheduleSource, ScheduleSpec,
    Tally, Tick, Waiting,
};
pub use signal::{Settle, Signal, UPDATE, update_outcome};
pub use snapshot::Snapshot;
pub use stream::{Channel, ChannelHead, Messages, Segment, Stream};
pub use time::{Moment, TimeError, Timestamp};
pub use timetable::{Timetable, Timing, TimingProblem, jitter_of};
pub use wait::{Wait, WaitIndex};
