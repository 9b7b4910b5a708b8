//! What is measured. Each scenario drives a system that was started for it on an empty disk, with its functions registered
//! and one call made, and says what came of it. Server, functions and load share the machine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::load::{self, Client, Measured, now, since_1970};
use crate::process::Usage;
use crate::reading;
use crate::report::{Figure, less, more};
use crate::systems::{Language, Running};

/// How large the scenarios are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Of each closed loop.
    pub time: Duration,
    /// Runs that sleep at once.
    pub sleepers: u64,
    /// Runs that are open when the server is killed.
    pub open_runs: u64,
}

/// One scenario: a name that is typed, and how it goes.
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// In what its functions are written.
    pub language: Language,
    /// Whether the peer has the like.
    pub peer: bool,
    /// What it does.
    pub kind: Kind,
}

/// What a scenario does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Calls of a function with so many steps, so many at once.
    Calls {
        /// Steps of each.
        steps: u64,
        /// How many are open.
        open: usize,
    },
    /// So many calls a second of a function without steps, whether the others are answered or not.
    Rate(u32),
    /// One run of so many steps.
    Long(u64),
    /// One run of so many steps, each the answer to an invocation with all the steps before it.
    Responding(u64),
    /// What the first and the last steps of a long run cost.
    Slope(u64),
    /// Starts that nobody waits for, until all are done.
    Sends(u64),
    /// Runs that sleep, of which as many as [`DUE`] fall due within ten seconds.
    Sleepers,
    /// Events that start ten functions each.
    Fan(u64),
    /// Signals to runs that wait for one.
    Signals(u64),
    /// So many runs that publish a hundred messages a second each, and somebody who reads each of them.
    Streams(u64),
    /// Calls of so many counters, 64 at once.
    Objects(u64),
    /// From the start of the process to the first call that succeeds.
    Start,
    /// From SIGKILL, with many open runs, to the first call that succeeds.
    Recovery,
}

/// Every scenario, in the order in which they are measured.
pub fn all() -> Vec<Scenario> {
    use Kind::{
        Calls, Fan, Long, Objects, Rate, Recovery, Responding, Sends, Signals, Sleepers, Slope, Start, Streams,
    };
    let rust =
        |name: &str, peer: bool, kind: Kind| Scenario { name: name.to_owned(), language: Language::Rust, peer, kind };
    let mut all = vec![rust("start", true, Start)];
    for open in [1, 64, 256] {
        all.push(rust(&format!("noop-{open}"), true, Calls { steps: 0, open }));
    }
    all.push(rust("rate-1000", true, Rate(1_000)));
    for open in [1, 64, 256] {
        all.push(rust(&format!("ten-{open}"), true, Calls { steps: 10, open }));
    }
    for steps in [10, 100, 1_000, 3_000] {
        all.push(rust(&format!("steps-{steps}"), true, Long(steps)));
    }
    all.push(rust("steps-9000", false, Long(9_000)));
    all.push(rust("slope", false, Slope(9_000)));
    all.push(rust("sends", true, Sends(20_000)));
    all.push(rust("sleepers", true, Sleepers));
    all.push(rust("fan-out", false, Fan(2_000)));
    all.push(rust("signals", false, Signals(5_000)));
    all.push(rust("streams-50", false, Streams(50)));
    all.push(rust("objects-hot", true, Objects(1)));
    all.push(rust("objects-cold", true, Objects(1_000_000)));
    all.push(rust("recovery", true, Recovery));
    for (name, language, kind) in [
        ("respond-10", Language::RustResponding, Responding(10)),
        ("respond-100", Language::RustResponding, Responding(100)),
        ("respond-1000", Language::RustResponding, Responding(1_000)),
        ("ts-ten-64", Language::TypeScript, Calls { steps: 10, open: 64 }),
        ("ts-serverless-steps-1000", Language::TypeScriptServerless, Long(1_000)),
    ] {
        let peer = language != Language::RustResponding;
        all.push(Scenario { name: name.to_owned(), language, peer, kind });
    }
    all
}

