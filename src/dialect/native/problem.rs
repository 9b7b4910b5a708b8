//! The small words of an SDK: a problem document, and the header that says which deployment answered.

use serde::Deserialize;

use super::reader::shown;
use crate::limits::EXCERPT_BYTES_MAX;
use crate::model::{Problem, ProblemCode};

/// Reads a problem document (`application/problem+json` with a `code` of the protocol); nothing when the body is none.
pub fn decode_problem(body: &[u8]) -> Option<Problem> {
    #[derive(Deserialize)]
    struct Document {
        code: String,
        #[serde(default)]
        detail: Option<String>,
        #[serde(default)]
        title: Option<String>,
    }
    let document: Document = serde_json::from_slice(body).ok()?;
    let code = match document.code.as_str() {
        "signature" => ProblemCode::Signature,
        "unknown_function" => ProblemCode::UnknownFunction,
        "protocol" => ProblemCode::Protocol,
        "too_large" => ProblemCode::TooLarge,
        "raw_body_unavailable" => ProblemCode::RawBodyUnavailable,
        "sdk" => ProblemCode::Sdk,
        _ => return None,
    };
    let detail = document.detail.or(document.title).unwrap_or_else(|| document.code.clone());
    Some(Problem { code, detail: shown(&detail, EXCERPT_BYTES_MAX) })
}

/// What an SDK's `backstitch-deployment` header says: `<deployment id>;<manifest hash>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeploymentHeader<'a> {
    /// The deployment's own id.
    pub version: &'a str,
    /// The manifest's hash.
    pub hash: &'a str,
}

impl<'a> DeploymentHeader<'a> {
    /// Reads the header's value.
    pub fn parse(value: &'a str) -> Option<DeploymentHeader<'a>> {
        let (version, hash) = value.rsplit_once(';')?;
        let (version, hash) = (version.trim(), hash.trim());
        (!version.is_empty() && !hash.is_empty() && hash.len() <= 64).then_some(DeploymentHeader { version, hash })
    }
}
