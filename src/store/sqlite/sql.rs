//! The statements by name. Each is a file in `sql/`; PostgreSQL will have files of the same names. They are read at
//! compile time, and a test prepares every one of them on a freshly migrated database.

macro_rules! statements {
    ($($name:ident = $file:literal,)*) => {
        $(pub(super) const $name: &str = include_str!(concat!("sql/", $file, ".sql"));)*

        /// Every statement with the name of its file.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$(($file, $name),)*];
    };
}

statements! {
    APP_DELETE = "app_delete",
    APP_PUT = "app_put",
    APPS = "apps",
    ATTEMPT_INSERT = "attempt_insert",
    ATTEMPTS_OF_RUN = "attempts_of_run",
    DEPLOYMENT_PUT = "deployment_put",
    DEPLOYMENTS = "deployments",
    DEPLOYMENTS_PRUNE = "deployments_prune",
    DUMP_ATTEMPTS = "dump_attempts",
    DUMP_ENTRIES = "dump_entries",
    DUMP_EVENTS = "dump_events",
    DUMP_MESSAGES = "dump_messages",
    DUMP_RUNS = "dump_runs",
    DUMP_SIGNALS = "dump_signals",
    DUMP_STATE = "dump_state",
    DUMP_STREAMS = "dump_streams",
    DUMP_VALUES = "dump_values",
    DUMP_VERDICTS = "dump_verdicts",
    DUMP_WAITS = "dump_waits",
    ENTRIES_OF_RUN = "entries_of_run",
    ENTRIES_SETTLED_BEFORE = "entries_settled_before",
    ENTRY_AT = "entry_at",
    ENTRY_BY_ID = "entry_by_id",
    ENTRY_FIRST = "entry_first",
    ENTRY_INSERT = "entry_insert",
    ENTRY_LAST = "entry_last",
    ENTRY_UPDATE = "entry_update",
    EVENT_BY_ID = "event_by_id",
    EVENT_INSERT = "event_insert",
    EVENT_LAST_SEQ = "event_last_seq",
    EVENTS_NEWEST = "events_newest",
    EVENTS_NEWEST_OF_NAME = "events_newest_of_name",
    EVENTS_PAGE = "events_page",
    JOB_PUT = "job_put",
    JOBS = "jobs",
    JOBS_FORGET = "jobs_forget",
    KEYS_WITH_STATE = "keys_with_state",
    LINE_OF_OBJECT = "line_of_object",
    LOCKS_OF_OBJECT = "locks_of_object",
    MESSAGES_AFTER = "messages_after",
    MESSAGES_CUT = "messages_cut",
    MESSAGES_DROP = "messages_drop",
    MESSAGES_INSERT = "messages_insert",
    OWNERSHIP_EPOCH = "ownership_epoch",
    OWNERSHIP_TAKE = "ownership_take",
    PARTITION_ADVANCE = "partition_advance",
    PARTITION_PROGRESS = "partition_progress",
    PAYLOAD_INSERT = "payload_insert",
    PING = "ping",
    RUN_BY_ID = "run_by_id",
    RUN_BY_NAME = "run_by_name",
    RUN_BY_NUMBER = "run_by_number",
    RUN_FAILURE = "run_failure",
    RUN_GREATEST = "run_greatest",
    RUN_INSERT = "run_insert",
    RUN_LABEL = "run_label",
    RUN_NEAREST = "run_nearest",
    RUN_OF_CHAIN = "run_of_chain",
    RUN_UPDATE = "run_update",
    RUNS_COUNT = "runs_count",
    RUNS_COUNT_OF_STATUS = "runs_count_of_status",
    RUNS_DUE = "runs_due",
    RUNS_HELD = "runs_held",
    RUNS_OF_EVENT = "runs_of_event",
    RUNS_OF_PARENT = "runs_of_parent",
    RUNS_OF_TICKS = "runs_of_ticks",
    RUNS_STUCK = "runs_stuck",
    SCHEDULES_COUNT = "schedules_count",
    SCHEDULES_PAGE = "schedules_page",
    SCHEMA_TABLES = "schema_tables",
    SETTING = "setting",
    SETTING_PUT_ONCE = "setting_put_once",
    SIGNAL_INSERT = "signal_insert",
    SIGNAL_UPDATE = "signal_update",
    SIGNALS_OF_RUN = "signals_of_run",
    STATE_BY_KEY = "state_by_key",
    STATE_DELETE = "state_delete",
    STATE_DUE = "state_due",
    STATE_PUT = "state_put",
    STREAM_DELETE = "stream_delete",
    STREAM_PUT = "stream_put",
    STREAMS_OF_RUN = "streams_of_run",
    TRANSACTION_BEGIN = "transaction_begin",
    TRANSACTION_COMMIT = "transaction_commit",
    TRANSACTION_ROLLBACK = "transaction_rollback",
    UPDATE_OF_RUN = "update_of_run",
    VALUE_PUT = "value_put",
    VALUES_FORGET = "values_forget",
    VALUES_KEEP = "values_keep",
    VALUES_OF_OBJECT = "values_of_object",
    VERDICT_INSERT = "verdict_insert",
    VERDICTS_OF_EVENT = "verdicts_of_event",
    VERIFY_APPS = "verify_apps",
    VERIFY_AWAITING = "verify_awaiting",
    VERIFY_CHILDREN = "verify_children",
    VERIFY_JOURNALS = "verify_journals",
    VERIFY_LABELS = "verify_labels",
    VERIFY_LOCKS = "verify_locks",
    VERIFY_NUMBERS = "verify_numbers",
    VERIFY_PAYLOADS = "verify_payloads",
    VERIFY_PINS = "verify_pins",
    VERIFY_SCHEDULES = "verify_schedules",
    VERIFY_SIGNALS = "verify_signals",
    VERIFY_STATUSES = "verify_statuses",
    VERIFY_STRAY_LABELS = "verify_stray_labels",
    VERIFY_TIMERS = "verify_timers",
    VERIFY_WAITS = "verify_waits",
    WAIT_DELETE = "wait_delete",
    WAIT_INSERT = "wait_insert",
    WAIT_PATHS = "wait_paths",
    WAIT_UPDATE = "wait_update",
    WAITS_OF_INDEX = "waits_of_index",
    WAITS_OF_RUN = "waits_of_run",
    WAITS_SCANNING = "waits_scanning",
    WAITS_WOKEN = "waits_woken",
}

