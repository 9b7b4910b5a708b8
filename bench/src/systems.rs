//! The servers that can be measured, behind one door: ours, and a peer's, each with the same functions in the same language.
//! All of them listen on loopback, with their data in a fresh directory and their defaults otherwise; both write every
//! acknowledged thing through to the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::process::Command;

use crate::load::{Client, now, post};
use crate::process::{Process, free_port, listening};

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Backstitch.
    Ours,
    /// Restate, as its npm package brings it.
    Peer,
}

/// In what the functions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A native program with the system's Rust SDK.
    Rust,
    /// The same where handlers cannot reach their server: each step is an answer, and the next invocation has the journal.
    RustResponding,
    /// A Node.js program with the system's TypeScript SDK, connected as it is by default.
    TypeScript,
    /// The same as serverless hosts have it: a request, an answer, no streams.
    TypeScriptServerless,
}

/// A server that can be started, and the programs with its functions.
#[derive(Clone, Debug)]
pub struct System {
    /// Whose it is.
    pub kind: Kind,
    /// The server's binary.
    pub server: PathBuf,
    /// The binary with functions in Rust.
    pub rust: PathBuf,
    /// The program with functions for Node.js.
    pub typescript: PathBuf,
}

/// A server at work, with the functions of one language registered.
pub struct Running {
    /// The server.
    pub server: Process,
    /// The functions.
    pub handler: Process,
    /// Where the functions' program tells what it has counted.
    pub side_port: u16,
    system: System,
    port: u16,
    admin: u16,
    data: PathBuf,
}

impl System {
    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "backstitch",
            Kind::Peer => "restate",
        }
    }

    /// Starts the server and the functions, and registers them.
    pub async fn start(&self, data: &Path, language: Language) -> Result<Running> {
        std::fs::create_dir_all(data)?;
        let (handler_port, side_port) = (free_port()?, free_port()?);
        let handler = self.start_handler(data, language, handler_port, side_port).await?;
        let (port, admin) = (free_port()?, free_port()?);
        let server = self.start_server(data, port, admin)?;
        let mut running =
            Running { server, handler, side_port, system: self.clone(), port, admin, data: data.to_owned() };
        running.register(&format!("http://127.0.0.1:{handler_port}/"), language).await?;
        Ok(running)
    }

    async fn start_handler(&self, data: &Path, language: Language, port: u16, side_port: u16) -> Result<Process> {
        let mut command = match language {
            Language::Rust | Language::RustResponding => Command::new(&self.rust),
            Language::TypeScript | Language::TypeScriptServerless => {
                let mut node = Command::new("node");
                node.arg(&self.typescript);
                node
            }
        };
        match language {
            Language::TypeScriptServerless => drop(command.env("MODE", "request-response")),
            Language::RustResponding => drop(command.env("MODE", "respond")),
            Language::Rust | Language::TypeScript => {}
        }
        command.env("PORT", port.to_string()).env("SIDE_PORT", side_port.to_string()).env("BACKSTITCH_DEV", "1");
        let mut handler = Process::start(command, &data.join("handler.log"))?;
        listening(port, &mut handler).await?;
        Ok(handler)
    }

    fn start_server(&self, data: &Path, port: u16, admin: u16) -> Result<Process> {
        let mut command = Command::new(&self.server);
        match self.kind {
            Kind::Ours => {
                command.args(["start", "--log-level", "warn", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]);
                command.arg(data.join("data"));
            }
            Kind::Peer => {
                command.args(["--no-logo", "--listen-mode", "tcp", "--base-dir"]).arg(data.join("data"));
                command.args(["--bind-ip", "127.0.0.1", "--bind-port", &free_port()?.to_string()]);
                command.env("RESTATE_INGRESS__BIND_PORT", port.to_string());
                command.env("RESTATE_ADMIN__BIND_PORT", admin.to_string());
                command.env("RESTATE_LOG_FILTER", "warn").env("RESTATE_DISABLE_TELEMETRY", "true");
                command.env("DO_NOT_TRACK", "1");
            }
        }
        Process::start(command, &data.join("server.log"))
    }
}

