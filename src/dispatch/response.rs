//! What a response means. With the SDK's header on it, it comes from a handler and is an answer or a typed problem;
//! without, something else answered, and the reason says what.

use http::{HeaderMap, StatusCode, header};

use super::client::{Body, CallError, Response};
use super::target::address_shown;
use crate::dialect::native::{decode_answer, decode_problem, headers};
use crate::limits::{ANSWER_BYTES_MAX, RETRY_AFTER_MS_MAX};
use crate::model::{Answer, Problem, ProblemCode, Span, Timestamp, Undelivered};

/// One invocation, as far as its answer is concerned.
pub(super) struct Asked<'a> {
    pub(super) token: &'a str,
    pub(super) seen: u32,
    pub(super) url: &'a str,
    pub(super) bytes_max: usize,
    pub(super) now: Timestamp,
}

/// Whether a response is an SDK's.
pub(super) fn is_ours(headers: &HeaderMap) -> bool {
    headers.contains_key(headers::SDK)
}

/// Whether a response is a handler's answer, to be read whole.
pub(super) fn is_answer(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && is_ours(headers)
}

/// The answer that follows from what a call came to.
pub(super) fn answer(called: Result<Response, CallError>, asked: &Asked<'_>) -> Answer {
    let url = address_shown(asked.url);
    match called {
        Ok(response) if is_answer(response.status, &response.headers) => ours(&response.body, asked),
        Ok(response) if is_ours(&response.headers) => refused(&response, asked),
        Ok(response) => foreign(&response, asked),
        Err(CallError::NotReached(reason) | CallError::Forbidden(reason)) => {
            not_reached(format!("{url}: {reason}"), None)
        }
        Err(CallError::Lost(reason)) => lost(format!("{url}: {reason}")),
    }
}

fn ours(body: &Body, asked: &Asked<'_>) -> Answer {
    let Body::Whole(bytes) = body else {
        let limit = asked.bytes_max;
        let whose =
            if limit == ANSWER_BYTES_MAX { "the server takes" } else { "its manifest allows (limits.responseBytes)" };
        return problem(
            ProblemCode::Sdk,
            format!("the handler's answer is larger than the {limit} bytes that {whose}"),
        );
    };
    decode_answer(bytes, asked.token, asked.seen).unwrap_or_else(|error| {
        // A server that is older than its apps is brought up to date: no run may end for that.
        let code = if error.is_of_a_newer_sdk() { ProblemCode::Protocol } else { ProblemCode::Sdk };
        problem(code, error.to_string())
    })
}

/// A refusal with the SDK's header: its problem document, else what its status says.
fn refused(response: &Response, asked: &Asked<'_>) -> Answer {
    if let Some(problem) = decode_problem(response.body.bytes()) {
        return Answer::Problem(problem);
    }
    let said = describe(response, asked.url);
    match response.status.as_u16() {
        429 | 502 | 503 => not_reached(said, retry_after(&response.headers, asked.now)),
        401 => problem(ProblemCode::Signature, said),
        404 => problem(ProblemCode::UnknownFunction, said),
        400 | 405 => problem(ProblemCode::Protocol, said),
        413 => problem(ProblemCode::TooLarge, said),
        _ => problem(ProblemCode::Sdk, said),
    }
}

/// A response of something that is not an SDK: a gateway, another server, an error page of the host.
fn foreign(response: &Response, asked: &Asked<'_>) -> Answer {
    let said = describe(response, asked.url);
    match response.status.as_u16() {
        // This run's body is what is wrong; others may pass.
        413 => {
            problem(ProblemCode::TooLarge, format!("{said}. Something in front of the app takes no larger requests"))
        }
        502 | 503 => not_reached(said, retry_after(&response.headers, asked.now)),
        // The request may have been with the handler when this was said.
        500.. => lost(said),
        429 => not_reached(said, retry_after(&response.headers, asked.now)),
        300..=399 => not_reached(format!("{said}. Redirects are not followed: register the address it leads to"), None),
        401 | 403 => not_reached(
            format!(
                "{said}. Something in front of the app asks for credentials: register the app with `headers` that it takes"
            ),
            None,
        ),
        404 => not_reached(format!("{said}. Nothing of Backstitch is at this address: is the path right?"), None),
        _ => not_reached(format!("{said}. This is not an SDK's answer: is the address right?"), None),
    }
}

/// Says who answered what, with the beginning of the body.
pub(super) fn describe(response: &Response, url: &str) -> String {
    let (status, url) = (response.status, address_shown(url));
    let reason = status.canonical_reason().map_or_else(String::new, |reason| format!(" {reason}"));
    let to = response.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    let to = to.map_or_else(String::new, |to| format!(" to {}", line(address_shown(to), 200)));
    let text = String::from_utf8_lossy(response.body.bytes());
    let text = text.trim();
    let said = match (text.is_empty(), is_html(&response.headers, text), title(text)) {
        (true, _, _) => String::new(),
        (_, true, Some(title)) => format!(" with an HTML page titled \"{title}\": {}", line(text, EXCERPT_CHARS)),
        (_, true, None) => format!(" with an HTML page: {}", line(text, EXCERPT_CHARS)),
        _ => format!(": {}", line(text, EXCERPT_CHARS)),
    };
    format!("{url} answered {}{reason}{to}{said}", status.as_u16())
}

/// All that was read for people is shown to them.
const EXCERPT_CHARS: usize = crate::limits::EXCERPT_BYTES_MAX;

pub(super) fn is_html(headers: &HeaderMap, text: &str) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let start = text.trim_start().get(..14).unwrap_or(text).to_ascii_lowercase();
    kind.starts_with("text/html") || start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let from = lower.find("<title")?;
    let from = from + lower[from..].find('>')? + 1;
    let to = from + lower[from..].find("</title")?;
    Some(line(text.get(from..to)?.trim(), 120)).filter(|title| !title.is_empty())
}

/// One line of foreign text.
pub(super) fn line(text: &str, chars: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(chars).collect()
}

/// When the other side wants to be asked again: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Span> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let ms = match value.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_millisecond();
            Timestamp(at).since(now).0
        }
    };
    Some(Span(ms.min(RETRY_AFTER_MS_MAX)))
}

fn problem(code: ProblemCode, detail: String) -> Answer {
    Answer::Problem(Problem { code, detail })
}

fn not_reached(reason: String, retry_after: Option<Span>) -> Answer {
    Answer::Undelivered(Undelivered::NotReached { reason, retry_after })
}

fn lost(reason: String) -> Answer {
    Answer::Undelivered(Undelivered::Lost { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_bound() {
        let now: Timestamp = "2026-11-22T09:00:00.000Z".parse().unwrap();
        for (value, expected) in [
            ("30", Some(30_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999", None),
            ("86400", Some(RETRY_AFTER_MS_MAX)),
            ("Sun, 22 Nov 2026 09:01:00 GMT", Some(60_000)),
            ("Sun, 22 Nov 2026 08:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now).map(|span| span.0), expected, "{value}");
        }
    }

    #[test]
    fn pages_are_named_by_their_titles() {
        assert_eq!(title("<html><head><TITLE lang=en>\n Bad\n gateway </TITLE>").as_deref(), Some("Bad gateway"));
        assert_eq!(title("<title></title>"), None);
        assert!(is_html(&HeaderMap::new(), "<!DOCTYPE html><p>") && !is_html(&HeaderMap::new(), "{}"));
        assert_eq!(line("a\r\n\0b\u{7}  c", 10), "a b c");
    }
}