impl Kind {
    /// Goes through it.
    pub async fn run(self, system: Running, size: Size) -> Result<Vec<Figure>> {
        let client = Client::default();
        match self {
            Kind::Calls { steps, open } => calls(system, steps, open, size.time).await,
            Kind::Rate(rate) => rated(&client, system, rate, size.time).await,
            Kind::Long(steps) => long(&client, system, steps).await,
            Kind::Responding(steps) => responding(&client, system, steps).await,
            Kind::Slope(steps) => slope(&client, system, steps).await,
            Kind::Sends(count) => sends(&client, system, count).await,
            Kind::Sleepers => sleepers(&client, system, size.sleepers).await,
            Kind::Fan(count) => fan(&client, system, count).await,
            Kind::Signals(count) => signals(&client, system, count).await,
            Kind::Streams(runs) => streams(&client, system, runs, size.time).await,
            Kind::Objects(keys) => objects(system, keys, size.time).await,
            // Measured by whoever starts the system.
            Kind::Start => system.stop().await.map(|()| Vec::new()),
            Kind::Recovery => recovery(&client, system, size.open_runs).await,
        }
    }
}

/// The server's use of the machine since `before`, for each of `count` things called `what`.
fn costs(system: &Running, before: Usage, count: f64) -> Result<Vec<Figure>> {
    let after = system.server.usage()?;
    Ok(vec![
        less("server CPU", "µs each", (after.cpu_seconds - before.cpu_seconds) * 1e6 / count),
        less("written", "bytes each", (after.bytes_written - before.bytes_written) as f64 / count),
        less("resident at most", "MiB", system.server.resident_peak()?),
    ])
}

fn latencies(measured: &Measured) -> Vec<Figure> {
    vec![less("p50", "ms", measured.ms(0.5)), less("p99", "ms", measured.ms(0.99))]
}

async fn calls(system: Running, steps: u64, open: usize, time: Duration) -> Result<Vec<Figure>> {
    let (caller, function) = (system.caller(), if steps == 0 { "noop" } else { "steps" });
    // A second of the same load first: connections, caches, and the compiler of Node.js.
    let make = move |number| caller.call(function, if steps == 0 { number } else { steps });
    load::closed(open, Duration::from_secs(1), make.clone()).await?;
    let before = system.server.usage()?;
    let measured = load::closed(open, time, make).await?;
    let runs = measured.latencies.len() as f64;
    let mut figures = vec![more("rate", "runs/s", measured.rate())];
    if steps > 0 {
        figures.push(more("steps", "steps/s", measured.rate() * steps as f64));
    }
    figures.extend(latencies(&measured));
    figures.extend(costs(&system, before, runs * steps.max(1) as f64)?);
    system.stop().await?;
    Ok(figures)
}

async fn rated(client: &Client, system: Running, rate: u32, time: Duration) -> Result<Vec<Figure>> {
    let caller = system.caller();
    let make = move |number| caller.call("noop", number);
    load::closed(16, Duration::from_secs(1), make.clone()).await?;
    let before = system.server.usage()?;
    let measured = load::open(client, f64::from(rate), time, make).await?;
    let mut figures = latencies(&measured);
    figures.extend(costs(&system, before, measured.latencies.len() as f64)?);
    system.stop().await?;
    Ok(figures)
}

async fn long(client: &Client, system: Running, steps: u64) -> Result<Vec<Figure>> {
    client.send(system.call("steps", 10)?).await?;
    let (before, began) = (system.server.usage()?, now());
    client.send(system.call("steps", steps)?).await?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let mut figures = vec![less("run", "ms", ms), less("step", "ms", ms / steps as f64)];
    figures.extend(costs(&system, before, steps as f64)?);
    system.stop().await?;
    Ok(figures)
}

