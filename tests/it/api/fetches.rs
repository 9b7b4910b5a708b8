//! Calls that the server makes for runs, as the API shows them: what is asked and answered, without the credentials, and why a
//! run waits.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use crate::support::peer::{Peer, Say, response};

#[tokio::test]
async fn a_call_is_shown_without_its_credentials() {
    let headers = [("set-cookie", "sid=s3cret"), ("x-ratelimit-remaining-tokens", "9")];
    let service = Peer::start(move |_| response(200, &headers, "hi")).await;
    let world = World::open().await;
    let url = format!("http://{}/v1?q=1&api_key=s3cret", service.address);
    let given = json!({"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "cookie": "a=s3cret", "x-run": "7"});
    let params = json!({"request": {"url": url, "headers": given, "body": "text"}, "retry": {"attempts": 1}});
    let run = world.start("ask", json!({"input": params})).await;
    let result = world.result(&run).await;
    // What the run itself has is what it asked for and what it got.
    assert_eq!(result["ok"]["headers"]["set-cookie"], "sid=s3cret", "{result}");
    assert_eq!(service.received()[0].header("x-api-key"), Some("s3cret"));
    let answer = world.get(&format!("/v1/runs/{run}/journal")).await;
    let journal = answer.json();
    let entry = &journal["entries"][1];
    assert_eq!((&entry["op"], &entry["status"], &entry["failures"]), (&json!("fetch"), &json!("settled"), &json!(0)));
    let request = &entry["params"]["request"];
    let shown = json!({"Authorization": "(hidden)", "X-Api-Key": "(hidden)", "cookie": "(hidden)", "x-run": "7"});
    assert_eq!((&request["headers"], &request["body"]), (&shown, &json!("text")));
    assert_eq!(request["url"], format!("http://{}/v1?q=1&api_key=(hidden)", service.address));
    let answered = &entry["ok"]["headers"];
    assert_eq!((&answered["set-cookie"], &answered["x-ratelimit-remaining-tokens"]), (&json!("(hidden)"), &json!("9")));
}

#[tokio::test]
async fn a_run_that_waits_for_a_call_says_so() {
    let service = Peer::start(|_| vec![Say::Pause(Duration::from_secs(60))]).await;
    let world = World::open().await;
    let url = format!("http://{}/think?key=s3cret", service.address);
    let run = world.start("ask", json!({"input": {"request": {"url": url, "method": "POST"}}})).await;
    world.reaches(&run, "suspended").await;
    let mut sentence = String::new();
    for _ in 0..1_000 {
        let explained = world.get(&format!("/v1/runs/{run}/explain")).await.json();
        sentence = explained["sentence"].as_str().unwrap_or_default().to_owned();
        if sentence.contains("the server has been fetching it for 0 s") {
            break;
        }
    }
    let expected = format!("It waits for the answer of http://{}/think for `ask`: the server", service.address);
    assert!(sentence.starts_with(&expected) && !sentence.contains("s3cret"), "{sentence}");
    let view = world.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(view["wakeAt"], serde_json::Value::Null, "it is being worked on: {view}");
    assert_eq!(world.post(&format!("/v1/runs/{run}/kill"), "{}").await.status, 202);
    assert_eq!(world.result(&run).await["status"], "cancelled");
}

#[tokio::test]
async fn a_call_that_is_tried_again_shows_what_went_wrong() {
    let service = Peer::start(|_| response(503, &[("retry-after", "3000")], "come back later")).await;
    let world = World::open().await;
    let run = world.start("ask", json!({"input": {"request": {"url": service.url()}}})).await;
    world.reaches(&run, "suspended").await;
    let mut explained = json!(null);
    for _ in 0..1_000 {
        explained = world.get(&format!("/v1/runs/{run}/explain")).await.json();
        if explained["sentence"].as_str().is_some_and(|sentence| sentence.contains("attempt 2 is due at")) {
            break;
        }
    }
    assert!(explained["sentence"].as_str().is_some_and(|it| it.contains("answered 503")), "{explained}");
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    let entry = &journal["entries"][1];
    assert_eq!((&entry["status"], &entry["failures"]), (&json!("backoff"), &json!(1)), "{entry}");
    assert_eq!(
        (&entry["attempts"][0]["error"]["name"], &entry["lastError"]["code"]),
        (&json!("HttpStatus"), &json!("503"))
    );
}
