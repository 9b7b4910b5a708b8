//! `backstitch runs`: lists runs, newest first.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use comfy_table::Table;

use super::client::{Client, may_pass};
use super::exit::usage;
use super::screen::Picture;
use super::style::{DIM, ODD, styled};
use super::table::{lines, print, table};
use super::{Exit, labels, screen};
use crate::api::CountsJson;
use crate::api::view::{PageJson, RunJson};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;
use crate::limits::{PAGE_MAX, PICTURE_MS};
use crate::model::{Failure, ScheduleKey, Span, Timestamp};

/// List runs, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch runs --status failed,paused --since 1h")]
pub(super) struct Runs {
    #[command(flatten)]
    matching: Matching,
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Draw the table anew every second, until Ctrl-C.
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,
    /// Only count them, by status.
    #[arg(long, conflicts_with_all = ["watch", "limit"])]
    count: bool,
    /// Print one run a line as the API shows it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Runs {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags.clone())?;
        if self.watch {
            return self.follow(&client).await;
        }
        if self.count {
            let filters = self.matching.query()?;
            return counted(&client.read(&["v1", "runs", "counts"], &filters).await?, self.json);
        }
        let runs = self.page(&client).await?;
        if self.json {
            runs.iter().try_for_each(screen::json)?;
            return Ok(Exit::Done);
        }
        if runs.is_empty() {
            screen::note("no runs match; `backstitch call APP/FUNCTION` starts one");
            return Ok(Exit::Done);
        }
        print(&self.rows(&runs))?;
        if let Some(stuck) = runs.iter().find(|run| run.hold.is_some()) {
            screen::note(styled(DIM, format!("paused runs say why: backstitch explain {}", stuck.id)));
        }
        Ok(Exit::Done)
    }

    async fn page(&self, client: &Client) -> Result<Vec<RunJson>> {
        pages(client, self.matching.query()?, self.limit as usize).await
    }

    /// Runs of a schedule are told by the times that they are for.
    fn rows(&self, runs: &[RunJson]) -> Table {
        let now = SystemClock::new().wall();
        let of_schedule = self.matching.schedule.is_some();
        let labelled = runs.iter().any(|run| !run.tags.is_empty() || !run.attributes.is_empty());
        let name = if of_schedule { "for" } else { "name" };
        let troubled = runs.iter().any(|run| trouble(run).is_some());
        let mut columns = vec!["run", "function", "status", "created", "took", name];
        columns.extend(labelled.then_some("tags"));
        columns.extend(troubled.then_some("error…"));
        let mut rows = table(&columns);
        for run in runs {
            let mut row = vec![
                run.id.to_string(),
                format!("{}/{}", run.app, run.function),
                run.status.to_string(),
                format!("{} ago", rough(now.since(run.created_at))),
                run.ended_at.map(|ended| short(ended.since(run.created_at))).unwrap_or_default(),
                match run.scheduled_at.filter(|_| of_schedule) {
                    Some(at) => at.to_string(),
                    None => screen::plain(run.name.as_deref().unwrap_or_default(), 40),
                },
            ];
            if labelled {
                row.push(screen::plain(&shown(run), 120));
            }
            if troubled {
                row.push(trouble(run).map(|error| screen::plain(&error, 200)).unwrap_or_default());
            }
            rows.add_row(row);
        }
        rows
    }

    /// Draws the table again and again. A server that restarts is waited for.
    async fn follow(&self, client: &Client) -> Result<Exit> {
        if !screen::is_terminal() {
            return Err(usage("--watch draws on a terminal; programs read `backstitch runs --json`"));
        }
        let mut picture = Picture::default();
        let mut known: Option<Vec<RunJson>> = None;
        let mut ticks = tokio::time::interval(Duration::from_millis(PICTURE_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // `--since 1h` moves with the time.
            let trouble = match self.page(client).await {
                Ok(runs) => {
                    known = Some(runs);
                    None
                }
                Err(error) if known.is_some() && may_pass(&error) => Some(error),
                Err(error) => return Err(error),
            };
            let runs = known.as_deref().unwrap_or_default();
            let mut lines: Vec<String> = lines(&self.rows(runs)).collect();
            lines.extend(runs.is_empty().then(|| styled(DIM, "no runs match yet")));
            lines.extend(trouble.map(|error| styled(ODD, format!("… {error}"))));
            // The newest runs stand first and stay.
            picture.draw(&lines, lines.len())?;
        }
    }
}

