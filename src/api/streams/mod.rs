//! What handlers publish, as server-sent events: of one run, or on a channel; and the tokens with which browsers read it.
//!
//! A message is an event without a name, so that `onmessage` of a browser's `EventSource` gets it: `{"topic", "data", "run",
//! "step"?, "attempt"?, "at"}`. Its id is a number that grows; a client that comes back with the last one it saw
//! (`Last-Event-ID`, or `after`) gets what follows and nothing twice. Besides there are `cut` (what an attempt of a step
//! has said came to nothing: forget it), `gap` (messages were forgotten before they could be sent) and, of a run, `end`.

mod access;
mod channel;
mod reader;
mod run;
mod subscriptions;

pub(in crate::api) use access::Access;
pub use subscriptions::SubscriptionJson;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::Doors;

/// The addresses of streams, and of the tokens for them.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(run::stream))
        .routes(routes!(channel::stream))
        .routes(routes!(subscriptions::subscribe))
}
