//! `backstitch dev --chaos`: finds out what of a function is not safe against crashes. It runs the function undisturbed, and
//! then once for each way in which each of its calls can be disturbed, on a server of its own whose clock is skipped, and
//! compares what came of it.

mod drive;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use url::Url;

use super::child::Child;
use super::client::Client;
use super::exit::{refused, usage};
use super::input;
use super::serve::{self, Stops};
use super::{Exit, screen};
use crate::auth::SigningKey;
use crate::catalog::Catalog;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Server;
use crate::dispatch::{Fault, Faults, Kill};
use crate::limits::{CHAOS_APP_MS, CHAOS_BEFORE_MS, CHAOS_CALLS_MAX, CHAOS_LOOK_MS};
use crate::store::sqlite::Durability;

use drive::{Message, Sent};
use report::{Came, Report};

/// What `dev` is told of chaos.
#[derive(Clone, Debug, Args)]
pub(super) struct ChaosFlags {
    /// Find out what of a function is not safe against crashes: kill it before and after each operation, deliver its calls
    /// twice, and compare. Then end.
    #[arg(long, value_name = "APP/FUNCTION")]
    chaos: Option<String>,
    /// What the function is started with.
    #[arg(long, value_name = "JSON", requires = "chaos", help = format!("What the function is started with: {}", input::HELP))]
    input: Option<String>,
    /// A signal that each run is sent at its start; may be given several times.
    #[arg(long = "signal", value_name = "NAME=JSON", requires = "chaos")]
    signals: Vec<String>,
    /// An event that is sent at the start of each run; may be given several times.
    #[arg(long = "event", value_name = "NAME=JSON", requires = "chaos")]
    events: Vec<String>,
    /// Where all chance comes from: the same number disturbs in the same way.
    #[arg(long, value_name = "NUMBER", requires = "chaos")]
    seed: Option<u64>,
    /// Only this disturbance, as the report names it.
    #[arg(long, value_name = "PLACE", requires = "chaos")]
    at: Option<String>,
}

impl ChaosFlags {
    /// The function that is to be disturbed, if any.
    pub(super) fn is_wanted(&self) -> bool {
        self.chaos.is_some()
    }
}

/// Where the app is, and how it is started.
pub(super) struct App {
    pub(super) addresses: Vec<String>,
    /// Whether it is looked for on the usual ports, too.
    pub(super) everywhere: bool,
    pub(super) command: Vec<String>,
}

/// One way in which a call is disturbed.
#[derive(Clone, Debug)]
struct Disturbance {
    name: String,
    call: usize,
    fault: Fault,
}

/// A data directory that ends with the command.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What the system's own cleaning finds it may have.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs to the end, and says what was found.
pub(super) async fn execute(flags: ChaosFlags, mut config: Server, app: App, json: bool) -> Result<Exit> {
    let function = flags.chaos.clone().unwrap_or_default();
    let (app_id, name) =
        function.split_once('/').filter(|(app, name)| !app.is_empty() && !name.is_empty()).ok_or_else(|| {
            usage(format!("failed to read `{function}`: name the function as APP/FUNCTION, such as shop/order"))
        })?;
    let started = input::json(flags.input.as_deref())?;
    let sent = Sent {
        input: started,
        signals: messages("--signal", &flags.signals)?,
        events: messages("--event", &flags.events)?,
    };
    let clock = SystemClock::new();
    let seed = flags.seed.unwrap_or_else(|| u64::try_from(clock.entropy() >> 96).unwrap_or(1));
    let scratch = Scratch(std::env::temp_dir().join(format!("backstitch-chaos-{:x}", clock.entropy())));
    config.storage.data_dir = scratch.0.clone();
    config.storage.durability = Durability::Relaxed;
    config.listen.address.set_port(0);
    let (faults, kills) = Faults::channel();
    let mut stops = Stops::listen()?;
    let node = serve::open_with(&config, Some(faults.clone())).await?;
    let client = Client::of(&node.url())?;
    let finder = super::dev::finder(&node, &config, &app.addresses, app.everywhere)?;
    let keeper = Keeper {
        command: app.command,
        url: node.url(),
        key: config.calls.key.clone(),
        catalog: node.catalog().clone(),
        app: app_id.to_owned(),
    };
    let again = Again { function: &function, flags: &flags, seed, command: &keeper.command };
    let world = World { client: &client, faults: &faults, app: app_id, function: name, sent: &sent };
    let work = async {
        keeper.wait_for_app(name).await?;
        world.report(seed, flags.at.as_deref()).await
    };
    let outcome = tokio::select! {
        report = work => report.map(Some),
        () = finder.run() => Err(refused("failed to go on: nobody looks for apps any more")),
        error = keeper.run(kills) => Err(error),
        () = stops.next() => Ok(None),
    };
    let stopped = node.stop().await;
    let Some(report) = outcome? else { return Ok(Exit::Interrupted) };
    stopped?;
    drop(scratch);
    if json {
        screen::json(&report.json(&again.line("PLACE")))?
    } else {
        report.print(|place| again.line(place))?
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::No })
}

/// How the same is typed again.
struct Again<'a> {
    function: &'a str,
    flags: &'a ChaosFlags,
    seed: u64,
    command: &'a [String],
}

impl Again<'_> {
    fn line(&self, place: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut line = format!("backstitch dev --chaos {} --seed {} --at {}", self.function, self.seed, quoted(place));
        let named = [("--signal", &self.flags.signals), ("--event", &self.flags.events)];
        let input = self.flags.input.iter().map(|input| ("--input", input));
        for (flag, value) in
            input.chain(named.iter().flat_map(|(flag, values)| values.iter().map(move |value| (*flag, value))))
        {
            line.push_str(&format!(" {flag} {}", quoted(value)));
        }
        if !self.command.is_empty() {
            line.push_str(&format!(" -- {}", self.command.join(" ")));
        }
        line
    }
}

