//! The shopping cart: what is added at the same time is all there, and a checkout pays once and empties the cart once,
//! although the server is killed in the middle of it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{Kind, World};

const CART: &str = "/v1/objects/carts/cart";

async fn state(world: &World, customer: &str) -> Value {
    world.get(&format!("{CART}/{customer}/state")).await
}

async fn call(world: &World, customer: &str, handler: &str, input: Value) -> Value {
    world.ask(Method::POST, &format!("{CART}/{customer}/{handler}"), &json!({ "input": input })).await
}

#[tokio::test]
async fn in_typescript() {
    let mut world = World::start(Kind::Node, "shopping-cart", "carts").await;

    // As its README says.
    let (succeeded, printed) = world.run("shop", &["ann"]).end().await;
    let seen = printed.contains("ann has 1 lamp and 3 bulb, for 5800 cents");
    assert!(succeeded && seen, "{printed}");
    assert!(printed.contains(r#""order":"ann-1""#), "{printed}");

    // Two clients at once.
    let bulb = || json!({ "sku": "bulb", "cents": 300, "count": 1 });
    let adds = (0..20).map(|_| call(&world, "bob smith", "add", bulb()));
    let totals = futures_util::future::join_all(adds).await;
    let mut totals: Vec<i64> = totals.iter().map(|result| result["ok"].as_i64().expect("a total")).collect();
    totals.sort_unstable();
    assert_eq!(totals, (1..=20).map(|n| n * 300).collect::<Vec<i64>>(), "each saw what the one before had left");
    let bob = state(&world, "bob smith").await;
    assert_eq!(
        (&bob["state"]["items"][0]["count"], &bob["holder"], &bob["waiting"]),
        (&json!(20), &Value::Null, &json!(0))
    );

    // The server dies while the payment is under way, and somebody waits.
    let send = |handler: &str| format!("{CART}/bob%20smith/{handler}?mode=send");
    let checkout = world.ask(Method::POST, &send("checkout"), &json!({})).await["id"].as_str().unwrap().to_owned();
    let add =
        world.ask(Method::POST, &send("add"), &json!({ "input": bulb() })).await["id"].as_str().unwrap().to_owned();
    let held = state(&world, "bob smith").await;
    assert_eq!((&held["holder"], &held["waiting"]), (&json!(checkout), &json!(1)));
    let why = world.get(&format!("/v1/runs/{add}/explain")).await;
    assert!(
        why["sentence"].as_str().unwrap().contains(&format!("`bob smith`: {checkout} holds it, 1st in line")),
        "{why}"
    );
    world.kill_and_restart_server().await;
    let receipt = world.result(&checkout).await;
    assert_eq!((&receipt["status"], &receipt["ok"]["cents"]), (&json!("completed"), &json!(6_000)), "{receipt}");
    assert_eq!(receipt["ok"]["charge"], "ch_2", "ann paid before, and nobody else");
    assert_eq!(world.result(&add).await["ok"], 300, "whoever waited found an empty cart");
    let bob = state(&world, "bob smith").await;
    assert_eq!(bob["state"], json!({ "items": [bulb()], "orders": 1 }));
    let again = call(&world, "bob smith", "checkout", Value::Null).await;
    assert_eq!(again["ok"], json!({ "order": "bob smith-2", "charge": "ch_3", "cents": 300 }), "paid once before");

    let keys = world.get(CART).await;
    let keys: Vec<&str> = keys["items"].as_array().unwrap().iter().filter_map(|item| item["key"].as_str()).collect();
    assert_eq!(keys, ["ann", "bob smith"]);
    assert_eq!(state(&world, "nobody").await, json!({ "state": {}, "holder": null, "waiting": 0 }));
    for (path, code) in
        [("/v1/objects/carts/basket/a/state", "unknown_object"), ("/v1/objects/nope/cart/a/state", "unknown_app")]
    {
        let answer = reqwest::get(format!("{}{path}", world.url)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code);
    }
}

#[tokio::test]
async fn in_rust() {
    let world = World::start(Kind::Rust, "shopping-cart", "carts-rust").await;
    for order in ["ann-1 is paid", "ann-2 is paid"] {
        let (succeeded, printed) = world.run("shop", &["ann"]).end().await;
        assert!(succeeded && printed.contains(order) && printed.contains("5500 cents"), "{printed}");
    }
    let ann = world.get("/v1/objects/carts-rust/cart/ann/state").await;
    assert_eq!(ann, json!({"state": {"items": [], "orders": 2}, "holder": null, "waiting": 0}));
}