/// Statements that find runs by one index: what leads to candidates is a file in `search/`, and so is what is done with them.
pub(super) struct Source {
    /// How many candidates there are, up to a limit.
    pub(super) probe: &'static str,
    /// The candidate that has a number of newer ones.
    pub(super) edge: &'static str,
    /// The newest of those that match.
    pub(super) page: &'static str,
    /// How many match, by status.
    pub(super) counts: &'static str,
}

macro_rules! of_candidates {
    ($file:literal, $end:literal) => {
        concat!(
            "with source (run_no) as (\n",
            include_str!(concat!("search/", $file, ".sql")),
            "), matching (run_no, status) as (\n",
            include_str!("search/matching.sql"),
            ")\n",
            include_str!(concat!("search/", $end, ".sql")),
        )
    };
}

macro_rules! sources {
    ($($name:ident = $file:literal,)*) => {
        $(pub(super) static $name: Source = Source {
            probe: concat!(
                "with source (run_no) as (\n",
                include_str!(concat!("search/", $file, ".sql")),
                " limit ?3)\n",
                include_str!("search/probe.sql"),
            ),
            edge: concat!(
                "with source (run_no) as (\n",
                include_str!(concat!("search/", $file, ".sql")),
                ")\n",
                include_str!("search/edge.sql"),
            ),
            page: of_candidates!($file, "page"),
            counts: of_candidates!($file, "counts"),
        };)*

        /// Every source with the name of its file.
        #[cfg(test)]
        pub(super) static SOURCES: &[(&str, &Source)] = &[$(($file, &$name),)*];
    };
}

sources! {
    FROM_ALL = "from_all",
    FROM_ATTRIBUTE = "from_attribute",
    FROM_DEPLOYMENT = "from_deployment",
    FROM_EVENT = "from_event",
    FROM_FUNCTION = "from_function",
    FROM_ID = "from_id",
    FROM_KEY = "from_key",
    FROM_NAME = "from_name",
    FROM_PARENT = "from_parent",
    FROM_PREVIOUS = "from_previous",
    FROM_RANGE = "from_range",
    FROM_ROOT = "from_root",
    FROM_SCHEDULE = "from_schedule",
    FROM_STATUS = "from_status",
    FROM_TAG = "from_tag",
}
