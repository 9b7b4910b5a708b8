//! The functions that are measured, with the peer's Rust SDK, on `PORT` of loopback; what they have counted is told on
//! `SIDE_PORT`, in the words of our own program.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use restate_sdk::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static DONE: AtomicU64 = AtomicU64::new(0);
static LATE_US: Mutex<Vec<u64>> = Mutex::new(Vec::new());

struct Bench;

#[service]
impl Bench {
    #[handler]
    async fn noop(&self, _: Context<'_>, input: u64) -> Result<u64, Infallible> {
        Ok(input)
    }

    #[handler]
    async fn steps(&self, ctx: Context<'_>, steps: u64) -> Result<u64, TerminalError> {
        for step in 0..steps {
            ctx.run(|| async move { Ok(step) }).name(format!("step-{step}")).await?;
        }
        Ok(steps)
    }

    #[handler]
    async fn count(&self, _: Context<'_>, input: u64) -> Result<u64, Infallible> {
        DONE.fetch_add(1, Ordering::Relaxed);
        Ok(input)
    }

    #[handler]
    async fn nap(&self, ctx: Context<'_>, ms: u64) -> Result<u64, TerminalError> {
        ctx.sleep(Duration::from_millis(ms)).await?;
        Ok(ms)
    }

    #[handler]
    async fn until(&self, ctx: Context<'_>, due_ms: u64) -> Result<u64, TerminalError> {
        let due = UNIX_EPOCH + Duration::from_millis(due_ms);
        ctx.sleep(due.duration_since(SystemTime::now()).unwrap_or_default()).await?;
        let late = SystemTime::now().duration_since(due).unwrap_or_default();
        LATE_US.lock().expect("no holder panics").push(late.as_micros() as u64);
        DONE.fetch_add(1, Ordering::Relaxed);
        Ok(due_ms)
    }
}

struct Counter;

#[object]
impl Counter {
    #[handler]
    async fn add(&self, ctx: ObjectContext<'_>, by: u64) -> Result<u64, TerminalError> {
        let total = ctx.get::<u64>("total").await?.unwrap_or(0) + by;
        ctx.set("total", total);
        Ok(total)
    }
}

async fn listener(variable: &str) -> TcpListener {
    let port: u16 = std::env::var(variable).expect("the port is set").parse().expect("a port is a number");
    TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free")
}

/// Tells what was counted: one request a connection, a path and nothing else.
async fn tell(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 1_024];
        let read = stream.read(&mut head).await.unwrap_or(0);
        let text = if head[..read].starts_with(b"GET /lateness") { lateness() } else { DONE.load(Ordering::Relaxed).to_string() };
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn lateness() -> String {
    let mut late = LATE_US.lock().expect("no holder panics").clone();
    late.sort_unstable();
    let ms = |share: usize| late.get(late.len() * share / 100).copied().unwrap_or(0) as f64 / 1e3;
    format!("{} {}", ms(50), ms(99))
}

#[tokio::main]
async fn main() {
    tokio::spawn(tell(listener("SIDE_PORT").await));
    let endpoint = Endpoint::builder().bind(Bench).bind(Counter).build();
    HttpServer::new(endpoint).serve(listener("PORT").await).await;
}
