//! The HTTP side beyond the corpus: discovery, slow answers, limits, hosts.

use std::time::Duration;

use axum::body::Body;
use backstitch::prelude::*;
use backstitch::{Function, FunctionOptions, Timeouts};
use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_service::Service as _;

use crate::support::{invocation, open_app, ops, post, send};

#[derive(Event, Serialize, Deserialize)]
#[event("order/created", schema = json!({"type": "object", "properties": {"total": {"type": "integer"}}}))]
struct OrderCreated {
    total: u64,
}

#[backstitch::function(
    name = "Order",
    on(OrderCreated, when = "event.data.total > 0"),
    retry(max_interval = "1h", attempts = 5, initial_interval = "1s", factor = 2, jitter = 0.2, non_retryable = ["No"]),
    timeouts(run = "30d", invocation = "15m")
)]
async fn order(_ctx: Ctx, order: OrderCreated) -> Result<u64, Error> {
    Ok(order.total)
}

async fn manifest(app: App) -> Value {
    let response = send(&mut app.service(), Request::get("/").body(Body::empty()).unwrap()).await;
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn the_manifest_says_what_the_attribute_says() {
    let manifest = manifest(open_app().version("v7").function(order)).await;
    let function = json!({
        "id": "order", "name": "Order",
        "triggers": [{"event": "order/created", "if": "event.data.total > 0", "schema": {"type": "object", "properties": {"total": {"type": "integer"}}}}],
        "retry": {"attempts": 5, "initialInterval": "1s", "factor": 2.0, "maxInterval": "1h", "jitter": 0.2,
                  "nonRetryable": ["No"]},
        "timeouts": {"run": "4w2d", "invocation": "15m"},
    });
    assert_eq!(manifest["functions"], json!([function]));
    assert_eq!(manifest["app"], "shop");
    assert_eq!(manifest["deployment"], json!({"id": "v7", "immutable": false}));
    assert_eq!(manifest["limits"]["streams"], true);
}

#[tokio::test]
async fn the_hash_follows_the_manifest() {
    let deployment = async |app: App| manifest(app).await["deployment"]["id"].as_str().unwrap().to_owned();
    let one = deployment(open_app().function(order)).await;
    assert_eq!(one, deployment(open_app().function(order)).await);
    assert_ne!(one, deployment(open_app()).await);
}

#[tokio::test]
async fn a_browser_gets_a_line_of_text() {
    let app = App::new("secret-name").keys("").dev(false).function(order);
    let request = Request::get("/").header("accept", "text/html,*/*").body(Body::empty()).unwrap();
    let response = send(&mut app.service(), request).await;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(response.status() == 200 && text.contains("Backstitch") && !text.contains("secret-name"), "{text}");
}

#[tokio::test]
async fn two_functions_of_one_id_are_said_at_once() {
    let app = open_app().function(order).function(order);
    let response = send(&mut app.service(), Request::get("/").body(Body::empty()).unwrap()).await;
    let problem: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((response.status().as_u16(), &problem["code"]), (500, &json!("sdk")));
    assert_eq!(problem["detail"], "two functions have the id `order`");
}

/// Headers and a newline after 5 s, a newline every 10 s, then the answer.
#[tokio::test(start_paused = true)]
async fn slow_answers_begin_early() {
    let app = open_app().function_fn("slow", |ctx: Ctx, (): ()| async move {
        let work = async {
            tokio::time::sleep(Duration::from_secs(27)).await;
            backstitch::Ok(())
        };
        ctx.run("work", |_| work).await
    });
    #[expect(clippy::disallowed_methods, reason = "the runtime's clock is paused: the test owns it")]
    let begun = tokio::time::Instant::now();
    let response = app.service().call(post(&invocation("slow", &json!([])))).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut body = response.into_body();
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        chunks.push((begun.elapsed().as_secs(), data));
    }
    let newlines: Vec<u64> = chunks.iter().filter(|(_, data)| data == "\n").map(|(at, _)| *at).collect();
    assert_eq!(newlines, [5, 15, 25]);
    let (at, last) = chunks.last().unwrap();
    let answer: Value = serde_json::from_slice(last).unwrap();
    assert_eq!((*at, &answer["ops"][0]["id"]), (27, &json!("work")));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_its_own_is_overdue() {
    let minute = |id: &str| FunctionOptions::new(id).timeouts(Timeouts::default().invocation(1.minutes()));
    let stuck = Function::new(minute("stuck"), |ctx: Ctx, (): ()| async move {
        let done = join!(ctx.run("done", |_| async { backstitch::Ok(1) }), std::future::pending::<()>());
        done.0
    });
    let app = open_app().function(stuck);
    let lost = Function::new(minute("lost"), |_: Ctx, (): ()| std::future::pending::<Result<(), Error>>());
    let app = app.function(lost);
    // Something of ours is open, so the run suspends, whatever else the handler waits for.
    assert_eq!(ops(app.clone(), "stuck", json!([])).await[0]["op"], "step");
    let overdue = ops(app, "lost", json!([])).await;
    let message = overdue[0]["err"]["message"].as_str().unwrap();
    assert!(message.contains("not Backstitch's") && overdue[0]["err"]["retryable"] == true, "{message}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_unread() {
    let body = Body::from(vec![b' '; 32 * 1024 * 1024 + 1]);
    let response = send(&mut open_app().service(), Request::post("/").body(body).unwrap()).await;
    let problem: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((response.status().as_u16(), &problem["code"]), (413, &json!("too_large")));
}

#[tokio::test]
async fn outcomes_beyond_the_limit_are_terminal_errors() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let big = |_| async { backstitch::Ok("x".repeat(33 * 1024 * 1024)) };
        ctx.run("big", big).await.map(|text| text.len())
    });
    let first = ops(app, "main", json!([])).await;
    let error = &first[0]["err"];
    assert_eq!(
        (&first[0]["id"], &error["name"], &error["retryable"]),
        (&json!("big"), &json!("TooLarge"), &json!(false))
    );
}

/// Each fits, both do not: the second is left for the next invocation, and so is the end.
#[tokio::test]
async fn what_does_not_fit_together_goes_out_in_parts() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let big = |_| async { backstitch::Ok("x".repeat(20 * 1024 * 1024)) };
        let (a, b) = try_join!(ctx.run("a", big), ctx.run("b", big))?;
        backstitch::Ok(a.len() + b.len())
    });
    let first = ops(app, "main", json!([])).await;
    assert_eq!(first.iter().map(|op| op["id"].as_str().unwrap()).collect::<Vec<_>>(), ["a"]);
}

/// A real socket, as a user serves it.
#[tokio::test]
async fn axum_serves_it_nested_and_at_the_root() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest("/durable", open_app().function(order).router());
    let router = router.merge(open_app().function(order).router());
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    for path in ["", "/api/backstitch", "/durable", "/durable/api/backstitch"] {
        let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let manifest: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(manifest["app"], "shop");
    }
    server.abort();
}

#[tokio::test]
async fn an_endpoint_serves_hosts_without_an_adapter() {
    let endpoint = open_app().function_fn("main", |_: Ctx, (): ()| async { backstitch::Ok("done") }).endpoint();
    let (head, body) = post(&invocation("main", &json!([]))).into_parts();
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    let response = endpoint.handle(Request::from_parts(head, body)).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["ops"], json!([{"op": "done", "ok": "done"}]));
    let discovery = endpoint.handle(Request::get("/").body(Bytes::new()).unwrap()).await;
    let manifest: Value = serde_json::from_slice(discovery.body()).unwrap();
    assert_eq!(manifest["limits"]["streams"], false);
}
