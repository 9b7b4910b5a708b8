//! What a handler at work is told: the reply to a checkpoint, and the pages of a journal that did not fit into the
//! invocation's body.

use bytes::Bytes;

use super::writer::{Body, Form, is_shown, outcome_bytes, sizes};
use crate::limits::{JOURNAL_PAGE_BYTES_MAX, REFERENCE_BYTES_MIN, REPLY_BYTES_MAX};
use crate::model::{Entry, News, Retry, Stop};

/// What a page has around its entries.
const PAGE_FRAME_BYTES: usize = 64;

/// The body of a reply. What settled last stays out when the outcomes together are too many bytes: the handler is told of
/// it by the next reply, since it goes on from the greatest `seq` that it was told of.
pub fn encode_reply(news: &News) -> Bytes {
    let mut body = Body(Vec::with_capacity(256 + news.settled.len() * 200));
    body.raw("{\"settled\":[");
    let mut outcomes = 0;
    for (position, told) in news.settled.iter().enumerate() {
        outcomes += if told.own { 0 } else { outcome_bytes(&told.entry) };
        if position > 0 && outcomes > REPLY_BYTES_MAX {
            break;
        }
        body.raw(if position == 0 { "" } else { "," });
        body.entry(&told.entry, if told.own { Form::Own } else { Form::Whole });
    }
    body.raw("],\"retry\":[");
    for (position, retry) in news.retry.iter().enumerate() {
        body.raw(if position == 0 { "" } else { "," });
        again(&mut body, retry);
    }
    body.raw(if news.stop == Some(Stop::Drain) { "],\"stop\":\"drain\"}" } else { "]}" });
    body.0.into()
}

fn again(body: &mut Body, retry: &Retry) {
    body.raw("{\"id\":").string(&retry.id).raw(",\"attempt\":").display(retry.attempt);
    body.raw(",\"dueIn\":").display(retry.due_in.0);
    if let Some(error) = &retry.error {
        body.raw(",\"error\":").payload(error);
    }
    if let Some(details) = &retry.details {
        body.raw(",\"details\":").payload(details);
    }
    body.raw("}");
}

/// The body of a page: the newest of these settled entries that fit, by `seq`, and where the page before it ends.
pub fn encode_page(entries: &[Entry]) -> Bytes {
    let mut room = JOURNAL_PAGE_BYTES_MAX - PAGE_FRAME_BYTES;
    let mut chosen = Vec::new();
    for entry in entries.iter().rev().filter(|entry| is_shown(entry)) {
        let (reference, whole) = sizes(entry);
        let (form, bytes) = match outcome_bytes(entry) {
            REFERENCE_BYTES_MIN.. => (Form::Reference, reference),
            _ => (Form::Whole, whole),
        };
        if bytes + 1 > room {
            break;
        }
        room -= bytes + 1;
        chosen.push((entry, form));
    }
    // Ordinals have no gaps: below the first there is nothing.
    let before = chosen.last().and_then(|(entry, _)| entry.seq).filter(|seq| *seq > 1);
    page(chosen.iter().rev(), before)
}

/// The body of a page with one entry, whole; with none if there is no such entry.
pub fn encode_entry(entry: Option<&Entry>) -> Bytes {
    page(entry.filter(|entry| is_shown(entry)).map(|entry| (entry, Form::Whole)).iter(), None)
}

fn page<'e>(entries: impl Iterator<Item = &'e (&'e Entry, Form)>, before: Option<u32>) -> Bytes {
    let mut body = Body(Vec::new());
    body.raw("{\"journal\":[");
    for (position, (entry, form)) in entries.enumerate() {
        body.raw(if position == 0 { "" } else { "," }).entry(entry, *form);
    }
    body.raw("],\"before\":");
    match before {
        Some(seq) => body.display(seq),
        None => body.raw("null"),
    };
    body.raw("}");
    body.0.into()
}
