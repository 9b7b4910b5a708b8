//! What goes wrong, as people and programs are told it: RFC 9457 problem details. The only file that maps errors of other
//! rooms to HTTP. What a client reads (`detail`) and what the log says (`cause`) are different fields: the second may name
//! things that are nobody's business.

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{AwakeableError, InvocationTokenError};
use crate::catalog::CatalogError;
use crate::dialect::native::{ManifestError, ReportError};
use crate::dispatch::DiscoveryError;
use crate::engine::Refusal;
use crate::jobs::JobError;
use crate::model::NoTarget;
use crate::processor::Declined;
use crate::store::StoreError;

/// When a client that met a full queue is asked to come back, in seconds.
const BUSY_RETRY_SECONDS: u32 = 1;

/// When a client that met a missing database is asked to come back, in seconds.
const UNAVAILABLE_RETRY_SECONDS: u32 = 5;

/// What kind of problem it is, for programs. Each has one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProblemCode)]
pub enum Code {
    /// 400: the body is not JSON, the request is not what HTTP allows, or a handler's report is not what the protocol
    /// allows.
    Malformed,
    /// 401: the token of an invocation or of a subscription is missing, cut off, out of date, or was not made by this
    /// server.
    Unauthorized,
    /// 403: a web page of another origin asks.
    CrossOrigin,
    /// 403: the awakeable token was not made by a run of this server.
    ForgedToken,
    /// 403: the subscription token is for another run, channel or topic.
    OutOfScope,
    /// 404: the API has no such address.
    UnknownRoute,
    /// 404: only a server that `backstitch dev` runs has the address.
    DevOnly,
    /// 404: no registered app has the function.
    UnknownFunction,
    /// 404: the app has no such object.
    UnknownObject,
    /// 404: there is no such run.
    UnknownRun,
    /// 404: the run never got such an update.
    UnknownUpdate,
    /// 404: the run has no such entry.
    UnknownEntry,
    /// 404: there is no such event.
    UnknownEvent,
    /// 404: there is no such schedule.
    UnknownSchedule,
    /// 404: the schedule has no run for that time.
    UnknownTick,
    /// 404: there is no such job.
    UnknownJob,
    /// 404: there is no such app.
    UnknownApp,
    /// 404: the app has no such deployment.
    UnknownDeployment,
    /// 405: the address exists, for other methods.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    SlowBody,
    /// 409: the client's name or key stands for another input already.
    Conflict,
    /// 409: nothing waits for a time.
    NoTimer,
    /// 409: the run has ended.
    RunEnded,
    /// 409: the run has not failed, so there is nothing to retry.
    NotFailed,
    /// 409: the run is not held, so there is nothing to resume.
    NotHeld,
    /// 409: the entry is no compensation that the run owes.
    NothingToUndo,
    /// 409: the awakeable, or the compensation, has its outcome.
    AlreadySettled,
    /// 409: the run keeps as many signals as it may that nothing waits for.
    TooManySignals,
    /// 409: there are as many apps as one server keeps.
    TooManyApps,
    /// 409: new runs begin on the deployment.
    CurrentDeployment,
    /// 409: runs that have not ended are pinned to the deployment.
    DeploymentInUse,
    /// 409: the run cannot be moved there.
    CannotMove,
    /// 409: the schedule is what its app declares.
    DeclaredSchedule,
    /// 409: the invocation is not the run's current one.
    Stale,
    /// 413: the body, or one value in it, is too large.
    TooLarge,
    /// 415: the body is of a type that the address does not read.
    UnsupportedMediaType,
    /// 421: the request was meant for another host.
    UnknownHost,
    /// 422: the body is JSON, and not what is expected; `errors` says where.
    Invalid,
    /// 422: the app's manifest is not valid; `errors` says where.
    InvalidManifest,
    /// 500: a defect of the server.
    Internal,
    /// 502: the app could not be reached, or broke off.
    AppUnreachable,
    /// 502: what answered is not an app, or not in order.
    NotAnApp,
    /// 502: the app does not take the server's signature.
    AppSignature,
    /// 503: too many requests wait, or too many clients watch.
    Busy,
    /// 503: the database cannot be written or read, or the server is stopping.
    Unavailable,
}

