//! Every bound of the server, named with its unit and its reason, and asserted against its neighbours.

mod dev;
mod search;
mod sqlite;
mod streams;

pub use dev::*;
pub use search::*;
pub use sqlite::*;
pub use streams::*;

/// Longest duration that is taken from outside: 10 years in milliseconds. Longer timers are mistakes of unit.
pub const DURATION_MS_MAX: u64 = 10 * 365 * 86_400_000;

/// Greatest event, in bytes of JSON: what the field's peers allow, and small enough to fan out.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Greatest outcome or input, in bytes of JSON.
pub const OUTCOME_BYTES_MAX: usize = 4 << 20;

/// Bytes of what a handler says besides its journal (a status, a heartbeat's details): it is kept in a row that changes often.
pub const NOTE_BYTES_MAX: usize = 64 << 10;

/// Greatest journal of one run, in bytes: it must fit into memory several times on a small machine.
pub const JOURNAL_BYTES_MAX: usize = 32 << 20;

/// Entries of one run besides input and outcome.
pub const ENTRIES_MAX: u32 = 10_000;

/// Entry id, in bytes.
pub const ENTRY_ID_BYTES_MAX: usize = 256;

/// Names: apps, functions, events, signals, client-chosen ids and keys, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// A CEL filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4_096;

/// Operators in a CEL filter: a chain of 2,000 overflows a thread's stack.
pub const FILTER_OPERATORS_MAX: usize = 400;

/// Steps that one evaluation of a filter may take, of at most 100 ns each: no filter and no event holds a partition up
/// for longer than some 20 ms.
pub const FILTER_STEPS_MAX: usize = 250_000;

/// The patterns of `matches` in one filter, in bytes: 20 ms of compiling for the worst of them.
pub const FILTER_PATTERN_BYTES_MAX: usize = 256;

/// A compiled pattern of `matches`, in bytes: room for a class of Unicode.
pub const FILTER_PATTERN_COMPILED_BYTES_MAX: usize = 64 << 10;

/// Ops in one answer: no handler does more at once than a run may do in all.
pub const OPS_MAX: usize = ENTRIES_MAX as usize + 1;

/// Events in one `send` op or one request.
pub const EVENTS_PER_SEND_MAX: usize = 1_000;

/// Functions that one app may declare.
pub const FUNCTIONS_MAX: usize = 1_000;

/// The key of an object, in bytes.
pub const OBJECT_KEY_BYTES_MAX: usize = 256;

/// One value of an object's state, in bytes of JSON.
pub const STATE_VALUE_BYTES_MAX: usize = 256 << 10;

/// All values under one key of an object, with their names, in bytes: it is sent with every invocation.
pub const STATE_BYTES_MAX: usize = 1 << 20;

/// Values under one key of an object.
pub const STATE_NAMES_MAX: usize = 1_000;

/// Runs that are read at once of those that wait for one key of an object.
pub const LINE_PAGE: usize = 64;

/// Keys that the callers of one run hold while they wait for it.
pub const HELD_KEYS_MAX: usize = 50;

/// Keys of objects, and states of them, that are kept in memory while nothing happens to them.
pub const RESIDENT_OBJECTS_MAX: usize = 4_096;

/// Bytes of state that are kept in memory while nothing happens to it.
pub const RESIDENT_STATE_BYTES_MAX: usize = 32 << 20;

/// Triggers that one function may declare.
pub const TRIGGERS_MAX: usize = 10;

/// Shortest interval of a schedule, in milliseconds: what a cron line can say, too.
pub const EVERY_MS_MIN: u64 = 1_000;

/// A cron line, in bytes.
pub const CRON_BYTES_MAX: usize = 512;

/// The name of a time zone, in bytes: the longest of the IANA database has 32.
pub const TIME_ZONE_BYTES_MAX: usize = 64;

/// Longest jitter of a schedule, in milliseconds: what is put off further is another time.
pub const JITTER_MS_MAX: u64 = 86_400_000;

/// How late a tick of a schedule may have its run if nobody says otherwise: a night's outage, not a week of old runs.
pub const CATCH_UP_MS_DEFAULT: u64 = 86_400_000;

