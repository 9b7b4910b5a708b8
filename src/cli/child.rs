//! The app that `dev` starts: a process group of its own, told where the server is, its output passed on line by line, and
//! ended together with `dev`, also by a guard if `dev` itself is killed.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child as Process, Command};
use tokio::task::JoinSet;

use super::guard::Standing;
use super::screen;
use super::style::{DIM, styled};
use crate::auth::SigningKey;
use crate::limits::{CHILD_LINE_BYTES_MAX, CHILD_STOP_MS};

/// A running app.
pub(super) struct Child {
    process: Process,
    group: Option<Pid>,
    guard: Option<Standing>,
    output: JoinSet<()>,
}

impl Child {
    /// Starts a command that is told where the server is, and that it may trust it.
    pub(super) fn start(command: &[String], url: &str, key: Option<&SigningKey>) -> Result<Child> {
        Child::start_with(command, url, key, &[])
    }

    /// The same, with more variables.
    pub(super) fn start_with(
        command: &[String],
        url: &str,
        key: Option<&SigningKey>,
        variables: &[(&str, &str)],
    ) -> Result<Child> {
        let (program, arguments) = command.split_first().context("no command was given after `--`")?;
        let mut starting = Command::new(program);
        starting
            .args(arguments)
            .env("BACKSTITCH_DEV", "1")
            .env("BACKSTITCH_URL", url)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal reaches us alone, so that the app outlives the calls that are under way.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(key) = key {
            starting.env("BACKSTITCH_KEY", key.for_handlers());
        }
        let mut process = starting.spawn().with_context(|| format!("failed to start `{program}`"))?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let guard = group.map(Standing::beside).transpose().unwrap_or_else(|error| {
            screen::note(styled(DIM, format!("{error:#}: if this server is killed, the app goes on")));
            None
        });
        let mut output = JoinSet::new();
        if let Some(pipe) = process.stdout.take() {
            output.spawn(forward(pipe));
        }
        if let Some(pipe) = process.stderr.take() {
            output.spawn(forward(pipe));
        }
        Ok(Child { process, group, guard, output })
    }

    /// Returns when the app has ended by itself, with how it did.
    pub(super) async fn ended(&mut self) -> String {
        let ended = described(self.process.wait().await);
        self.release_guard().await;
        ended
    }

    /// Asks the whole group to end, waits a little, and ends what is left of it.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let grace = Duration::from_millis(CHILD_STOP_MS);
        if tokio::time::timeout(grace, self.process.wait()).await.is_err() {
            screen::note(styled(DIM, "the app did not end in time and is killed"));
        }
        self.kill();
        self.release_guard().await;
        // Somebody who left the group may still hold the other end.
        let rest = async { while self.output.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, rest).await;
        self.output.shutdown().await;
    }

    /// Ends the group at once.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Nobody has to stand beside a group that is gone. One that is about to go is the guard's until then: it ends with us.
    async fn release_guard(&mut self) {
        if self.group.is_some_and(|group| test_kill_process_group(group).is_err())
            && let Some(guard) = self.guard.take()
        {
            guard.release().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn described(ended: std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match status.code() {
            Some(code) => format!("the app exited with code {code}"),
            None => format!("the app was ended by a signal ({status})"),
        },
        Err(error) => format!("the app is gone ({error})"),
    }
}

/// Passes lines on until there are no more. The standard output stays the server's own.
async fn forward(mut output: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let mut chunk = [0; 8 << 10];
    while let Ok(read @ 1..) = output.read(&mut chunk).await {
        rest.extend_from_slice(&chunk[..read]);
        let mut begin = 0;
        while let Some(length) = rest[begin..].iter().position(|byte| *byte == b'\n') {
            say(&rest[begin..begin + length]);
            begin += length + 1;
        }
        rest.drain(..begin);
        if rest.len() > CHILD_LINE_BYTES_MAX {
            say(&rest);
            rest.clear();
        }
    }
    if !rest.is_empty() {
        say(&rest);
    }
}

fn say(line: &[u8]) {
    screen::note(format!("{} {}", styled(DIM, "app │"), String::from_utf8_lossy(line).trim_end_matches('\r')));
}
