//! Measures scenarios, ours alone or in turns with a peer: `make bench`, `make bench-peer`. With `--readme` it writes the
//! table with machine, versions and method where people look for it.

#![expect(clippy::print_stdout, reason = "it measures, and says what it measured")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backstitch_bench::load::now;
use backstitch_bench::machine;
use backstitch_bench::report::{Figure, Report, less};
use backstitch_bench::scenarios::{self, Kind, Scenario, Size};
use backstitch_bench::systems::{Kind as SystemKind, System};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures scenarios, in turns with a peer if there is one.
#[derive(Parser)]
struct Args {
    /// The release binary.
    #[arg(long)]
    server: PathBuf,
    /// The functions in Rust.
    #[arg(long)]
    handlers: PathBuf,
    /// The peer's binary; without it ours is measured alone.
    #[arg(long, requires = "peer_handlers")]
    peer: Option<PathBuf>,
    /// The peer's functions in Rust.
    #[arg(long)]
    peer_handlers: Option<PathBuf>,
    /// Rounds of each scenario.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of each closed loop.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs that sleep at once.
    #[arg(long, default_value_t = 20_000)]
    sleepers: u64,
    /// Runs that are open when the server is killed.
    #[arg(long, default_value_t = 100_000)]
    open_runs: u64,
    /// Writes the results here.
    #[arg(long)]
    readme: Option<PathBuf>,
    /// Scenarios whose names begin with one of these; all of them when there is none.
    scenarios: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut systems = vec![System {
        kind: SystemKind::Ours,
        server: args.server.clone(),
        rust: args.handlers.clone(),
        typescript: here.join("handlers/bench.mjs"),
    }];
    if let (Some(server), Some(rust)) = (&args.peer, &args.peer_handlers) {
        let typescript = here.join("peer/bench.mjs");
        systems.push(System { kind: SystemKind::Peer, server: server.clone(), rust: rust.clone(), typescript });
    }
    let size = Size { time: Duration::from_secs(args.seconds), sleepers: args.sleepers, open_runs: args.open_runs };
    let mut report = Report::default();
    let wanted = |scenario: &Scenario| {
        args.scenarios.is_empty() || args.scenarios.iter().any(|prefix| scenario.name.starts_with(prefix.as_str()))
    };
    let scenarios: Vec<Scenario> = scenarios::all().into_iter().filter(wanted).collect();
    ensure!(!scenarios.is_empty(), "no scenario begins with {:?}", args.scenarios);
    for scenario in &scenarios {
        for round in 1..=args.rounds {
            for system in systems.iter().filter(|system| scenario.peer || system.kind == SystemKind::Ours) {
                let figures = measure(system, scenario, size).await;
                let figures = figures.with_context(|| format!("{} on {}", scenario.name, system.name()))?;
                println!("{}, round {round}, {}: {}", scenario.name, system.name(), line(&figures));
                report.add(&scenario.name, system.kind, figures);
            }
        }
        // After each, so that what was measured is kept when the next one fails.
        if let Some(readme) = &args.readme {
            let text = described(&systems, &args)? + &report.table();
            let kept = std::fs::read_to_string(readme)?;
            let (before, _) =
                kept.split_once(MARK).with_context(|| format!("{} has no line `{MARK}`", readme.display()))?;
            std::fs::write(readme, format!("{before}{MARK}\n\n{text}"))?;
        }
    }
    println!("\n{}{}", described(&systems, &args)?, report.table());
    Ok(())
}

/// What stands above it is written by people.
const MARK: &str = "<!-- Below this line: written by `make bench-peer`. -->";

async fn measure(system: &System, scenario: &Scenario, size: Size) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let began = now();
    let running = system.start(dir.path(), scenario.language).await?;
    if let Kind::Start = scenario.kind {
        let ms = began.elapsed().as_secs_f64() * 1e3;
        let mut figures = vec![less("process start to first success", "ms", ms)];
        tokio::time::sleep(Duration::from_secs(1)).await;
        figures.push(less("resident, idle", "MiB", running.server.resident()?));
        running.stop().await?;
        return Ok(figures);
    }
    scenario.kind.run(running, size).await
}

fn line(figures: &[Figure]) -> String {
    let figures: Vec<String> =
        figures.iter().map(|figure| format!("{} {:.2} {}", figure.name, figure.value, figure.unit)).collect();
    figures.join(", ")
}

/// Machine, versions and method.
fn described(systems: &[System], args: &Args) -> Result<String> {
    let mut text = format!("Measured on {}, all of a system on the same machine.\n\n", machine::described());
    for system in systems {
        let version = Command::new(&system.server).arg("--version").output()?;
        text += &format!("- {}\n", String::from_utf8_lossy(&version.stdout).trim());
    }
    let node = Command::new("node").arg("--version").output()?;
    text += &format!("- Node.js {}\n\n", String::from_utf8_lossy(&node.stdout).trim());
    text += &format!(
        "{} rounds of each scenario, in turns; closed loops of {} s after one of warm-up. A figure is the median, with the least \
         and the greatest of the rounds; a ratio over 1 says that Backstitch is better by that factor.\n\n",
        args.rounds, args.seconds
    );
    Ok(text)
}