/// Ticks of one schedule that one decision looks at: 5 ms of a partition at most.
pub const SCHEDULE_TICKS_MAX: usize = 100;

/// Ticks of one schedule that wait for a run to end.
pub const SCHEDULE_WAITING_MAX: u64 = 1_000;

/// Stretches of ticks that wait, with others between them that do not: the row of a schedule stays small.
pub const SCHEDULE_GAPS_MAX: usize = 16;

/// Schedules that are made by the API: each of them is a row, and a timer.
pub const SCHEDULES_MAX: usize = 10_000;

/// Input of a schedule, in bytes of JSON: it is kept in a row that changes with every tick.
pub const SCHEDULE_INPUT_BYTES_MAX: usize = 64 << 10;

/// Coming times of a schedule that are shown.
pub const NEXT_TICKS_SHOWN: usize = 10;

/// Last runs of a schedule that are shown with it.
pub const SCHEDULE_RUNS_SHOWN: usize = 10;

/// Times in one backfill.
pub const BACKFILL_TICKS_MAX: usize = 100_000;

/// Runs of one backfill at a time.
pub const BACKFILL_CONCURRENCY_MAX: u32 = 100;

/// Times of a backfill that a dry run lists.
pub const BACKFILL_TICKS_SHOWN: usize = 20;

/// Pause after which the runs of a backfill are looked at although nothing was heard of them, in milliseconds.
pub const BACKFILL_LOOK_MS: u64 = 5_000;

/// Early signals that one run keeps unconsumed.
pub const EARLY_SIGNALS_MAX: usize = 1_000;

/// Open waits for one event name that have no equality to look up by: each is evaluated for every event of the name.
pub const UNINDEXED_WAITS_MAX: u64 = 1_000;

/// Events in one page of a look through older events.
pub const EVENT_PAGE: usize = 500;

/// How long an idempotency key and a client-chosen event id are remembered: a day, in milliseconds.
pub const MARK_MS: u64 = 86_400_000;

/// How long settlements of one run are gathered before it is invoked again, in milliseconds.
pub const COALESCE_MS: u64 = 20;

/// How long a run waits before it begins, in milliseconds, when the one that it continues did nothing and ended within that time.
pub const CONTINUE_PAUSE_MS: u64 = 1_000;

/// How long a cancelled run may compensate before it is ended, in milliseconds.
pub const CANCEL_GRACE_MS: u64 = 60_000;

/// How long a mismatch may heal by itself while a deployment rolls, in milliseconds.
pub const MISMATCH_HEAL_MS: u64 = 600_000;

/// Attempts of a compensation whose author does not say: more than a step's, for it should not fail.
pub const COMPENSATION_ATTEMPTS: u32 = 10;

/// Invocations lost in flight without progress until the run is parked.
pub const LOSSES_MAX: u32 = 10;

/// Longest pause between two tries to reach a deployment, in milliseconds.
pub const UNREACHED_PAUSE_MS_MAX: u64 = 60_000;

/// Longest `Retry-After` that is honoured, in milliseconds.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// Attempts that a retry policy may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000_000;

/// Invocations in flight at once, over all deployments.
pub const IN_FLIGHT_MAX: usize = 1_024;

/// After how many milliseconds an open invocation is noted, so that a restart of the server does not repeat its work:
/// one more row for what is long, none for what is short.
pub const NOTE_MS: u64 = 1_000;

/// How many milliseconds a restarted server waits for a word of a handler that was at work; handlers send one every 10 s.
pub const ADOPTION_MS: u64 = 30_000;
const _: () = assert!(NOTE_MS < ADOPTION_MS);

/// Invocations in flight at once to one deployment.
pub const IN_FLIGHT_PER_DEPLOYMENT_MAX: usize = 512;

/// Commands of one batch: beyond that a commit only gets slower, not cheaper a row.
pub const BATCH_COMMANDS_MAX: usize = 512;

/// Payload bytes of one batch.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Commands that wait at the outer door of a partition before callers are told to come back later.
pub const OUTER_QUEUE_MAX: usize = 4_096;

