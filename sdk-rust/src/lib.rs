//! Durable functions for [Backstitch](https://github.com/backstitch): the Rust SDK.
//!
//! A function is an ordinary async function over HTTP. The server keeps a journal of what it has done; each call replays
//! the function against it and moves one step forward, so a run survives the crash of anything.
//!
//! ```
//! use backstitch::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event("order/created")]
//! struct OrderCreated {
//!     id: String,
//!     cents: u64,
//! }
//!
//! #[backstitch::function(on = OrderCreated, retry(attempts = 5))]
//! async fn order(ctx: Ctx, order: OrderCreated) -> Result<String, Error> {
//!     let charge = ctx.run("charge", |step| pay(order.cents, step.idempotency_key())).await?;
//!     ctx.sleep("cool-off", 1.hours()).await?;
//!     ctx.run("ship", |_| ship(&order.id)).await?;
//!     Ok(charge)
//! }
//!
//! async fn pay(cents: u64, key: String) -> Result<String, std::io::Error> {
//!     Ok(format!("paid {cents} under {key}"))
//! }
//!
//! async fn ship(_order: &str) -> Result<(), std::io::Error> {
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app = App::new("shop").function(order);
//! // `axum::serve(listener, app.router())` serves it; the test kit runs it here, with a clock that skips.
//! let outcome = backstitch::testing::TestRun::new(&app, "order")
//!     .input(OrderCreated { id: "17".to_owned(), cents: 400 })
//!     .finish()
//!     .await;
//! assert!(outcome.ok::<String>().starts_with("paid 400 under run_"));
//! # }
//! ```
//!
//! Reading order: `app` and `function` are what is served, `object` are those with a key and state, `context` is
//! what a handler is given, `step`, `wait`, `update`, `child`, `shield`, `next`, `fan_out` and `race` are the futures it makes, `replay` is the core that they meet in, `wire` and `signature` are the protocol,
//! `port` is the way back to the server, `endpoint` puts all of it behind HTTP and `serve` behind a host, `invocations` are
//! those under way.

mod app;
mod child;
#[cfg(feature = "client")]
pub mod client;
mod config;
mod context;
mod duration;
mod endpoint;
mod error;
mod event;
mod failed;
mod fan_out;
mod fetch;
mod function;
#[cfg(all(doctest, feature = "client"))]
mod guides;
mod invocations;
mod join;
mod labels;
mod manifest;
mod next;
mod object;
mod policy;
mod port;
pub mod prelude;
mod publish;
mod race;
mod raw;
mod replay;
mod schedule;
#[cfg(any(feature = "axum", feature = "lambda"))]
mod serve;
mod shield;
mod signature;
mod some_failed;
mod step;
pub mod testing;
mod time;
mod update;
#[cfg(test)]
mod vectors;
mod wait;
mod wire;

// What is served.
pub use app::App;
pub use endpoint::Endpoint;
pub use failed::{Failed, FailedRun};
pub use function::{Callable, Defined, Function, FunctionOptions, FunctionRef, IntoFunction};
pub use invocations::Invocations;
#[cfg(feature = "client")]
pub use object::ObjectKey;
pub use object::{HandlerRef, Keyed, Object, ObjectCtx, ObjectRef, SharedCtx};
pub use policy::{Retry, Timeouts};
pub use schedule::{Overlap, Schedule, Tick};
#[cfg(feature = "lambda")]
pub use serve::LambdaError;
#[cfg(feature = "axum")]
pub use serve::Service;

// What a handler is given, and the futures that it makes.
pub use child::{Invoke, ParentClose, Sending, Start};
pub use context::Ctx;
pub use fan_out::{All, AllSettled, Durable, Map, TolerantMap};
pub use fetch::{Fetch, FetchResponse};
pub use labels::AttributeValue;
pub use next::ContinueAsNew;
pub use race::{Any, Race};
pub use shield::Shield;
pub use some_failed::{AnyFailed, BranchError, FailedBranch, MapFailed, Tolerance};
pub use step::{Body, Run, Step};
pub use update::{TimedUpdate, Update, UpdateWait};
pub use wait::{Awakeable, EventWait, Signal, Sleep};

// Values.
pub use backstitch_macros::{Event, function};
pub use duration::DurationExt;
pub use error::{Error, StepError};
pub use event::{Event, Outgoing, Received};

#[cfg(feature = "client")]
pub use client::Client;

/// What an `async` block of a step ends with: `Ok`, with the error's type settled as [`Error`].
///
/// ```
/// # use backstitch::Ctx;
/// # async fn handler(ctx: Ctx) -> Result<(), backstitch::Error> {
/// let bytes = ctx.run("read", |_| async { backstitch::Ok(std::fs::read("order.json")?) }).await?;
/// # drop(bytes); Ok(())
/// # }
/// ```
#[expect(non_snake_case, reason = "it stands where the variant would stand")]
pub fn Ok<T>(value: T) -> Result<T, Error> {
    Result::Ok(value)
}

/// What the macros' output names; no part of the surface.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::define;
    pub use serde_json::Value;
    pub use tokio;

    /// Finds the types of a handler's result through aliases.
    pub trait Outcome {
        type Ok;
        type Err;
    }

    impl<T, E> Outcome for Result<T, E> {
        type Ok = T;
        type Err = E;
    }
}

/// The README's example compiles.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
