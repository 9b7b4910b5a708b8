//! The attribute macros of the Backstitch SDK for Rust. Use them through `backstitch-sdk`, which documents them by example.
//!
//! They only name and box: whatever they write could be written by hand with `Function::new` and `impl Event`.

mod event;
mod function;
mod options;

use proc_macro::TokenStream;

/// Makes a durable function of an `async fn` with a context and an input.
///
/// ```ignore
/// #[backstitch::function(
///     id = "order",                       // else the function's name
///     name = "Order",                     // for people
///     on = OrderCreated,                  // also on = [A, B], and on(A, when = "event.data.total > 0")
///     cancel_on(OrderCancelled, when = "async.data.id == event.data.id"),
///     on_failure = tell_support,          // an async fn of a context and a `Failed`
///     retry(attempts = 5, initial_interval = "1s", factor = 2, max_interval = "1h", jitter = 0.2,
///           non_retryable = ["CardDeclined"]),
///     timeouts(start = "1h", run = "30d", invocation = "15m"),
/// )]
/// async fn order(ctx: Ctx, input: OrderCreated) -> Result<Receipt, Error> { … }
/// ```
///
/// The name then stands for the function: `app.function(order)` serves it, `ctx.call(order, input)` runs it as a child. A
/// function that takes nothing leaves the input out.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Names the events whose data a type is: `#[derive(Event)] #[event("order/created")]`. The type must implement
/// `Serialize` and `Deserialize`.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(item: TokenStream) -> TokenStream {
    event::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
