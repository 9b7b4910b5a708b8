//! `backstitch guard`: stands beside the app that `dev` started and ends it when `dev` is gone without having done so, such as
//! after SIGKILL or with its terminal. Hidden: `dev` starts it itself. It learns of the end from a pipe, which the system
//! closes however a process ends, so it needs nothing that only one system has.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::Exit;
use super::exit::usage;
use crate::limits::{CHILD_POLL_MS, CHILD_STOP_MS};

/// End a process group when the standard input ends without a word.
#[derive(Debug, Args)]
pub(super) struct Guard {
    /// The group.
    group: i32,
}

impl Guard {
    pub(super) fn execute(self) -> Result<Exit> {
        // 0 and 1 are everybody.
        let group = Pid::from_raw(self.group).filter(|_| self.group > 1);
        let group = group.ok_or_else(|| usage(format!("{} is no process group", self.group)))?;
        let mut word = [0];
        if matches!(std::io::stdin().read(&mut word), Ok(1)) {
            return Ok(Exit::Done);
        }
        // A group that is gone needs no signal.
        let _ = kill_process_group(group, Signal::TERM);
        for _ in 0..CHILD_STOP_MS / CHILD_POLL_MS {
            if test_kill_process_group(group).is_err() {
                return Ok(Exit::Done);
            }
            std::thread::sleep(Duration::from_millis(CHILD_POLL_MS));
        }
        let _ = kill_process_group(group, Signal::KILL);
        Ok(Exit::Done)
    }
}

/// A guard that stands.
pub(super) struct Standing(Child);

impl Standing {
    /// Puts a guard beside a process group.
    pub(super) fn beside(group: Pid) -> Result<Standing> {
        let own = std::env::current_exe().context("failed to find this program")?;
        let mut starting = Command::new(own);
        starting
            .args(["guard", &group.as_raw_pid().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What the terminal sends to our group is not for the guard.
            .process_group(0);
        Ok(Standing(starting.spawn().context("failed to start the guard")?))
    }

    /// Lets it go: the group has ended, and its number may soon be another's.
    pub(super) async fn release(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A guard that is gone does nothing either.
            let _ = pipe.write_all(b".").await;
        }
        let _ = self.0.wait().await;
    }
}
