//! Reads requests: bodies within their bounds of size, time and type, JSON with errors that point at the field, query
//! parameters and parts of the path. Unknown fields are errors, because a typo would lose data otherwise. Payloads in a
//! body stay the bytes that came.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::error::{Code, FieldError, Problem};
use crate::limits::{BODY_READ_MS, NAME_BYTES_MAX};
use crate::model::{AttributeValue, LabelProblem, Labels, Payload, Text};

/// The type of JSON lines: one value in each.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// A body that was read, with its kind.
pub(super) struct Received {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// Whether each line is a value of its own.
    pub(super) lines: bool,
}

/// Reads a body of JSON. An empty one is nothing, whatever its type.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: axum::body::Body,
    bytes_max: usize,
    lines_allowed: bool,
) -> Result<Received, Problem> {
    let too_large = || Problem::too_large("", bytes_max);
    if content_length(headers).is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(Duration::from_millis(BODY_READ_MS), Limited::new(body, bytes_max).collect());
    let bytes = match collected.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(Problem::new(Code::Malformed, format!("failed to read the body: {error}"))),
        Err(_) => {
            let detail = format!("failed to read the body: it did not arrive within {BODY_READ_MS} ms");
            return Err(Problem::new(Code::SlowBody, detail));
        }
    };
    let lines = if bytes.is_empty() { false } else { media_type(headers, lines_allowed)? };
    Ok(Received { bytes, lines })
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is JSON lines; an error when it is of a type that is not read here. The type is demanded although
/// only JSON is read anyway: a web page cannot send this type to another host without being asked first.
fn media_type(headers: &HeaderMap, lines_allowed: bool) -> Result<bool, Problem> {
    let written = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    let lines = matches!(essence.as_str(), NDJSON | "application/ndjson" | "application/jsonl");
    if json || (lines && lines_allowed) {
        return Ok(lines);
    }
    let shown = if essence.is_empty() { "no content-type".to_owned() } else { format!("content-type `{essence}`") };
    let also = if lines_allowed { format!(" or `{NDJSON}`") } else { String::new() };
    let detail = format!("failed to read the body: it came with {shown}; send `content-type: application/json`{also}");
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

impl Received {
    /// The body as one JSON object.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        json_at(&self.bytes, "")
    }

    /// The body as one JSON object; what an empty body means is the caller's default.
    pub(super) fn json_or_default<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T, Problem> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// One value of the body as a payload. The bytes are shared with the body unless they are a small part of it.
    pub(super) fn payload(&self, raw: &RawValue) -> Payload {
        let text = raw.get().as_bytes();
        let shared = text.len() * 2 >= self.bytes.len();
        if shared { Payload::trusted(self.bytes.slice_ref(text)) } else { Payload::from(raw) }
    }
}

/// Reads one JSON object that stands at `base` of what the client sent.
pub(super) fn json_at<'a, T: Deserialize<'a>>(json: &'a [u8], base: &str) -> Result<T, Problem> {
    // serde would also take an array for a struct, field by field.
    let is_array = json.trim_ascii_start().first() == Some(&b'[');
    let object = value_at(json, base)?;
    if is_array { Err(Problem::field(FieldError::at(base, "is an array; an object is expected"))) } else { Ok(object) }
}

/// Reads one JSON value that stands at `base`. When that fails it is read again with an eye on the path, so that the error
/// points at the field; the good case does not pay for it.
pub(super) fn value_at<'a, T: Deserialize<'a>>(json: &'a [u8], base: &str) -> Result<T, Problem> {
    serde_json::from_slice(json).map_err(|error| {
        if json.is_empty() {
            return Problem::new(Code::Malformed, "failed to read the body: it is empty, and JSON is expected");
        }
        if !error.is_data() {
            let place = if base.is_empty() { String::new() } else { format!(" at {base}") };
            return Problem::new(Code::Malformed, format!("failed to read the body{place} as JSON: {error}"));
        }
        let mut again = serde_json::Deserializer::from_slice(json);
        let located = serde_path_to_error::deserialize::<_, T>(&mut again).err();
        let (pointer, problem) = match located {
            Some(located) => (pointer_of(located.path()), located.inner().to_string()),
            None => (String::new(), error.to_string()),
        };
        Problem::field(FieldError::at(format!("{base}{pointer}"), without_place(&problem)))
    })
}

/// The path to a field as a JSON pointer (RFC 6901).
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// A message of serde_json without its line and column: the pointer says where.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what)
}

