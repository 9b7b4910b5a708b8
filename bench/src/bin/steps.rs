//! What a step costs in the Rust SDK alone, with checkpoints: a handler behind axum, and in the place of the server one that
//! takes every checkpoint at once and keeps nothing, both in this process, over loopback HTTP.
//!
//! `cargo run --release -p backstitch-bench --bin steps`

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures, and says what it measured")]

use std::time::Instant;

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use backstitch::prelude::*;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures runs of sequential steps.
#[derive(Parser)]
struct Args {
    /// Steps of a run.
    #[arg(long, default_value_t = 1000)]
    steps: u64,
    /// Runs of each measurement.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Runs at once in the second measurement.
    #[arg(long, default_value_t = 16)]
    open: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let app = App::new("bench").keys("").dev(true).function_fn("steps", |ctx: Ctx, steps: u64| async move {
        for step in 0..steps {
            ctx.run(&format!("step-{step}"), |_| async move { Ok::<_, Error>(step) }).await?;
        }
        Ok::<_, Error>(steps)
    });
    let handler = serve(app.router()).await?;
    let server = serve(Router::new().route("/", post(checkpoint))).await?;
    let http = reqwest::Client::new();
    invoke(&http, &handler, &server, 100, 0).await?;
    for open in [1, args.open] {
        let began = Instant::now();
        let mut runs = Vec::new();
        for run in 0..open {
            let (http, handler, server) = (http.clone(), handler.clone(), server.clone());
            runs.push(tokio::spawn(async move {
                for nth in 0..args.runs.div_ceil(open) {
                    invoke(&http, &handler, &server, args.steps, run * args.runs + nth).await?;
                }
                anyhow::Ok(())
            }));
        }
        for run in runs {
            run.await??;
        }
        let steps = args.steps * args.runs.div_ceil(open) * open;
        let micros = began.elapsed().as_secs_f64() * 1e6 / steps as f64;
        println!("{open:>3} runs at once of {} steps {micros:>8.1} µs a step", args.steps);
    }
    Ok(())
}

/// Settles every step with what was reported of it. Looks for no more than it needs, so that it is not what is measured.
async fn checkpoint(body: Bytes) -> String {
    let text = String::from_utf8_lossy(&body);
    let after = |key: &str| text.split_once(key).map_or("", |(_, rest)| rest);
    let seen = after("\"seen\":").split(',').next().and_then(|seen| seen.parse().ok()).unwrap_or(0_u64);
    let Some(id) = after("\"id\":\"").split('"').next().filter(|id| !id.is_empty()) else {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        return r#"{"settled":[]}"#.to_owned();
    };
    let seq = seen + 1;
    format!(r#"{{"settled":[{{"id":"{id}","op":"step","seq":{seq},"at":"2026-03-01T12:00:00.000Z"}}],"retry":[]}}"#)
}

async fn invoke(http: &reqwest::Client, handler: &str, server: &str, steps: u64, nth: u64) -> Result<()> {
    let body = format!(
        r#"{{"run":{{"id":"run_{nth}","app":"bench","function":"steps","attempt":1,"startedAt":"2026-03-01T12:00:00.000Z","secret":"00"}},
            "trigger":{{"kind":"call"}},"input":{steps},"journal":[],"links":{{"checkpoint":"{server}","journal":null}},"token":"inv_{nth}"}}"#
    );
    let request = http.post(handler).header("content-type", "application/json").header("backstitch-protocol", "1");
    let answer = request.body(body).send().await?.text().await?;
    ensure!(answer.contains(&format!(r#""ok":{steps}"#)), "the run did not end in one invocation: {answer}");
    Ok(())
}

async fn serve(router: Router) -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
