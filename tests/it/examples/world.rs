//! A server and an app, as processes of their own with a folder that is theirs, and a client for both. Everything that was
//! started ends with the value that stands for it.
#![expect(clippy::disallowed_methods, reason = "a real program is given real time to do its work")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How long a test waits for anything before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it waits between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// How an example is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// The package under `examples/`, as npm built it.
    Node,
    /// The program of the package under `examples/rust/`, as cargo built it.
    Rust,
}

/// A running server with one running example.
pub(super) struct World {
    pub(super) url: String,
    pub(super) folder: TempDir,
    kind: Kind,
    example: &'static str,
    http: reqwest::Client,
    app: Process,
    server: Process,
}

impl World {
    /// Starts a server and an example, and registers it under `app`.
    pub(super) async fn start(kind: Kind, example: &'static str, app: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(&folder, "127.0.0.1:0");
        let announced: Value = serde_json::from_str(&server.line("\"url\"").await).unwrap();
        let url = announced["url"].as_str().unwrap().to_owned();
        let process =
            Process::start(program(kind, example, "serve", &[]).envs(environment(&url, &folder)).env("PORT", "0"));
        let app_url = address(&process.line("served at ").await);
        let world = World { url, folder, kind, example, http: reqwest::Client::new(), app: process, server };
        world.ask(Method::PUT, &format!("/v1/apps/{app}"), &json!({ "url": app_url })).await;
        world
    }

    /// The server is killed, and another one takes its place at the same address.
    pub(super) async fn kill_and_restart_server(&mut self) {
        self.server.child.kill().await.unwrap();
        self.server = serve(&self.folder, self.url.strip_prefix("http://").unwrap());
        self.server.line("\"url\"").await;
    }

    /// Runs another program of the example, as a user would in a second terminal; gives what it prints.
    pub(super) fn run(&self, script: &str, args: &[&str]) -> Process {
        Process::start(program(self.kind, self.example, script, args).envs(environment(&self.url, &self.folder)))
    }

    /// What the app printed that contains `part`, waited for.
    pub(super) async fn printed(&self, part: &str) -> String {
        self.app.line(part).await
    }

    /// Sends a request to the server; gives the answer's status and JSON. Refusals fail the test.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method.clone(), format!("{}{path}", self.url)).json(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}\nthe app printed:\n{}", self.app.output());
        serde_json::from_str(if text.is_empty() { "null" } else { &text }).unwrap()
    }

    /// Reads something from the server.
    pub(super) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null).await
    }

    /// The run of a name, once it is there.
    pub(super) async fn run_named(&self, function: &str, name: &str) -> String {
        let url = format!("{}/v1/functions/{function}/runs/{name}", self.url);
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.http.get(&url).send().await.unwrap();
            if answer.status() != StatusCode::NOT_FOUND {
                let run: Value = answer.json().await.unwrap();
                return run["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "there is no run {name} of {function}");
            sleep(LOOK).await;
        }
    }

    /// The entry of a run's journal, once it is there.
    pub(super) async fn entry(&self, run: &str, id: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let journal = self.get(&format!("/v1/runs/{run}/journal")).await;
            if let Some(entry) = journal["entries"].as_array().unwrap().iter().find(|entry| entry["id"] == id) {
                return entry.clone();
            }
            assert!(
                Instant::now() < until,
                "the run has no entry `{id}`: {journal:#}\nthe app printed:\n{}",
                self.app.output()
            );
            sleep(LOOK).await;
        }
    }

    /// Starts a run; gives its id.
    pub(super) async fn start_run(&self, function: &str, body: &Value) -> String {
        let started = self.ask(Method::POST, &format!("/v1/functions/{function}/runs"), body).await;
        started["id"].as_str().unwrap().to_owned()
    }

    /// How a run ended, once it has.
    pub(super) async fn result(&self, run: &str) -> Value {
        let result = self.get(&format!("/v1/runs/{run}/result?wait=30s")).await;
        assert!(
            result["status"] != "suspended",
            "the run has not ended: {result}\nthe app printed:\n{}",
            self.app.output()
        );
        result
    }
}

/// A server on the data in this folder.
fn serve(folder: &TempDir, listen: &str) -> Process {
    let mut server = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    server.args(["dev", "--json", "--no-discovery", "--listen", listen, "--data-dir"]).arg(folder.path().join("data"));
    Process::start(server.current_dir(folder.path()))
}

fn environment(url: &str, folder: &TempDir) -> [(&'static str, String); 5] {
    let ledger = folder.path().join("ledger.jsonl").to_string_lossy().into_owned();
    [
        ("BACKSTITCH_URL", url.to_owned()),
        ("BACKSTITCH_DEV", "1".to_owned()),
        ("LEDGER", ledger),
        ("PERIOD_MS", "1500".to_owned()),
        ("THINK_MS", "1000".to_owned()),
    ]
}

/// The command that runs a script of an example, whose `serve` is the app itself.
fn program(kind: Kind, example: &str, script: &str, args: &[&str]) -> Command {
    let mut command = match kind {
        Kind::Node => {
            let file = repository().join("examples").join(example).join("dist").join(format!("{script}.js"));
            assert!(file.exists(), "{} is not built: run `make sdk-ts examples`", file.display());
            let mut command = Command::new("node");
            command.arg(file);
            command
        }
        Kind::Rust => {
            let file = Path::new(env!("CARGO_BIN_EXE_backstitch")).with_file_name(example);
            assert!(file.exists(), "{} is not built: run `cargo build --workspace`", file.display());
            let mut command = Command::new(file);
            command.args((script != "serve").then_some(script));
            command
        }
    };
    command.args(args);
    command
}

/// The address in a line.
pub(super) fn address(line: &str) -> String {
    let from = line.find("http://").unwrap_or_else(|| panic!("{line:?} has no address"));
    line[from..].split(' ').next().unwrap().to_owned()
}

/// The repository's root.
pub(super) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A process whose output is kept. Killed when dropped.
pub(super) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// What reads the output, to its end.
    readers: [JoinHandle<()>; 2],
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::default();
        let readers = [
            keep(child.stdout.take().unwrap(), Arc::clone(&lines)),
            keep(child.stderr.take().unwrap(), Arc::clone(&lines)),
        ];
        Process { child, lines, readers }
    }

    /// Waits for the end; gives everything that was printed, and whether it went well.
    pub(super) async fn end(mut self) -> (bool, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the program has not ended:\n{}", self.output())).unwrap();
        // What it printed last may not have been read when it is gone.
        for reader in &mut self.readers {
            let read = tokio::time::timeout(PATIENCE, reader).await;
            read.expect("the output has an end, as the program does").unwrap();
        }
        (status.success(), self.output())
    }

    /// The first line that contains `part`, once it is there.
    async fn line(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(Instant::now() < until, "nothing was printed with {part:?}:\n{}", self.output());
            sleep(LOOK).await;
        }
    }

    fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

fn keep(stream: impl AsyncRead + Unpin + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut read = BufReader::new(stream).lines();
        while let Ok(Some(line)) = read.next_line().await {
            lines.lock().unwrap().push(line);
        }
    })
}
