//! The order saga: charge, reserve, cool off, wait for an approval, ship, confirm. A step that others depend on says how it
//! is undone; if anything after it fails for good, or the order is cancelled, what was done is undone, the last first. It
//! reads like an ordinary function; the server sees to it that what is done stays done.

mod payments;
mod warehouse;

use std::time::Duration;

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};

pub use payments::{Booking, Ledger};

/// What an order is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    /// What is bought: there are lamps, and no vases.
    pub sku: String,
    pub cents: i64,
    /// How long the customer may change their mind.
    pub cool_off_ms: u64,
}

/// The payload of the signal `approve`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    pub by: String,
}

/// What a completed order comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub order: String,
    pub charge: String,
    pub parcel: String,
    pub approved_by: String,
}

/// How others refer to the saga.
pub const ORDER: FunctionRef<Order, Receipt> = FunctionRef::new("shop-rust/order");

/// The app that serves orders. What a function needs besides its input, it captures.
pub fn app(ledger: Ledger) -> App {
    App::new("shop-rust").function_fn("order", move |ctx, input| order(ctx, input, ledger.clone()))
}

/// Five attempts for every step, from one second.
fn retry() -> Retry {
    Retry::attempts(5).initial_interval(1.seconds()).max_interval(3.seconds())
}

/// Started as `order-<id>`. Its result is the receipt.
async fn order(ctx: Ctx, order: Order, ledger: Ledger) -> Result<Receipt, Error> {
    // What undoes a step outlives the handler, so it has a ledger of its own.
    let refunds = ledger.clone();
    // The key is equal over all attempts, so a charge whose answer was lost is found again, not made again; and so is a
    // refund.
    let charge = ctx
        .run("charge", |step| ledger.charge(step.idempotency_key(), order.cents))
        .retry(retry())
        .compensate(|charge: Booking, step: Step| async move { refunds.refund(step.idempotency_key(), &charge).await })
        .await?;
    let shelf = ctx.run("reserve", |_| warehouse::reserve(&order.sku)).retry(retry()).compensate(release).await?;
    ctx.sleep("cool-off", Duration::from_millis(order.cool_off_ms)).await?;
    let Some(approval) = ctx.signal::<Approval>("approve").timeout(3.days()).await? else {
        return Err(Error::terminal("Unapproved", "nobody approved the order within 3 days"));
    };
    let parcel = ctx.run("ship", |_| warehouse::ship(&order.sku, shelf)).retry(retry()).await?;
    ctx.run("confirm", |_| confirm(&parcel)).retry(retry()).await?;
    Ok(Receipt { order: order.id, charge: charge.id, parcel, approved_by: approval.by })
}

async fn release(shelf: u32, _: Step) -> Result<(), Error> {
    warehouse::release(shelf).await
}

/// Stands in for a mail to the customer.
async fn confirm(parcel: &str) -> Result<(), Error> {
    println!("mailed the customer that parcel {parcel} is on its way");
    Ok(())
}
