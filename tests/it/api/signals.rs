//! Signals and awakeables.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn early_signals_are_kept_and_repeats_change_nothing() {
    let world = World::open().await;
    let run = world.start("approval", json!({"delay": "300ms"})).await;
    let path = format!("/v1/runs/{run}/signals/approve");
    let first = world.post(&path, r#"{"data":{"by":  "ann"},"id":"s1"}"#).await;
    assert_eq!((first.status, &first.json()["created"]), (202, &json!(true)), "{first:?}");
    assert_eq!(world.post(&path, r#"{"data":"other","id":"s1"}"#).await.json()["created"], false);
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    assert_eq!((&journal["signals"][0]["name"], &journal["signals"][0]["id"]), (&json!("approve"), &json!("s1")));
    assert_eq!(world.result(&run).await["ok"], json!({"by": "ann"}));
    world.post(&path, "{}").await.is_problem(409, "run_ended", "");
}

#[tokio::test]
async fn bad_signals_are_refused() {
    let world = World::open().await;
    let run = world.start("form", json!({})).await;
    world.reaches(&run, "suspended").await;
    let signals = format!("/v1/runs/{run}/signals");
    // An awakeable's outcome travels as a signal inside; whoever knows a run's id must not settle it so.
    world.post(&format!("{signals}/%24awakeable%2Fform"), "{}").await.is_problem(422, "invalid", "name");
    world.post(&format!("{signals}/{}", "x".repeat(257)), "{}").await.is_problem(422, "invalid", "name");
    world.post(&format!("{signals}/a"), r#"{"dat":1}"#).await.is_problem(422, "invalid", "/dat");
    world.post(&format!("{signals}/a"), r#"{"id":""}"#).await.is_problem(422, "invalid", "/id");
    let large = format!(r#"{{"data":"{}"}}"#, "x".repeat(4 << 20));
    world.post(&format!("{signals}/a"), large).await.is_problem(413, "too_large", "/data");
}

#[tokio::test]
async fn a_token_settles_its_wait_once() {
    let world = World::open().await;
    let run = world.start("form", json!({})).await;
    world.reaches(&run, "suspended").await;
    let path = format!("/v1/awakeables/{}", world.token(&run, "form"));
    let answer = world.post(&path, r#"{"ok":null}"#).await;
    assert_eq!((answer.status, &answer.json()["run"]), (202, &json!(run)), "{answer:?}");
    assert_eq!(world.result(&run).await["ok"], json!(null));
    world.post(&path, r#"{"ok":null}"#).await.is_problem(409, "already_settled", "");
}

#[tokio::test]
async fn a_token_rejects_too() {
    let world = World::open().await;
    let run = world.start("form", json!({})).await;
    let path = format!("/v1/awakeables/{}", world.token(&run, "form"));
    let answer = world.post(&path, r#"{"err":{"name":"Declined","message":"no","data":[1]}}"#).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let result = world.result(&run).await;
    assert_eq!((&result["status"], &result["err"]["name"]), (&json!("failed"), &json!("Declined")));
}

#[tokio::test]
async fn bad_settlements_are_refused() {
    let world = World::open().await;
    let run = world.start("form", json!({})).await;
    world.reaches(&run, "suspended").await;
    let token = world.token(&run, "form");
    let path = format!("/v1/awakeables/{token}");
    let last = token.chars().last().unwrap();
    let forged = format!("/v1/awakeables/{}{}", &token[..token.len() - 1], if last == '0' { '1' } else { '0' });
    world.post(&forged, r#"{"ok":1}"#).await.is_problem(403, "forged_token", "");
    world.post("/v1/awakeables/awk_x", r#"{"ok":1}"#).await.is_problem(422, "invalid", "token");
    for (body, status, code, place) in [
        ("", 400, "malformed", ""),
        ("{}", 422, "invalid", ""),
        (r#"{"ok":1,"err":{"name":"a","message":"b"}}"#, 422, "invalid", "/err"),
        (r#"{"okay":1}"#, 422, "invalid", "/okay"),
        (r#"{"err":"no"}"#, 422, "invalid", "/err"),
        (r#"{"err":{"name":"a"}}"#, 422, "invalid", "/err"),
        (r#"{"err":{"name":"a","message":"b","datum":1}}"#, 422, "invalid", "/err/datum"),
    ] {
        world.post(&path, body).await.is_problem(status, code, place);
    }
    world.reaches(&run, "suspended").await;
}
