//! Objects by REST: calls, sends, the state, the keys there are, and what is refused.

use serde_json::{Value, json};

use super::world::World;

const CART: &str = "/v1/objects/shop/cart";

async fn state(world: &World, key: &str) -> Value {
    let answer = world.get(&format!("{CART}/{key}/state")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn handlers_are_called_and_the_state_is_read() {
    let world = World::open().await;
    assert_eq!(state(&world, "ann").await, json!({"state": {}, "holder": null, "waiting": 0}));
    for n in 1..=3 {
        let added = world.post(&format!("{CART}/ann/add"), json!({"input": n}).to_string()).await;
        assert_eq!((added.status, &added.json()["ok"]), (200, &json!("ann")), "{added:?}");
    }
    assert_eq!(state(&world, "ann").await["state"], json!({"items": [1, 2, 3]}));
    let shown = world.post(&format!("{CART}/ann/show"), "").await;
    assert_eq!(shown.json()["ok"], json!({"items": [1, 2, 3]}), "{shown:?}");
    // A key is any text; the same names of another key are others.
    let odd = "a%2Fb%20%C3%BC";
    world.post(&format!("{CART}/{odd}/add"), r#"{"input":"x"}"#).await;
    assert_eq!(state(&world, odd).await["state"], json!({"items": ["x"]}));
    let run = shown.json()["id"].as_str().unwrap().to_owned();
    let run = world.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!((&run["function"], &run["key"]), (&json!("cart/show"), &json!("ann")));
}

#[tokio::test]
async fn who_holds_a_key_is_shown_and_the_others_wait() {
    let world = World::open().await;
    let send = async |handler: &str| {
        let sent = world.post(&format!("{CART}/ann/{handler}?mode=send"), "{}").await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.json()["id"].as_str().unwrap().to_owned()
    };
    let holder = send("hold").await;
    world.reaches(&holder, "suspended").await;
    let (first, second) = (send("add").await, send("add").await);
    assert_eq!(state(&world, "ann").await, json!({"state": {}, "holder": holder, "waiting": 2}));
    let explained = world.get(&format!("/v1/runs/{second}/explain")).await.json();
    let sentence = explained["sentence"].as_str().unwrap();
    assert!(sentence.contains(&holder) && sentence.contains("`ann`"), "{explained}");
    // Reading waits for nobody, and neither does another key.
    let shown = world.post(&format!("{CART}/ann/show"), "").await;
    assert_eq!((shown.status, &shown.json()["ok"]), (200, &json!({})));
    assert_eq!(world.post(&format!("{CART}/bob/add"), "{}").await.status, 200);
    let late = world.post(&format!("{CART}/ann/add?wait=10ms"), "{}").await;
    assert_eq!((late.status, &late.json()["status"]), (202, &json!("queued")), "{late:?}");

    let page = world.get(&format!("{CART}?limit=1")).await.json();
    assert_eq!(page["items"], json!([{"key": "ann", "holder": holder, "waiting": 3}]));
    let next = page["next"].as_str().unwrap();
    let page = world.get(&format!("{CART}?limit=1&cursor={next}")).await.json();
    assert_eq!((&page["items"][0]["key"], &page["next"]), (&json!("bob"), &Value::Null), "{page}");

    world.post(&format!("/v1/runs/{first}/cancel"), "").await;
    world.post(&format!("/v1/runs/{holder}/signals/approve"), "").await;
    assert_eq!(world.result(&second).await["status"], "completed");
    assert_eq!(world.result(&first).await["status"], "cancelled");
    assert_eq!(world.result(late.json()["id"].as_str().unwrap()).await["status"], "completed");
    assert_eq!(state(&world, "ann").await, json!({"state": {"items": [null, null]}, "holder": null, "waiting": 0}));
}

#[tokio::test]
async fn bad_calls_are_refused() {
    let world = World::open().await;
    world.get("/v1/objects/shop/basket/ann/state").await.is_problem(404, "unknown_object", "");
    world.get("/v1/objects/store/cart").await.is_problem(404, "unknown_app", "");
    world.post(&format!("{CART}/ann/drop"), "{}").await.is_problem(404, "unknown_function", "");
    world.post(&format!("{CART}/ann/add?mode=shout"), "{}").await.is_problem(422, "invalid", "mode");
    world.post(&format!("{CART}/ann/add"), r#"{"inptu":1}"#).await.is_problem(422, "invalid", "/inptu");
    world.get(&format!("{CART}?cursor=x")).await.is_problem(422, "invalid", "cursor");
    let long = "k".repeat(257);
    let refused = world.post(&format!("{CART}/{long}/add"), "{}").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("257 bytes"), "{refused:?}");
    // A handler without its key, by the door of functions.
    let refused = world.post("/v1/functions/shop/cart%2Fadd/runs", "{}").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(world.get(CART).await.json()["items"], json!([]), "nothing came of it");
}