/// Reports of handlers at work that may wait for the loop: two for each open invocation.
pub const REPORTS_QUEUE_MAX: usize = 2 * IN_FLIGHT_MAX;

/// Commands that wait for keys to be loaded.
pub const PARKED_MAX: usize = 8_192;

/// Runs kept in memory that are not being worked on.
pub const RESIDENT_IDLE_RUNS_MAX: usize = 4_096;

/// Payload bytes of runs kept in memory that are not being worked on.
pub const RESIDENT_IDLE_BYTES_MAX: usize = 32 << 20;

/// Event names kept in memory.
pub const RESIDENT_NAMES_MAX: usize = 10_000;

/// Compiled filters kept in memory.
pub const COMPILED_FILTERS_MAX: usize = 10_000;

/// How far ahead timers are kept in memory, in milliseconds.
pub const TIMER_HORIZON_MS: u64 = 600_000;

/// Timers loaded by one read.
pub const TIMER_PAGE: usize = 4_096;

/// Payloads of this many bytes and more rest in a table of their own.
pub const PAYLOAD_INLINE_BYTES_MAX: usize = 16 << 10;

/// Items in one page of a list.
pub const PAGE_MAX: usize = 200;

/// Items in one page of a list when the client does not say.
pub const PAGE_DEFAULT: usize = 50;

/// Longest wait for a result in one request, in milliseconds.
pub const RESULT_WAIT_MS_MAX: u64 = 300_000;

/// Wait for the result of a call when the client does not say, in milliseconds.
pub const CALL_WAIT_MS: u64 = 30_000;

/// Longest invocation when the function does not say, in milliseconds.
pub const INVOCATION_MS: u64 = 900_000;

/// Longest silence of a handler that says it streams, in milliseconds.
pub const SILENCE_MS_MAX: u64 = 30_000;

/// How long the signature of a request is valid, in seconds: longer than clocks differ, too short to be stolen.
pub const SIGNATURE_SECONDS: u64 = 300;

/// Time to connect to a handler, in milliseconds.
pub const CONNECT_MS: u64 = 10_000;

/// Pause before another address of the same host is tried beside the first, in milliseconds (RFC 8305 says 250).
pub const CONNECT_STAGGER_MS: u64 = 250;

/// Addresses of one host that are tried.
pub const RESOLVED_ADDRESSES_MAX: usize = 16;

/// How long an idle connection to a handler is kept, in milliseconds: less than the 5 s after which Node's server and
/// others close theirs, since a request on a connection that is just being closed is lost.
pub const POOL_IDLE_MS: u64 = 4_000;

/// Headers of a handler's response, in bytes together.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 << 10;

/// Calls that the server makes for runs at once: a bound of their own, so that slow services hold up no handler.
pub const FETCHES_MAX: usize = 512;

/// Calls of that kind at once to one host: no service, however slow, holds up the others.
pub const FETCHES_PER_HOST_MAX: usize = 128;
const _: () = assert!(FETCHES_PER_HOST_MAX < FETCHES_MAX);

/// Time for one attempt of such a call, in milliseconds, when its author does not say: models think for minutes.
pub const FETCH_MS: u64 = 300_000;

/// Longest time that one attempt may be given, in milliseconds.
pub const FETCH_MS_MAX: u64 = 3_600_000;

/// URL of such a call, in bytes.
pub const FETCH_URL_BYTES_MAX: usize = 8_192;

/// Headers of such a call.
pub const FETCH_HEADERS_MAX: usize = 64;

/// Name and value of a header of such a call, in bytes.
pub const FETCH_HEADER_BYTES_MAX: usize = 8_192;

/// Statuses that such a call may name as no answer yet.
pub const FETCH_STATUSES_MAX: usize = 100;

/// How long a stop waits for such calls beyond what it waits for handlers, in milliseconds: what is given up is called again
/// after the start, and may cost.
pub const FETCH_DRAIN_MS: u64 = 3_000;

/// URL of an app, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// Extra headers of an app.
pub const APP_HEADERS_MAX: usize = 32;

