//! The native protocol, version 1, in respond mode: invocations out, answers, problems and manifests in. Its reference
//! for authors of SDKs is `docs/reference/protocol.md`; this folder is the server's reading of it.

mod answer;
mod invocation;
mod manifest;
mod op;
mod problem;
mod reader;

pub use answer::{AnswerError, decode_answer};
pub use invocation::{EncodeError, Invocation, encode};
pub use manifest::{FieldError, FilterUse, ManifestError, Reading, decode_manifest};
pub use op::OpError;
pub use problem::{DeploymentHeader, decode_problem};

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
