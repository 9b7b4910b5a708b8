//! An order that survives the crash of anything, served by axum on port 3000.
//!
//! `BACKSTITCH_DEV=1 cargo run -p backstitch-sdk --example shop`, then register `http://127.0.0.1:3000` with a server.

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event("order/created")]
struct OrderCreated {
    id: String,
    cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    charge: String,
    approved_by: String,
}

#[backstitch::function(on = OrderCreated, retry(attempts = 5))]
async fn order(ctx: Ctx, order: OrderCreated) -> Result<Receipt, Error> {
    let (charge, ()) = try_join!(
        ctx.run("charge", |step| pay(order.cents, step.idempotency_key())).retry(Retry::attempts(8)),
        ctx.run("reserve", |_| reserve(&order.id)),
    )?;
    ctx.sleep("cool-off", 1.minutes()).await?;
    match ctx.signal::<String>("approval").timeout(3.days()).await? {
        Some(approved_by) => Ok(Receipt { charge, approved_by }),
        None => {
            ctx.run("refund", |_| refund(&charge)).await?;
            Err(Error::terminal("Unapproved", "nobody approved the order within three days"))
        }
    }
}

async fn pay(cents: u64, idempotency_key: String) -> Result<String, std::io::Error> {
    Ok(format!("{cents} cents under {idempotency_key}"))
}

async fn reserve(_order: &str) -> Result<(), std::io::Error> {
    Ok(())
}

async fn refund(_charge: &str) -> Result<(), std::io::Error> {
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = App::new("shop").function(order);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app.router()).await
}