async fn responding(client: &Client, system: Running, steps: u64) -> Result<Vec<Figure>> {
    let before = told(client, &system, "received").await?.parse::<u64>()?;
    let began = now();
    client.send(system.call("steps", steps)?).await?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let received = told(client, &system, "received").await?.parse::<u64>()? - before;
    system.stop().await?;
    let per_step = |total: f64| total / steps as f64;
    Ok(vec![
        less("run", "ms", ms),
        less("step", "ms", per_step(ms)),
        less("sent to the handler", "bytes a step", per_step(received as f64)),
    ])
}

/// The functions tell what a hundred steps took them at the beginning and at the end of a run.
async fn slope(client: &Client, system: Running, steps: u64) -> Result<Vec<Figure>> {
    let answer = client.send(system.call("slope", steps)?).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let of = |key: &str| -> Result<f64> {
        let rest = text.split(&format!("\"{key}\":")).nth(1).with_context(|| format!("no `{key}` in {text}"))?;
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        Ok(digits.parse()?)
    };
    let (first, last) = (of("first")?, of("last")?);
    system.stop().await?;
    Ok(vec![
        less("a step at the beginning", "ms", first),
        less("a step at the end", "ms", last),
        less("slope", "×", last / first),
    ])
}

async fn sends(client: &Client, system: Running, count: u64) -> Result<Vec<Figure>> {
    let (caller, before, began) = (system.caller(), system.server.usage()?, now());
    let measured = load::all(256, count, move |number| caller.send("count", number)).await?;
    done(client, &system, count).await?;
    let all = began.elapsed().as_secs_f64();
    let mut figures = vec![more("accepted", "sends/s", measured.rate()), more("done", "runs/s", count as f64 / all)];
    figures.extend(latencies(&measured));
    figures.extend(costs(&system, before, count as f64)?);
    system.stop().await?;
    Ok(figures)
}