fn counted(counts: &CountsJson, json: bool) -> Result<Exit> {
    if json {
        screen::json(counts)?;
        return Ok(Exit::Done);
    }
    let mut rows = table(&["status", "runs"]);
    for (status, runs) in &counts.statuses {
        rows.add_row([status.to_string(), runs.to_string()]);
    }
    rows.add_row(["all".to_owned(), counts.total.to_string()]);
    print(&rows)?;
    Ok(Exit::Done)
}

/// Which runs.
#[derive(Debug, Args)]
pub(super) struct Matching {
    /// Only these statuses: queued, ready, suspended, backoff, paused, completed, failed, cancelled.
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only of this app.
    #[arg(long)]
    app: Option<String>,
    /// Only of this function: its id, or app/function.
    #[arg(long)]
    function: Option<String>,
    /// Only pinned to this deployment.
    #[arg(long)]
    deployment: Option<String>,
    /// Only with this tag. Given several times: with all of them.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only with this attribute: NAME, NAME=VALUE, NAME>=VALUE (or > < <=), NAME^=PREFIX. Given several times: all must pass.
    #[arg(long = "attr", value_name = "TEST")]
    attributes: Vec<String>,
    /// Only of objects with this key.
    #[arg(long)]
    key: Option<String>,
    /// Only with a name that begins with this.
    #[arg(long, value_name = "PREFIX")]
    name: Option<String>,
    /// Only with this in their id, app/function, name, key, tags or attributes.
    #[arg(long)]
    text: Option<String>,
    /// Only that failed with an error of this name, or are tried again because of one.
    #[arg(long, value_name = "NAME")]
    error: Option<String>,
    /// Only with an error whose message is like this one: the same but for words with digits, for which … may stand.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Only of the family of this run: itself, its children, and theirs.
    #[arg(long, value_name = "RUN")]
    root: Option<String>,
    /// Only awaited by this run.
    #[arg(long, value_name = "RUN")]
    parent: Option<String>,
    /// Only started by this event.
    #[arg(long)]
    event: Option<String>,
    /// Only for times of this schedule, as app/schedule.
    #[arg(long)]
    schedule: Option<ScheduleKey>,
    /// Only created since: a time (RFC 3339), or how long ago (1h).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only created before: a time (RFC 3339), or how long ago (1h).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Matching {
    /// As parameters of an address.
    fn query(&self) -> Result<Vec<(&'static str, String)>> {
        let (app, function) = match self.function.as_deref().map(|text| text.split_once('/').ok_or(text)) {
            None => (self.app.clone(), None),
            Some(Err(function)) => (self.app.clone(), Some(function.to_owned())),
            Some(Ok((app, function))) => {
                if self.app.as_deref().is_some_and(|other| other != app) {
                    return Err(usage(format!("--function names the app `{app}`, --app another one")));
                }
                (Some(app.to_owned()), Some(function.to_owned()))
            }
        };
        let mut filters = Vec::new();
        let mut add = |name, value: Option<String>| filters.extend(value.map(|value| (name, value)));
        add("status", (!self.status.is_empty()).then(|| self.status.join(",")));
        add("app", app);
        add("function", function);
        add("deployment", self.deployment.clone());
        add("key", self.key.clone());
        add("name", self.name.clone());
        add("text", self.text.clone());
        add("error", self.error.clone());
        add("message", self.message.clone());
        add("root", self.root.clone());
        add("parent", self.parent.clone());
        add("event", self.event.clone());
        add("schedule", self.schedule.as_ref().map(ScheduleKey::to_string));
        add("since", self.since.as_deref().map(|text| time("--since", text)).transpose()?);
        add("until", self.until.as_deref().map(|text| time("--until", text)).transpose()?);
        filters.extend(self.tags.iter().map(|tag| ("tag", tag.clone())));
        for test in &self.attributes {
            filters.push(("attribute", labels::test(test)?));
        }
        Ok(filters)
    }

