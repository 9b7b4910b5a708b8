//! The names of the fields of log lines, each with one meaning everywhere. `tests/it/telemetry.rs` compares the table with
//! the code: a name that is not here is no name.

/// A field of log lines.
#[derive(Debug)]
pub struct LogField {
    /// Its name, with dots between the thing and what is said of it; a unit comes last.
    pub name: &'static str,
    /// What it says.
    pub what: &'static str,
}

const fn field(name: &'static str, what: &'static str) -> LogField {
    LogField { name, what }
}

/// Every field, in the order of the alphabet.
pub const FIELDS: &[LogField] = &[
    field("alone", "Whether a refused batch held one command only, so that the command is to blame."),
    field("app", "An app's name."),
    field("certificates.unusable", "Certificate authorities of this machine that cannot be used."),
    field("certificates.usable", "Those that can."),
    field("commit_no", "The number of a partition's last commit."),
    field("connections.open", "Connections that are open."),
    field("deployment", "A deployment's id."),
    field("deployments", "How many deployments it is about."),
    field("due_at", "When a timer should have fired."),
    field("duration_ms", "How long it took, in milliseconds."),
    field("entry.id", "The id of an entry in its run's journal."),
    field("error", "What went wrong, in a sentence."),
    field("errors", "The same, where there are several."),
    field("function", "A function's id in its app."),
    field("functions", "How many functions an app declares."),
    field("http.method", "A request's method."),
    field("http.request_id", "The id that the response bears as `x-request-id`."),
    field("http.route", "The address as it is declared, without its parameters' values."),
    field("http.status", "The response's status."),
    field("job.action", "What a job does."),
    field("job.done", "Runs that a job has acted upon."),
    field("job.failed", "Runs that it could not act upon."),
    field("job.id", "A job's id."),
    field("job.total", "Runs that it began with."),
    field("keys", "Keys of the ledger that were asked for."),
    field("panicked", "Whether the work ended by a panic, and not by an error."),
    field("paused", "Whether a function is held back from now on."),
    field("reason", "Why something had no result, in a few words."),
    field("run.id", "A run's id."),
    field("runs", "How many runs it is about."),
    field("schedule", "A schedule, as app/schedule."),
    field("state", "What somebody wants to become of a deployment."),
    field("variable", "The name of an environment variable; never its value."),
    field("version", "What a deployment calls itself."),
    field("what", "Whose timer it is."),
    field("warning", "What a manifest asks for in vain."),
];
