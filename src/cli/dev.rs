//! `backstitch dev`: a server on a developer's machine. It finds the apps that run there, or starts one as its child, and
//! says in few lines what there is and what to type next. Everything but the announcement for programs goes to the standard
//! error.

use anyhow::Result;
use clap::Args;

use super::chaos::{self, ChaosFlags};
use super::child::Child;
use super::discovery::{Finder, Given, PORTS};
use super::serve::{self, Announcement, Stops};
use super::style::{BOLD, DIM, GOOD, ODD, styled};
use super::{Exit, news, screen};
use crate::config::{Mode, Server, ServerFlags};
use crate::node::Node;

/// Run a server on your machine, and find your app.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backstitch dev\n  backstitch dev -- npm run dev\n  backstitch dev --app http://localhost:3000/api/backstitch\n  backstitch dev --chaos shop/order --input '{\"cents\": 999}' -- node shop.js"
)]
pub(super) struct Dev {
    /// The address of an app, or NAME=ADDRESS; may be given several times.
    #[arg(long = "app", value_name = "ADDRESS")]
    apps: Vec<String>,
    /// Do not look for apps on the usual ports.
    #[arg(long)]
    no_discovery: bool,
    /// Print where it listens as a JSON object on the first line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chaos: ChaosFlags,
    /// A command that starts your app, with BACKSTITCH_DEV=1 and BACKSTITCH_URL set. It ends with the server.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Dev {
    pub(super) async fn execute(self) -> Result<Exit> {
        let config = Server::load(self.flags.clone(), Mode::Dev)?;
        if self.chaos.is_wanted() {
            let app = chaos::App { addresses: self.apps, everywhere: !self.no_discovery, command: self.command };
            return chaos::execute(self.chaos, config, app, self.json).await;
        }
        // Before the node, so that a signal that comes while it starts is not lost.
        let stops = Stops::listen()?;
        let node = serve::open(&config).await?;
        if self.json {
            screen::json(&Announcement::of(&node, &config))?;
        }
        self.greet(&node, &config);
        let finder = finder(&node, &config, &self.apps, !self.no_discovery)?;
        let mut child = match self.command.as_slice() {
            [] => None,
            command => match Child::start(command, &node.url(), config.calls.key.as_ref()) {
                Ok(child) => Some(child),
                Err(error) => {
                    node.stop().await?;
                    return Err(error);
                }
            },
        };
        let catalog = node.catalog().clone();
        let beside = async {
            tokio::join!(finder.run(), news::tell(catalog, !self.command.is_empty()), watch_over(child.as_mut()));
        };
        let ended = serve::run(node, stops, beside).await;
        match (child, &ended) {
            (Some(mut child), Ok(Exit::Interrupted)) => child.kill(),
            (Some(child), _) => child.stop().await,
            (None, _) => {}
        }
        ended
    }

    fn greet(&self, node: &Node, config: &Server) {
        let url = node.url();
        let looking = match (self.command.first(), self.apps.first(), self.no_discovery) {
            (Some(_), ..) => format!("starting `{}`", self.command.join(" ")),
            (None, Some(_), _) => format!("waiting for {}", self.apps.join(", ")),
            (None, None, false) => format!("looking on ports {}", PORTS.map(|port| port.to_string()).join(", ")),
            (None, None, true) => "register one with `backstitch apps add URL`".to_owned(),
        };
        let title = format!("{} {}", styled(BOLD, "backstitch"), env!("CARGO_PKG_VERSION"));
        screen::note(format!("\n  {title}  {}\n", styled(DIM, "for development")));
        screen::note(format!("  server  {}", styled(GOOD, &url)));
        screen::note(format!("  data    {}", config.storage.data_dir.display()));
        screen::note(format!("  apps    {looking}"));
        if config.calls.key.is_some() {
            screen::note(format!(
                "  key     {}",
                styled(DIM, "requests are signed: apps need the same key, and are named with --app NAME=ADDRESS")
            ));
        }
        if config.listen.address.port() != 8484 {
            screen::note(styled(DIM, format!("  other commands find it with BACKSTITCH_URL={url}")));
        }
        screen::note("");
    }
}

/// Looks for the apps at these addresses and, with `everywhere`, on the usual ports.
pub(super) fn finder(node: &Node, config: &Server, addresses: &[String], everywhere: bool) -> Result<Finder> {
    let given = addresses.iter().map(|text| Given::read(text)).collect();
    Finder::new(node.catalog().clone(), config.calls.key.is_some(), given, everywhere, node.address().port())
}

/// Says when the app that was started ends; the server goes on.
async fn watch_over(child: Option<&mut Child>) {
    if let Some(child) = child {
        let end = child.ended().await;
        screen::note(format!("{} {end}; the server goes on, Ctrl-C stops it", styled(ODD, "!")));
    }
}