    /// As the filter of a job.
    pub(super) fn filter(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut fields = serde_json::Map::new();
        for (name, value) in self.query()? {
            match name {
                "status" => {
                    fields.insert(name.to_owned(), self.status.clone().into());
                }
                "tag" | "attribute" => {
                    let list = fields.entry(name).or_insert_with(|| serde_json::Value::Array(Vec::new()));
                    list.as_array_mut().into_iter().for_each(|list| list.push(value.clone().into()));
                }
                _ => {
                    fields.insert(name.to_owned(), value.into());
                }
            }
        }
        Ok(fields)
    }
}

/// A time as the API takes it.
fn time(flag: &str, text: &str) -> Result<String> {
    if let Ok(ago) = text.parse::<Span>() {
        let ago = i64::try_from(ago.0).unwrap_or(i64::MAX);
        return Ok(Timestamp(SystemClock::new().wall().0.saturating_sub(ago).max(0)).to_string());
    }
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(at.to_string()),
        Err(_) => {
            Err(usage(format!("{flag} {text}: write a time such as 2026-01-31T12:00:00Z, or how long ago, such as 1h")))
        }
    }
}

/// Reads pages until there are as many items as wanted, or no more.
async fn pages(client: &Client, filters: Vec<(&'static str, String)>, wanted: usize) -> Result<Vec<RunJson>> {
    let mut runs: Vec<RunJson> = Vec::new();
    let mut cursor = None;
    while runs.len() < wanted {
        let mut query = filters.clone();
        query.push(("limit", (wanted - runs.len()).min(PAGE_MAX).to_string()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: PageJson<RunJson> = client.read(&["v1", "runs"], &query).await?;
        runs.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(runs)
}

/// What a run failed with, or is tried again for.
fn trouble(run: &RunJson) -> Option<String> {
    let error = run.err.as_ref().or(run.last_error.as_ref())?;
    let Failure { name, message, .. } = Failure::from_payload(error);
    Some(format!("{name}: {message}"))
}

/// Tags and attributes on one line.
pub(super) fn shown(run: &RunJson) -> String {
    let attributes = run.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    run.tags.iter().map(|tag| tag.to_string()).chain(attributes).collect::<Vec<_>>().join(" ")
}

/// A time span in its two greatest units.
pub(super) fn short(span: Span) -> String {
    let ms = span.0;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms / 1_000 % 60),
        3_600_000..86_400_000 => format!("{}h{:02}m", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{}d{:02}h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

/// A time span in its greatest unit.
pub(super) fn rough(span: Span) -> String {
    match span.0 / 1_000 {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [
            (0, "0ms"),
            (999, "999ms"),
            (1_250, "1.2s"),
            (61_000, "1m01s"),
            (3_660_000, "1h01m"),
            (90_000_000, "1d01h"),
        ];
        for (ms, text) in spans {
            assert_eq!(short(Span(ms)), text);
        }
        assert_eq!(rough(Span(7_200_000)), "2h");
    }

    #[test]
    fn times_are_absolute_or_ago() {
        assert_eq!(time("--since", "2026-01-31T12:00:00Z").unwrap(), "2026-01-31T12:00:00.000Z");
        assert!(time("--since", "1h").unwrap().ends_with('Z'));
        assert!(time("--since", "yesterday").unwrap_err().to_string().contains("--since yesterday"));
    }
}
