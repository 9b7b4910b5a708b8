//! Bounds of what there is for development only: the clock that is skipped, and the search for what is not crash-safe.

/// How far a developer may move the clock ahead of the machine's, in milliseconds: 100 years.
pub const SKIP_MS_MAX: u64 = 100 * 365 * 86_400_000;

/// How many timers one request of a developer may step to. Behind that it skips the rest at once.
pub const SKIP_STEPS_MAX: usize = 1_000;

/// How long what falls due is waited for before the clock is moved on, in milliseconds: a handler may be at work for hours.
pub const SKIP_QUIET_MS: u64 = 2_000;

/// How long one request of a developer to move the clock may take, in milliseconds. Behind that it skips the rest at once.
pub const SKIP_TAKES_MS: u64 = 20_000;

/// How often it is looked whether what fell due is through, in milliseconds.
pub const SKIP_LOOK_MS: u64 = 5;

/// Effects that a development server counts: names, and keys of each.
pub const EFFECTS_MAX: usize = 100_000;

/// Calls of one run that a search for crashes remembers.
pub const FAULTS_SEEN_MAX: usize = 10_000;

/// How long an app that was killed on purpose may take to come back, in milliseconds.
pub const FAULT_REVIVAL_MS: u64 = 60_000;

/// How long a search for crashes waits for an app to show up, in milliseconds.
pub const CHAOS_APP_MS: u64 = 60_000;

/// How long one run of a search for crashes may take, in milliseconds: its timers are skipped.
pub const CHAOS_RUN_MS: u64 = 60_000;

/// How often a search for crashes looks whether it can go on, in milliseconds.
pub const CHAOS_LOOK_MS: u64 = 10;

/// Timers that one run of a search for crashes skips to.
pub const CHAOS_SKIPS_MAX: usize = 10_000;

/// Calls of a run that a search for crashes disturbs, each in several ways.
pub const CHAOS_CALLS_MAX: usize = 200;

/// How long after its beginning a call is killed that is to be killed before it has done anything, at most, in milliseconds.
pub const CHAOS_BEFORE_MS: u64 = 10;

/// Characters of a value that the report of such a search shows.
pub const CHAOS_SHOWN_CHARS_MAX: usize = 200;
