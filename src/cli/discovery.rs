//! Finds apps on a developer's machine: those that `--app` names, and those that answer on the ports where frameworks put
//! them. A port that did not answer as an app is asked again ever more rarely, so that other people's logs stay quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::exit::refused;
use super::screen;
use super::style::{BAD, DIM, ODD, styled};
use crate::auth::Signer;
use crate::catalog::{Catalog, CatalogError};
use crate::clock::SystemClock;
use crate::dispatch::{Discovery, DiscoveryError, Egress, HttpClient};
use crate::limits::{FIND_ANSWER_MS, FIND_MS, FIND_PAUSE_LOOKS_MAX, SAID_MAX};

/// Ports where frameworks and their tools serve by default.
pub(super) const PORTS: [u16; 11] = [3000, 3001, 3002, 4000, 5000, 5173, 8000, 8080, 8787, 9000, 9080];

/// Paths where apps mount their endpoint.
const PATHS: [&str; 2] = ["/api/backstitch", "/"];

/// Asks the app at an address for its name. The request is not signed, so an app with a key does not answer it.
///
/// # Errors
/// When there is no app, or when it has a key.
pub(super) async fn name_of(url: &str, headers: &[(String, String)]) -> Result<String> {
    match asker()?.discover(url, headers, None).await {
        Ok(found) => Ok(found.manifest.app.to_string()),
        Err(DiscoveryError::Signature { url: shown, detail, .. }) => Err(refused(format!(
            "failed to ask the app at {shown} for its name: it answers signed requests only, and this command has no key. Let \
             the server ask, which may have one: `backstitch apps add {shown} --name NAME`, with the app's id in its code as \
             NAME. The app says: {detail}"
        ))),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Asks without a key: who does not know an app's name cannot sign for it.
fn asker() -> Result<Discovery> {
    let signer = Signer::new("", None, std::sync::Arc::new(SystemClock::new()));
    Ok(Discovery::new(HttpClient::new(Egress::Open)?, std::sync::Arc::new(signer)))
}

/// An address that somebody named, with the app's name if that was said, too.
#[derive(Clone, Debug)]
pub(super) struct Given {
    name: Option<String>,
    url: String,
    last_error: Option<String>,
}

impl Given {
    /// Reads `URL` or `NAME=URL`.
    pub(super) fn read(text: &str) -> Given {
        let named = text.split_once('=').filter(|(name, url)| !name.contains(['/', ':']) && url.contains("://"));
        let (name, url) = named.map_or((None, text), |(name, url)| (Some(name.to_owned()), url));
        Given { name, url: url.to_owned(), last_error: None }
    }
}

/// What is known of a port.
#[derive(Clone, Copy, Debug)]
struct Port {
    /// Looks until it is asked again.
    rest: u32,
    /// How long it is left alone after that.
    pause: u32,
}

/// What a question to a port led to.
enum Answer {
    /// Nothing listens there.
    Closed,
    /// It was not asked this time.
    Resting,
    /// An app.
    App { name: String, url: String },
    /// An app that does not say who it is, and why.
    Mute(String),
    /// Something else.
    Stranger,
}

/// Finds apps and registers them, until it is dropped.
pub(super) struct Finder {
    discovery: Discovery,
    catalog: Catalog,
    /// Whether the server has a key.
    signs: bool,
    given: Vec<Given>,
    ports: BTreeMap<u16, Option<Port>>,
    said: BTreeSet<String>,
}

impl Finder {
    /// Looks for what was named and, with `everywhere`, on the usual ports but the server's own.
    /// `signs` says whether the server has a key.
    pub(super) fn new(
        catalog: Catalog,
        signs: bool,
        given: Vec<Given>,
        everywhere: bool,
        own_port: u16,
    ) -> Result<Finder> {
        // What was named is asked where it was named, and not a second time under this machine's other names.
        let named: BTreeSet<u16> = given.iter().filter_map(|given| local_port(&given.url)).chain([own_port]).collect();
        let ports = PORTS.into_iter().filter(|port| everywhere && !named.contains(port));
        let ports = ports.map(|port| (port, None)).collect();
        Ok(Finder { discovery: asker()?, catalog, signs, given, ports, said: BTreeSet::new() })
    }

    /// Looks, again and again.
    pub(super) async fn run(mut self) {
        let mut looks = tokio::time::interval(Duration::from_millis(FIND_MS));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.register_given().await;
            self.look_around().await;
        }
    }

    async fn register_given(&mut self) {
        let mut open = Vec::new();
        for mut given in std::mem::take(&mut self.given) {
            let Err(error) = self.register_one(&given).await else { continue };
            if given.last_error.as_ref() != Some(&error) {
                screen::note(format!("{} {error}", styled(ODD, "…")));
                given.last_error = Some(error);
            }
            open.push(given);
        }
        self.given = open;
    }

    async fn register_one(&self, given: &Given) -> Result<(), String> {
        let name = match &given.name {
            Some(name) => name.clone(),
            None => {
                let found = self.discovery.discover(&given.url, &[], None).await;
                found.map_err(|error| with_hint(&error, &given.url, self.signs))?.manifest.app.to_string()
            }
        };
        self.catalog.register(&name, &given.url, Vec::new()).await.map(drop).map_err(|error| error.to_string())
    }

    async fn look_around(&mut self) {
        let known: BTreeSet<String> = self.catalog.registry().apps.values().map(|app| app.url.clone()).collect();
        let asked = self.ports.iter().map(|(port, state)| ask(&self.discovery, self.signs, *port, *state, &known));
        let answers: Vec<(u16, Answer)> = join_all(asked).await;
        for (port, answer) in answers {
            let state = self.ports.entry(port).or_default();
            *state = match answer {
                Answer::Closed => None,
                Answer::Resting => state.map(|port| Port { rest: port.rest.saturating_sub(1), ..port }),
                // It is an app, and whoever is told what to change does not want to wait after that.
                Answer::Mute(_) => Some(Port { rest: 1, pause: 1 }),
                Answer::App { .. } | Answer::Stranger => Some(state.map_or(Port { rest: 1, pause: 1 }, |port| {
                    let pause = (port.pause * 2).min(FIND_PAUSE_LOOKS_MAX);
                    Port { rest: pause, pause }
                })),
            };
            match answer {
                Answer::App { name, url } => self.register_found(name, url).await,
                Answer::Mute(why) => self.say(why),
                Answer::Closed | Answer::Resting | Answer::Stranger => {}
            }
        }
    }

    /// Registers what was found, unless the app is registered where it answers.
    async fn register_found(&mut self, name: String, url: String) {
        let registry = self.catalog.registry();
        if let Some(app) = registry.apps.get(&*name).filter(|app| app.sync_error.is_none() && app.current.is_some()) {
            if app.url != url {
                let where_now = super::apps::shown(&app.url);
                self.say(format!("another `{name}` answers at {url}; it stays registered at {where_now}"));
            }
            return;
        }
        match self.catalog.register(&name, &url, Vec::new()).await {
            Ok(_) | Err(CatalogError::Stopping) => {}
            Err(error) => self.say(error.to_string()),
        }
    }

    /// Says something once.
    fn say(&mut self, text: String) {
        if self.said.len() < SAID_MAX && self.said.insert(text.clone()) {
            screen::note(format!("{} {}", styled(BAD, "!"), styled(DIM, text)));
        }
    }
}

/// The port of an address on this machine.
fn local_port(url: &str) -> Option<u16> {
    let url: Url = url.parse().ok()?;
    let local = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    url.port_or_known_default().filter(|_| local)
}

/// An error, with what to type if the app answers signed requests only.
fn with_hint(error: &DiscoveryError, url: &str, signs: bool) -> String {
    let DiscoveryError::Signature { detail, .. } = error else { return error.to_string() };
    let what = if signs {
        format!("which are signed for an app by its name: say it with --app NAME={url}")
    } else {
        format!(
            "and this server has no key: start the app with BACKSTITCH_DEV=1 and without BACKSTITCH_KEY, or this server with \
             the app's BACKSTITCH_KEY and --app NAME={url}"
        )
    };
    format!(
        "failed to ask the app at {url} for its name: it answers signed requests only, {what}. The app says: {detail}"
    )
}

async fn ask(
    discovery: &Discovery,
    signs: bool,
    port: u16,
    state: Option<Port>,
    known: &BTreeSet<String>,
) -> (u16, Answer) {
    if TcpStream::connect(("localhost", port)).await.is_err() {
        return (port, Answer::Closed);
    }
    if state.is_some_and(|port| port.rest > 0) {
        return (port, Answer::Resting);
    }
    for path in PATHS {
        let url = format!("http://localhost:{port}{path}");
        if known.contains(&url) {
            // The catalog asks it itself.
            return (port, Answer::Stranger);
        }
        let asked = tokio::time::timeout(Duration::from_millis(FIND_ANSWER_MS), discovery.discover(&url, &[], None));
        match asked.await {
            Ok(Ok(found)) => return (port, Answer::App { name: found.manifest.app.to_string(), url }),
            Ok(Err(
                error @ (DiscoveryError::Signature { .. }
                | DiscoveryError::Problem(_)
                | DiscoveryError::TooLarge { .. }
                | DiscoveryError::Manifest(_)),
            )) => return (port, Answer::Mute(with_hint(&error, &url, signs))),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    (port, Answer::Stranger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_stand_before_addresses() {
        let read = |text| {
            let given = Given::read(text);
            (given.name, given.url)
        };
        assert_eq!(read("http://a/b?c=d"), (None, "http://a/b?c=d".to_owned()));
        assert_eq!([local_port("http://127.0.0.1:3000/x"), local_port("http://[::1]:8000")], [Some(3000), Some(8000)]);
        assert_eq!([local_port("http://shop.example:3000"), local_port("localhost:3000")], [None, None]);
        assert_eq!(read("shop=http://a/b?c=d"), (Some("shop".to_owned()), "http://a/b?c=d".to_owned()));
    }
}
