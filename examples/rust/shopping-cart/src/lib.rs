//! A shopping cart for each customer: an object whose key is the customer. One change of a cart runs at a time, in the order
//! of arrival, so nothing is lost when two tabs add at once, also while a checkout waits for the payment; looking does not
//! wait for anybody.

mod payments;

use backstitch::prelude::*;
use backstitch::{HandlerRef, Object, ObjectCtx, ObjectRef, SharedCtx};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use payments::Payments;

/// What lies in a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub cents: u64,
    pub count: u64,
}

/// What is in a cart, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub items: Vec<Item>,
    pub cents: u64,
    /// How often it was checked out.
    pub orders: u64,
}

/// What a checkout comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub order: String,
    pub charge: String,
    pub cents: u64,
}

/// The carts, for others.
pub const CART: ObjectRef = ObjectRef::new("carts-rust/cart");
/// Puts something in; gives what all of it costs.
pub const ADD: HandlerRef<Item, u64> = CART.handler("add");
/// Pays for what is in the cart, and empties it.
pub const CHECKOUT: HandlerRef<(), Receipt> = CART.handler("checkout");
/// What is in the cart.
pub const SHOW: HandlerRef<(), Content> = CART.handler("show");

/// The app that serves carts.
pub fn app(payments: Payments) -> App {
    let cart = Object::new("cart").exclusive("add", add).exclusive("checkout", checkout).shared("show", show);
    App::new("carts-rust").state(payments).object(cart)
}

async fn add(cart: ObjectCtx, item: Item) -> Result<u64, Error> {
    let mut items = items(&cart)?;
    match items.iter_mut().find(|other| other.sku == item.sku) {
        Some(same) => same.count += item.count,
        None => items.push(item),
    }
    cart.set("items", &items)?;
    Ok(total(&items))
}

/// Whoever adds in the meantime waits, and finds an empty cart.
async fn checkout(cart: ObjectCtx, _: ()) -> Result<Receipt, Error> {
    let (items, payments) = (items(&cart)?, cart.state::<Payments>()?);
    if items.is_empty() {
        return Err(Error::terminal("EmptyCart", format!("the cart of {} is empty", cart.key())));
    }
    let cents = total(&items);
    cart.set_status(json!({"phase": "paying", "cents": cents}))?;
    let charge = cart.run("charge", |step| payments.charge(step.idempotency_key(), cents)).await?;
    let orders = cart.get::<u64>("orders")?.unwrap_or(0) + 1;
    cart.set_all(json!({"items": [], "orders": orders}))?;
    Ok(Receipt { order: format!("{}-{orders}", cart.key()), charge, cents })
}

async fn show(cart: SharedCtx, _: ()) -> Result<Content, Error> {
    let items = items(&cart)?;
    Ok(Content { cents: total(&items), items, orders: cart.get("orders")?.unwrap_or(0) })
}

fn items(cart: &SharedCtx) -> Result<Vec<Item>, Error> {
    Ok(cart.get("items")?.unwrap_or_default())
}

fn total(items: &[Item]) -> u64 {
    items.iter().map(|item| item.cents * item.count).sum()
}
