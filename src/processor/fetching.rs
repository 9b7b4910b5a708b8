//! HTTP calls for runs, beside the loop: each begins when its entry is durable, and ends as a command. What nobody waits for
//! any more is given up.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::handle::Envelope;
use super::owner::{Halted, Owner, panic_text};
use crate::engine::Command;
use crate::model::{Failure, FetchCall, FetchEnd, FetchToken, Timestamp, names};

/// The calls that are under way.
#[derive(Default)]
pub(super) struct Fetching {
    calls: JoinSet<Fetched>,
    handles: BTreeMap<FetchToken, AbortHandle>,
}

/// A call that ended.
pub(super) struct Fetched {
    token: FetchToken,
    started_at: Timestamp,
    end: FetchEnd,
}

impl Fetching {
    /// Whether no call is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The next call that ends. One that was given up is nothing; so is none at all, for ever.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        match self.calls.join_next().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    /// A call that has ended already.
    pub(super) fn try_next(&mut self) -> Option<Fetched> {
        loop {
            let ended = self.calls.try_join_next()?;
            if let Some(fetched) = self.ended(ended) {
                return Some(fetched);
            }
        }
    }

    fn ended(&mut self, ended: Result<Fetched, JoinError>) -> Option<Fetched> {
        // What a call does cannot panic here: it is caught inside. What was given up is cancelled, and nobody waits for it.
        let fetched = ended.ok()?;
        self.handles.remove(&fetched.token);
        Some(fetched)
    }

    /// A call that nobody waits for any more is given up.
    pub(super) fn abandon(&mut self, token: FetchToken) {
        if let Some(handle) = self.handles.remove(&token) {
            handle.abort();
        }
    }
}

impl Owner {
    /// Makes a call whose entry is durable.
    pub(super) fn fetch(&mut self, call: FetchCall) {
        let token = call.token;
        if self.draining || !self.partition.is_fetching(token) {
            return self.partition.fetch_ended(token);
        }
        let started_at = self.now();
        let fetcher = self.parts.fetcher.clone();
        let handle = self.fetching.calls.spawn(async move {
            let making = AssertUnwindSafe(async move { fetcher.fetch(call).await });
            let end = making.catch_unwind().await.unwrap_or_else(|panic| {
                let message = format!("the server's own call panicked: {}", panic_text(&*panic));
                let failure = Box::new(Failure::new(names::FETCH_FAILED, message));
                FetchEnd::Failed { status: None, failure, retry_after: None }
            });
            Fetched { token, started_at, end }
        });
        self.fetching.handles.insert(token, handle);
    }

    /// A call ended: its entry settles, or is to be called again.
    pub(super) fn fetched(&mut self, fetched: Fetched) -> Result<(), Halted> {
        let Fetched { token, started_at, end } = fetched;
        self.decide(Envelope { command: Command::Fetched { token, end, started_at }, reply: None })
    }
}