/// Name and value of an extra header of an app, in bytes.
pub const APP_HEADER_BYTES_MAX: usize = 8_192;

/// Pause between two reports that an app has another manifest than the registered one, in milliseconds.
pub const DRIFT_PAUSE_MS: u64 = 10_000;

/// Reports of changed manifests that may wait.
pub const DRIFT_QUEUE_MAX: usize = 64;

/// Time to read the beginning of a foreign answer, in milliseconds.
pub const EXCERPT_MS: u64 = 5_000;

/// Bytes of a foreign answer that are kept for people to read.
pub const EXCERPT_BYTES_MAX: usize = 4_096;

/// Greatest answer of a handler, in bytes: several outcomes at once.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Greatest `wait` of a handler that asks for news, in milliseconds.
pub const POLL_MS_MAX: u64 = 30_000;
const _: () = assert!(POLL_MS_MAX <= ADOPTION_MS, "a handler that waits is not taken for a silent one");

/// Reports of one process that come in one request: an invocation waits for all of them.
pub const REPORTS_AT_ONCE_MAX: usize = 256;

/// Handlers that wait for news at once: one for each open invocation.
pub const POLLS_MAX: usize = IN_FLIGHT_MAX;

/// Outcomes in one reply to a handler's report, in bytes, unless one alone has more; what settled later comes with the next.
pub const REPLY_BYTES_MAX: usize = 8 << 20;

/// From how many bytes on an outcome is left out of a journal that does not fit into a request.
pub const REFERENCE_BYTES_MIN: usize = (256 << 10) + 1;

/// One page of a journal that does not fit into a request, in bytes.
pub const JOURNAL_PAGE_BYTES_MAX: usize = 4 << 20;
const _: () = assert!(REFERENCE_BYTES_MIN < JOURNAL_PAGE_BYTES_MAX);

/// Entries in one page of such a journal.
pub const JOURNAL_PAGE_ENTRIES_MAX: usize = 1_000;

/// Entries named when a journal does not fit into a request.
pub const BIGGEST_ENTRIES_SHOWN: usize = 5;

/// Names on a retry policy's list of failures that are never tried again.
pub const NON_RETRYABLE_MAX: usize = 100;

/// Greatest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// Bytes of the JSON Schema of one input or event; a longer one is left out, since it is only shown.
pub const JSON_SCHEMA_BYTES_MAX: usize = 64 << 10;

/// Faults listed for one manifest.
pub const MANIFEST_PROBLEMS_MAX: usize = 20;

/// Bytes of a request or a response that a deployment takes when its manifest does not say.
pub const REQUEST_BYTES_DEFAULT: u64 = 32 << 20;

/// Time to fetch a manifest, in milliseconds.
pub const DISCOVERY_MS: u64 = 10_000;

/// Pause between two fetches of a manifest in production, in milliseconds.
pub const SYNC_MS: u64 = 60_000;

/// Pause between two fetches of a manifest in dev, in milliseconds.
pub const SYNC_DEV_MS: u64 = 2_000;

/// Apps that one server keeps: each is asked at every sync.
pub const APPS_MAX: usize = 1_000;

/// Pause between two looks of the auditor, in milliseconds.
pub const AUDIT_MS: u64 = 30_000;

/// Runs that the auditor looks at in one look: 120,000 an hour for less than a thousandth of a core.
pub const AUDIT_RUNS: i64 = 1_000;

/// Overdue timers that the auditor reads in one look.
pub const AUDIT_PAGE: usize = 100;

/// How long a timer is overdue before that is odd, in milliseconds: longer than a busy server is behind.
pub const AUDIT_LATE_MS: u64 = 300_000;

/// Runs that `backstitch verify` looks at in one read: a reader that takes long keeps the write-ahead log from starting over.
pub const VERIFY_RUNS: i64 = 10_000;

/// Findings of one check that `backstitch verify` shows.
pub const VERIFY_EXAMPLES: usize = 5;

/// Deployments of one app that are kept although nothing needs them: enough to see what there was, and for a rollback to find
/// the one that it knows.
pub const DEPLOYMENTS_KEPT_MAX: usize = 20;

