//! `join!`, `try_join!` and `select!` whose branches are polled in the order in which they are written.
//!
//! tokio's do the work. Its `select!` picks a random branch to poll first, which is fair and, for branches that number
//! entries of one id, not the same on every replay: here the order is fixed.

/// Waits for all branches; gives a tuple of their results.
///
/// ```
/// # use backstitch::{Ctx, DurationExt, Error, join};
/// # async fn handler(ctx: Ctx) -> Result<(), Error> {
/// let (nap, name) = join!(ctx.sleep("nap", 1.minutes()), ctx.signal::<String>("name"));
/// # nap?; name?; Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! join {
    ($($branches:tt)*) => { $crate::__private::tokio::join!(biased; $($branches)*) };
}

/// Waits for all branches, or for the first that fails.
///
/// ```
/// # use backstitch::{Ctx, Error, try_join};
/// # async fn handler(ctx: Ctx) -> Result<(), Error> {
/// let (a, b) = try_join!(
///     ctx.run("a", |_| async { backstitch::Ok(1) }),
///     ctx.run("b", |_| async { backstitch::Ok(2) }),
/// )?;
/// # let _ = a + b; Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! try_join {
    ($($branches:tt)*) => { $crate::__private::tokio::try_join!(biased; $($branches)*) };
}

/// Waits for the first branch, as `tokio::select!` does, and drops the others. What is open of them stays open at the
/// server until the run ends; a body that was running is dropped too.
///
/// ```
/// # use backstitch::{Ctx, DurationExt, Error, select};
/// # async fn handler(ctx: Ctx) -> Result<(), Error> {
/// let answer = select! {
///     answer = ctx.signal::<String>("answer") => Some(answer?),
///     _ = ctx.sleep("patience", 3.days()) => None,
/// };
/// # drop(answer); Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { $crate::__private::tokio::select! { biased; $($branches)* } };
    ($($branches:tt)*) => { $crate::__private::tokio::select! { biased; $($branches)* } };
}
