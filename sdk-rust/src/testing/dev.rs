//! Tests against a server that `backstitch dev` runs: its clock can be skipped, and it counts what was done to the world.

use std::time::{Duration, SystemTime};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config;
use crate::error::Error;
use crate::time;

/// Where a server listens unless it was told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8484";

/// How long a request may take: the server goes from timer to timer meanwhile.
const REQUEST: Duration = Duration::from_secs(60);

/// The clock of a server that `backstitch dev` runs.
///
/// ```no_run
/// use backstitch::testing::DevClock;
/// use backstitch::{Client, DurationExt, FunctionRef};
///
/// const RENEW: FunctionRef<String, u32> = FunctionRef::new("renew");
///
/// # async fn example() -> Result<(), backstitch::Error> {
/// let run = Client::new("shop").start(RENEW, "basic".to_owned()).send().await?;
/// DevClock::new().advance(30.days()).await?;
/// assert_eq!(run.result().await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DevClock {
    url: String,
}

/// Where the clock of a development server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// The server's time.
    pub now: SystemTime,
    /// How far it is ahead of the machine's.
    pub skipped: Duration,
    /// When the next sleep, time-out or pause is over; `None` if nothing waits for a time.
    pub next: Option<SystemTime>,
    /// Whether all that fell due is through; false while a handler is at work.
    pub quiet: bool,
}

impl Default for DevClock {
    fn default() -> DevClock {
        DevClock::new()
    }
}

impl DevClock {
    /// Of the server at `BACKSTITCH_URL`, else on this machine.
    pub fn new() -> DevClock {
        DevClock { url: config::client().0.unwrap_or_else(|| URL_DEFAULT.to_owned()) }
    }

    /// Of another server.
    #[must_use]
    pub fn url(self, url: impl Into<String>) -> DevClock {
        DevClock { url: url.into() }
    }

    /// Where it stands.
    pub async fn state(&self) -> Result<ClockState, Error> {
        read(&ask(&self.url, Method::GET, "/dev/clock", None).await?)
    }

    /// Lets so much time pass. What falls due on the way is done in its order.
    pub async fn advance(&self, duration: Duration) -> Result<ClockState, Error> {
        let by = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        read(&ask(&self.url, Method::POST, "/dev/clock/advance", Some(json!({ "by": by }))).await?)
    }

    /// Skips to the next timer; an error if there is none.
    pub async fn next(&self) -> Result<ClockState, Error> {
        read(&ask(&self.url, Method::POST, "/dev/clock/advance", Some(json!({ "to": "next" }))).await?)
    }
}

/// Says that something was done to the world: for fakes, and for code that runs under `backstitch dev --chaos`, which counts.
/// Effects of one name and key are one, as a provider with idempotency keys sees them; without a key each call is one. Does
/// nothing elsewhere.
///
/// ```
/// # use backstitch::{Ctx, Error};
/// # async fn handler(ctx: Ctx) -> Result<(), Error> {
/// ctx.run("charge", |step| async move { backstitch::testing::effect("charge", Some(&step.idempotency_key())).await }).await?;
/// # Ok(())
/// # }
/// ```
pub async fn effect(name: &str, key: Option<&str>) -> Result<(), Error> {
    let Some(url) = config::chaos() else { return Ok(()) };
    let body = match key {
        Some(key) => json!({ "name": name, "key": key }),
        None => json!({ "name": name }),
    };
    ask(&url, Method::POST, "/dev/effects", Some(body)).await.map(drop)
}

async fn ask(url: &str, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
    let mut request =
        reqwest::Client::new().request(method, format!("{}{path}", url.trim_end_matches('/'))).timeout(REQUEST);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await?;
    let status = response.status();
    let answer: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let said = answer["detail"].as_str().unwrap_or("is it a server that `backstitch dev` runs?");
    Err(Error::terminal("RequestFailed", format!("the server at {url} answered {status}: {said}"))
        .with_code(status.as_str()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    now: String,
    skipped_ms: u64,
    #[serde(default)]
    next: Option<String>,
    quiet: bool,
}

fn read(answer: &Value) -> Result<ClockState, Error> {
    let Told { now, skipped_ms, next, quiet } = Told::deserialize(answer)?;
    let parsed = |text: &str| time::parse(text).map_err(|reason| Error::terminal("UnexpectedAnswer", reason));
    let (now, next) = (parsed(&now)?, next.as_deref().map(parsed).transpose()?);
    Ok(ClockState { now, skipped: Duration::from_millis(skipped_ms), next, quiet })
}
