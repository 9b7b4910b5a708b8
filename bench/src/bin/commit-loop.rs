//! How fast the ledger takes rows. As many tasks as runs are open each create a run, append ten steps and end it, and
//! wait for every commit before they go on; a loop gathers what waits into the next batch, as the processor does: one
//! commit in flight, one batch filling. Nothing else of the server is in the way.
//!
//! `cargo run --release -p backstitch-bench --bin commit-loop -- --open 1024`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backstitch_server::limits::BATCH_COMMANDS_MAX;
use backstitch_server::model::{
    Batch, Change, Entry, EntryKind, EntryStatus, FunctionId, Labels, Outcome, Payload, RunHead, RunId, RunStatus,
    Text, Timestamp, TriggerKind,
};
use backstitch_server::store::sqlite::{Durability, SqliteConfig, SqliteStore};
use backstitch_server::store::{Commit, Ownership, Store};
use clap::Parser;
use hdrhistogram::Histogram;
use tokio::sync::{mpsc, oneshot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: u32 = 10;

/// Measures the bare commit loop.
#[derive(Parser)]
struct Args {
    /// Runs open at once.
    #[arg(long, default_value_t = 64)]
    open: usize,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Bytes of a step's outcome.
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Where the file is made; a temporary directory beside the system's others when it is not said.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Do not wait for the disk.
    #[arg(long)]
    relaxed: bool,
}

/// Changes of one command, and the one who waits for them.
type Command = (Vec<Change>, oneshot::Sender<()>);

#[derive(Default)]
struct Counters {
    rows: AtomicU64,
    runs: AtomicU64,
    batches: AtomicU64,
    run_no: AtomicI64,
}

#[expect(clippy::disallowed_methods, reason = "this program measures time, it is not measured by it")]
fn now() -> Instant {
    Instant::now()
}

/// Seconds of processor time that this process has used, and that its writer's thread has.
fn processor_seconds() -> (f64, f64) {
    let of = |path: PathBuf| {
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap_or_default().split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        // utime and stime, in ticks of 10 ms.
        fields.get(11..13).map_or(0.0, |ticks| ticks.iter().sum::<u64>() as f64 / 100.0)
    };
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut writers = threads.filter(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "store-writer")
    });
    (of("/proc/self/stat".into()), writers.next().map_or(0.0, |thread| of(thread.path().join("stat"))))
}

/// Latencies in microseconds, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are allowed")
}

fn run(run_no: i64) -> RunHead {
    let at = Timestamp(1_700_000_000_000 + run_no);
    let id = RunId::new(at, (run_no as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), 0);
    RunHead {
        run_no,
        id,
        function: FunctionId::new("shop", "order"),
        name: None,
        status: RunStatus::Ready,
        trigger: TriggerKind::Call,
        event: None,
        born_seq: 0,
        parent: None,
        root: id,
        deployment: None,
        created_at: at,
        started_at: at,
        ended_at: None,
        failures: 0,
        losses: 0,
        last_error: None,
        awaiting: Vec::new(),
        hold: None,
        wake_at: Some(Timestamp::ZERO),
        cancel_by: None,
        mismatch_since: None,
        seen: 0,
        open_token: None,
        key: None,
        queue: None,
        start_by: None,
        deadline: None,
        previous: None,
        chain: None,
        seed: None,
        value: None,
        tick: None,
        labels: Labels::default(),
    }
}

fn entry(run: &RunHead, idx: u32, kind: EntryKind, outcome: &Payload) -> Entry {
    Entry {
        run_no: run.run_no,
        idx,
        id: Text::from(format!("step:{idx}")),
        kind,
        name: Some(Text::from("charge")),
        params: Payload::trusted(&b"{}"[..]),
        status: EntryStatus::Settled,
        outcome: Some(Outcome::Ok(outcome.clone())),
        seq: Some(idx),
        due_at: None,
        failures: 0,
        last_error: None,
        deployment: Some(backstitch_server::model::DeploymentId::new(run.created_at, 1, 0)),
        child: None,
        created_at: run.created_at,
        settled_at: Some(run.created_at),
        details: None,
        copied: false,
    }
}