fn messages(flag: &str, texts: &[String]) -> Result<Vec<Message>> {
    let one = |text: &String| {
        let (name, data) = text.split_once('=').unwrap_or((text, "null"));
        if name.is_empty() {
            return Err(usage(format!(
                "failed to read `{flag} {text}`: write NAME=JSON, such as approve='{{\"by\": \"ann\"}}'"
            )));
        }
        Ok(Message { name: name.to_owned(), data: input::json(Some(data))? })
    };
    texts.iter().map(one).collect()
}

/// What the runs are made with.
struct World<'a> {
    client: &'a Client,
    faults: &'a Faults,
    app: &'a str,
    function: &'a str,
    sent: &'a Sent,
}

impl World<'_> {
    async fn report(&self, seed: u64, only: Option<&str>) -> Result<Report> {
        let (first, second) = (self.once(None).await?, self.once(None).await?);
        if let Some(reason) = &first.stuck {
            return Err(refused(format!(
                "failed to run {}/{} to its end undisturbed: {reason}. Give it what it waits for with --signal NAME=JSON or --event NAME=JSON",
                self.app, self.function
            )));
        }
        let disturbances = disturbances(&first, seed);
        let wanted: Vec<&Disturbance> =
            disturbances.iter().filter(|one| only.is_none_or(|only| only == one.name)).collect();
        if wanted.is_empty() {
            let known = disturbances.iter().map(|one| format!("\"{}\"", one.name)).collect::<Vec<_>>().join(", ");
            return Err(usage(format!("there is no such place: {known}")));
        }
        let mut report = Report::of(seed, &first, &second);
        for disturbance in wanted {
            let came = self.once(Some((disturbance.call, disturbance.fault))).await?;
            report.compare(&disturbance.name, &came);
        }
        Ok(report)
    }

    async fn once(&self, plan: Option<(usize, Fault)>) -> Result<Came> {
        self.faults.plan(plan);
        let came = drive::run(self.client, self.app, self.function, self.sent).await?;
        let found = self.faults.found().await;
        // Effects come while a call is under way, so that they are counted when none is any more.
        let effects = drive::take_effects(self.client).await?;
        Ok(Came { effects, calls: found.calls, contradictions: found.contradictions, hit: found.hit, ..came })
    }
}

/// Every way in which the calls of a run can be disturbed.
fn disturbances(undisturbed: &Came, seed: u64) -> Vec<Disturbance> {
    let mut chance = seed;
    let mut next = move || {
        // The constants of Knuth's MMIX: it has to differ, and no more.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chance >> 33
    };
    let mut all = Vec::new();
    for (call, seen) in undisturbed.calls.iter().enumerate().take(CHAOS_CALLS_MAX) {
        let ops = if seen.ops.is_empty() { format!("call {}", call + 1) } else { seen.ops.join(", ") };
        let before = Fault::Before(next() % (CHAOS_BEFORE_MS + 1));
        for (when, fault) in
            [("before", before), ("after", Fault::After), ("twice", Fault::Twice), ("late", Fault::Late)]
        {
            all.push(Disturbance { name: format!("{when} {ops}"), call, fault });
        }
    }
    all
}

/// Keeps the app running, and kills it when it is to die.
struct Keeper {
    command: Vec<String>,
    url: String,
    key: Option<SigningKey>,
    catalog: Catalog,
    app: String,
}

impl Keeper {
    /// Until it cannot.
    async fn run(&self, mut kills: mpsc::Receiver<Kill>) -> anyhow::Error {
        if self.command.is_empty() {
            // Somebody else's process is not ours to kill: connections are dropped, and that is all.
            kills.close();
            return std::future::pending().await;
        }
        match self.keep(&mut kills).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn keep(&self, kills: &mut mpsc::Receiver<Kill>) -> Result<std::convert::Infallible> {
        let mut child = self.start()?;
        loop {
            tokio::select! {
                end = child.ended() => return Err(refused(format!("failed to go on: {end}"))),
                Some(revived) = kills.recv() => {
                    child.kill();
                    child.ended().await;
                    child = self.start()?;
                    self.reachable().await?;
                    // Whoever wanted it may be gone.
                    let _ = revived.send(());
                }
            }
        }
    }

    fn start(&self) -> Result<Child> {
        Child::start_with(&self.command, &self.url, self.key.as_ref(), &[("BACKSTITCH_CHAOS", "1")])
    }

    /// Waits until the app is registered with its function.
    async fn wait_for_app(&self, function: &str) -> Result<()> {
        let known = async {
            loop {
                let registry = self.catalog.registry();
                if registry.current(&self.app).is_some_and(|deployment| deployment.function(function).is_some()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(CHAOS_LOOK_MS)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_millis(CHAOS_APP_MS), known).await;
        waited.map_err(|_| refused(format!(
            "failed to find {}/{function}: no app with this function has shown up. Say where it is with --app ADDRESS, or start it with -- COMMAND",
            self.app
        )))
    }

    /// Waits until somebody listens where the app does.
    async fn reachable(&self) -> Result<()> {
        let registry = self.catalog.registry();
        let url: Url = registry.apps.get(&*self.app).context("the app is gone")?.url.parse()?;
        let place = (url.host_str().unwrap_or("localhost").to_owned(), url.port_or_known_default().unwrap_or(80));
        let listening = async {
            while TcpStream::connect((place.0.trim_matches(['[', ']']), place.1)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(CHAOS_LOOK_MS)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_millis(CHAOS_APP_MS), listening).await;
        waited.map_err(|_| refused(format!("failed to go on: the app did not come back at {url} after it was killed; it must listen on a port of its own")))
    }
}
