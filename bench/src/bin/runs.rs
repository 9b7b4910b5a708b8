//! How fast runs go through the real server: the release binary as a process with a fresh data directory, handlers of the
//! Rust SDK in this process, calls over REST in a closed loop. Handler, load and server share the machine's cores.
//!
//! `cargo build --release && cargo run --release -p backstitch-bench --bin runs -- --server target/release/backstitch`

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures, and says what it measured")]

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backstitch::prelude::*;
use clap::Parser;
use hdrhistogram::Histogram;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures calls of a function without steps and of one with ten.
#[derive(Parser)]
struct Args {
    /// The release binary.
    #[arg(long, default_value = "target/release/backstitch")]
    server: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

struct Server {
    child: Child,
    url: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let app = App::new("bench")
        .dev(true)
        .function_fn("noop", |_: Ctx, input: u64| async move { Ok::<_, Error>(input) })
        .function_fn("ten", |ctx: Ctx, input: u64| async move {
            for step in 0..10 {
                ctx.run(&format!("step-{step}"), |_| async move { Ok::<_, Error>(step) }).await?;
            }
            Ok::<_, Error>(input)
        });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let handler = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app.router()).await });
    let dir = tempfile::tempdir()?;
    let began = Instant::now();
    let server = start(&args, &dir.path().join("data")).await?;
    let http = reqwest::Client::new();
    let put = http.put(format!("{}/v1/apps/bench", server.url)).header("content-type", "application/json");
    let registered = put.body(format!(r#"{{"url":"{handler}"}}"#)).send().await?;
    ensure!(registered.status().is_success(), "registering failed: {}", registered.text().await?);
    call(&http, &server.url, "noop", 0).await?;
    println!("start to first finished run   {:>7.0} ms", began.elapsed().as_secs_f64() * 1e3);
    println!("resident, idle                {:>7.1} MiB", resident(&server)?);
    for (function, steps) in [("noop", 0), ("ten", 10)] {
        for open in [1, 64] {
            measure(&args, &http, &server, function, steps, open).await?;
        }
    }
    let mut child = server.child;
    child.kill().await?;
    Ok(())
}

async fn start(args: &Args, data: &std::path::Path) -> Result<Server> {
    let mut child = Command::new(&args.server)
        .args(["start", "--listen", "127.0.0.1:0", "--log-level", "warn", "--data-dir"])
        .arg(data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the server: build it with `cargo build --release`")?;
    let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(at) = line.find("http://127.0.0.1:") {
            let url: String =
                line[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || ":/.".contains(*c)).collect();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(Server { child, url: url.trim_end_matches('/').to_owned() });
        }
    }
    anyhow::bail!("the server ended before it said where it listens")
}

async fn call(http: &reqwest::Client, url: &str, function: &str, input: u64) -> Result<()> {
    let request = http.post(format!("{url}/v1/functions/bench/{function}/call?wait=60s"));
    let response =
        request.header("content-type", "application/json").body(format!(r#"{{"input":{input}}}"#)).send().await?;
    ensure!(
        response.status().as_u16() == 200,
        "a call was answered with {}: {}",
        response.status(),
        response.text().await?
    );
    response.bytes().await?;
    Ok(())
}

async fn measure(
    args: &Args,
    http: &reqwest::Client,
    server: &Server,
    function: &'static str,
    steps: u64,
    open: usize,
) -> Result<()> {
    let histogram = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    let calls = Arc::new(AtomicU64::new(0));
    let cpu = processor_seconds(server)?;
    let began = Instant::now();
    let until = began + Duration::from_secs(args.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..open {
        let (http, url, histogram, calls) = (http.clone(), server.url.clone(), histogram.clone(), calls.clone());
        tasks.spawn(async move {
            while Instant::now() < until {
                let began = Instant::now();
                call(&http, &url, function, calls.fetch_add(1, Ordering::Relaxed)).await?;
                let took = u64::try_from(began.elapsed().as_micros())?;
                histogram.lock().await.record(took)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let histogram = histogram.lock().await;
    let count = histogram.len() as f64;
    let spent = (processor_seconds(server)? - cpu) * 1e6 / (count * (steps.max(1) as f64));
    println!(
        "{function:<5} at {open:>3}: {:>8.0} calls/s {:>9.0} steps/s   p50 {:>7.2} ms   p99 {:>7.2} ms   server CPU {spent:>6.0} us a {}   resident {:>6.1} MiB",
        count / seconds,
        count * steps as f64 / seconds,
        histogram.value_at_quantile(0.5) as f64 / 1e3,
        histogram.value_at_quantile(0.99) as f64 / 1e3,
        if steps == 0 { "call" } else { "step" },
        resident(server)?,
    );
    Ok(())
}

/// Resident memory of the server in MiB, from the kernel.
fn resident(server: &Server) -> Result<f64> {
    let pid = server.child.id().context("the server runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the kernel tells resident memory")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number follows")?.parse()?;
    Ok(kib / 1024.0)
}

/// Processor time of the server in seconds, at the usual 100 ticks a second.
fn processor_seconds(server: &Server) -> Result<f64> {
    let pid = server.child.id().context("the server runs")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
