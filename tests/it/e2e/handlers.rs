//! Real handlers: an app of the Rust SDK in this process, and processes with either SDK that can be killed. The first keeps
//! a log of every body that it ran, outside of anything that is killed.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What ran: (run, step) to the results of every execution.
pub(super) type Executions = Arc<Mutex<BTreeMap<(String, String), Vec<String>>>>;

#[derive(Debug, Event, Serialize, Deserialize)]
#[event("order/created")]
pub(super) struct Order {
    pub(super) id: String,
}

/// An app that is served from this process until it is dropped.
pub(super) struct RustApp {
    pub(super) url: String,
    pub(super) executions: Executions,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for RustApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(log: Executions, run: String, step: &'static str) -> Result<String, std::io::Error> {
    // Long enough that kills fall into bodies too.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut log = log.lock().expect("nobody panics with the lock");
    let results = log.entry((run, step.to_owned())).or_default();
    results.push(format!("{step}#{}", results.len() + 1));
    Ok(results[results.len() - 1].clone())
}

/// What `long` is asked for: so many steps of so many milliseconds, one after the other.
#[derive(Debug, Serialize, Deserialize)]
struct Long {
    steps: u32,
    ms: u64,
}

/// Counts how often its handler and its bodies begin.
fn long() -> backstitch::Function {
    let counts: Arc<Mutex<BTreeMap<String, (u32, u32)>>> = Arc::default();
    backstitch::Function::new("long", move |ctx: Ctx, Long { steps, ms }: Long| {
        let counts = counts.clone();
        let count = move |run: &str, invocations: u32, bodies: u32| {
            let mut counts = counts.lock().expect("nobody panics with the lock");
            let counted = counts.entry(run.to_owned()).or_default();
            *counted = (counted.0 + invocations, counted.1 + bodies);
            *counted
        };
        async move {
            count(ctx.id(), 1, 0);
            for n in 0..steps {
                let body = async |_| {
                    count(ctx.id(), 0, 1);
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Ok::<_, std::io::Error>(n)
                };
                ctx.run(&format!("s-{n}"), body).await?;
            }
            let (invocations, bodies) = count(ctx.id(), 0, 0);
            Ok::<_, Error>(serde_json::json!({"invocations": invocations, "bodies": bodies}))
        }
    })
}

/// Charges, naps, waits for approval, ships: `order` of app `shop`, on `order/created`.
pub(super) async fn rust_app() -> RustApp {
    let executions = Executions::default();
    let log = executions.clone();
    let app = App::new("shop").dev(true).function(backstitch::Function::new(
        FunctionOptions::new("order").on::<Order>(),
        move |ctx: Ctx, order: Order| {
            let log = log.clone();
            async move {
                let step = |name: &'static str| record(log.clone(), ctx.id().to_owned(), name);
                let charge = ctx.run("charge", |_| step("charge")).await?;
                let (a, b) = backstitch::try_join!(
                    ctx.run("reserve", |_| step("reserve")),
                    ctx.run("invoice", |_| step("invoice"))
                )?;
                ctx.sleep("nap", Duration::from_millis(30)).await?;
                let approved = ctx.signal::<bool>("approve").await?;
                let ship = ctx.run("ship", |_| step("ship")).await?;
                Ok::<_, Error>(serde_json::json!({
                    "order": order.id, "charge": charge, "reserve": a, "invoice": b, "approved": approved, "ship": ship,
                }))
            }
        },
    ));
    let app = app.function(long());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let task = tokio::spawn(async move {
        axum::serve(listener, app.router()).await.expect("the app is served");
    });
    RustApp { url, executions, task }
}

/// A process of its own that serves an app.
pub(super) struct AppProcess {
    child: Child,
    pub(super) url: String,
}

impl AppProcess {
    /// Node with `tests/it/e2e/app.mjs`.
    pub(super) async fn start(port: u16) -> AppProcess {
        AppProcess::deploy(port, &[]).await
    }

    /// The same, with more variables: which code it is, and what its host says of its version.
    pub(super) async fn deploy(port: u16, variables: &[(&str, &str)]) -> AppProcess {
        AppProcess::node("app.mjs", port, variables).await
    }

    /// Node with another script of this folder.
    pub(super) async fn node(script: &str, port: u16, variables: &[(&str, &str)]) -> AppProcess {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/e2e/");
        let mut node = Command::new("node");
        node.arg(format!("{folder}{script}")).env("PORT", port.to_string()).envs(variables.iter().copied());
        AppProcess::spawn(node).await
    }

    /// This program once more, as an ignored test that serves an app at the port that it reads.
    pub(super) async fn rust(test: &str, port: u16) -> AppProcess {
        let mut again = Command::new(std::env::current_exe().expect("this is a program"));
        again.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env("PORT", port.to_string());
        AppProcess::spawn(again).await
    }

    /// Waits until it says where it listens.
    async fn spawn(mut command: Command) -> AppProcess {
        let mut child = command
            .env("BACKSTITCH_DEV", "1")
            .env_remove("BACKSTITCH_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed, and sdk-ts is built: `make sdk-ts`");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let url = loop {
            let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
            let line =
                line.expect("the app says where it listens").expect("it can be read").expect("it says something");
            if let Some(at) = line.find("http://") {
                break line[at..].trim().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        AppProcess { child, url }
    }

    pub(super) fn port(&self) -> u16 {
        let port = self.url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        port.expect("a port")
    }

    /// SIGKILL.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.expect("the app runs until it is killed");
    }
}