/// Requests about apps that may wait, and questions to apps that do.
pub const CATALOG_QUEUE_MAX: usize = 1_024;

/// Apps that are asked for their manifest at the same time.
pub const SYNC_PARALLEL_MAX: usize = 16;

/// Held runs that are looked at in one read.
pub const HELD_PAGE: usize = 200;

/// Held runs that are resumed at the same time: enough for a full batch, and the door stays open for others.
pub const RESUME_PARALLEL_MAX: usize = 64;

/// Pause before a partition that is busy is asked again by the server itself, in milliseconds.
pub const BUSY_PAUSE_MS: u64 = 1_000;

/// Time to read a request's header, in milliseconds: a slow client may not hold a connection.
pub const HEADER_READ_MS: u64 = 10_000;

/// Time to read a request's body, in milliseconds.
pub const BODY_READ_MS: u64 = 30_000;

/// Connections open at the REST door.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Silence between two requests of a connection until it is closed, in milliseconds: longer than load balancers keep theirs.
pub const KEEP_ALIVE_MS: u64 = 75_000;

/// Pause after a connection could not be accepted, in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 100;

/// Requests at once in one HTTP/2 connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// Headers of one request.
pub const HEADERS_MAX: usize = 100;

/// Headers of one request with its first line, in bytes.
pub const HEADER_BYTES_MAX: usize = 64 << 10;

/// A request's id that a client chose, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Body of a request that carries one payload, in bytes: the payload and what stands around it.
pub const START_BODY_BYTES_MAX: usize = OUTCOME_BYTES_MAX + (64 << 10);

/// Jobs that run at the same time: they take turns.
pub const JOBS_RUNNING_MAX: usize = 32;

/// Jobs that have ended and are still shown.
pub const JOBS_KEPT_MAX: usize = 200;

/// Runs that a job looks at before it writes how far it has come.
pub const JOB_PAGE: usize = 64;

/// Commands of jobs that wait for their answer at the same time: a small part of the owner's mailbox.
pub const JOB_PARALLEL_MAX: usize = 16;

/// Pause of a job when the owner of a run has no room, or the ledger does not answer, in milliseconds.
pub const JOB_PAUSE_MS: u64 = 500;

/// Outcomes that one fork edits.
pub const EDITS_MAX: usize = 100;

/// Body of a request with events, in bytes: what one batch holds.
pub const EVENTS_BODY_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// Body of a request without payloads, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;

/// Clients that watch runs at once.
pub const WATCHES_MAX: usize = 1_000;

/// Pause between a change and the look at it for those who watch, in milliseconds: many changes make one picture.
pub const WATCH_PAUSE_MS: u64 = 50;

/// Invocations whose requests and responses a server for development keeps.
pub const WIRE_EXCHANGES_MAX: usize = 200;

/// Of each of their bodies: with all of them about 25 MiB at most.
pub const WIRE_BODY_BYTES_MAX: usize = 64 << 10;

/// Pause between a change of any run and the message to those who watch all of them, in milliseconds.
pub const WATCH_ALL_PAUSE_MS: u64 = 300;

/// Runs in one message to those who watch all of them. Changes beyond it are counted: whoever sees more looks at a list.
pub const WATCH_ALL_RUNS_MAX: usize = 100;

/// Pause between two looks at a run that somebody waits for, in case a wake-up was lost, in milliseconds.
pub const WATCH_POLL_MS: u64 = 10_000;

/// Pause between two signs of life on a connection that is silent otherwise, in milliseconds.
pub const HEARTBEAT_MS: u64 = 15_000;

/// Steps of which it is known for one reader what it has heard of them.
pub const READER_SOURCES_MAX: usize = 1_000;

/// Origins that web pages may read streams from.
pub const CORS_ORIGINS_MAX: usize = 100;

/// How long a graceful stop waits for what is in flight, in milliseconds.
pub const DRAIN_MS: u64 = 10_000;

/// File with settings, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// File with a key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 4_096;

