//! The least that a durable step can cost on a machine: a request over HTTP/1, a row, a commit that waits for the disk, and
//! nothing else. No journal is read, nobody decides, nothing is signed or looked up. What a server with all of that reaches is
//! held against it, so that a wish beyond it is known for what it is.
//!
//! `cargo run --release -p backstitch-bench --bin floor`

#![expect(clippy::print_stdout, reason = "it measures, and says what it measured")]

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use backstitch_bench::load;
use clap::Parser;
use http::StatusCode;
use rusqlite::Connection;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the floor under a step.
#[derive(Parser)]
struct Args {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Requests at once in the second measurement.
    #[arg(long, default_value_t = 256)]
    open: usize,
}

/// A row to write, and who waits for it.
type Row = (Bytes, oneshot::Sender<()>);

/// Rows of one commit at most.
const TOGETHER_MAX: usize = 512;

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir()?;
    let (rows, waiting) = sync_channel(4_096);
    let connection = opened(&dir.path().join("floor.db"))?;
    std::thread::spawn(move || write(&connection, &waiting));
    // Server and load have runtimes of their own, as they would have processes.
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || runtime()?.block_on(serve(rows, tell)));
    let url = told.recv().context("the server did not start")?;
    runtime()?.block_on(async {
        for open in [1, args.open] {
            let url = url.clone();
            let body = format!(r#"{{"id":"step-1","ok":"{}"}}"#, "x".repeat(120));
            let make = move |_| load::post(&url, body.clone());
            load::closed(open, Duration::from_secs(1), make.clone()).await?;
            let measured = load::closed(open, Duration::from_secs(args.seconds), make).await?;
            println!(
                "{open:>4} at once: {:>7.0} steps/s, p50 {:.2} ms, p99 {:.2} ms",
                measured.rate(),
                measured.ms(0.5),
                measured.ms(0.99)
            );
        }
        Ok(())
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn opened(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "create table steps (no integer primary key, run integer not null, idx integer not null, body blob not null);
         create unique index position on steps (run, idx);",
    )?;
    Ok(connection)
}

/// Writes what waits, in one commit.
fn write(connection: &Connection, waiting: &Receiver<Row>) -> Result<()> {
    let mut at = 0_i64;
    while let Ok(first) = waiting.recv() {
        let mut rows = vec![first];
        rows.extend(waiting.try_iter().take(TOGETHER_MAX - 1));
        let transaction = connection.unchecked_transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert into steps (run, idx, body) values (?1, ?2, ?3)")?;
            for (body, _) in &rows {
                at += 1;
                insert.execute((at % 256, at / 256, &body[..]))?;
            }
        }
        transaction.commit()?;
        for (_, done) in rows {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
    }
    Ok(())
}

async fn serve(rows: SyncSender<Row>, tell: SyncSender<String>) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    tell.send(format!("http://{}/", listener.local_addr()?))?;
    Ok(axum::serve(listener, Router::new().route("/", post(step)).with_state(rows)).await?)
}

async fn step(State(rows): State<SyncSender<Row>>, body: Bytes) -> Result<&'static str, StatusCode> {
    let (done, written) = oneshot::channel();
    rows.try_send((body, done)).map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
    written.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(r#"{"settled":[{"id":"step-1","op":"step","seq":1,"at":"2026-03-01T12:00:00.000Z"}]}"#)
}
