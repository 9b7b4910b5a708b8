//! What is left out of a journal before people see it: the credentials of HTTP calls, which handlers need and readers do not.

use serde_json::Value;

use crate::model::{Entry, EntryKind, Outcome, Payload};

/// What stands where a secret was.
const HIDDEN: &str = "(hidden)";

/// What the names of headers and of parameters in queries have in them when they carry a secret.
const SECRET: [&str; 9] =
    ["auth", "cookie", "token", "secret", "key", "password", "credential", "signature", "session"];

/// The same for the headers of an answer, which speak of tokens and keys that are no secrets.
const SECRET_IN_ANSWERS: [&str; 3] = ["auth", "cookie", "secret"];

/// The parameters of an entry, fit to be shown.
pub(super) fn params(entry: &Entry) -> Payload {
    shown(entry.kind, &entry.params, |params| {
        let Some(request) = params.get_mut("request") else { return };
        hide(request.get_mut("headers"), &SECRET);
        if let Some(Value::String(url)) = request.get_mut("url") {
            *url = without_secrets(url);
        }
    })
}

/// The outcome of an entry, fit to be shown.
pub(super) fn outcome(entry: &Entry) -> Option<Outcome> {
    let outcome = entry.outcome.clone()?;
    let Outcome::Ok(value) = outcome else { return Some(outcome) };
    Some(Outcome::Ok(shown(entry.kind, &value, |value| hide(value.get_mut("headers"), &SECRET_IN_ANSWERS))))
}

fn shown(kind: EntryKind, payload: &Payload, change: impl FnOnce(&mut Value)) -> Payload {
    if kind != EntryKind::Fetch {
        return payload.clone();
    }
    let Ok(mut value) = payload.read::<Value>() else { return payload.clone() };
    change(&mut value);
    Payload::trusted(value.to_string())
}

fn hide(headers: Option<&mut Value>, secret: &[&str]) {
    let Some(Value::Object(headers)) = headers else { return };
    for (name, value) in headers {
        if is_secret(name, secret) {
            *value = HIDDEN.into();
        }
    }
}

fn is_secret(name: &str, secret: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    // It is the run's id and the entry's, unless the author says otherwise, and no way in.
    name != "idempotency-key" && secret.iter().any(|part| name.contains(part))
}

fn without_secrets(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else { return url.to_owned() };
    let (query, fragment) = query.split_once('#').map_or((query, None), |(query, fragment)| (query, Some(fragment)));
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name, &SECRET) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    let shown = shown.collect::<Vec<_>>().join("&");
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{address}?{shown}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_queries_are_not_shown() {
        for (url, expected) in [
            ("https://a/b", "https://a/b"),
            ("https://a/b?q=1", "https://a/b?q=1"),
            ("https://a/b?key=s3cret&q=1#f", "https://a/b?key=(hidden)&q=1#f"),
            ("https://a/b?q=1&X-Amz-Signature=a=b", "https://a/b?q=1&X-Amz-Signature=(hidden)"),
            ("https://a/b?token", "https://a/b?token"),
        ] {
            assert_eq!(without_secrets(url), expected);
        }
    }
}
