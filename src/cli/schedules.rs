//! `backstitch schedules`: what starts runs at times, and how far each of them has come.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;

use super::client::Client;
use super::exit::usage;
use super::runs::rough;
use super::style::{BOLD, DIM, styled};
use super::table::{print, table};
use super::{Exit, input, jobs, screen};
use crate::api::view::{JobJson, PageJson, ScheduleJson};
use crate::api::{BackfillPlanJson, RunRefJson};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;
use crate::limits::PAGE_DEFAULT;
use crate::model::{ScheduleKey, Span, Timestamp};

/// See what starts runs at times, and change it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Schedules {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Put(Put),
    Delete(Delete),
    Pause(Pause),
    Resume(Resume),
    Trigger(Trigger),
    Backfill(Backfill),
}

/// List schedules.
#[derive(Debug, Args)]
struct List {
    /// Of this app.
    #[arg(long)]
    app: Option<String>,
    /// How many, at most 200.
    #[arg(long, value_name = "N", default_value_t = PAGE_DEFAULT)]
    limit: usize,
    /// Where the page begins: as the page before says.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Which schedule, and how to answer.
#[derive(Debug, Args)]
struct On {
    /// The schedule, as app/schedule.
    schedule: ScheduleKey,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Show a schedule with its next ticks and its last runs.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    on: On,
}

/// Make a schedule, or change one that was made so.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: backstitch schedules put shop/nightly --function import --cron '0 3 * * *' --tz Europe/Berlin"
)]
struct Put {
    #[command(flatten)]
    on: On,
    /// The function's id in the app.
    #[arg(long)]
    function: String,
    /// When: a cron line.
    #[arg(long, value_name = "LINE", required_unless_present = "every", conflicts_with = "every")]
    cron: Option<String>,
    /// The time zone of the cron line; UTC if left out.
    #[arg(long, value_name = "ZONE", requires = "cron", conflicts_with = "every")]
    tz: Option<String>,
    /// When: an interval, such as 15m.
    #[arg(long, value_name = "INTERVAL")]
    every: Option<Span>,
    /// How much later than the multiples of the interval.
    #[arg(long, value_name = "DURATION", requires = "every", conflicts_with = "cron")]
    offset: Option<Span>,
    /// By how much at most a tick is put off.
    #[arg(long, value_name = "DURATION")]
    jitter: Option<Span>,
    /// What becomes of a tick while an earlier run goes on: skip, bufferOne, bufferAll, cancelOther or allow.
    #[arg(long, value_name = "POLICY")]
    overlap: Option<String>,
    /// How late a tick may still have its run; 1d if left out.
    #[arg(long, value_name = "DURATION")]
    catch_up: Option<Span>,
    /// The input of its runs.
    #[arg(long, value_name = "INPUT", help = format!("The input of its runs: {}", input::HELP))]
    input: Option<String>,
}

/// Delete a schedule that was made with `put`. Its runs stay.
#[derive(Debug, Args)]
struct Delete {
    /// The schedule, as app/schedule.
    schedule: ScheduleKey,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Pause a schedule: it starts nothing until it is resumed.
#[derive(Debug, Args)]
struct Pause {
    #[command(flatten)]
    on: On,
    /// Why, for whoever looks at it.
    #[arg(long)]
    note: Option<String>,
}

/// Let a paused schedule go on.
#[derive(Debug, Args)]
struct Resume {
    #[command(flatten)]
    on: On,
}

/// Start a run now, whatever the schedule's times are.
#[derive(Debug, Args)]
struct Trigger {
    #[command(flatten)]
    on: On,
}

/// Start the runs of a range of times.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: backstitch schedules backfill shop/nightly --from 2026-11-01 --until 2026-12-01 --concurrency 4 --dry-run"
)]
struct Backfill {
    #[command(flatten)]
    on: On,
    /// At or after this time: a day, or a time such as 2026-11-01T06:00:00Z. A day begins at midnight in UTC.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: String,
    /// How many runs there are at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    concurrency: u32,
    /// What becomes of times that have a run: none leaves them alone, failed makes those again that failed, all makes all again.
    #[arg(long, value_name = "POLICY", default_value = "none")]
    reprocess: String,
    /// Only show which times would get a run.
    #[arg(long)]
    dry_run: bool,
}

