//! Bounds of streams: what runs publish, and those who read it.

/// One message that a handler publishes, in bytes of JSON; and all those of one op together, with their brackets.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Messages in one op.
pub const MESSAGES_PER_OP_MAX: usize = 4_096;

/// Messages that one channel keeps: the oldest go.
pub const CHANNEL_MESSAGES_MAX: u64 = 100_000;

/// Bytes of messages that one channel keeps: the oldest go.
pub const CHANNEL_BYTES_MAX: u64 = 32 << 20;

/// Pieces of which a full channel gives up the oldest: what goes at once is a 32nd.
pub const CHANNEL_SEGMENTS: u64 = 32;

/// How long messages are kept, in milliseconds: of a run after it has ended, on a channel with a name after they came.
pub const MESSAGES_KEPT_MS: u64 = 86_400_000;

/// After how many milliseconds another piece of a channel with a name begins: so exactly its messages age.
pub const CHANNEL_SPLIT_MS: u64 = MESSAGES_KEPT_MS / 24;

/// Channels that one attempt of a step publishes on.
pub const CHANNELS_PER_STEP_MAX: usize = 16;

/// Places of one run's code that publish: steps at work, and scopes of its handler.
pub const STREAMS_PER_RUN_MAX: usize = 1_000;

/// Clients that read streams at once.
pub const STREAM_READERS_MAX: usize = 1_000;

/// Rows of messages that are read at once: 4 MiB at most.
pub const STREAM_PAGE: usize = 64;
const _: () = assert!(STREAM_PAGE * MESSAGE_BYTES_MAX <= 4 << 20);

/// Pause between a message and the look at it for those who read, in milliseconds: many words make one page.
pub const STREAM_PAUSE_MS: u64 = 20;

/// After how many milliseconds in which it took nothing a client is cut off that there is something for.
pub const STREAM_STALL_MS: u64 = 30_000;

/// How long a subscription token is good when nobody says, in milliseconds.
pub const SUBSCRIPTION_MS: u64 = 3_600_000;

/// How long a subscription token is good at most, in milliseconds: it cannot be taken back.
pub const SUBSCRIPTION_MS_MAX: u64 = 86_400_000;

/// Topics that one subscription token names.
pub const SUBSCRIPTION_TOPICS_MAX: usize = 16;

/// A subscription token, in bytes: it has to fit into a header, with its topics.
pub const SUBSCRIPTION_TOKEN_BYTES_MAX: usize = 16 << 10;