impl Running {
    async fn register(&mut self, handler: &str, language: Language) -> Result<()> {
        let client = Client::default();
        let began = now();
        loop {
            let asked = match self.system.kind {
                Kind::Ours => {
                    let url = format!("http://127.0.0.1:{}/v1/apps/bench", self.port);
                    let request = Request::put(url).header("content-type", "application/json");
                    client.send(request.body(Full::new(Bytes::from(format!(r#"{{"url":"{handler}"}}"#))))?).await
                }
                Kind::Peer => {
                    let url = format!("http://127.0.0.1:{}/deployments", self.admin);
                    let http1 = language == Language::TypeScriptServerless;
                    client.send(post(&url, format!(r#"{{"uri":"{handler}","use_http_11":{http1}}}"#))?).await
                }
            };
            let error = match asked {
                Ok(_) => break,
                Err(error) => error,
            };
            self.server.check().with_context(|| self.log())?;
            ensure!(began.elapsed() < Duration::from_secs(60), "failed to register the functions: {error:#}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The first call that succeeds is the one that tells that everything is up.
        while client.send(self.call("noop", 0)?).await.is_err() {
            ensure!(began.elapsed() < Duration::from_secs(60), "no call succeeds after a minute");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("server.log")).unwrap_or_default()
    }

    /// Whose server it is.
    pub fn kind(&self) -> Kind {
        self.system.kind
    }

    /// Where our server's API is, or the peer's ingress.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A call of a function that is answered with its result.
    pub fn call(&self, function: &str, input: u64) -> Result<Request<Full<Bytes>>> {
        self.caller().call(function, input)
    }

    /// What builds requests, apart from the processes.
    pub fn caller(&self) -> Caller {
        Caller { kind: self.system.kind, url: self.url() }
    }

    /// Kills the server and starts it again on the same data.
    pub async fn restart_server(self) -> Result<Running> {
        let Running { server, handler, side_port, system, port, admin, data } = self;
        server.kill().await?;
        let server = system.start_server(&data, port, admin)?;
        Ok(Running { server, handler, side_port, system, port, admin, data })
    }

    /// Ends both processes.
    pub async fn stop(self) -> Result<()> {
        self.server.kill().await?;
        self.handler.kill().await
    }
}

/// Builds requests to one server.
#[derive(Clone, Debug)]
pub struct Caller {
    kind: Kind,
    url: String,
}

impl Caller {
    /// A call of a function that is answered with its result.
    pub fn call(&self, function: &str, input: u64) -> Result<Request<Full<Bytes>>> {
        let url = &self.url;
        match self.kind {
            Kind::Ours => {
                let body = format!(r#"{{"input":{input}}}"#);
                post(&format!("{url}/v1/functions/bench/{function}/call?wait=300s"), body)
            }
            Kind::Peer => post(&format!("{url}/Bench/{function}"), input.to_string()),
        }
    }

    /// A start of a function that is answered when it is durable.
    pub fn send(&self, function: &str, input: u64) -> Result<Request<Full<Bytes>>> {
        let url = &self.url;
        match self.kind {
            Kind::Ours => post(&format!("{url}/v1/functions/bench/{function}/runs"), format!(r#"{{"input":{input}}}"#)),
            Kind::Peer => post(&format!("{url}/Bench/{function}/send"), input.to_string()),
        }
    }

    /// A call of the counter with this key.
    pub fn object(&self, key: u64) -> Result<Request<Full<Bytes>>> {
        let url = &self.url;
        match self.kind {
            Kind::Ours => post(&format!("{url}/v1/objects/bench/counter/{key}/add"), r#"{"input":1}"#),
            Kind::Peer => post(&format!("{url}/Counter/{key}/add"), "1"),
        }
    }

    /// An event that starts ten functions; ours alone has events.
    pub fn fan(&self, number: u64) -> Result<Request<Full<Bytes>>> {
        post(&format!("{}/v1/events", self.url), format!(r#"{{"name":"bench/fan","data":{{"number":{number}}}}}"#))
    }

    /// A signal to a run that waits for it; ours alone has signals to runs.
    pub fn signal(&self, run: &str) -> Result<Request<Full<Bytes>>> {
        post(&format!("{}/v1/runs/{run}/signals/go", self.url), r#"{"data":1}"#)
    }
}
