//! `shopping-cart` serves the carts, at `PORT` (3000 if unset). `shopping-cart shop ann` shops as somebody: adds from two tabs
//! at once, looks, and checks out. Do it again: the orders are counted on.

use backstitch::{Client, Error};
use example_shopping_cart::{ADD, CART, CHECKOUT, Item, Payments, SHOW, app};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["shop", customer] => shop(customer).await,
        _ => Err(Error::terminal("Usage", "shopping-cart | shopping-cart shop <customer>")),
    }
}

async fn serve() -> Result<(), Error> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("the carts are served at http://{}", listener.local_addr()?);
    axum::serve(listener, app(Payments::default()).router()).await?;
    Ok(())
}

async fn shop(customer: &str) -> Result<(), Error> {
    let client = Client::new("carts-rust");
    let item = |sku: &str, cents: u64| Item { sku: sku.to_owned(), cents, count: 1 };
    tokio::try_join!(
        client.call(ADD.key(customer), item("lamp", 4_900)),
        client.call(ADD.key(customer), item("bulb", 300)),
        client.call(ADD.key(customer), item("bulb", 300)),
    )?;
    let content = client.call(SHOW.key(customer), ()).await?;
    println!("{customer} has {:?} for {} cents", content.items, content.cents);
    let receipt = client.call(CHECKOUT.key(customer), ()).await?;
    println!("{} is paid with {}", receipt.order, receipt.charge);
    let state: serde_json::Value = client.state(CART.key(customer)).await?;
    println!("what is kept of the cart: {state}");
    Ok(())
}
