//! `POST /v1/subscriptions`: a token with which a browser reads the messages of one run or channel, for a while.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body;
use crate::api::doors::Doors;
use crate::api::error::{FieldError, Problem};
use crate::auth::Subscription;
use crate::limits::{
    NAME_BYTES_MAX, SMALL_BODY_BYTES_MAX, SUBSCRIPTION_MS, SUBSCRIPTION_MS_MAX, SUBSCRIPTION_TOPICS_MAX,
};
use crate::model::{RunId, Span, Text, Timestamp};

/// What a token is to let its holder read: the messages of a run, or those on a channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscriptionRequest)]
struct SubscriptionBody {
    /// The messages of this run, and its result.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    run: Option<RunId>,
    /// The messages on this channel.
    #[serde(default)]
    channel: Option<String>,
    /// Of these topics only; of all if left out.
    #[serde(default)]
    topics: Vec<String>,
    /// For how long: an hour if left out, at most a day.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "1h")]
    ttl: Option<Span>,
}

/// A token for one stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Subscription)]
pub struct SubscriptionJson {
    /// The token, `sub_…`: for the header `authorization`, or for `token` in an address.
    pub token: String,
    /// Until when it can be used to begin reading.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Make a token with which a browser may read one stream.
#[utoipa::path(
    post, path = "/v1/subscriptions", tag = "streams", operation_id = "subscribe",
    request_body = SubscriptionBody,
    responses((status = 201, description = "The token", body = SubscriptionJson))
)]
pub(super) async fn subscribe(
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<SubscriptionJson>), Problem> {
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let asked: SubscriptionBody = received.json()?;
    let wrong = |pointer: &str, detail: String| Problem::field(FieldError::at(pointer, detail));
    let channel = match (&asked.run, &asked.channel) {
        (Some(_), None) => None,
        (None, Some(name)) => Some(channel_name(name).map_err(|detail| wrong("/channel", detail))?),
        (None, None) => return Err(wrong("", "has neither `run` nor `channel`; name what is to be read".to_owned())),
        (Some(_), Some(_)) => {
            return Err(wrong("/channel", "stands beside `run`; a token is for one of them".to_owned()));
        }
    };
    if asked.topics.len() > SUBSCRIPTION_TOPICS_MAX {
        return Err(wrong("/topics", format!("has more than {SUBSCRIPTION_TOPICS_MAX}; leave it out for all")));
    }
    let mut topics = Vec::with_capacity(asked.topics.len());
    for (n, topic) in asked.topics.iter().enumerate() {
        topics.push(topic_name(topic).map_err(|detail| wrong(&format!("/topics/{n}"), detail))?);
    }
    let ttl = asked.ttl.unwrap_or(Span(SUBSCRIPTION_MS));
    if ttl.0 == 0 || ttl.0 > SUBSCRIPTION_MS_MAX {
        return Err(wrong("/ttl", format!("is {ttl}; a token is good for 1ms to {}", Span(SUBSCRIPTION_MS_MAX))));
    }
    if let Some(run) = asked.run {
        doors.store.run(run).await?.ok_or_else(|| crate::api::runs::unknown(run))?;
    }
    let expires_at = doors.clock.wall().after(ttl);
    let token = doors.secrets.subscribe(&Subscription { run: asked.run, channel, topics, until: expires_at });
    Ok((StatusCode::CREATED, Json(SubscriptionJson { token, expires_at })))
}

/// The name of a channel, if it can be one.
pub(super) fn channel_name(text: &str) -> Result<Text, String> {
    name(text, "channel")
}

fn topic_name(text: &str) -> Result<Text, String> {
    if text.contains(',') {
        return Err("has a comma, which separates topics in addresses; choose another name".to_owned());
    }
    name(text, "topic")
}

fn name(text: &str, what: &str) -> Result<Text, String> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("the name of a {what} has 1 to {NAME_BYTES_MAX} bytes and no control characters"));
    }
    if text.starts_with('$') {
        return Err(format!("the name of a {what} does not begin with `$`"));
    }
    Ok(text.into())
}
