//! `backstitch doctor`: looks for what commonly goes wrong, and says for each finding what to do.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;

use super::client::{Client, ClientError};
use super::style::{BAD, DIM, GOOD, ODD, styled};
use super::{Exit, apps, screen};
use crate::api::HealthJson;
use crate::api::view::AppJson;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, DoctorFlags, Layers, Mode, Server};
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::model::Timestamp;
use crate::store::sqlite;

/// Look for what commonly goes wrong.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Look at what `backstitch start` would use, and not at what `backstitch dev` would.
    #[arg(long)]
    start: bool,
    /// Print each finding as a JSON object on a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: DoctorFlags,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Good,
    Odd,
    Bad,
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding { check, state: State::Good, detail: detail.into(), remedy: None }
    }

    fn odd(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, state: State::Odd, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn bad(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, state: State::Bad, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

impl Doctor {
    pub(super) async fn execute(self) -> Result<Exit> {
        let layers = Layers::load(self.flags.0.clone())?;
        let mode = if self.start { Mode::Start } else { Mode::Dev };
        let config = Server::read(&layers, mode)?;
        let client = Client::of(&config::Client::read(&layers)?.url)?;

        let mut findings = settings(&config);
        let clock = SystemClock::new();
        let health = client.read::<HealthJson>(&["healthz"], &[]).await;
        findings.push(database());
        findings.push(data_directory(&config.storage.data_dir, health.is_ok()));
        findings.push(own_clock(clock.wall()));
        match health {
            Ok(health) => {
                findings.extend(server(&client, &health, clock.wall()).await);
                findings.extend(registered(&client).await?);
            }
            Err(error) => {
                findings.push(port(&config));
                findings.push(unreachable(&client, &error));
            }
        }
        for finding in &findings {
            self.show(finding)?;
        }
        Ok(if findings.iter().any(|finding| finding.state == State::Bad) { Exit::No } else { Exit::Done })
    }

    fn show(&self, finding: &Finding) -> Result<()> {
        if self.json {
            return screen::json(finding);
        }
        let mark = match finding.state {
            State::Good => styled(GOOD, "✓"),
            State::Odd => styled(ODD, "!"),
            State::Bad => styled(BAD, "✗"),
        };
        screen::line(format!("{mark} {:9} {}", finding.check, screen::plain(&finding.detail, 600)))?;
        if let Some(remedy) = &finding.remedy {
            screen::line(format!("            {} {}", styled(DIM, "→"), screen::plain(remedy, 600)))?;
        }
        Ok(())
    }
}

fn settings(config: &Server) -> Vec<Finding> {
    let mut findings = vec![Finding::good("settings", format!("environment {}", config.environment))];
    for variable in &config.unknown_variables {
        let detail = format!("the variable {variable} looks like a setting and is none");
        findings.push(Finding::odd("settings", detail, "docs/reference/config.md lists the variables there are"));
    }
    findings
}

fn database() -> Finding {
    match sqlite::library() {
        Ok(version) => Finding::good("database", format!("SQLite {version}")),
        Err(error) => Finding::bad("database", error.to_string(), "use a build with the bundled SQLite"),
    }
}

/// Whether a server could use the directory. Nothing is made or changed that stays.
fn data_directory(dir: &Path, server_answers: bool) -> Finding {
    let shown = dir.display();
    if !dir.exists() {
        let parent = dir.ancestors().skip(1).map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        let parent = parent.into_iter().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        return match probe(parent) {
            Ok(()) => Finding::good("data", format!("{shown} will be made")),
            Err(error) => {
                Finding::bad("data", format!("{shown} cannot be made: {error}"), "choose another place with --data-dir")
            }
        };
    }
    if let Err(error) = probe(dir) {
        let remedy = "give this user the right to write there, free space, or choose another place with --data-dir";
        return Finding::bad("data", format!("{shown} cannot be written: {error}"), remedy);
    }
    if let Err(error) = sqlite::look(dir) {
        return Finding::bad("data", error.to_string(), "or choose another directory with --data-dir");
    }
    match lock_is_held(&dir.join(sqlite::LOCK)) {
        Ok(false) => Finding::good("data", format!("{shown} can be written and is free")),
        Ok(true) if server_answers => {
            Finding::good("data", format!("{shown} can be written and is in use by a server"))
        }
        Ok(true) => Finding::odd(
            "data",
            format!("{shown} is in use by a process that does not answer at the server's address"),
            "say where that server is with --url, or stop it",
        ),
        Err(error) => Finding::bad(
            "data",
            format!("{shown} has a lock that cannot be read: {error}"),
            "give this user the rights of the one that runs the server",
        ),
    }
}

fn probe(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(format!(".backstitch-doctor-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    drop(file);
    std::fs::remove_file(&path)
}

fn lock_is_held(path: &Path) -> std::io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // A shared one, and let go of at once: two doctors do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The beginning of 2025: before this program.
const LONG_AGO: Timestamp = Timestamp(1_735_689_600_000);

fn own_clock(now: Timestamp) -> Finding {
    if now < LONG_AGO {
        return Finding::bad(
            "clock",
            format!("this machine says it is {now}"),
            "set the clock: timers and signatures follow it",
        );
    }
    Finding::good("clock", format!("{now}"))
}

fn port(config: &Server) -> Finding {
    let address = config.listen.address;
    match TcpListener::bind(address) {
        Ok(_) => Finding::good("port", format!("{address} is free")),
        Err(error) => {
            let remedy = "stop what listens there, or choose another address with --listen";
            Finding::bad("port", format!("{address} cannot be used: {error}"), remedy)
        }
    }
}

fn unreachable(client: &Client, error: &anyhow::Error) -> Finding {
    match error.downcast_ref() {
        Some(ClientError::Unreachable { reason, .. }) => Finding::bad(
            "server",
            format!("no server at {}: {reason}", client.url()),
            "start one with `backstitch dev`, or say where it is with --url",
        ),
        _ => Finding::bad("server", error.to_string(), "say where the server is with --url"),
    }
}

async fn server(client: &Client, health: &HealthJson, now: Timestamp) -> Vec<Finding> {
    let about = format!("{} is version {}, environment {}", client.url(), health.version, health.environment);
    let mut findings = Vec::new();
    match client.read::<HealthJson>(&["readyz"], &[]).await {
        Ok(_) if health.version == env!("CARGO_PKG_VERSION") => findings.push(Finding::good("server", about)),
        Ok(_) => findings.push(Finding::odd(
            "server",
            format!("{about}; this program is version {}", env!("CARGO_PKG_VERSION")),
            "use the same version for both",
        )),
        Err(error) => findings.push(Finding::bad(
            "server",
            format!("{about}, and not ready: {error}"),
            "look into the server's log",
        )),
    }
    let apart = now.since(health.time).0.max(health.time.since(now).0);
    if apart > CLOCK_SKEW_MS_MAX {
        findings.push(Finding::odd(
            "clock",
            format!("the server's clock and this machine's are {} ms apart", apart),
            "let both follow a time server: times in tables are off by as much",
        ));
    }
    findings
}

async fn registered(client: &Client) -> Result<Vec<Finding>> {
    let apps = apps::list(client).await?;
    if apps.is_empty() {
        let remedy = "`backstitch apps add URL` registers one; `backstitch dev` finds those on this machine";
        return Ok(vec![Finding::odd("apps", "none is registered", remedy)]);
    }
    // Asked now: what the last look found may be a minute old.
    Ok(join_all(apps.iter().map(|app| asked(client, app))).await)
}

async fn asked(client: &Client, app: &AppJson) -> Finding {
    let place = format!("{} at {}", app.name, apps::shown(&app.url));
    let (now, error) = match client.act::<AppJson>(&["v1", "apps", &app.name, "sync"]).await {
        Ok(now) => (Some(now.functions.len()), now.sync_error),
        Err(error) => (None, Some(error.to_string())),
    };
    match (now, error) {
        (Some(functions), None) => Finding::good("app", format!("{place}, {functions} functions")),
        (_, error) => Finding::bad(
            "app",
            format!("{place}: {}", error.unwrap_or_default()),
            format!("put that right; `backstitch apps sync {}` tries at once", app.name),
        ),
    }
}