impl Schedules {
    pub(super) async fn execute(self) -> Result<Exit> {
        match self.command {
            None => self.list.execute().await,
            Some(Command::List(list)) => list.execute().await,
            Some(Command::Show(show)) => show.execute().await,
            Some(Command::Put(put)) => put.execute().await,
            Some(Command::Delete(delete)) => delete.execute().await,
            Some(Command::Pause(pause)) => pause.execute().await,
            Some(Command::Resume(resume)) => resume.execute().await,
            Some(Command::Trigger(trigger)) => trigger.execute().await,
            Some(Command::Backfill(backfill)) => backfill.execute().await,
        }
    }
}

impl List {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.app.map(|app| ("app", app)));
        query.extend(self.cursor.map(|cursor| ("cursor", cursor)));
        let page: PageJson<ScheduleJson> = client.read(&["v1", "schedules"], &query).await?;
        if self.json {
            page.items.iter().try_for_each(screen::json)?;
            return Ok(Exit::Done);
        }
        if page.items.is_empty() {
            screen::note(
                "no schedules yet; give a function a trigger such as { cron: \"0 3 * * *\" }, or see `backstitch schedules put --help`",
            );
            return Ok(Exit::Done);
        }
        let mut rows = table(&["schedule", "function", "when", "next", "runs", "skipped", "missed", "state…"]);
        for item in &page.items {
            rows.add_row([
                styled(BOLD, screen::plain(&item.id, 200)),
                screen::plain(&item.function, 200),
                when(item),
                item.next.filter(|_| item.paused.is_none()).map_or_else(String::new, |at| at.to_string()),
                item.started.count.to_string(),
                item.skipped.count.to_string(),
                item.missed.count.to_string(),
                state(item),
            ]);
        }
        print(&rows)?;
        if let Some(next) = &page.next {
            screen::note(format!("There are more: --cursor {next}"));
        }
        Ok(Exit::Done)
    }
}

impl On {
    fn path(&self) -> [&str; 4] {
        ["v1", "schedules", &self.schedule.app, &self.schedule.schedule]
    }

    fn act<'a>(&'a self, verb: &'a str) -> [&'a str; 5] {
        ["v1", "schedules", &self.schedule.app, &self.schedule.schedule, verb]
    }

    fn client(&self) -> Result<Client> {
        Client::new(self.flags.clone())
    }
}

impl Show {
    async fn execute(self) -> Result<Exit> {
        let schedule: ScheduleJson = self.on.client()?.read(&self.on.path(), &[]).await?;
        if self.on.json {
            screen::json(&schedule)?;
            return Ok(Exit::Done);
        }
        show(&schedule)
    }
}

impl Put {
    async fn execute(self) -> Result<Exit> {
        let mut body = serde_json::json!({ "function": self.function });
        let texts = [("cron", self.cron), ("tz", self.tz), ("overlap", self.overlap)];
        let spans =
            [("every", self.every), ("offset", self.offset), ("jitter", self.jitter), ("catchUp", self.catch_up)];
        let spans = spans.map(|(name, span)| (name, span.map(|span| span.to_string())));
        for (name, value) in texts.into_iter().chain(spans).filter_map(|(name, value)| Some((name, value?))) {
            body[name] = value.into();
        }
        if let Some(text) = &self.input {
            body["input"] = serde_json::from_str(input::json(Some(text))?.get())?;
        }
        let schedule: ScheduleJson = self.on.client()?.write(Method::PUT, &self.on.path(), &[], &body).await?;
        told(&schedule, self.on.json)
    }
}

impl Delete {
    async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        client.remove(&["v1", "schedules", &self.schedule.app, &self.schedule.schedule]).await?;
        screen::line(format!("{} is gone", self.schedule))?;
        Ok(Exit::Done)
    }
}

impl Pause {
    async fn execute(self) -> Result<Exit> {
        let body = serde_json::json!({ "note": self.note });
        let schedule = self.on.client()?.write(Method::POST, &self.on.act("pause"), &[], &body).await?;
        told(&schedule, self.on.json)
    }
}

impl Resume {
    async fn execute(self) -> Result<Exit> {
        told(&self.on.client()?.act(&self.on.act("resume")).await?, self.on.json)
    }
}

