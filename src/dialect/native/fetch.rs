//! The parameters of `fetch`: a request that the server makes for the handler, and how it is tried again. Their form and their
//! bounds are judged here; whether the URL can be called, and whether it may be, is found out when it is.

use serde::Deserialize;

use super::op::policy_problem;
use super::reader::{FieldProblem, read, shown, text_problem};
use crate::limits::{
    FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX, FETCH_MS_MAX, FETCH_STATUSES_MAX, FETCH_URL_BYTES_MAX, NAME_BYTES_MAX,
};
use crate::model::{EntryId, FetchOp, FetchOptions, FetchRequest, Payload, Span, Text};

/// Reads the parameters.
pub(super) fn fetch(id: EntryId, name: Option<Text>, params: Payload, raw: &str) -> Result<FetchOp, FieldProblem> {
    #[derive(Deserialize)]
    struct Params {
        request: FetchRequest,
    }
    let Params { request } = read(raw.as_bytes())?;
    let options: FetchOptions = read(raw.as_bytes())?;
    if let Some(problem) = request_problem(&request) {
        return Err(problem.within("request"));
    }
    if let Some(problem) = policy_problem(&options.retry) {
        return Err(problem.within("retry"));
    }
    match options.timeout {
        Some(Span(0)) => return Err(FieldProblem::new("timeout", "must be longer than nothing")),
        Some(Span(ms)) if ms > FETCH_MS_MAX => {
            let problem = format!("is {}, at most {} are allowed for one attempt", Span(ms), Span(FETCH_MS_MAX));
            return Err(FieldProblem::new("timeout", problem));
        }
        _ => {}
    }
    let statuses = options.retry_on.as_deref().unwrap_or_default();
    if statuses.len() > FETCH_STATUSES_MAX || statuses.iter().any(|status| !(100..=599).contains(status)) {
        let problem = format!("must be at most {FETCH_STATUSES_MAX} statuses between 100 and 599");
        return Err(FieldProblem::new("retryOn", problem));
    }
    Ok(FetchOp { id, name, params, schedule_to_close: options.schedule_to_close })
}

fn request_problem(request: &FetchRequest) -> Option<FieldProblem> {
    let method = request.method.as_deref().unwrap_or("GET");
    if request.url.len() > FETCH_URL_BYTES_MAX {
        let problem = format!("has {} bytes, at most {FETCH_URL_BYTES_MAX} are allowed", request.url.len());
        return Some(FieldProblem::new("url", problem));
    }
    if !FetchRequest::METHODS.contains(&method) {
        let known = FetchRequest::METHODS.join(", ");
        let problem = format!("is `{}`; it must be one of {known}, in capitals", shown(method, 40));
        return Some(FieldProblem::new("method", problem));
    }
    if request.headers.len() > FETCH_HEADERS_MAX {
        let problem = format!("are {}, at most {FETCH_HEADERS_MAX} are allowed", request.headers.len());
        return Some(FieldProblem::new("headers", problem));
    }
    request.headers.iter().find_map(|(name, value)| {
        if let Some(problem) = text_problem(name, NAME_BYTES_MAX) {
            return Some(FieldProblem::new("headers", format!("has a name that {problem}")));
        }
        // Values may be secrets, and are not repeated.
        let long = name.len() + value.len() > FETCH_HEADER_BYTES_MAX;
        let problem = || format!("has `{}`, which has more than {FETCH_HEADER_BYTES_MAX} bytes", shown(name, 60));
        long.then(|| FieldProblem::new("headers", problem()))
    })
}
