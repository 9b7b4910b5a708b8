//! Objects on the command line: a handler is called for a key, the state is shown, the keys are listed.

use serde_json::{Value, json};

use super::world::World;
use crate::support::peer::{Peer, Received, SDK, Say, response};

/// The app `carts`, whose object keeps what it is called with.
fn carts(request: &Received) -> Vec<Say> {
    if request.method == "GET" {
        let manifest = json!({
            "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "carts", "functions": [{"id": "plain"}],
            "deployment": {"id": "v1", "immutable": false},
            "objects": [{"id": "cart", "handlers": [{"id": "put", "mode": "exclusive"}]}],
        });
        return response(200, &SDK, &manifest.to_string());
    }
    let call: Value = serde_json::from_slice(&request.body).expect("an invocation is JSON");
    let write = json!({"op": "state", "id": "$state", "name": "$state", "params": {"set": {"last": call["input"]}}});
    let done = json!({"op": "done", "ok": call["state"]});
    response(200, &SDK, &json!({"token": call["token"], "seen": 0, "ops": [write, done]}).to_string())
}

#[tokio::test]
async fn a_handler_is_called_for_a_key() {
    let (world, app) = (World::new().await, Peer::start(carts).await);
    world.run(&["apps", "add", &app.url()]).await.expect(0, &["carts"]);
    world.run(&["objects", "carts/cart"]).await.expect(0, &["No key has state"]);
    world.run(&["call", "carts/cart/put", "--key", "ann", "1"]).await.expect(0, &["{}"]);
    world.run(&["call", "carts/cart/put", "--key", "ann", r#"{"n":2}"#]).await.expect(0, &[r#"{"last":1}"#]);
    world.run(&["call", "carts/cart/put", "--key", "b/ü", "3", "--no-wait"]).await.expect(0, &["run_"]);
    world.run(&["objects", "carts/cart", "ann"]).await.expect(0, &["last", r#"{"n":2}"#]);
    world.run(&["objects", "carts/cart", "nobody"]).await.expect(0, &["no state under this key"]);
    for _ in 0..200 {
        let keys = world.run(&["objects", "carts/cart", "--json"]).await.expect(0, &[]).json();
        if keys["items"].as_array().map(Vec::len) == Some(2) && keys["items"][1]["holder"].is_null() {
            break;
        }
    }
    world.run(&["objects", "carts/cart"]).await.expect(0, &["ann", "b/ü"]);

    world.run(&["call", "carts/plain", "--key", "ann"]).await.expect(2, &["is no handler of an object"]);
    world.run(&["call", "carts/cart/put"]).await.expect(4, &["the key"]);
    world.run(&["objects", "carts"]).await.expect(2, &["write app/object"]);
    world.run(&["objects", "carts/basket", "ann"]).await.expect(4, &["does not have it"]);
}