impl Trigger {
    async fn execute(self) -> Result<Exit> {
        let run: RunRefJson = self.on.client()?.act(&self.on.act("trigger")).await?;
        if self.on.json {
            screen::json(&run)?;
        } else {
            screen::line(run.id)?;
        }
        Ok(Exit::Done)
    }
}

impl Backfill {
    async fn execute(self) -> Result<Exit> {
        let body = serde_json::json!({
            "from": time("--from", &self.from)?, "until": time("--until", &self.until)?,
            "concurrency": self.concurrency, "reprocess": self.reprocess, "dryRun": self.dry_run,
        });
        let (client, path) = (self.on.client()?, self.on.act("backfill"));
        if !self.dry_run {
            let job: JobJson = client.write(Method::POST, &path, &[], &body).await?;
            return jobs::show(&job, self.on.json);
        }
        let plan: BackfillPlanJson = client.write(Method::POST, &path, &[], &body).await?;
        if self.on.json {
            screen::json(&plan)?;
            return Ok(Exit::Done);
        }
        plan.ticks.iter().try_for_each(screen::line)?;
        let more = if plan.runs > plan.ticks.len() as u64 { ", of which these are the first" } else { "" };
        screen::note(format!("{} of {} times would get a run{more}; nothing was started", plan.runs, plan.total));
        Ok(Exit::Done)
    }
}

/// A time, or a day.
fn time(flag: &str, text: &str) -> Result<Timestamp> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    whole.parse().map_err(|_| {
        usage(format!("{flag} {text}: write a day such as 2026-11-01, or a time such as 2026-11-01T06:00:00Z"))
    })
}

fn when(schedule: &ScheduleJson) -> String {
    let zone = schedule.tz.as_ref().map_or_else(String::new, |tz| format!(" {tz}"));
    match (&schedule.cron, schedule.every) {
        (Some(cron), _) => screen::plain(&format!("{cron}{zone}"), 120),
        (None, Some(every)) => format!("every {every}"),
        (None, None) => String::new(),
    }
}

fn state(schedule: &ScheduleJson) -> String {
    match (&schedule.paused, &schedule.problem, schedule.waiting) {
        (Some(_), ..) => "paused".to_owned(),
        (None, Some(problem), _) => screen::plain(problem, 200),
        (None, None, Some(waiting)) => format!("{} waiting", waiting.count),
        (None, None, None) => String::new(),
    }
}

/// What became of a schedule.
fn told(schedule: &ScheduleJson, json: bool) -> Result<Exit> {
    if json {
        screen::json(schedule)?;
    } else {
        screen::line(format!("{}  {}", styled(BOLD, screen::plain(&schedule.id, 300)), schedule.explanation))?;
    }
    Ok(Exit::Done)
}

fn show(schedule: &ScheduleJson) -> Result<Exit> {
    told(schedule, false)?;
    let field = |name: &str, value: String| screen::line(format!("  {}  {value}", styled(DIM, format!("{name:<9}"))));
    field("function", screen::plain(&format!("{}/{}", schedule.app, schedule.function), 300))?;
    field("when", when(schedule))?;
    field("overlap", schedule.overlap.as_str().to_owned())?;
    field("catch-up", schedule.catch_up.to_string())?;
    if schedule.jitter.0 > 0 {
        field("jitter", schedule.jitter.to_string())?;
    }
    let tallies = [("runs", schedule.started), ("skipped", schedule.skipped), ("missed", schedule.missed)];
    for (name, tally) in tallies {
        let last = tally.last.map_or_else(String::new, |at| format!(", the last for {at}"));
        field(name, format!("{}{last}", tally.count))?;
    }
    if let Some(problem) = &schedule.problem {
        field("problem", screen::plain(problem, 400))?;
    }
    for at in &schedule.next_ticks {
        field("next", at.to_string())?;
    }
    if !schedule.runs.is_empty() {
        let now = SystemClock::new().wall();
        let mut rows = table(&["for", "run", "status", "created"]);
        for run in &schedule.runs {
            let at = run.scheduled_at.map_or_else(String::new, |at| at.to_string());
            let ago = format!("{} ago", rough(now.since(run.created_at)));
            rows.add_row([at, run.id.to_string(), run.status.as_str().to_owned(), ago]);
        }
        print(&rows)?;
    }
    Ok(Exit::Done)
}
