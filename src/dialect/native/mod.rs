//! The native protocol, version 1: invocations, replies and pages out; answers, reports, problems and manifests in. Its reference
//! for authors of SDKs is `docs/reference/protocol.md`; this folder is the server's reading of it.

mod answer;
mod fetch;
mod invocation;
mod labels;
mod manifest;
mod op;
mod ops;
mod problem;
mod publish;
mod reader;
mod reply;
mod report;
mod schedules;
mod writer;

pub use answer::{AnswerError, decode_answer};
pub use invocation::{Access, EncodeError, Invocation, JOURNAL_PATH, REPORT_PATH, REPORTS_PATH, encode};
pub use manifest::{FieldError, FilterUse, ManifestError, Reading, decode_manifest};
pub use op::OpError;
pub use ops::OpsError;
pub use problem::{DeploymentHeader, decode_problem};
pub use reply::{encode_entry, encode_page, encode_reply};
pub use report::{Report, ReportError, decode_report};

/// The version of the protocol that this server speaks.
pub const VERSION: u64 = 1;

/// Names of headers, in lower case.
pub mod headers {
    /// On every request: the version of the protocol.
    pub const PROTOCOL: &str = "backstitch-protocol";
    /// On every response of an SDK: its name and version.
    pub const SDK: &str = "backstitch-sdk";
    /// On every response of an SDK: the deployment's own id and its manifest's hash.
    pub const DEPLOYMENT: &str = "backstitch-deployment";
}
