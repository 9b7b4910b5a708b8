//! Calls handlers.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Answer, Deployment, Snapshot};

/// Makes invocations. The processor hands it what has become durable and gets an answer, always: a failure to reach
/// the handler is an answer too.
pub trait Invoker: Send + Sync + 'static {
    /// Calls the handler of a deployment on behalf of a run. Dropping the future ends the call.
    fn invoke(&self, snapshot: Snapshot, deployment: Arc<Deployment>) -> BoxFuture<'static, Answer>;
}
