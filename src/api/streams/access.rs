//! Who may read: whoever has a subscription token reads what it says, and nothing else; a web page of another origin has to
//! have one. In an address stands nothing but such a token: addresses end up in logs.

use http::{HeaderMap, Uri, header};

use crate::api::doors::Doors;
use crate::api::error::{Code, FieldError, Problem};
use crate::auth::{SUBSCRIPTION_PREFIX, Subscription};
use crate::model::{RunId, Text};

/// What a request may read.
pub(in crate::api) struct Access {
    subscription: Option<Subscription>,
}

impl Access {
    /// Looks at the token of a request, in its header or, for an `EventSource`, in its address.
    pub(in crate::api) fn of(
        doors: &Doors,
        uri: &Uri,
        headers: &HeaderMap,
        in_query: Option<&str>,
    ) -> Result<Access, Problem> {
        let refused = |detail: String| Problem::new(Code::Unauthorized, detail);
        if in_query.is_some_and(|token| !token.starts_with(SUBSCRIPTION_PREFIX)) {
            let detail = "failed to take `token`: in an address only a subscription token (`sub_…`) is taken, since addresses are \
                          written into logs; send keys in the header `authorization`, and change this one";
            return Err(refused(detail.to_owned()));
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let token = bearer.filter(|token| token.starts_with(SUBSCRIPTION_PREFIX)).or(in_query);
        if let Some(token) = token {
            let subscription = doors.secrets.subscription(token, doors.clock.wall());
            return Ok(Access { subscription: Some(subscription.map_err(|error| refused(error.to_string()))?) });
        }
        if doors.guard.is_other_origin(uri, headers) {
            let detail = "failed to read from a web page of another origin: it needs a subscription token; your backend asks for one \
                          at POST /v1/subscriptions and hands it to the page";
            return Err(refused(detail.to_owned()));
        }
        Ok(Access { subscription: None })
    }

    /// Whether a run may be read.
    pub(in crate::api) fn to_run(&self, run: RunId) -> Result<(), Problem> {
        match &self.subscription {
            Some(subscription) if subscription.run != Some(run) => Err(out_of_scope(subscription)),
            _ => Ok(()),
        }
    }

    /// Whether a channel may be read.
    pub(super) fn to_channel(&self, channel: &Text) -> Result<(), Problem> {
        match &self.subscription {
            Some(subscription) if subscription.channel.as_ref() != Some(channel) => Err(out_of_scope(subscription)),
            _ => Ok(()),
        }
    }

    /// The topics that are read: those that are asked for, if all of them may be. Nothing for all that there are.
    pub(super) fn topics(&self, asked: Option<&str>) -> Result<Option<Vec<Text>>, Problem> {
        let asked: Option<Vec<Text>> = asked.map(|list| list.split(',').map(|topic| topic.trim().into()).collect());
        if asked.iter().flatten().any(|topic| topic.is_empty()) {
            let detail = "names an empty topic; write topics separated by commas, or leave it out for all";
            return Err(Problem::field(FieldError::of("topics", detail)));
        }
        let allowed = self.subscription.as_ref().map(|it| &it.topics).filter(|topics| !topics.is_empty());
        match (asked, allowed) {
            (Some(asked), Some(allowed)) if !asked.iter().all(|topic| allowed.contains(topic)) => {
                let detail = format!(
                    "failed to read these topics: the subscription token is for {} only",
                    allowed.iter().map(|topic| format!("`{topic}`")).collect::<Vec<_>>().join(", ")
                );
                Err(Problem::new(Code::OutOfScope, detail))
            }
            (Some(asked), _) => Ok(Some(asked)),
            (None, allowed) => Ok(allowed.cloned()),
        }
    }
}

fn out_of_scope(subscription: &Subscription) -> Problem {
    let scope = match (&subscription.run, &subscription.channel) {
        (Some(run), _) => format!("run {run}"),
        (None, Some(channel)) => format!("channel `{channel}`"),
        (None, None) => "nothing".to_owned(),
    };
    Problem::new(Code::OutOfScope, format!("failed to read this: the subscription token is for {scope} only"))
}
