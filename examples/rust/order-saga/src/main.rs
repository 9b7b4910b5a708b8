//! `order-saga` serves the shop, at `PORT` (3000 if unset), with its payments in the file `LEDGER`. `order-saga start 17
//! lamp` orders something under the name `order-17` and waits for the receipt; a second start with that id finds the
//! first one's run.

use backstitch::{Client, Error};
use example_order_saga::{Ledger, ORDER, Order, app};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["start", id, sku] => start(id, sku).await,
        _ => Err(Error::terminal("Usage", "order-saga | order-saga start <id> <lamp or vase>")),
    }
}

async fn serve() -> Result<(), Error> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("the shop is served at http://{}", listener.local_addr()?);
    let ledger = std::env::var("LEDGER").unwrap_or_else(|_| "ledger.jsonl".to_owned());
    axum::serve(listener, app(Ledger::at(ledger)).router()).await?;
    Ok(())
}

async fn start(id: &str, sku: &str) -> Result<(), Error> {
    let input = Order { id: id.to_owned(), sku: sku.to_owned(), cents: 4_900, cool_off_ms: 5_000 };
    let run = Client::new("shop-rust").start(ORDER, input).run_id(format!("order-{id}")).send().await?;
    println!("order-{id} is {}", run.id());
    println!("approve it with: backstitch signal shop-rust/order/order-{id} approve '{{\"by\":\"ann\"}}'");
    match run.result().await {
        Ok(receipt) => println!("receipt: {receipt:?}"),
        Err(error) => {
            println!("the order failed, and what was paid is refunded: {error}");
            return Err(error);
        }
    }
    Ok(())
}