impl Code {
    /// The one status of the code.
    pub fn status(self) -> StatusCode {
        match self {
            Code::Malformed => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::CrossOrigin | Code::ForgedToken | Code::OutOfScope => StatusCode::FORBIDDEN,
            Code::UnknownRoute
            | Code::UnknownFunction
            | Code::UnknownObject
            | Code::UnknownRun
            | Code::UnknownUpdate
            | Code::UnknownEntry
            | Code::UnknownEvent
            | Code::UnknownSchedule
            | Code::UnknownTick
            | Code::UnknownJob
            | Code::DevOnly
            | Code::UnknownApp
            | Code::UnknownDeployment => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Code::Conflict
            | Code::NoTimer
            | Code::RunEnded
            | Code::NotFailed
            | Code::NotHeld
            | Code::NothingToUndo
            | Code::AlreadySettled
            | Code::TooManySignals
            | Code::TooManyApps
            | Code::CurrentDeployment
            | Code::DeploymentInUse
            | Code::CannotMove
            | Code::DeclaredSchedule
            | Code::Stale => StatusCode::CONFLICT,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Code::Invalid | Code::InvalidManifest => StatusCode::UNPROCESSABLE_ENTITY,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::AppUnreachable | Code::NotAnApp | Code::AppSignature => StatusCode::BAD_GATEWAY,
            Code::Busy | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer (RFC 6901); in NDJSON the first part is the line's number from 0, and for
    /// `invalid_manifest` it is a place in the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which query parameter, header or part of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

impl FieldError {
    /// A field of the body.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: Some(pointer.into()), parameter: None, detail: detail.into() }
    }

    /// A query parameter, a header, a part of the path.
    pub(crate) fn of(parameter: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: None, parameter: Some(parameter.into()), detail: detail.into() }
    }

    /// Where, for a sentence.
    fn place(&self) -> &str {
        match (self.pointer.as_deref(), self.parameter.as_deref()) {
            (Some(""), _) => "the body",
            (Some(place), _) | (None, Some(place)) => place,
            (None, None) => "the request",
        }
    }
}

/// Problem details as they are written: `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Always `about:blank`: `code` says more.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What kind of problem, for programs.
    pub code: Code,
    /// What went wrong here, and what to do.
    pub detail: String,
    /// The fields that are not as they should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// A problem on its way to a client.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
    cause: Option<String>,
}

/// What the log says about a problem that is the server's; travels with the response to whoever logs it.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

impl Problem {
    /// A problem with a sentence about it.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), errors: Vec::new(), retry_after: None, cause: None }
    }

    /// Fields are not as they should be. There is at least one.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Problem {
        let first = errors.first().map(|error| format!("{}: {}", error.place(), error.detail)).unwrap_or_default();
        let more = match errors.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let detail = format!("failed to read the request: {first}{more}");
        Problem { errors, ..Problem::new(Code::Invalid, detail) }
    }

    /// One field is not as it should be.
    pub(crate) fn field(error: FieldError) -> Problem {
        Problem::invalid(vec![error])
    }

    /// A value is too large.
    pub(crate) fn too_large(pointer: impl Into<String>, bytes_max: usize) -> Problem {
        let error = FieldError::at(pointer, format!("at most {bytes_max} bytes of JSON are allowed"));
        let detail = format!("failed to take the request: {}: {}", error.place(), error.detail);
        Problem { errors: vec![error], ..Problem::new(Code::TooLarge, detail) }
    }

    /// A defect of the server, or of its database. The client is told that, the log what it is.
    pub(crate) fn internal(cause: impl Into<String>) -> Problem {
        Problem {
            cause: Some(cause.into()),
            ..Problem::new(
                Code::Internal,
                "failed inside the server; the server's log has more under this response's x-request-id",
            )
        }
    }

    /// Nothing can be done right now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Problem {
        Problem { retry_after: Some(UNAVAILABLE_RETRY_SECONDS), ..Problem::new(Code::Unavailable, detail) }
    }

    /// Too much is asked at once.
    pub(crate) fn busy(detail: impl Into<String>) -> Problem {
        Problem { retry_after: Some(BUSY_RETRY_SECONDS), ..Problem::new(Code::Busy, detail) }
    }

    /// The same problem, with what only the log is told.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Problem {
        self.cause = Some(cause.into());
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownFunction(_) => Problem::new(Code::UnknownFunction, detail),
            Refusal::Key(..) => Problem { detail: detail.clone(), ..Problem::field(FieldError::of("key", detail)) },
            Refusal::UnknownRun(_) => Problem::new(Code::UnknownRun, detail),
            Refusal::UnknownEntry { .. } => Problem::new(Code::UnknownEntry, detail),
            Refusal::Edit { entry, .. } => {
                let pointer = format!("/edits/{}", entry.replace('~', "~0").replace('/', "~1"));
                Problem { detail: detail.clone(), ..Problem::field(FieldError::at(pointer, detail)) }
            }
            Refusal::NotFailed(..) => Problem::new(Code::NotFailed, detail),
            Refusal::Ended(..) => Problem::new(Code::RunEnded, detail),
            Refusal::Stale(_) => Problem::new(Code::Stale, detail),
            Refusal::Conflict { .. } | Refusal::TwoRuns { .. } => Problem::new(Code::Conflict, detail),
            Refusal::TooManySignals { .. } => Problem::new(Code::TooManySignals, detail),
            Refusal::NothingToUndo(..) => Problem::new(Code::NothingToUndo, detail),
            Refusal::AlreadySettled => Problem::new(Code::AlreadySettled, detail),
            Refusal::CannotMove(_, NoTarget::Unknown(..)) => Problem::new(Code::UnknownDeployment, detail),
            Refusal::CannotMove(..) => Problem::new(Code::CannotMove, detail),
            Refusal::NotHeld(..) => Problem::new(Code::NotHeld, detail),
            Refusal::UnknownSchedule(_) => Problem::new(Code::UnknownSchedule, detail),
            Refusal::DeclaredSchedule(_) => Problem::new(Code::DeclaredSchedule, detail),
            Refusal::Timing(_, problem) => {
                let pointer = format!("/{}", problem.field);
                Problem { detail: detail.clone(), ..Problem::field(FieldError::at(pointer, problem.message)) }
            }
            Refusal::Internal(cause) => Problem::internal(cause),
        }
    }
}

