//! What went over the wire, for a developer to look at: the last invocations with their requests and responses, as the other
//! side saw them. It is kept in memory by a server for development only, with a bound on everything, and is gone with it.
//!
//! Headers that are secret (the signature, those of an app's owner) are named, and their values are not kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::Full;

use super::client::{Body, CallError, Response};
use crate::limits::{WIRE_BODY_BYTES_MAX, WIRE_EXCHANGES_MAX};
use crate::model::{FunctionId, RunHead, RunId, Timestamp};

/// The last invocations, the newest last.
#[derive(Default)]
pub struct Wire {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    exchanges: VecDeque<Exchange>,
}

/// One invocation: what was sent, and what came back once it has.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its ordinal in the life of the server, from 1.
    pub number: u64,
    /// For which run.
    pub run: RunId,
    /// Of which function.
    pub function: FunctionId,
    /// Where it was sent.
    pub url: String,
    /// When it was sent.
    pub at: Timestamp,
    /// When the answer was there, or it was clear that none would come.
    pub ended_at: Option<Timestamp>,
    /// What was sent.
    pub request: Half,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What came back, if anything did.
    pub response: Option<Half>,
    /// Why nothing came back, or not all.
    pub trouble: Option<String>,
}

/// One direction of an exchange.
#[derive(Clone, Debug)]
pub struct Half {
    /// Headers in their order; the values of secret ones are left out.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, as text.
    pub body: String,
    /// How many bytes the whole body has.
    pub bytes: usize,
}

impl Half {
    fn new(headers: &HeaderMap, body: &[u8]) -> Half {
        let kept = &body[..body.len().min(WIRE_BODY_BYTES_MAX)];
        Half { headers: shown(headers), body: String::from_utf8_lossy(kept).into_owned(), bytes: body.len() }
    }
}

impl Wire {
    /// Notes what is about to be sent, and returns its number.
    pub(super) fn sent(&self, head: &RunHead, request: &Request<Full<Bytes>>, body: &[u8], at: Timestamp) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let number = kept.last;
        if kept.exchanges.len() >= WIRE_EXCHANGES_MAX {
            kept.exchanges.pop_front();
        }
        kept.exchanges.push_back(Exchange {
            number,
            run: head.id,
            function: head.function.clone(),
            url: request.uri().to_string(),
            at,
            ended_at: None,
            request: Half::new(request.headers(), body),
            status: None,
            response: None,
            trouble: None,
        });
        number
    }

    /// Notes what came back. An exchange that has been pushed out by newer ones stays forgotten.
    pub(super) fn ended(&self, number: u64, called: &Result<Response, CallError>, at: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(exchange) = kept.exchanges.iter_mut().rev().find(|exchange| exchange.number == number) else { return };
        exchange.ended_at = Some(at);
        match called {
            Ok(response) => {
                exchange.status = Some(response.status.as_u16());
                exchange.response = Some(Half::new(&response.headers, response.body.bytes()));
                exchange.trouble = match response.body {
                    Body::TooLarge => Some("the answer is larger than the server reads".to_owned()),
                    Body::Whole(_) | Body::Excerpt(_) => None,
                };
            }
            Err(CallError::NotReached(reason) | CallError::Lost(reason) | CallError::Forbidden(reason)) => {
                exchange.trouble = Some(reason.clone());
            }
        }
    }

    /// The exchanges, the newest first; only those of a run if one is named.
    pub fn read(&self, run: Option<RunId>, limit: usize) -> Vec<Exchange> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = kept.exchanges.iter().rev().filter(|exchange| run.is_none_or(|run| exchange.run == run));
        wanted.take(limit).cloned().collect()
    }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let secret = |name: &header::HeaderName, value: &header::HeaderValue| {
        value.is_sensitive() || [header::AUTHORIZATION, header::SET_COOKIE].contains(name)
    };
    let text = |name, value: &header::HeaderValue| {
        if secret(name, value) { "(secret)".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
    };
    headers.iter().map(|(name, value)| (name.to_string(), text(name, value))).collect()
}