/// Reads a field that is there, whatever it holds: `null` is a value, not an absence.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Takes parameters that may come several times out of a query: their values in the order in which they came, and the rest.
pub(super) fn lists<const N: usize>(parts: Option<&str>, names: [&str; N]) -> ([Vec<String>; N], String) {
    let mut lists = [const { Vec::new() }; N];
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(parts.unwrap_or_default().as_bytes()) {
        match names.iter().position(|list| *list == name) {
            Some(list) => lists[list].push(value.into_owned()),
            None => {
                rest.append_pair(&name, &value);
            }
        }
    }
    (lists, rest.finish())
}

/// Query parameters, read like a body: unknown ones are errors.
pub(super) fn query<T: DeserializeOwned>(parts: Option<&str>) -> Result<T, Problem> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(parts.unwrap_or_default().as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|located| {
        let parameter = located.path().to_string();
        let parameter = if parameter == "." { "query".to_owned() } else { parameter };
        Problem::field(FieldError::of(parameter, located.inner().to_string()))
    })
}

/// Parts of the path, percent-decoded.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Params(params)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(Problem::field(FieldError::of("path", error.body_text())))
            }
            Err(error) => Err(Problem::internal(error.body_text())),
        }
    }
}

/// Reads an id in the path.
pub(super) fn id<T: std::str::FromStr<Err: ToString>>(parameter: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::field(FieldError::of(parameter, error.to_string())))
}

/// What keeps a text from being a name here, if anything does. Control characters are refused because names stand in
/// logs, in tables and between separators.
pub(super) fn name_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        Some("is empty".to_owned())
    } else if text.len() > NAME_BYTES_MAX {
        Some(format!("has {} bytes, at most {NAME_BYTES_MAX} are allowed", text.len()))
    } else if text.chars().any(char::is_control) {
        Some("contains control characters".to_owned())
    } else {
        None
    }
}

/// Gathers what is wrong with the fields of a request, so that a client learns of all of it at once.
#[derive(Default)]
pub(super) struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    /// Errors that one answer lists.
    const SHOWN_MAX: usize = 20;

    /// A name, an id or a key that a client chose.
    pub(super) fn name(&mut self, pointer: &str, text: &str) -> Text {
        if let Some(problem) = name_problem(text) {
            self.add(FieldError::at(pointer, problem));
        }
        text.into()
    }

    /// Tags and attributes that a client chose.
    pub(super) fn labels(&mut self, tags: Vec<Text>, attributes: BTreeMap<Text, AttributeValue>) -> Labels {
        Labels::checked(tags, attributes).unwrap_or_else(|LabelProblem { field, part, problem }| {
            let part = part.map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).unwrap_or_default();
            self.add(FieldError::at(format!("/{field}{part}"), problem));
            Labels::default()
        })
    }

    /// Notes what is wrong with a field.
    pub(super) fn add(&mut self, error: FieldError) {
        if self.errors.len() < Checks::SHOWN_MAX {
            self.errors.push(error);
        }
    }

    /// Goes on only if nothing is wrong.
    pub(super) fn done(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }
}

/// Payloads keep their own white space, line breaks included; a message of server-sent events must not have any other
/// than its own. Outside of strings a space means the same, and inside of strings JSON has no raw line breaks.
pub(super) fn one_line(json: String) -> String {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing<'a> {
        #[serde(borrow)]
        #[expect(dead_code, reason = "only its place matters")]
        data: Option<&'a RawValue>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its place matters")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its place matters")]
        n: u32,
    }

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let problem = json_at::<Thing<'_>>(json.as_bytes(), "").err().map(|problem| format!("{problem:?}"));
        let problem = problem.unwrap_or_default();
        assert!(problem.contains(expected), "{json}: {problem}");
    }

    #[test]
    fn errors_point_at_the_field() {
        check(r#"{"data":{"a":[}}"#, "Malformed");
        check(r#"{"data":1,"inner":[{"n":1},{"n":"x"}]}"#, r#"pointer: Some("/inner/1/n")"#);
        check(r#"{"data":1,"inner":[{"n":1,"m/~":2}]}"#, r#"pointer: Some("/inner/0/m~1~0")"#);
        check(r#"{"data":1,"dta":2}"#, r#"pointer: Some("/dta")"#);
        check(r#"{"inner":[{}]}"#, r#"pointer: Some("/inner/0")"#);
        check("[]", r#"pointer: Some("")"#);
    }

    #[test]
    fn names_have_bounds() {
        assert_eq!(name_problem("order/created ü"), None);
        for text in ["", "a\u{1f}b", "a\0", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(name_problem(text).is_some(), "{text:?}");
        }
    }
}
