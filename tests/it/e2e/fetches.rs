//! Calls that the server makes for a handler of the Rust SDK, with the end of the server in the middle of one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backstitch::prelude::*;
use serde_json::json;

use super::server::{Place, Server};
use crate::support::peer::{Peer, Say, response};

#[backstitch::function]
async fn ask(ctx: Ctx, url: String) -> Result<(u16, String), Error> {
    let call = ctx.fetch("model", url).header("authorization", "Bearer s3cret").json(&json!({ "n": 1 }));
    let answer = call.retry(Retry::attempts(3).initial_interval(20.milliseconds())).timeout(1.minutes()).await?;
    let said: serde_json::Value = answer.json()?;
    Ok((answer.status, said["text"].to_string()))
}

#[tokio::test]
async fn a_call_in_rust_survives_the_server_and_a_busy_service() {
    let count = AtomicU32::new(0);
    let model = Peer::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Say::Pause(Duration::from_secs(60))],
        1 => response(503, &[("retry-after", "0")], "busy"),
        _ => response(200, &[], r#"{"text":"hi"}"#),
    })
    .await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let app = App::new("asks").dev(true).function(ask);
    let serving = tokio::spawn(async move { axum::serve(listener, app.router()).await.expect("the app is served") });
    let place = Place::new();
    let server = Server::start(&place).await;
    server.put_app("asks", &url).await;
    let (_, started) = server.post("/v1/functions/asks/ask/runs", json!({"input": model.url()})).await;
    let run = started["id"].as_str().expect("a start is answered with the run's id").to_owned();
    server.until(&format!("/v1/runs/{run}/explain"), |it| it["sentence"].to_string().contains("fetching it for")).await;
    server.kill().await;
    assert_eq!(model.received().len(), 1);
    let server = Server::start(&place).await;
    let result = server.result(&run).await;
    assert_eq!((&result["status"], &result["ok"]), (&json!("completed"), &json!([200, "\"hi\""])), "{result}");
    let asked = model.received();
    let key = format!("{run}/model");
    assert!(asked.len() == 3 && asked.iter().all(|one| one.header("idempotency-key") == Some(&*key)), "{asked:?}");
    // A stop while a call is under way ends in time, and leaves it for the next server.
    let slow = Peer::start(|_| vec![Say::Pause(Duration::from_secs(60))]).await;
    let (_, started) = server.post("/v1/functions/asks/ask/runs", json!({"input": slow.url()})).await;
    let run = started["id"].as_str().expect("a start is answered with the run's id").to_owned();
    server.until(&format!("/v1/runs/{run}/explain"), |it| it["sentence"].to_string().contains("fetching it for")).await;
    let took = server.stop().await;
    assert!(took < Duration::from_secs(9), "a slow service held up the stop for {took:?}");
    let server = Server::start(&place).await;
    server.until(&format!("/v1/runs/{run}/explain"), |it| it["sentence"].to_string().contains("fetching it for")).await;
    server.kill().await;
    serving.abort();
}