/// Time for a command to connect to the server, in milliseconds.
pub const CLIENT_CONNECT_MS: u64 = 5_000;

/// Longest silence of the server in an answer to a command, in milliseconds: longer than its waits and heartbeats.
pub const CLIENT_READ_MS: u64 = 60_000;

/// Pause before a command that follows a run connects again, in milliseconds.
pub const WATCH_RETRY_MS: u64 = 1_000;

/// Times that a command that follows a run connects again without an answer.
pub const WATCH_RETRIES_MAX: u32 = 60;

/// Pause between two pictures of a run on a terminal, in milliseconds.
pub const PICTURE_MS: u64 = 1_000;

/// Columns of a line where there is no terminal.
pub const TERMINAL_COLUMNS: usize = 160;

/// Columns of the narrowest terminal that is taken into account.
pub const TERMINAL_COLUMNS_MIN: usize = 40;

/// Pause between two looks for apps on this machine in dev, in milliseconds.
pub const FIND_MS: u64 = 1_000;

/// Time for an app on this machine to say what it is, in milliseconds.
pub const FIND_ANSWER_MS: u64 = 5_000;

/// Longest pause between two questions to a port that did not answer as an app, in looks.
pub const FIND_PAUSE_LOOKS_MAX: u32 = 30;

/// Sentences that `dev` remembers, so that it says each of them once.
pub const SAID_MAX: usize = 100;

/// Time for registered apps to answer before `dev` says what there is, in milliseconds.
pub const FIRST_LOOK_MS: u64 = 2_000;

/// Pause between two questions in that time, while an app is being started, in milliseconds.
pub const FIRST_LOOK_PAUSE_MS: u64 = 100;

/// Time for the app that `dev` started to end by itself, in milliseconds.
pub const CHILD_STOP_MS: u64 = 5_000;

/// Pause between two looks whether that app has ended, when `dev` was killed, in milliseconds.
pub const CHILD_POLL_MS: u64 = 50;

/// Line of the app's output that is passed on in one piece, in bytes.
pub const CHILD_LINE_BYTES_MAX: usize = 64 << 10;

/// Difference between two machines' clocks that nobody notices, in milliseconds.
pub const CLOCK_SKEW_MS_MAX: u64 = 5_000;

/// Functions of an app that `dev` names.
pub const FUNCTIONS_SHOWN: usize = 20;

const _: () = assert!(EVENT_BYTES_MAX <= OUTCOME_BYTES_MAX && OUTCOME_BYTES_MAX <= ANSWER_BYTES_MAX);
const _: () = assert!(ANSWER_BYTES_MAX <= JOURNAL_BYTES_MAX);
const _: () = assert!(IN_FLIGHT_PER_DEPLOYMENT_MAX <= IN_FLIGHT_MAX);
const _: () = assert!(PAYLOAD_INLINE_BYTES_MAX < EVENT_BYTES_MAX);
const _: () = assert!(APPS_MAX <= CATALOG_QUEUE_MAX && RESUME_PARALLEL_MAX < OUTER_QUEUE_MAX);
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX && JOB_PARALLEL_MAX < OUTER_QUEUE_MAX);
const _: () = assert!(EVENT_BYTES_MAX < EVENTS_BODY_BYTES_MAX && HEADER_READ_MS < KEEP_ALIVE_MS);
const _: () = assert!(WATCH_PAUSE_MS < WATCH_POLL_MS && HEARTBEAT_MS < KEEP_ALIVE_MS);
const _: () = assert!(WATCH_PAUSE_MS <= WATCH_ALL_PAUSE_MS && WATCH_ALL_RUNS_MAX <= PAGE_MAX);
const _: () = assert!(SYNC_DEV_MS <= SYNC_MS && UNREACHED_PAUSE_MS_MAX <= RETRY_AFTER_MS_MAX);
const _: () = assert!(CANCEL_GRACE_MS < DURATION_MS_MAX && MARK_MS < DURATION_MS_MAX);
const _: () = assert!(FETCH_MS <= FETCH_MS_MAX && FETCH_DRAIN_MS < DRAIN_MS);
