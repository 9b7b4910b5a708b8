//! A function whose code changes under its runs, with real handlers: what contradicts the journal is held with both sides
//! shown, and goes on at code that follows it.

use serde_json::{Value, json};

use super::handlers::AppProcess;
use super::server::{Place, Server, free_port};

/// Other code than the journal was written by.
const OTHER: (&str, &str) = ("CODE", "other");

/// A run of `web/changing` that waits for its signal.
async fn waiting(server: &Server) -> String {
    let (status, body) = server.post("/v1/functions/web/changing/runs", json!({"input": null})).await;
    assert_eq!(status, 202, "{body}");
    let run = body["id"].as_str().expect("an id").to_owned();
    server.until(&format!("/v1/runs/{run}"), |shown| shown["status"] == "suspended").await;
    run
}

/// The run is woken, and held because the code that answers is not that of its journal.
async fn contradicted(server: &Server, run: &str) -> Value {
    let (status, body) = server.post(&format!("/v1/runs/{run}/signals/approve"), json!({"data": true})).await;
    assert!(status < 300, "{body}");
    let why = server.until(&format!("/v1/runs/{run}/explain"), |why| why["reason"] == "held").await;
    let sides = json!({"id": "reserve", "journal": "step", "code": "sleep"});
    assert_eq!((&why["hold"]["kind"], &why["hold"]["mismatch"]), (&json!("mismatch"), &sides), "{why}");
    for part in ["`reserve`", "the journal has step", "the code asks for sleep"] {
        assert!(why["sentence"].as_str().is_some_and(|text| text.contains(part)), "`{part}` is missing: {why}");
    }
    why
}

#[tokio::test]
async fn a_run_that_follows_its_app_goes_on_with_the_fixed_code() {
    let (place, app) = (Place::new(), AppProcess::start(0).await);
    let server = Server::start(&place).await;
    server.put_app("web", &app.url).await;
    let (run, port) = (waiting(&server).await, app.port());
    app.kill().await;
    let app = AppProcess::deploy(port, &[OTHER]).await;
    let why = contradicted(&server, &run).await;
    assert!(why["sentence"].as_str().is_some_and(|text| text.contains("then resume the run")), "{why}");
    app.kill().await;
    let app = AppProcess::start(port).await;
    let (status, body) = server.post(&format!("/v1/runs/{run}/resume"), json!({})).await;
    assert_eq!(status, 202, "{body}");
    let result = server.result(&run).await;
    assert_eq!((&result["status"], &result["ok"]), (&json!("completed"), &json!(true)), "{result}");
    app.kill().await;
    server.kill().await;
}

#[tokio::test]
async fn a_pinned_run_goes_on_where_it_is_moved_to() {
    // Each version has a port for ever, and says so.
    let (one, two) = (free_port(), free_port());
    let (one_url, two_url) = (format!("http://127.0.0.1:{one}/"), format!("http://127.0.0.1:{two}/"));
    let first_version = [("BACKSTITCH_VERSION", "1"), ("BACKSTITCH_DEPLOYMENT_URL", one_url.as_str())];
    let second_version = [("BACKSTITCH_VERSION", "2"), ("BACKSTITCH_DEPLOYMENT_URL", two_url.as_str())];
    let (place, first) = (Place::new(), AppProcess::deploy(one, &first_version).await);
    let server = Server::start(&place).await;
    let (_, shown) = server.put_app("web", &first.url).await;
    assert_eq!(shown["deployment"]["immutable"], true, "{shown}");
    let run = waiting(&server).await;
    // A host that does not keep its promise: another code under the same version.
    first.kill().await;
    let first = AppProcess::deploy(one, &[first_version[0], first_version[1], OTHER]).await;
    let why = contradicted(&server, &run).await;
    assert!(why["sentence"].as_str().is_some_and(|text| text.contains("move the run there")), "{why}");

    let second = AppProcess::deploy(two, &second_version).await;
    let (_, now) = server.put_app("web", &second.url).await;
    let (old, new) = (&shown["deployment"]["id"], &now["deployment"]["id"]);
    assert_ne!(old, new);
    let (_, body) = server.get("/v1/apps/web/deployments").await;
    let counts: Vec<(&Value, &Value)> =
        body["items"].as_array().into_iter().flatten().map(|it| (&it["id"], &it["openRuns"])).collect();
    assert_eq!(counts, [(new, &json!(0)), (old, &json!(1))]);
    let path = format!("/v1/apps/web/deployments/{}", old.as_str().expect("an id"));
    let (status, body) = server.ask(reqwest::Method::DELETE, &path, None).await.expect("an answer");
    assert_eq!((status, &body["code"]), (409, &json!("deployment_in_use")), "{body}");
    let (status, job) = server.post(&format!("{path}/move"), json!({"to": "current"})).await;
    assert_eq!(status, 202, "{job}");
    let result = server.result(&run).await;
    assert_eq!((&result["status"], &result["ok"]), (&json!("completed"), &json!(true)), "{result}");
    let (status, body) = server.ask(reqwest::Method::DELETE, &path, None).await.expect("an answer");
    assert_eq!((status, &body["state"]), (200, &json!("retired")), "{body}");
    first.kill().await;
    second.kill().await;
    server.kill().await;
}
