//! An invoice that reminds for itself: sent, a week of nothing, a reminder, another week, and a person is told. Between the
//! steps no function runs. A payment ends it at any time.

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};

/// An invoice was written.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event("invoice/written")]
pub struct Invoiced {
    pub id: String,
    pub cents: u64,
    pub to: String,
}

/// Money came in.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event("invoice/paid")]
pub struct Paid {
    pub id: String,
}

/// The app that serves invoices.
pub fn app() -> App {
    App::new("invoices-rust").function(invoice)
}

/// Resolves to `paid` or `overdue`.
#[backstitch::function(on = Invoiced)]
pub async fn invoice(ctx: Ctx, invoice: Invoiced) -> Result<String, Error> {
    for letter in ["invoice", "reminder", "warning"] {
        ctx.run(letter, |step| post(letter, &invoice.to, invoice.cents, step.idempotency_key())).await?;
        let payment = ctx.event::<Paid>(&format!("payment after {letter}"));
        if payment.when("async.data.id == event.data.id").timeout(7.days()).await?.is_some() {
            return Ok("paid".to_owned());
        }
    }
    ctx.run("tell", |step| post("overdue", "books@example.com", invoice.cents, step.idempotency_key())).await?;
    Ok("overdue".to_owned())
}

/// A stand-in for a service that sends letters; one letter for one key, however often it is asked for.
async fn post(letter: &str, to: &str, cents: u64, key: String) -> Result<String, Error> {
    println!("letter to {to}: {letter} of {cents} cents ({key})");
    Ok(key)
}
