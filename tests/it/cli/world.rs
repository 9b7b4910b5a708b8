//! A directory to work in, the binary, servers, and an app that speaks the protocol by hand.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backstitch_server::config::settings;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::support::peer::{Peer, Received, SDK, response};
use crate::support::verified;

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ended {
    /// The standard output as one JSON document.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it ended with this code and said these words somewhere.
    #[track_caller]
    pub(super) fn expect(self, code: i32, words: &[&str]) -> Ended {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "`{word}` is missing in {self:?}");
        }
        self
    }
}

/// The binary, in a directory, with nothing of this process's settings.
pub(super) fn binary(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    settings::all().for_each(|setting| {
        command.env_remove(setting.variable());
    });
    settings::FOREIGN_VARIABLES.iter().for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(super) async fn run(mut command: Command) -> Ended {
    let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = ended.expect("the command ends").expect("the binary can be run");
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command that follows something, and has said a word of which a test wants to be sure before it goes on.
pub(super) struct Following {
    process: Child,
    out: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Following {
    /// Starts it and waits until a line of its standard output has `word`.
    pub(super) async fn start(mut command: Command, word: &str) -> Following {
        let mut process = command.spawn().expect("the binary can be run");
        let out = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut following = Following { process, out, said: String::new() };
        let reading = async { while !following.line().await.expect("it has more to say").contains(word) {} };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it says the word in time");
        following
    }

    async fn line(&mut self) -> Option<String> {
        let line = self.out.next_line().await.unwrap()?;
        self.said.push_str(&line);
        self.said.push('\n');
        Some(line)
    }

    /// Waits for its end, and returns all that it said.
    pub(super) async fn ended(mut self) -> Ended {
        let reading = async { while self.line().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it ends in time");
        let output = self.process.wait_with_output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Ended { code: output.status.code().unwrap_or(-1), out: self.said, err }
    }
}

/// A running `dev` or `start`.
pub(super) struct Server {
    pub(super) process: Child,
    pub(super) announcement: Value,
    data: PathBuf,
    pub(super) out: Lines<BufReader<ChildStdout>>,
    pub(super) err: Lines<BufReader<ChildStderr>>,
}

impl Server {
    /// Starts it on a free port; the first line says where it is.
    pub(super) async fn start(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let (mode, more) = arguments.split_first().expect("dev or start");
        let mut command = binary(dir);
        command.args([*mode, "--listen", "127.0.0.1:0", "--durability", "relaxed", "--json"]).args(more);
        command.envs(variables.iter().copied());
        let mut process = command.spawn().expect("the binary can be run");
        let mut out = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut err = BufReader::new(process.stderr.take().unwrap()).lines();
        let line =
            tokio::time::timeout(Duration::from_secs(30), out.next_line()).await.expect("it starts in time").unwrap();
        let Some(line) = line else { panic!("it did not start: {:?}", err.next_line().await) };
        let announcement: Value = serde_json::from_str(&line).expect("the first line is JSON");
        let data = dir.join(announcement["dataDir"].as_str().expect("it says where its data are"));
        Server { process, announcement, data, out, err }
    }

    pub(super) fn url(&self) -> &str {
        self.announcement["url"].as_str().unwrap()
    }

    /// Sends it a signal.
    pub(super) async fn signal(&self, signal: &str) {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// Asks it to stop, and returns its exit code. What it leaves behind is in order.
    pub(super) async fn stop(&mut self) -> i32 {
        self.signal("-TERM").await;
        let code = self.ended().await;
        verified::check(&self.data);
        code
    }

    /// Waits for its end, and returns its exit code.
    pub(super) async fn ended(&mut self) -> i32 {
        let ended = tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await;
        ended.expect("it stops in time").unwrap().code().unwrap_or(-1)
    }

    /// Reads the standard error up to a line that has `word`.
    pub(super) async fn says(&mut self, word: &str) -> String {
        let mut said = Vec::new();
        let reading = async {
            while let Ok(Some(line)) = self.err.next_line().await {
                let found = line.contains(word);
                said.push(line);
                if found {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap_or(false);
        assert!(found, "it never said `{word}`: {said:#?}");
        said.pop().unwrap()
    }
}

/// A server with a directory of its own.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) server: Server,
}

impl World {
    pub(super) async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["start"], &[]).await;
        World { dir, server }
    }

    /// Runs a command against the server.
    pub(super) async fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments)).await
    }

    /// A command against the server.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary(self.dir.path());
        command.args(arguments).env("BACKSTITCH_URL", self.server.url());
        command
    }
}

/// An app: `echo` returns its input, `fail` fails, `wait` waits for the signal `approve` and returns what it brings, `order`
/// runs a step on `order/created`.
pub(super) async fn shop() -> Peer {
    Peer::start(answer).await
}

/// The same app on a host that keeps this version at an address of its own.
pub(super) async fn pinned_shop(version: &'static str) -> Peer {
    Peer::start(move |request| {
        if request.method != "GET" {
            return answer(request);
        }
        let mut manifest = manifest();
        manifest["deployment"] = json!({"id": version, "immutable": true});
        response(200, &SDK, &manifest.to_string())
    })
    .await
}

pub(super) fn manifest() -> Value {
    json!({
        "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "shop",
        "deployment": {"id": "v1", "immutable": false},
        "functions": [
            {"id": "echo"}, {"id": "fail"}, {"id": "wait"}, {"id": "order", "triggers": [{"event": "order/created"}]},
        ],
    })
}

fn answer(request: &Received) -> Vec<crate::support::peer::Say> {
    if request.method == "GET" {
        return response(200, &SDK, &manifest().to_string());
    }
    let call: Value = serde_json::from_slice(&request.body).expect("an invocation is JSON");
    let journal = call["journal"].as_array().expect("an invocation has a journal");
    let outcome = journal.iter().find(|entry| entry["id"] == "approval").and_then(|entry| entry.get("ok"));
    let failure = json!({"name": "OutOfStock", "message": "none\nleft", "retryable": false});
    let ops = match (call["run"]["function"].as_str(), outcome) {
        (Some("fail"), _) => json!([{"op": "fail", "err": failure}]),
        (Some("wait"), None) => {
            json!([{"op": "waitSignal", "id": "approval", "name": "approval", "params": {"signal": "approve"}}])
        }
        (Some("wait"), Some(ok)) => json!([{"op": "done", "ok": ok}]),
        (Some("order"), _) => json!([
            {"op": "step", "id": "cart/charge", "name": "charge", "params": {}, "ok": {"paid": true}, "attempt": 1,
             "startedAt": call["run"]["startedAt"], "endedAt": call["run"]["startedAt"]},
            {"op": "done", "ok": "shipped"},
        ]),
        _ => json!([{"op": "done", "ok": call["input"]}]),
    };
    let seen = journal.iter().filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or(0);
    response(200, &SDK, &json!({"token": call["token"], "seen": seen, "ops": ops}).to_string())
}
