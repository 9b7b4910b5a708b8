//! Updates: a message to a run, and its reply.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn an_update_is_replied_to() {
    let world = World::open().await;
    let run = world.start("desk", json!({})).await;
    let path = format!("/v1/runs/{run}/updates/change");
    // It comes before or after the wait, and waits for its reply.
    let first = world.post(&path, r#"{"data":{"city":"Ulm"},"id":"u/1"}"#).await;
    assert_eq!((first.status, first.json()), (200, json!({"id": "u/1", "ok": {"city": "Ulm"}})), "{first:?}");
    let again = world.post(&path, r#"{"data":"other","id":"u/1"}"#).await;
    assert_eq!(again.json()["ok"], json!({"city": "Ulm"}), "a repeat gets the first reply");
    let shown = world.get(&format!("/v1/runs/{run}/updates/u%2F1")).await;
    assert_eq!((shown.status, &shown.json()["ok"]["city"]), (200, &json!("Ulm")));
    let bad = world.post(&path, r#"{"data":"bad"}"#).await;
    assert_eq!((bad.status, &bad.json()["err"]["name"]), (200, &json!("Refused")), "{bad:?}");
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    let kept = &journal["signals"][0];
    assert_eq!((&kept["name"], &kept["update"], &kept["ok"]["city"]), (&json!("change"), &json!(true), &json!("Ulm")));
}

#[tokio::test]
async fn an_update_without_a_reply_is_asked_for_later() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let path = format!("/v1/runs/{run}/updates/approve");
    let sent = world.post(&format!("{path}?wait=10ms"), "").await;
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((sent.status, sent.json()), (202, json!({"id": id})), "{sent:?}");
    let location = sent.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/v1/runs/{run}/updates/{id}"));
    let waiting = world.get(&location).await;
    assert_eq!((waiting.status, waiting.json()), (202, json!({"id": id})));
    // The signal of that name is another thing. The run's end is the reply to whoever waits.
    let (signal, path) = (format!("/v1/runs/{run}/signals/approve"), format!("{location}?wait=10s"));
    let (waited, ended) = tokio::join!(world.get(&path), world.post(&signal, "{}"));
    assert_eq!(ended.status, 202);
    assert_eq!((waited.status, &waited.json()["err"]["name"]), (200, &json!("RunEnded")), "{waited:?}");
    world.post(&format!("/v1/runs/{run}/updates/approve"), "{}").await.is_problem(409, "run_ended", "");
}

#[tokio::test]
async fn bad_updates_are_refused() {
    let world = World::open().await;
    let run = world.start("form", json!({})).await;
    let updates = format!("/v1/runs/{run}/updates");
    world.post(&format!("{updates}/%24cancel"), "{}").await.is_problem(422, "invalid", "update");
    world.post(&format!("{updates}/a?wait=soon"), "{}").await.is_problem(422, "invalid", "wait");
    world.post(&format!("{updates}/a"), r#"{"dat":1}"#).await.is_problem(422, "invalid", "/dat");
    world.post(&format!("{updates}/a"), r#"{"id":""}"#).await.is_problem(422, "invalid", "/id");
    world.get(&format!("{updates}/upd_1")).await.is_problem(404, "unknown_update", "");
    let nobody = "run_00000000000000000000000001";
    world.get(&format!("/v1/runs/{nobody}/updates/upd_1")).await.is_problem(404, "unknown_run", "");
}