/// Waits until the functions have counted so many.
async fn done(client: &Client, system: &Running, count: u64) -> Result<()> {
    let began = now();
    while told(client, system, "done").await?.parse::<u64>()? < count {
        ensure!(began.elapsed() < Duration::from_secs(600), "not all of {count} are done after ten minutes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// What the functions' program tells at its other port.
async fn told(client: &Client, system: &Running, what: &str) -> Result<String> {
    let request =
        Request::get(format!("http://127.0.0.1:{}/{what}", system.side_port)).body(Full::<Bytes>::default())?;
    Ok(String::from_utf8_lossy(&client.send(request).await?).into_owned())
}

/// Sleepers that fall due in one run of the scenario; the others sleep through it.
const DUE: u64 = 20_000;

/// [`DUE`] of them sleep until a moment of a window of ten seconds that begins when the last of them has been started.
async fn sleepers(client: &Client, system: Running, count: u64) -> Result<Vec<Figure>> {
    let (caller, began, due_count) = (system.caller(), now(), count.min(DUE));
    let others = count.saturating_sub(due_count).max(1_000);
    load::all(64, others, {
        let caller = caller.clone();
        move |_| caller.send("nap", 86_400_000)
    })
    .await?;
    // Twice as long as starting them takes, by those before them.
    let starting = began.elapsed().as_secs_f64() / others as f64 * due_count as f64 * 2.0 + 2.0;
    let due = u64::try_from(since_1970()?.as_millis())? + (starting * 1e3) as u64;
    let measured =
        load::all(64, due_count, move |number| caller.send("until", due + number * 10_000 / due_count)).await?;
    let idle = system.server.resident()?;
    done(client, &system, due_count).await?;
    let lateness = told(client, &system, "lateness").await?;
    let mut quantiles = lateness.split(' ').map(str::parse::<f64>);
    let (p50, p99) = (quantiles.next().context("p50")??, quantiles.next().context("p99")??);
    let figures = vec![
        more("started", "runs/s", measured.rate()),
        less("late p50", "ms", p50),
        less("late p99", "ms", p99),
        less("resident while they sleep", "MiB", idle),
        less("resident at most", "MiB", system.server.resident_peak()?),
    ];
    system.stop().await?;
    Ok(figures)
}

async fn fan(client: &Client, system: Running, count: u64) -> Result<Vec<Figure>> {
    let (caller, before, began) = (system.caller(), system.server.usage()?, now());
    let measured = load::all(64, count, move |number| caller.fan(number)).await?;
    done(client, &system, count * 10).await?;
    let all = began.elapsed().as_secs_f64();
    let mut figures =
        vec![more("accepted", "events/s", measured.rate()), more("done", "runs/s", count as f64 * 10.0 / all)];
    figures.extend(latencies(&measured));
    figures.extend(costs(&system, before, count as f64 * 10.0)?);
    system.stop().await?;
    Ok(figures)
}

/// Every message has to come, once and in order. A delay begins when the function says the message.
async fn streams(client: &Client, system: Running, runs: u64, time: Duration) -> Result<Vec<Figure>> {
    let (caller, messages) = (system.caller(), time.as_secs() * 100);
    let (before, began) = (system.server.usage()?, now());
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..runs {
        let run = run_of(&client.send(caller.send("publish", messages)?).await?)?;
        readers.spawn(reading::read(client.clone(), system.url(), run));
    }
    let mut delays = load::histogram();
    while let Some(read) = readers.join_next().await {
        let read = read??;
        ensure!(read.delays.len() == messages, "a reader had {} of {messages} messages", read.delays.len());
        delays.add(read.delays)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let busy = system.server.usage()?.cpu_seconds - before.cpu_seconds;
    let mut figures = latencies(&Measured { seconds, latencies: delays });
    figures.insert(0, more("delivered", "messages/s", (runs * messages) as f64 / seconds));
    figures.push(less("server CPU in all", "% of a core", busy / seconds * 100.0));
    figures.extend(costs(&system, before, (runs * messages) as f64)?);
    system.stop().await?;
    Ok(figures)
}

/// The run that an answer to a start names.
fn run_of(answer: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(answer).into_owned();
    Ok(text.split('"').find(|word| word.starts_with("run_")).context("a start names its run")?.to_owned())
}

async fn signals(client: &Client, system: Running, count: u64) -> Result<Vec<Figure>> {
    let caller = system.caller();
    let mut runs = Vec::new();
    for number in 0..count {
        runs.push(run_of(&client.send(caller.send("wait", number)?).await?)?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, began) = (system.server.usage()?, now());
    let measured = load::all(64, count, move |number| caller.signal(&runs[number as usize])).await?;
    done(client, &system, count).await?;
    let all = began.elapsed().as_secs_f64();
    let mut figures = vec![more("accepted", "signals/s", measured.rate()), more("done", "runs/s", count as f64 / all)];
    figures.extend(latencies(&measured));
    figures.extend(costs(&system, before, count as f64)?);
    system.stop().await?;
    Ok(figures)
}

async fn objects(system: Running, keys: u64, time: Duration) -> Result<Vec<Figure>> {
    let (caller, before) = (system.caller(), system.server.usage()?);
    let measured = load::closed(64, time, move |number| caller.object(number % keys)).await?;
    let mut figures = vec![more("rate", "calls/s", measured.rate())];
    figures.extend(latencies(&measured));
    figures.extend(costs(&system, before, measured.latencies.len() as f64)?);
    system.stop().await?;
    Ok(figures)
}

async fn recovery(client: &Client, system: Running, count: u64) -> Result<Vec<Figure>> {
    let caller = system.caller();
    load::all(64, count, move |_| caller.send("nap", 86_400_000)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = now();
    let mut system = system.restart_server().await?;
    while client.send(system.call("noop", 0)?).await.is_err() {
        system.server.check()?;
        ensure!(began.elapsed() < Duration::from_secs(120), "no call succeeds two minutes after SIGKILL");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let figures =
        vec![less("SIGKILL to first success", "s", seconds), less("resident", "MiB", system.server.resident()?)];
    system.stop().await?;
    Ok(figures)
}
