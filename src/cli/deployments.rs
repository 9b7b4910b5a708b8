//! `backstitch apps deployments`, `drain`, `retire` and `move`: versions of an app, who is still on them, and how they go out
//! of use.

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::client::Client;
use super::runs::rough;
use super::style::{DIM, GOOD, ODD, styled};
use super::table::{print, table};
use super::{Exit, apps, jobs, screen};
use crate::api::view::{DeploymentJson, PageJson};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;
use crate::limits::PAGE_MAX;
use crate::model::DeploymentState;

/// List an app's deployments, newest first, with the runs that are still on them.
#[derive(Debug, Args)]
pub(super) struct Deployments {
    /// The app's name.
    app: String,
    /// Print one deployment a line as the API shows it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Retire a deployment as soon as the last run that is pinned to it has ended.
#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    on: OnDeployment,
}

/// Retire a deployment that no run is pinned to any more: nothing calls it from then on.
#[derive(Debug, Args)]
pub(super) struct Retire {
    #[command(flatten)]
    on: OnDeployment,
}

/// Move all runs that are pinned to a deployment to another one. Runs that are held because of what the old one is go on.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch apps move shop dep_01hzy3v7q8k2m4n6p8r0s2t4v6 --dry-run")]
pub(super) struct Move {
    /// The app's name.
    app: String,
    /// The deployment that they leave.
    deployment: String,
    /// Where to: a deployment's id, or the app's newest.
    #[arg(long, value_name = "DEPLOYMENT", default_value = "current")]
    to: String,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

#[derive(Debug, Args)]
struct OnDeployment {
    /// The app's name.
    app: String,
    /// The deployment's id.
    deployment: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

async fn all(client: &Client, app: &str) -> Result<Vec<DeploymentJson>> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let mut query = vec![("limit", PAGE_MAX.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: PageJson<DeploymentJson> = client.read(&["v1", "apps", app, "deployments"], &query).await?;
        found.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

fn state(deployment: &DeploymentJson) -> String {
    match (deployment.current, deployment.state) {
        (true, _) => styled(GOOD, "current"),
        (false, DeploymentState::Active) => String::new(),
        (false, DeploymentState::Draining) => styled(ODD, "draining"),
        (false, DeploymentState::Retired) => styled(DIM, "retired"),
    }
}

impl Deployments {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let deployments = all(&client, &self.app).await?;
        if self.json {
            deployments.iter().try_for_each(screen::json)?;
            return Ok(Exit::Done);
        }
        let now = SystemClock::new().wall();
        let mut rows = table(&["deployment", "version…", "runs", "state", "first seen", "last seen", "address…"]);
        for deployment in &deployments {
            let runs = match deployment.immutable {
                true => deployment.open_runs.unwrap_or_default().to_string(),
                // Its runs follow the app.
                false => String::new(),
            };
            rows.add_row([
                deployment.id.to_string(),
                screen::plain(&deployment.version, 60),
                runs,
                state(deployment),
                format!("{} ago", rough(now.since(deployment.created_at))),
                format!("{} ago", rough(now.since(deployment.seen_at))),
                apps::shown(&deployment.url).to_owned(),
            ]);
        }
        print(&rows)?;
        Ok(Exit::Done)
    }
}

impl OnDeployment {
    async fn ask(self, method: Method, act: Option<&str>) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let path = ["v1", "apps", &*self.app, "deployments", &*self.deployment];
        let path: Vec<&str> = path.into_iter().chain(act).collect();
        let now: DeploymentJson = client.write(method, &path, &[], &serde_json::json!({})).await?;
        if self.json {
            screen::json(&now)?;
            return Ok(Exit::Done);
        }
        let id = now.id;
        match (now.state, now.open_runs.unwrap_or_default()) {
            (DeploymentState::Draining, runs) => {
                screen::line(format!("{id} is retired when the {runs} runs that are pinned to it have ended"))?;
                let hint =
                    format!("to see them: backstitch runs --deployment {id}; to move them: backstitch apps move");
                screen::note(styled(DIM, format!("{hint} {} {id}", self.app)));
            }
            _ => screen::line(format!("{id} is retired: nothing calls it any more"))?,
        }
        Ok(Exit::Done)
    }
}

impl Drain {
    pub(super) async fn execute(self) -> Result<Exit> {
        self.on.ask(Method::POST, Some("drain")).await
    }
}

impl Retire {
    pub(super) async fn execute(self) -> Result<Exit> {
        self.on.ask(Method::DELETE, None).await
    }
}

impl Move {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let path = ["v1", "apps", &self.app, "deployments", &self.deployment, "move"];
        let body = serde_json::json!({ "to": self.to, "dryRun": self.dry_run });
        if self.dry_run {
            return jobs::counted(&client.write(Method::POST, &path, &[], &body).await?, self.json);
        }
        let job = client.write(Method::POST, &path, &[], &body).await?;
        jobs::show(&job, self.json)?;
        if !self.json {
            screen::note(styled(DIM, format!("to see how far it has come: backstitch jobs show {}", job.id)));
        }
        Ok(Exit::Done)
    }
}
