//! Handlers that report while they work, in both languages: a run of many steps is one invocation, a server that is killed
//! or stopped finds them again, and no body begins twice.

use std::time::Duration;

use backstitch_server::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use super::handlers::{AppProcess, RustApp, rust_app};
use super::server::{Place, Server};

/// An app that is served as long as this lives.
enum App {
    Node(AppProcess),
    Rust(RustApp),
}

impl App {
    /// Registers the app, and starts `long` in it; the run's id.
    async fn begin(&self, server: &Server, steps: u32, ms: u64) -> String {
        let (app, url) = match self {
            App::Node(app) => ("web", &app.url),
            App::Rust(app) => ("shop", &app.url),
        };
        let (status, body) = server.put_app(app, url).await;
        assert!(status < 300, "{body}");
        let start = json!({"input": {"steps": steps, "ms": ms}});
        let (status, body) = server.post(&format!("/v1/functions/{app}/long/runs"), start).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().expect("a start is answered with the run's id").to_owned()
    }
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn a_killed_server_finds_the_body_at_work(app: App) {
    let place = Place::new();
    let server = Server::start(&place).await;
    let run = app.begin(&server, 1, 20_000).await;
    sleep(3_000).await;
    server.kill().await;
    let server = Server::start(&place).await;
    let result = server.result(&run).await;
    assert_eq!(result["ok"], json!({"invocations": 1, "bodies": 1}), "{result}");
    // Nothing begins once it is over.
    sleep(500).await;
    assert_eq!(server.result(&run).await, result);
    server.kill().await;
}

#[tokio::test]
async fn a_server_that_is_killed_finds_the_body_at_work_in_typescript() {
    a_killed_server_finds_the_body_at_work(App::Node(AppProcess::start(0).await)).await;
}

#[tokio::test]
async fn a_server_that_is_killed_finds_the_body_at_work_in_rust() {
    a_killed_server_finds_the_body_at_work(App::Rust(rust_app().await)).await;
}

async fn many_steps_are_one_invocation(app: App) {
    let server = Server::start(&Place::new()).await;
    let run = app.begin(&server, 1_000, 0).await;
    let result = server.result(&run).await;
    assert_eq!(result["ok"], json!({"invocations": 1, "bodies": 1_000}), "{result}");
    server.kill().await;
}

#[tokio::test]
async fn many_steps_are_one_invocation_in_typescript() {
    many_steps_are_one_invocation(App::Node(AppProcess::start(0).await)).await;
}

#[tokio::test]
async fn many_steps_are_one_invocation_in_rust() {
    many_steps_are_one_invocation(App::Rust(rust_app().await)).await;
}

async fn a_server_that_stops_lets_the_handler_yield(app: App) {
    let place = Place::new();
    let server = Server::start(&place).await;
    let run = app.begin(&server, 12, 500).await;
    sleep(2_200).await;
    let took = server.stop().await;
    assert!(took < Duration::from_secs(4), "the stop took {took:?}");
    let clock = SystemClock::new();
    let begun = clock.monotonic_ms();
    let server = Server::start(&place).await;
    let result = server.result(&run).await;
    let took = clock.monotonic_ms() - begun;
    // The handler yielded, so that nobody waits for a word of it.
    assert!(took < 15_000, "the rest took {took} ms: {result}");
    assert_eq!(result["ok"], json!({"invocations": 2, "bodies": 12}), "{result}");
    server.kill().await;
}

#[tokio::test]
async fn a_server_that_stops_lets_the_handler_yield_in_typescript() {
    a_server_that_stops_lets_the_handler_yield(App::Node(AppProcess::start(0).await)).await;
}

#[tokio::test]
async fn a_server_that_stops_lets_the_handler_yield_in_rust() {
    a_server_that_stops_lets_the_handler_yield(App::Rust(rust_app().await)).await;
}

/// The journal of a run that a killed server left is whole, too.
#[tokio::test]
async fn what_was_reported_before_a_kill_is_there_after_it() {
    let place = Place::new();
    let app = App::Rust(rust_app().await);
    let server = Server::start(&place).await;
    let run = app.begin(&server, 400, 10).await;
    let many = |journal: &Value| {
        let entries = journal["entries"].as_array();
        entries.is_some_and(|entries| entries.iter().filter(|entry| entry["status"] == "settled").count() > 150)
    };
    let before = server.until(&format!("/v1/runs/{run}/journal"), many).await;
    server.kill().await;
    let server = Server::start(&place).await;
    let result = server.result(&run).await;
    assert_eq!(result["ok"], json!({"invocations": 1, "bodies": 400}), "{result}");
    let (_, after) = server.get(&format!("/v1/runs/{run}/journal")).await;
    for entry in before["entries"].as_array().into_iter().flatten().filter(|entry| entry["status"] == "settled") {
        assert_eq!(after["entries"][entry["idx"].as_u64().expect("a position") as usize], *entry);
    }
    server.kill().await;
}
