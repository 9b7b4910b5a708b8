//! Runs that go on in new ones: to whoever knows the first it is one run.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn a_chain_is_one_run_to_whoever_started_it() {
    let world = World::open().await;
    let first = world.start("ticker", json!({"runId": "t", "input": {"n": 0}})).await;
    world.reaches(&first, "suspended").await;
    let signals = format!("/v1/runs/{first}/signals/tick");
    let tick = async |id: &str| world.post(&signals, json!({"id": id}).to_string()).await.json()["created"] == true;
    assert!(tick("a").await);
    world.reaches(&first, "continued").await;
    assert!(!tick("a").await, "the first run had it");
    assert!(tick("b").await, "the second has not");
    for _ in 0..50 {
        assert!(!tick("b").await, "whichever run is the newest by now");
    }
    let shown = world.get(&format!("/v1/runs/{first}")).await.json();
    let second = shown["continuedAs"].as_str().unwrap().to_owned();
    assert_eq!((&shown["status"], &shown["name"], &shown["ok"]), (&json!("continued"), &json!("t"), &json!(null)));
    world.reaches(&second, "continued").await;
    let shown = world.get(&format!("/v1/runs/{second}")).await.json();
    assert_eq!(shown["previous"], json!({"run": first, "origin": "continue"}));
    assert_eq!(shown["input"], json!({"n": 1}));
    let third = shown["continuedAs"].as_str().unwrap().to_owned();

    // A name stands for the newest, and whoever starts it again gets that one, whatever its input is by now.
    let named = world.get("/v1/functions/shop/ticker/runs/t").await.json();
    assert_eq!(named["id"], json!(third));
    assert_eq!(world.start("ticker", json!({"runId": "t", "input": {"n": 0}})).await, third);
    let status = world.get(&format!("/v1/runs/{first}/status")).await.json();
    assert_eq!(status["id"], json!(third));
    let waiting = world.get(&format!("/v1/runs/{first}/result")).await;
    assert_eq!((waiting.status, &waiting.json()["id"]), (202, &json!(third)));

    // The result of the first is that of the last, also for whoever waits while the chain goes on.
    let path = format!("/v1/runs/{first}/result?wait=10s");
    let (waited, sent) = tokio::join!(world.get(&path), tick("c"));
    assert!(sent);
    assert_eq!(waited.json(), json!({"id": third, "status": "completed", "ok": {"ticks": 3}}));
    let listed = world.get("/v1/runs?status=continued&app=shop&function=ticker").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");
    world.post(&signals, json!({"id": "d"}).to_string()).await.is_problem(409, "run_ended", "");
}

#[tokio::test]
async fn what_is_asked_of_an_old_run_is_asked_of_the_newest() {
    let world = World::open().await;
    let first = world.start("ticker", json!({"input": {"n": 0}})).await;
    world.post(&format!("/v1/runs/{first}/signals/tick"), "").await;
    world.reaches(&first, "continued").await;
    let second = world.get(&format!("/v1/runs/{first}")).await.json()["continuedAs"].as_str().unwrap().to_owned();
    world.reaches(&second, "suspended").await;
    let act = async |act: &str| world.post(&format!("/v1/runs/{first}/{act}"), "").await;
    assert_eq!(act("pause").await.json()["status"], "paused");
    world.reaches(&second, "paused").await;
    assert_eq!(act("resume").await.json()["status"], "ready");
    world.reaches(&second, "suspended").await;

    // An update that nobody takes goes along, and its sender is told of its end there.
    let sent = world.post(&format!("/v1/runs/{first}/updates/x?wait=10ms"), r#"{"id":"u"}"#).await;
    assert_eq!((sent.status, sent.header("location")), (202, Some(&*format!("/v1/runs/{second}/updates/u"))));
    assert_eq!(world.get(&format!("/v1/runs/{first}/updates/u")).await.status, 202);
    world.post(&format!("/v1/runs/{second}/signals/tick"), "").await;
    world.reaches(&second, "continued").await;
    assert_eq!(world.get(&format!("/v1/runs/{first}/updates/u")).await.status, 202);
    world.get(&format!("/v1/runs/{first}/updates/v")).await.is_problem(404, "unknown_update", "");
    act("cancel").await;
    let ended = world.get(&format!("/v1/runs/{first}/updates/u?wait=10s")).await;
    assert_eq!(ended.json()["err"]["name"], "RunEnded", "{ended:?}");
    assert_eq!(world.result(&first).await["status"], "cancelled");
    let explained = world.get(&format!("/v1/runs/{first}/explain")).await.json();
    assert_eq!(explained["reason"], "ended", "{explained}");
}
