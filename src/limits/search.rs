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

/// What of a failure's message tells its group, in bytes.
pub const FAILURE_SHAPE_BYTES_MAX: usize = 300;

/// What of a failure's name tells its group, in bytes.
pub const FAILURE_NAME_BYTES_MAX: usize = 100;

/// What of a failure's message a row of a list shows, in characters.
pub const FAILURE_SHOWN_CHARS_MAX: usize = 200;

/// What of a failure's message the store hands out for lists, in bytes: enough for its shape, and more than a row shows.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 804;
const _: () = assert!(FAILURE_MESSAGE_BYTES_MAX >= FAILURE_SHAPE_BYTES_MAX);
const _: () = assert!(FAILURE_MESSAGE_BYTES_MAX > 4 * FAILURE_SHOWN_CHARS_MAX);

/// Runs whose failures one page of a list compares: each is read from its journal, which takes longer than a look at a row.
pub const FAILURES_COMPARED_MAX: i64 = 10_000;

/// Entries of an index that are counted before it is taken for a large one.
pub const RUNS_PROBED_MAX: usize = 10_000;

/// Waits for events that are looked at to say which of them an event settled: those that settled first since it came.
pub const WAITS_LOOKED_AT_MAX: usize = 500;

/// Pause between two counts of the open runs, in milliseconds: a range of an index is counted for each status.
pub const RECORD_MS: u64 = 15_000;

/// What is remembered of the counts: points of so many milliseconds, and how many of them. An hour, a day and a month, with some to spare.
pub const HISTORY_TIERS: [(i64, usize); 3] = [(15_000, 260), (300_000, 320), (7_200_000, 400)];
const _: () = assert!(HISTORY_TIERS[0].0 <= RECORD_MS.cast_signed());

/// Pieces that a span of time is cut into for charts.
pub const STATS_PIECES: usize = 30;

/// Runs of each piece that tell how long runs took.
pub const STATS_SAMPLE: usize = 50;

/// The span of charts when nobody says one, in milliseconds.
pub const STATS_SPAN_MS_DEFAULT: u64 = 3_600_000;

/// The shortest span of charts, in milliseconds: two seconds a piece.
pub const STATS_SPAN_MS_MIN: u64 = 60_000;

/// The longest span of charts, in milliseconds.
pub const STATS_SPAN_MS_MAX: u64 = 90 * 86_400_000;
