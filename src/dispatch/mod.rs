//! Calls handlers: connections, signatures, limits, and the translation of everything that can come back into an
//! [`Answer`](crate::model::Answer). It decides nothing about runs: when to call, and when to call again, is the engine's.
//!
//! Nothing is called without the egress policy's consent: names are resolved once, every address is checked, and the
//! address that was checked is the one that is dialled. Redirects are not followed.

mod client;
mod connect;
mod discovery;
mod drift;
mod egress;
mod faults;
mod fetcher;
mod invoker;
mod response;
mod target;
mod wire;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Answer, Deployment, FetchCall, FetchEnd, Snapshot};

pub use client::{ClientError, HttpClient};
pub use discovery::{Discovered, Discovery, DiscoveryError};
pub use drift::Drift;
pub use egress::{Egress, EgressError};
pub use faults::{Disturbed, Fault, Faults, Found, Kill, Seen};
pub use fetcher::HttpFetcher;
pub use invoker::HttpInvoker;
pub use target::{HeadersError, TargetError, check_headers, target_url};
pub use wire::{Exchange, Half, Wire};

/// Makes invocations. The processor hands it what has become durable and gets an answer, always: a failure to reach
/// the handler is an answer too.
pub trait Invoker: Send + Sync + 'static {
    /// Calls the handler of a deployment on behalf of a run. Dropping the future ends the call.
    fn invoke(&self, snapshot: Snapshot, deployment: Arc<Deployment>) -> BoxFuture<'static, Answer>;
}

/// Makes HTTP calls that runs asked for. Whatever comes of one is a result: the processor gets one, always.
pub trait Fetcher: Send + Sync + 'static {
    /// Makes one call. Dropping the future ends it.
    fn fetch(&self, call: FetchCall) -> BoxFuture<'static, FetchEnd>;
}
