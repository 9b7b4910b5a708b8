/**
 * Every bound of the SDK, with its unit and its reason.
 */

/** The name and version that every response bears. */
export const SDK = "typescript/0.1.0";
/** The versions of the protocol that this SDK speaks. */
export const PROTOCOL = { min: 1, max: 1 } as const;
/** Bytes of a request and of a response where the host says nothing else: what the server allows a journal to be. */
export const BODY_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of a response on Vercel: its functions refuse more than 4.5 MB. */
export const VERCEL_BODY_BYTES_MAX = 4_400_000;
/** Bytes of a request and of a response on Lambda: it carries 6 MB of JSON, in which each byte of a body that is JSON may take two. */
export const LAMBDA_BODY_BYTES_MAX = 3_000_000;
/** Bytes of a response that Lambda streams. */
export const LAMBDA_STREAM_BYTES_MAX = 20_000_000;
/** Bytes of a request and of a response in a Worker: its isolate has 128 MB, and a journal is there as bytes, text and values at once. */
export const WORKERS_BODY_BYTES_MAX = 8_000_000;
/** Milliseconds after which API Gateway answers in the place of a REST API's function, unless the account's quota was raised. */
export const API_GATEWAY_REST_MS = 29_000;
/** Milliseconds after which API Gateway answers in the place of an HTTP API's function. */
export const API_GATEWAY_HTTP_MS = 30_000;
/** Milliseconds after which an answer that is not ready begins with a newline: below the idle limits of common proxies. */
export const SLOW_AFTER_MS = 5_000;
/** Milliseconds between two newlines of a slow answer: a third of the silence that the server tolerates. */
export const KEEP_ALIVE_MS = 10_000;
/** Milliseconds an invocation may last where the host sets no limit: the server's default. */
export const INVOCATION_MS_MAX = 15 * 60_000;
/** Milliseconds kept back from the host's limit, so that the answer still gets out. */
export const ANSWER_RESERVE_MS = 2_000;
/** Milliseconds given to a branch that waits for something of its own, before the run is suspended. */
export const QUIET_MS = 25;
/** Seconds by which the clocks of server and handler may differ. */
export const SKEW_S = 60;
/** Seconds that a signature may be valid. */
export const SIGNATURE_S_MAX = 300;
/** Characters of an error's message: long enough for any text that a person reads. */
export const ERROR_MESSAGE_CHARS_MAX = 16_384;
/** Characters of an error's stack. */
export const ERROR_STACK_CHARS_MAX = 8_192;
/** How many causes of causes cross the wire. */
export const ERROR_CAUSES_MAX = 4;
/** The most attempts of a retry policy that the server takes. */
export const ATTEMPTS_MAX = 1_000_000;
/** The steepest growth between two pauses that the server takes. */
export const FACTOR_MAX = 1_000;
/** Milliseconds between the beginning of two beats, and before the first: most invocations are over by then. */
export const BEAT_EVERY_MS = 1_000;
/** Milliseconds between two reports that only say how things stand: a status, heartbeats. */
export const NOTE_EVERY_MS = 1_000;
/** Bytes of a status and of a heartbeat's details: the server's bound. */
export const NOTE_BYTES_MAX = 65_536;
/** Bytes of one published message, with the brackets of a list of one: the server's bound. */
export const MESSAGE_BYTES_MAX = 65_536;
/** Bytes of names: the server's bound. */
export const NAME_BYTES_MAX = 256;
/** Milliseconds between two reports that only bring what was published: what comes meanwhile goes together. */
export const PUBLISH_EVERY_MS = 50;
/** Characters of published messages that make a report at once, and that one op holds. */
export const PUBLISH_CHARS = 16_384;
/** Messages that one op holds. */
export const PUBLISH_COUNT_MAX = 1_000;
/** Characters of published messages that may wait before a pipe pauses. */
export const PUBLISH_PAUSE_CHARS = 262_144;
/** Characters of published messages that wait at most: while they go out, and where they can only go out with the answer. */
export const PUBLISH_WAITING_CHARS_MAX = { live: 8 * 1024 * 1024, answer: 1024 * 1024 } as const;
/** Bytes of one value of an object's state: the server's bound. */
export const STATE_VALUE_BYTES_MAX = 262_144;
/** Milliseconds given to a branch in an await of its own to come to steps that must be undone, before a failed handler is abandoned. */
export const UNDO_QUIET_MS = 1_000;
/** Milliseconds that a beat's reply may wait for something to tell. */
export const BEAT_WAIT_MS = 10_000;
/** Milliseconds that a long-lived host keeps an invocation open for what may settle soon. */
export const LINGER_MS = 1_000;
/** Milliseconds without a word from the server after which an invocation goes on without checkpoints. */
export const UNREACHABLE_MS = 5_000;
/** Requests with reports of several invocations that are under way at once. */
export const FLYING_MAX = 2;
/** Reports that go together at most: the server's bound. */
export const TOGETHER_MAX = 256;
/** Characters of reports that go together at most, unless one alone has more. */
export const TOGETHER_CHARS_MAX = 1_000_000;
/** Milliseconds in which an instance does not begin with checkpoints after it could not reach the server. */
export const RESPOND_MS = 60_000;
/** Milliseconds for which an answer that could not be delivered is offered. */
export const LATE_ANSWER_MS = 60_000;
/** Milliseconds before a request to the server is tried again for the first time, and at most. */
export const TRY_AGAIN_MS = { first: 50, most: 1_000 } as const;
/** Characters of the ops in one checkpoint: one op alone may be larger. */
export const CHECKPOINT_CHARS_MAX = 8 * 1024 * 1024;
/** Milliseconds that must be left of an invocation for another body to begin. */
export const BODY_RESERVE_MS = 10_000;
/** How many times its length a body must still find, to begin. */
export const BODY_RESERVE_FACTOR = 1.5;
/** Bytes of journals' pages that a process keeps for the next invocations of their runs. */
export const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/** Pages of one journal: ten times what a journal of the server's can fill. */
export const PAGES_MAX = 100;
/** Failures that the error of a fan-out lists: enough to see what is wrong; a journal has all. */
export const FAILURES_LISTED_MAX = 100;
/** Characters of the message of each of them. */
export const FAILURE_MESSAGE_CHARS_MAX = 512;
/** Failures that the message of such an error names. */
export const FAILURES_NAMED_MAX = 3;