/// One open run after another, until the loop stops taking commands.
async fn client(commands: mpsc::Sender<Command>, counters: Arc<Counters>, payload: Payload) -> Histogram<u64> {
    let mut latencies = histogram();
    loop {
        let mut head = run(counters.run_no.fetch_add(1, Ordering::Relaxed) + 1);
        for idx in 0..=STEPS + 1 {
            let changes = match idx {
                0 => {
                    let input = Entry { seq: None, ..entry(&head, 0, EntryKind::Input, &payload) };
                    vec![Change::RunCreated(head.clone()), Change::EntryAdded(input)]
                }
                idx if idx <= STEPS => vec![Change::EntryAdded(entry(&head, idx, EntryKind::Step, &payload))],
                idx => {
                    let outcome = entry(&head, idx, EntryKind::Outcome, &payload);
                    (head.status, head.ended_at, head.wake_at) = (RunStatus::Completed, Some(head.created_at), None);
                    vec![Change::EntryAdded(outcome), Change::RunChanged(head.clone())]
                }
            };
            let (reply, done) = oneshot::channel();
            let sent = now();
            if commands.send((changes, reply)).await.is_err() || done.await.is_err() {
                return latencies;
            }
            latencies.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        counters.runs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Gathers what waits, commits it, answers; until the time is over.
async fn commit(
    store: &dyn Store,
    owned: Ownership,
    mut commands: mpsc::Receiver<Command>,
    counters: &Counters,
    end: Instant,
) {
    let mut waiting = Vec::new();
    for commit_no in owned.commit_no + 1.. {
        if now() >= end || commands.recv_many(&mut waiting, BATCH_COMMANDS_MAX).await == 0 {
            return;
        }
        let (changes, replies): (Vec<Vec<Change>>, Vec<oneshot::Sender<()>>) = waiting.drain(..).unzip();
        let changes: Vec<Change> = changes.into_iter().flatten().collect();
        let rows = changes.len() as u64;
        let now = Timestamp(1_700_000_000_000);
        let batch = Arc::new(Batch { partition: 0, epoch: owned.epoch, commit_no, now, changes });
        let commit = store.commit(batch).await;
        assert!(matches!(commit, Commit::Done), "{commit:?}");
        counters.rows.fetch_add(rows, Ordering::Relaxed);
        counters.batches.fetch_add(1, Ordering::Relaxed);
        for reply in replies {
            let _ = reply.send(());
        }
    }
}

/// Bytes of write-ahead log a row, from the first megabytes: after that the log starts over.
async fn log_bytes_per_row(log: PathBuf, counters: Arc<Counters>) -> f64 {
    loop {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
        if bytes > 8 << 20 {
            return bytes as f64 / counters.rows.load(Ordering::Relaxed) as f64;
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of this program is what it prints")]
fn print(args: &Args, counters: &Counters, latencies: &Histogram<u64>, cpu: (f64, f64), log_bytes: Option<f64>) {
    let (rows, batches) = (counters.rows.load(Ordering::Relaxed) as f64, counters.batches.load(Ordering::Relaxed));
    let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{:>5} open: {:>7.0} rows/s, {:>6.0} runs/s, {:>5.0} rows/batch, p50 {:>6.2} ms, p99 {:>6.2} ms, CPU {:>5.1} \
         µs/row (writer {:>4.1}), log {:>4.0} B/row",
        args.open,
        rows / args.seconds as f64,
        counters.runs.load(Ordering::Relaxed) as f64 / args.seconds as f64,
        rows / batches as f64,
        ms(0.5),
        ms(0.99),
        cpu.0 * 1e6 / rows,
        cpu.1 * 1e6 / rows,
        log_bytes.unwrap_or(f64::NAN),
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let durability = if args.relaxed { Durability::Relaxed } else { Durability::Full };
    let store = SqliteStore::open(&SqliteConfig { durability, ..SqliteConfig::new(&dir) })?;
    let owned = store.take_ownership(0).await?;
    let counters = Arc::new(Counters { run_no: AtomicI64::new(owned.run_no), ..Counters::default() });
    let payload = Payload::of(&"x".repeat(args.payload.saturating_sub(2)))?;
    let (commands, incoming) = mpsc::channel(4_096);
    let clients: Vec<_> =
        (0..args.open).map(|_| tokio::spawn(client(commands.clone(), counters.clone(), payload.clone()))).collect();
    drop(commands);
    let log = tokio::spawn(log_bytes_per_row(dir.join("backstitch.db-wal"), counters.clone()));
    let before = processor_seconds();
    commit(&store, owned, incoming, &counters, now() + Duration::from_secs(args.seconds)).await;
    let after = processor_seconds();
    let mut latencies = histogram();
    for client in clients {
        latencies.add(client.await?)?;
    }
    log.abort();
    print(&args, &counters, &latencies, (after.0 - before.0, after.1 - before.1), log.await.ok());
    Ok(())
}
