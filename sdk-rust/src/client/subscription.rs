//! Tokens with which browsers read one stream, without a key.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::{Client, Request, unexpected};
use crate::error::Error;
use crate::raw::{ObjectWriter, Raw};
use crate::time;

/// What a subscription token lets its holder read: the messages of a run, and its result, or the messages on a channel.
#[derive(Debug, Clone)]
#[must_use = "it is for `Client::subscription_token`"]
pub struct SubscriptionScope {
    /// `run` or `channel`.
    kind: &'static str,
    of: String,
    topics: Vec<String>,
    ttl: Option<Duration>,
}

impl SubscriptionScope {
    /// The messages of the run of this id, and its result.
    pub fn run(id: impl Into<String>) -> SubscriptionScope {
        SubscriptionScope { kind: "run", of: id.into(), topics: Vec::new(), ttl: None }
    }

    /// The messages on a channel that has a name.
    pub fn channel(channel: impl Into<String>) -> SubscriptionScope {
        SubscriptionScope { kind: "channel", ..SubscriptionScope::run(channel) }
    }

    /// Of these topics only; of all if nothing is said.
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// For how long: an hour if nothing is said, at most a day. It cannot be taken back.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    fn write(&self) -> Result<Raw, Error> {
        let body = ObjectWriter::new().text(self.kind, &self.of).duration("ttl", self.ttl);
        Ok(match &*self.topics {
            [] => body,
            topics => body.raw("topics", &Raw::encode(&topics, "the topics")?),
        }
        .finish())
    }
}

/// A token with which a browser reads one stream.
#[derive(Clone, PartialEq, Eq)]
pub struct SubscriptionToken {
    /// `sub_…`: for the header `authorization`, or for `token` in an address.
    pub token: String,
    /// Until when it can be used to begin reading.
    pub expires_at: SystemTime,
}

/// Without the token: it opens a stream.
impl std::fmt::Debug for SubscriptionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscriptionToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a token with which a browser may read one stream, and nothing else.
    ///
    /// ```no_run
    /// use backstitch::client::SubscriptionScope;
    /// use backstitch::{Client, DurationExt, FunctionRef};
    ///
    /// const ANSWER: FunctionRef<String, String> = FunctionRef::new("answer");
    ///
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let client = Client::new("answers");
    /// let run = client.start(ANSWER, "How does a seam hold?".to_owned()).send().await?;
    /// let scope = SubscriptionScope::run(run.id()).topics(["tokens"]).ttl(10.minutes());
    /// let token = client.subscription_token(&scope).await?;
    /// println!("/v1/runs/{}/stream?token={}", run.id(), token.token);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscription_token(&self, scope: &SubscriptionScope) -> Result<SubscriptionToken, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Made {
            token: String,
            expires_at: String,
        }
        let (_, made): (_, Made) = self.request(Request::post(&["subscriptions"], Some(scope.write()?))).await?;
        let expires_at = time::parse(&made.expires_at).map_err(|error| unexpected(&error))?;
        Ok(SubscriptionToken { token: made.token, expires_at })
    }
}
