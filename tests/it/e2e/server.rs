//! The real binary as a process of its own, on a data directory that outlives it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use backstitch_server::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::verified;

/// A data directory and a port that several servers use one after the other: handlers that are at work find the next one.
pub(super) struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    pub(super) fn new() -> Place {
        Place { dir: tempfile::tempdir().expect("a temporary directory can be made"), port: free_port() }
    }

    fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

/// A port that nobody has, and that the system gives to nobody while no server listens: below those that it gives away.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 400) as u16 * 50;
    (0..50)
        .map(|_| 10_000 + first + NEXT.fetch_add(1, Ordering::Relaxed) % 50)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A running server.
pub(super) struct Server {
    child: Child,
    data: PathBuf,
    pub(super) url: String,
    http: reqwest::Client,
}

impl Server {
    /// Starts a server at its place and waits until it says where it listens.
    pub(super) async fn start(place: &Place) -> Server {
        let started = Server::start_at(&place.path(), &place.listen()).await;
        started.unwrap_or_else(|said| panic!("the server did not start: {said}"))
    }

    /// The same anywhere; what it wrote to standard error when it ends instead.
    pub(super) async fn start_at(data: &Path, listen: &str) -> Result<Server, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_backstitch"))
            .args(["start", "--listen", listen, "--log-format", "json", "--data-dir"])
            .arg(data)
            .env_remove("BACKSTITCH_KEY")
            .env_remove("BACKSTITCH_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be run");
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            match tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await {
                Ok(Ok(Some(line))) => {
                    if let Some(at) = line.find("http://127.0.0.1:") {
                        let url: String = line[at..]
                            .chars()
                            .take_while(|c| c.is_ascii_alphanumeric() || ":/.".contains(*c))
                            .collect();
                        break url.trim_end_matches('/').to_owned();
                    }
                }
                _ => {
                    let mut said = String::new();
                    let mut errors = BufReader::new(stderr).lines();
                    while let Ok(Some(line)) = errors.next_line().await {
                        said.push_str(&line);
                        said.push('\n');
                    }
                    return Err(said);
                }
            }
        };
        // A pipe that nobody reads would stop the server one day.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        tokio::spawn(async move {
            let mut errors = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = errors.next_line().await {
                if line.contains("\"ERROR\"") {
                    eprintln!("{line}");
                }
            }
        });
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build().expect("a client can be built");
        Ok(Server { child, data: data.to_owned(), url, http })
    }

    /// SIGKILL, at once. What it leaves behind is in order.
    pub(super) async fn kill(mut self) {
        // It may be dead already; either way it is gone afterwards.
        drop(self.child.kill().await);
        verified::check(&self.data);
    }

    /// SIGTERM; how long it took to end, in order.
    pub(super) async fn stop(mut self) -> Duration {
        let clock = SystemClock::new();
        let begun = clock.monotonic_ms();
        let status = Command::new("kill").arg(self.pid().to_string()).status().await.expect("kill can be run");
        assert!(status.success());
        let ended = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await;
        assert!(ended.expect("it ends").expect("it can be waited for").success(), "it does not end in order");
        verified::check(&self.data);
        Duration::from_millis(clock.monotonic_ms() - begun)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// A request; the status and the body as JSON. Nothing when no answer came.
    pub(super) async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, path, None).await.unwrap_or_else(|| panic!("GET {path} got no answer"))
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, path, Some(body)).await.unwrap_or_else(|| panic!("POST {path} got no answer"))
    }

    pub(super) async fn put_app(&self, app: &str, url: &str) -> (u16, Value) {
        let body = serde_json::json!({ "url": url });
        self.ask(reqwest::Method::PUT, &format!("/v1/apps/{app}"), Some(body)).await.expect("PUT got an answer")
    }

    /// Waits until a run has ended, and returns what its result says.
    pub(super) async fn result(&self, run: &str) -> Value {
        for _ in 0..20 {
            let (status, body) = self.get(&format!("/v1/runs/{run}/result?wait=10s")).await;
            if status == 200 {
                return body;
            }
            assert_eq!(status, 202, "{body}");
        }
        let (_, explained) = self.get(&format!("/v1/runs/{run}/explain")).await;
        let (_, journal) = self.get(&format!("/v1/runs/{run}/journal")).await;
        panic!("run {run} does not end: {explained}\n{journal}")
    }

    /// Asks until `wanted` says yes to the body.
    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            let (_, body) = self.get(path).await;
            if wanted(&body) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} never said what was wanted: {}", self.get(path).await.1)
    }
}
