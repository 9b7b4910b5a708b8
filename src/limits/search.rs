//! Bounds of what runs are found by, and of looking for them.

/// Tags of one run.
pub const TAGS_MAX: usize = 32;

/// One tag, in bytes.
pub const TAG_BYTES_MAX: usize = 128;

/// Attributes of one run.
pub const ATTRIBUTES_MAX: usize = 32;

/// The name of an attribute, in bytes.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 64;

/// The text of an attribute, in bytes: it is a key of an index.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 1_024;

/// All attributes of one run, names and values, in bytes: they stand in a row that changes often.
pub const LABELS_BYTES_MAX: usize = 16 << 10;

/// What is looked for in the texts of runs, in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 256;

/// Tests of attributes, or tags, in one filter.
pub const FILTER_LABELS_MAX: usize = 16;

/// Runs that one page of a list looks at when no index leads to nothing but what it looks for: some 100 ms.
pub const RUNS_SCANNED_MAX: i64 = 50_000;

/// Failed runs that are looked at to group them.
pub const FAILURES_LOOKED_AT_MAX: usize = 10_000;

/// Failed runs that are read in one go, so that other reads get their turn.
pub const FAILURES_READ_AT_ONCE: usize = 1_000;

/// Runs that a group of failures names.
pub const FAILURE_RUNS_SHOWN_MAX: usize = 5;

/// What of a failure's message tells its group.
pub const FAILURE_SHAPE_BYTES_MAX: usize = 300;

/// Entries of an index that are counted before it is taken for a large one.
pub const RUNS_PROBED_MAX: usize = 10_000;
