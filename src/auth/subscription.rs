//! Subscription tokens: what a browser reads messages with. One says of which run or channel, of which topics, and until
//! when. It can be handed to anybody, and nothing else can be done with it. Nothing is stored: the server makes the digest
//! again and compares.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::RunSecrets;
use crate::limits::SUBSCRIPTION_TOKEN_BYTES_MAX;
use crate::model::{RunId, Text, Timestamp, hex};

/// What a subscription token begins with.
pub const SUBSCRIPTION_PREFIX: &str = "sub_";

/// What stands before a token in its digest, so that it can be taken for no other token of the server.
const SUBSCRIPTION: &str = "subscription/";

/// Bytes of the digest: 128 bits cannot be guessed.
const DIGEST_BYTES: usize = 16;

/// What a subscription token lets its holder read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The messages of this run, and its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The messages on this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Text>,
    /// Of these topics only; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Text>,
    /// Until when.
    pub until: Timestamp,
}

/// Why a text is no token that can be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// It does not have the form of a token.
    #[error("failed to read the subscription token: expected `sub_<scope>.<digest>`; was it cut off?")]
    Malformed,
    /// It has the form, and this server did not make it.
    #[error("failed to take the subscription token: this server did not make it; ask for a new one")]
    Forged,
    /// Its time is over.
    #[error("failed to take the subscription token: it was good until {0}; ask your backend for a new one")]
    Expired(Timestamp),
}

impl RunSecrets {
    /// The token that lets its holder read this.
    pub fn subscribe(&self, subscription: &Subscription) -> String {
        let json = serde_json::to_vec(subscription).expect("a scope prints to memory");
        self.sign_scope(&URL_SAFE_NO_PAD.encode(json))
    }

    fn sign_scope(&self, scope: &str) -> String {
        let tag = hmac::sign(self.key(), format!("{SUBSCRIPTION}{scope}").as_bytes());
        format!("{SUBSCRIPTION_PREFIX}{scope}.{}", hex(&tag.as_ref()[..DIGEST_BYTES]))
    }

    /// What a token lets its holder read at a time.
    ///
    /// # Errors
    /// [`SubscriptionError`], when it is no token of this server, or its time is over.
    pub fn subscription(&self, token: &str, now: Timestamp) -> Result<Subscription, SubscriptionError> {
        if token.len() > SUBSCRIPTION_TOKEN_BYTES_MAX {
            return Err(SubscriptionError::Malformed);
        }
        let parts = token.strip_prefix(SUBSCRIPTION_PREFIX).and_then(|rest| rest.split_once('.'));
        let (scope, _) = parts.ok_or(SubscriptionError::Malformed)?;
        if constant_time::verify_slices_are_equal(self.sign_scope(scope).as_bytes(), token.as_bytes()).is_err() {
            return Err(SubscriptionError::Forged);
        }
        let json = URL_SAFE_NO_PAD.decode(scope).map_err(|_| SubscriptionError::Malformed)?;
        let subscription: Subscription = serde_json::from_slice(&json).map_err(|_| SubscriptionError::Malformed)?;
        if subscription.until <= now {
            return Err(SubscriptionError::Expired(subscription.until));
        }
        Ok(subscription)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_what_they_are_for_and_cannot_be_changed() {
        let secrets = RunSecrets::new(&[3; 32]);
        let subscription = Subscription {
            run: Some(RunId(77)),
            channel: None,
            topics: vec!["tokens".into()],
            until: Timestamp(1_000),
        };
        let token = secrets.subscribe(&subscription);
        assert_eq!(secrets.subscription(&token, Timestamp(999)), Ok(subscription.clone()));
        let expired = SubscriptionError::Expired(Timestamp(1_000));
        assert_eq!(secrets.subscription(&token, Timestamp(1_000)), Err(expired));
        for n in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[n] ^= 1;
            let Ok(forged) = String::from_utf8(bytes) else { continue };
            assert!(secrets.subscription(&forged, Timestamp(0)).is_err(), "{forged} was taken for {token}");
        }
        let other = secrets.subscribe(&Subscription { topics: Vec::new(), ..subscription });
        let (scope, tag) = (other.split_once('.').unwrap().0, token.split_once('.').unwrap().1);
        let mixed = format!("{scope}.{tag}");
        assert_eq!(secrets.subscription(&mixed, Timestamp(0)), Err(SubscriptionError::Forged));
        assert_eq!(RunSecrets::new(&[4; 32]).subscription(&token, Timestamp(0)), Err(SubscriptionError::Forged));
        // No other token of the server is one, and it is none of them.
        assert!(secrets.subscription(&secrets.token(RunId(77), "a"), Timestamp(0)).is_err());
        assert!(secrets.open(&token).is_err() && secrets.unseal(&token).is_err());
        for text in ["", "sub_", "sub_.", &token[..token.len() - 1], &format!("{token}x"), &"sub_a".repeat(9_000)] {
            assert!(secrets.subscription(text, Timestamp(0)).is_err(), "{text} was taken");
        }
    }
}
