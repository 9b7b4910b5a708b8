//! `backstitch apps`: lists, registers, fetches and forgets apps. What is done with their deployments stands in `deployments`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Serialize;

use super::client::Client;
use super::exit::usage;
use super::style::{BAD, BOLD, DIM, styled};
use super::table::{print, table};
use super::{Exit, deployments, discovery, screen};
use crate::api::view::{AppJson, PageJson};
use crate::config::ClientFlags;

/// List, register, fetch and forget apps, and see to their deployments.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Apps {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Add(Add),
    Sync(Sync),
    Remove(Remove),
    Deployments(deployments::Deployments),
    Drain(deployments::Drain),
    Retire(deployments::Retire),
    Move(deployments::Move),
}

/// List apps with their functions.
#[derive(Debug, Args)]
struct List {
    /// Print one app a line as the API shows it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Register an app, or give it another address.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch apps add https://shop.example/api/backstitch")]
struct Add {
    /// The address of the app's endpoint.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// The app's name; without it, the app is asked from here, which it answers only without a key.
    #[arg(long)]
    name: Option<String>,
    /// A header for every request to it, such as for a gateway: NAME=VALUE. A secret once it is stored.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Fetch an app's manifest now.
#[derive(Debug, Args)]
struct Sync {
    /// The app's name; all apps without it.
    name: Option<String>,
    /// Print the API's answer, one app a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Forget an app. Its runs stay, and wait until somebody serves their functions again.
#[derive(Debug, Args)]
struct Remove {
    /// The app's name.
    name: String,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Apps {
    pub(super) async fn execute(self) -> Result<Exit> {
        match self.command {
            None => self.list.execute().await,
            Some(Command::List(list)) => list.execute().await,
            Some(Command::Add(add)) => add.execute().await,
            Some(Command::Sync(sync)) => sync.execute().await,
            Some(Command::Remove(remove)) => remove.execute().await,
            Some(Command::Deployments(deployments)) => deployments.execute().await,
            Some(Command::Drain(drain)) => drain.execute().await,
            Some(Command::Retire(retire)) => retire.execute().await,
            Some(Command::Move(runs)) => runs.execute().await,
        }
    }
}

/// All apps.
pub(super) async fn list(client: &Client) -> Result<Vec<AppJson>> {
    let page: PageJson<AppJson> = client.read(&["v1", "apps"], &[]).await?;
    Ok(page.items)
}

impl List {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let apps = list(&client).await?;
        if self.json {
            apps.iter().try_for_each(screen::json)?;
            return Ok(Exit::Done);
        }
        if apps.is_empty() {
            screen::note("no apps yet; `backstitch apps add URL` registers one");
            return Ok(Exit::Done);
        }
        let mut rows = table(&["app", "functions…", "address", "state…"]);
        for app in &apps {
            let functions: Vec<&str> = app.functions.iter().map(|function| &**function).collect();
            let state =
                app.sync_error.as_deref().map_or_else(|| "in step".to_owned(), |error| screen::plain(error, 300));
            rows.add_row([app.name.to_string(), functions.join(", "), shown(&app.url).to_owned(), state]);
        }
        print(&rows)?;
        Ok(Exit::Done)
    }
}

/// An address without its query, where bypass tokens stand.
pub(super) fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

#[derive(Serialize)]
struct Body {
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl Add {
    async fn execute(self) -> Result<Exit> {
        let headers = headers(&self.headers)?;
        let client = Client::new(self.flags)?;
        let name = match self.name {
            Some(name) => name,
            None => {
                let pairs: Vec<(String, String)> = headers.clone().into_iter().collect();
                discovery::name_of(&self.address, &pairs).await?
            }
        };
        let body = Body { url: self.address, headers };
        let app: AppJson = client.write(Method::PUT, &["v1", "apps", &name], &[], &body).await?;
        if self.json {
            screen::json(&app)?;
        } else {
            show(&app)?;
        }
        Ok(Exit::Done)
    }
}

fn headers(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
        None => Err(usage("--header is written NAME=VALUE")),
    };
    pairs.iter().map(split).collect()
}

impl Sync {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let names = match self.name {
            Some(name) => vec![name],
            None => list(&client).await?.iter().map(|app| app.name.to_string()).collect(),
        };
        let mut exit = Exit::Done;
        for name in &names {
            match client.act::<AppJson>(&["v1", "apps", name, "sync"]).await {
                Ok(app) if self.json => screen::json(&app)?,
                Ok(app) => show(&app)?,
                // One app that is down does not keep the others from being fetched.
                Err(error) if names.len() > 1 && error.downcast_ref::<super::client::ClientError>().is_some() => {
                    screen::note(format!("{} {name}: {error}", styled(BAD, "✗")));
                    exit = Exit::No;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    }
}

impl Remove {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        client.remove(&["v1", "apps", &self.name]).await?;
        screen::line(format!("{} is forgotten; its runs wait until somebody serves their functions again", self.name))?;
        Ok(Exit::Done)
    }
}

fn show(app: &AppJson) -> Result<()> {
    screen::line(format!("{}  {}", styled(BOLD, &app.name), styled(DIM, shown(&app.url))))?;
    for function in &app.functions {
        screen::line(format!("  {}/{function}", app.name))?;
    }
    Ok(())
}
