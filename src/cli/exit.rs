//! Exit codes, and what is said on the way out. A script can tell from the code alone whether the answer was no, whether it
//! asked wrongly, or whether nobody was there.

use std::io;
use std::process::ExitCode;

use super::client::ClientError;
use crate::config::ConfigError;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked.
    Done,
    /// It did, and the answer is no: the run failed or was cancelled, a check found a problem.
    No,
    /// The command line or a setting is wrong.
    Usage,
    /// No server answers.
    Unreachable,
    /// It was refused: no such run, not a valid input, an app that does not answer.
    Refused,
    /// The server failed, or answered what this program does not understand.
    Failed,
    /// The server could not start, or could not go on.
    Down,
    /// The run has not ended in the time that it was given.
    Pending,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Every way, with its number and its meaning.
    pub const ALL: [(Exit, u8, &'static str); 9] = [
        (Exit::Done, 0, "done"),
        (Exit::No, 1, "the answer is no: the run failed or was cancelled, a check found a problem"),
        (Exit::Usage, 2, "the command line or a setting is wrong"),
        (Exit::Unreachable, 3, "no server answers"),
        (Exit::Refused, 4, "it was refused: no such run, not a valid input, a conflict, an app that does not answer"),
        (Exit::Failed, 5, "the server failed, or something else went wrong"),
        (Exit::Down, 6, "the server could not start, or could not go on"),
        (Exit::Pending, 7, "the run has not ended in the time that it was given"),
        (Exit::Interrupted, 130, "it was interrupted"),
    ];

    /// Its number.
    pub fn code(self) -> u8 {
        Exit::ALL.iter().find(|(exit, ..)| *exit == self).map_or(5, |(_, code, _)| *code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The end of `--help`.
pub(super) const HELP: &str = "Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 no server answers, 4 \
    refused, 5 something failed, 6 the server could not start or go on, 7 the run has not ended yet, 130 interrupted";

/// An error with the way out that belongs to it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Complaint {
    exit: Exit,
    message: String,
}

/// The command line asks for something that cannot be.
pub(super) fn usage(message: impl Into<String>) -> anyhow::Error {
    Complaint { exit: Exit::Usage, message: message.into() }.into()
}

/// What was asked for is refused.
pub(super) fn refused(message: impl Into<String>) -> anyhow::Error {
    Complaint { exit: Exit::Refused, message: message.into() }.into()
}

/// The server could not start, or could not go on.
pub(super) fn down(message: impl Into<String>) -> anyhow::Error {
    Complaint { exit: Exit::Down, message: message.into() }.into()
}

/// Says what went wrong and returns the way out.
pub(super) fn report(error: &anyhow::Error) -> Exit {
    if error.chain().any(is_closed_pipe) {
        // Whoever read our output has seen enough.
        return Exit::Done;
    }
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    anstream::eprintln!("{}error:{:#} {message}", super::style::BAD, super::style::BAD);
    exit_of(error)
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(complaint) = error.downcast_ref::<Complaint>() {
        return complaint.exit;
    }
    if error.downcast_ref::<ConfigError>().is_some() {
        return Exit::Usage;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => Exit::Unreachable,
        Some(ClientError::Refused { .. }) => Exit::Refused,
        _ => Exit::Failed,
    }
}

fn is_closed_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|(exit, ..)| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }

    #[test]
    fn the_way_out_follows_the_kind_of_error() {
        assert_eq!(exit_of(&usage("x")), Exit::Usage);
        assert_eq!(exit_of(&down("x")), Exit::Down);
        assert_eq!(exit_of(&anyhow::anyhow!("x")), Exit::Failed);
        assert_eq!(report(&io::Error::from(io::ErrorKind::BrokenPipe).into()), Exit::Done);
    }
}