impl From<NoTarget> for Problem {
    fn from(why: NoTarget) -> Problem {
        let code = match why {
            NoTarget::Unknown(..) => Code::UnknownDeployment,
            _ => Code::CannotMove,
        };
        Problem::new(code, format!("failed to move the runs: {why}"))
    }
}

impl From<Declined> for Problem {
    fn from(declined: Declined) -> Problem {
        let detail = declined.to_string();
        match declined {
            Declined::Refused(refusal) => refusal.into(),
            Declined::Busy { .. } => Problem::busy(detail),
            Declined::Unavailable(_) => Problem::unavailable(detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let cause = error.to_string();
        match error {
            StoreError::Unavailable(_) | StoreError::Fenced { .. } => {
                Problem::unavailable("failed to read: the database does not answer; try again").because(cause)
            }
            StoreError::Data(_) | StoreError::Corrupt(_) | StoreError::Open(_) => Problem::internal(cause),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Problem {
        let detail = error.to_string();
        match error {
            CatalogError::Unknown(_) => Problem::new(Code::UnknownApp, detail),
            CatalogError::UnknownFunction(_) => Problem::new(Code::UnknownFunction, detail),
            CatalogError::UnknownDeployment(..) => Problem::new(Code::UnknownDeployment, detail),
            CatalogError::CurrentDeployment(..) => Problem::new(Code::CurrentDeployment, detail),
            CatalogError::DeploymentInUse { .. } => Problem::new(Code::DeploymentInUse, detail),
            CatalogError::Name => Problem::field(FieldError::of("app", detail)),
            CatalogError::TooMany => Problem::new(Code::TooManyApps, detail),
            CatalogError::Discovery(error) => error.into(),
            CatalogError::Store(error) => error.into(),
            CatalogError::Stopping => Problem::unavailable(detail),
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Problem {
        let detail = error.to_string();
        match error {
            JobError::Unknown(_) => Problem::new(Code::UnknownJob, detail),
            JobError::TooMany => Problem::busy(detail),
            JobError::Store(error) => error.into(),
            JobError::Stopping => Problem::unavailable(detail),
        }
    }
}

impl From<DiscoveryError> for Problem {
    fn from(error: DiscoveryError) -> Problem {
        let detail = error.to_string();
        match error {
            DiscoveryError::Target(_) => Problem::field(FieldError::at("/url", detail)),
            DiscoveryError::Headers(_) => Problem::field(FieldError::at("/headers", detail)),
            DiscoveryError::OtherApp { .. } => Problem::field(FieldError::of("app", detail)),
            DiscoveryError::NotReached { .. } | DiscoveryError::Lost { .. } => {
                Problem::new(Code::AppUnreachable, detail)
            }
            DiscoveryError::WebPage { .. }
            | DiscoveryError::Guarded { .. }
            | DiscoveryError::Redirect { .. }
            | DiscoveryError::NotAnApp { .. }
            | DiscoveryError::Problem(_) => Problem::new(Code::NotAnApp, detail),
            DiscoveryError::Signature { .. } => Problem::new(Code::AppSignature, detail),
            DiscoveryError::TooLarge { .. } => Problem::new(Code::InvalidManifest, detail),
            DiscoveryError::Manifest(ManifestError::Fields(fields)) => {
                let fields = fields.into_iter().map(|field| FieldError::at(field.pointer, field.message));
                Problem { errors: fields.collect(), ..Problem::new(Code::InvalidManifest, detail) }
            }
            DiscoveryError::Manifest(_) => Problem::new(Code::InvalidManifest, detail),
            DiscoveryError::Sign(_) => Problem::internal(detail),
        }
    }
}

impl From<InvocationTokenError> for Problem {
    fn from(error: InvocationTokenError) -> Problem {
        Problem::new(Code::Unauthorized, error.to_string())
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Problem {
        Problem::new(Code::Malformed, error.to_string())
    }
}

impl From<AwakeableError> for Problem {
    fn from(error: AwakeableError) -> Problem {
        match error {
            AwakeableError::Malformed => Problem::field(FieldError::of("token", error.to_string())),
            AwakeableError::Forged => Problem::new(Code::ForgedToken, error.to_string()),
        }
    }
}

impl Problem {
    /// The problem as it is written.
    fn body(&self) -> ProblemBody {
        let status = self.code.status();
        ProblemBody {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }

    /// Status and body, where a problem is a part of another response.
    pub(crate) fn print(&self) -> (StatusCode, Bytes) {
        if let Some(cause) = &self.cause {
            tracing::error!(error = cause, "a part of a request failed inside the server");
        }
        let body = serde_json::to_vec(&self.body()).expect("texts and numbers can be printed");
        (self.code.status(), body.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}
