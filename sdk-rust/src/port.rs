//! The way back to the server: small requests to the addresses that an invocation brings.
//!
//! The replay core asks for nothing but [`Port`], so that the test kit can stand in for the server. Over HTTP it is a client
//! with a pool, one for each app that is served; it follows no redirects, since a request carries a secret.

#[cfg(feature = "outbound")]
pub(crate) mod http;
mod kept;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use self::kept::KeptJournals;
use crate::time;
use crate::wire::checkpoint::Page;
use crate::wire::{Entry, EntryState, Outcome};

/// For how long an app that could not reach its server does not begin with checkpoints.
const SILENCE: Duration = Duration::from_secs(60);

/// The first pause between two tries; it doubles.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two tries.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long one request may take beyond what it asks the server to wait.
pub(crate) const REQUEST: Duration = Duration::from_secs(15);

/// How long a page or an outcome of the journal is asked for.
const FETCH: Duration = Duration::from_secs(30);

/// More pages than this are no journal: 4 MiB each, a journal has 32.
const PAGES_MAX: usize = 1_000;

/// A request to the server.
#[cfg_attr(not(feature = "outbound"), expect(dead_code, reason = "what goes out over HTTP, if anything does"))]
pub(crate) struct Request {
    pub(crate) url: Arc<str>,
    pub(crate) token: Arc<str>,
    /// What is posted; without it the request is a GET.
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Duration,
    /// Where it may go together with what other invocations post at this moment.
    pub(crate) together: Option<Arc<str>>,
}

/// What the server answered.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Something that takes requests to the server. An error says why the server was not reached.
pub(crate) trait Port: Send + Sync {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, String>>;
}

/// An app's way back to its server, and what it knows of it.
pub(crate) struct Outbound {
    pub(crate) port: Arc<dyn Port>,
    silent_until: Mutex<Option<Instant>>,
    kept: Mutex<KeptJournals>,
}

/// Why a part of the journal could not be had.
pub(crate) enum Missing {
    /// The invocation is not the run's last any more.
    Stale,
    Failed(String),
}

impl Outbound {
    pub(crate) fn new(port: Arc<dyn Port>) -> Outbound {
        Outbound { port, silent_until: Mutex::new(None), kept: Mutex::default() }
    }

    /// Whether an invocation should begin with checkpoints.
    pub(crate) fn is_open(&self) -> bool {
        let until = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= time::instant())
    }

    /// The server takes no checkpoints, or cannot be reached.
    pub(crate) fn close(&self) {
        let until = time::instant().checked_add(SILENCE);
        *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// The settled entries that an invocation's body has not, from the oldest on: those that were fetched for an earlier one,
    /// and what has come since. `first` is the least `seq` that it has.
    pub(crate) async fn older(
        &self,
        link: &str,
        run: &str,
        token: &Arc<str>,
        first: u64,
    ) -> Result<Vec<Entry>, Missing> {
        let key = format!("{link} {run}");
        let known = self.kept().get(&key);
        let (pages, bytes) = self.pages(link, token, first, known.until).await?;
        let all = known.and(pages, first - 1, bytes);
        if bytes > 0 {
            self.kept().put(key, all.clone());
        }
        Ok(all.before(first))
    }

    fn kept(&self) -> MutexGuard<'_, KeptJournals> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settled entries before one `seq` and, perhaps among others, after another, and how many bytes they came in.
    async fn pages(
        &self,
        link: &str,
        token: &Arc<str>,
        first: u64,
        known: u64,
    ) -> Result<(Vec<Entry>, usize), Missing> {
        let (mut pages, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(before) = next.filter(|before| *before > known + 1) {
            let page = self.page(link, token, &format!("before={before}")).await?;
            let above = |entry: &Entry| matches!(entry.state, EntryState::Settled { seq, .. } if seq >= before);
            if page.before.is_some_and(|next| next >= before) || page.journal.iter().any(above) {
                return Err(Missing::Failed(format!("the page before {before} does not end there")));
            }
            if pages.len() >= PAGES_MAX {
                return Err(Missing::Failed(format!("the journal has more than {PAGES_MAX} pages")));
            }
            next = page.before;
            bytes += page.bytes;
            pages.push(page.journal);
        }
        Ok((pages.into_iter().rev().flatten().collect(), bytes))
    }

    async fn page(&self, link: &str, token: &Arc<str>, query: &str) -> Result<Page, Missing> {
        fetch(Arc::clone(&self.port), address(link, query), Arc::clone(token)).await
    }

    /// The outcome of one entry.
    pub(crate) fn outcome(
        &self,
        link: &str,
        token: &Arc<str>,
        id: &str,
    ) -> impl Future<Output = Result<Outcome, Missing>> + Send + 'static {
        let url = address(link, &format!("id={}", encoded(id)));
        let page = fetch(Arc::clone(&self.port), url, Arc::clone(token));
        let id = id.to_owned();
        async move {
            let entry = page.await?.journal.into_iter().find(|entry| entry.id == id);
            match entry.map(|entry| entry.state) {
                Some(EntryState::Settled { outcome, .. }) if !matches!(outcome, Outcome::Elsewhere) => Ok(outcome),
                _ => Err(Missing::Failed(format!("the server gave no outcome of `{id}`"))),
            }
        }
    }
}

/// Whether a status, or a server that was not reached, may be another one next time.
pub(crate) fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

fn address(link: &str, query: &str) -> Arc<str> {
    let separator = if link.contains('?') { '&' } else { '?' };
    format!("{link}{separator}{query}").into()
}

/// Percent-encoded as a value of a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

async fn fetch(port: Arc<dyn Port>, url: Arc<str>, token: Arc<str>) -> Result<Page, Missing> {
    let begun = time::instant();
    let mut pause = PAUSE;
    loop {
        let request =
            Request { url: Arc::clone(&url), token: Arc::clone(&token), body: None, timeout: REQUEST, together: None };
        let why = match port.send(request).await {
            Ok(Response { status: 200, body }) => return Page::parse(&body).map_err(Missing::Failed),
            Ok(Response { status: 409, .. }) => return Err(Missing::Stale),
            Ok(Response { status, .. }) if !is_passing(status) => {
                return Err(Missing::Failed(format!("the server refused a part of the journal with status {status}")));
            }
            Ok(Response { status, .. }) => format!("the server answered with status {status}"),
            Err(why) => why,
        };
        if begun.elapsed() > FETCH {
            return Err(Missing::Failed(format!("failed to fetch a part of the journal: {why}")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
