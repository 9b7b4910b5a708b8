//! Watching a run by server-sent events.

use axum::body::Body;
use futures_util::StreamExt as _;
use http::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::world::{World, request};

/// One message.
#[derive(Debug)]
struct Message {
    event: String,
    id: String,
    data: Value,
}

/// A watch as a client reads it.
struct Stream {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(world: &World, run: &str) -> Stream {
        Stream::at(world, &format!("/v1/runs/{run}/watch")).await
    }

    async fn at(world: &World, path: &str) -> Stream {
        let request = request(Method::GET, path).body(Body::empty()).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    message.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
                };
                let (event, id, data) = (field("event"), field("id"), field("data"));
                self.text = rest.to_owned();
                if event.is_empty() {
                    continue;
                }
                return Some(Message { event, id, data: serde_json::from_str(&data).unwrap() });
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(10), self.body.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

#[tokio::test]
async fn a_watch_shows_everything_and_then_the_end() {
    let world = World::open().await;
    let run = world.start("approval", json!({"input": "x\ny"})).await;
    world.reaches(&run, "suspended").await;
    let mut stream = Stream::open(&world, &run).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.event.as_str(), first.id.as_str(), &first.data["status"]), ("run", "1", &json!("suspended")));
    let input = stream.next().await.unwrap();
    assert_eq!(
        (input.event.as_str(), &input.data["op"], &input.data["ok"]),
        ("entry", &json!("input"), &json!("x\ny"))
    );
    let wait = stream.next().await.unwrap();
    assert_eq!((&wait.data["id"], &wait.data["status"]), (&json!("approval"), &json!("waiting")));

    world.post(&format!("/v1/runs/{run}/signals/approve"), "{\"data\":{\n\"by\":\r\n\"ann\"}}").await;
    let rest = stream.rest().await;
    let last_of = |id: &str| rest.iter().rfind(|m| m.event == "entry" && m.data["id"] == id).unwrap();
    assert_eq!((&last_of("approval").data["ok"], &last_of("approval").data["idx"]), (&json!({"by": "ann"}), &json!(1)));
    assert_eq!(last_of("$outcome").data["op"], "outcome");
    assert!(!rest.iter().any(|message| message.data["op"] == "input"), "what has not changed came again: {rest:?}");
    let [.., run_ended, end] = rest.as_slice() else { panic!("too few messages: {rest:?}") };
    assert_eq!((run_ended.event.as_str(), &run_ended.data["status"]), ("run", &json!("completed")));
    assert_eq!((end.event.as_str(), end.id.as_str()), ("end", "end"));
}

#[tokio::test]
async fn a_run_that_has_ended_is_shown_whole() {
    let world = World::open().await;
    let run = world.start("flaky", json!({})).await;
    world.result(&run).await;
    let messages = Stream::open(&world, &run).await.rest().await;
    let events: Vec<&str> = messages.iter().map(|message| message.event.as_str()).collect();
    assert_eq!(events, ["run", "entry", "entry", "entry", "end"]);
    assert_eq!(messages[2].data["attempts"][0]["error"]["name"], "Flaky");
}

#[tokio::test]
async fn who_has_seen_the_end_is_told_so() {
    let world = World::open().await;
    let run = world.start("echo", json!({})).await;
    let again = request(Method::GET, &format!("/v1/runs/{run}/watch")).header("last-event-id", "end");
    assert_eq!(world.send(again.body(Body::empty()).unwrap()).await.status, 204);
}

#[tokio::test]
async fn watches_end_when_the_server_stops() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let stream = Stream::open(&world, &run).await;
    world.stop.send_replace(true);
    let messages = stream.rest().await;
    assert!(messages.iter().all(|message| message.event != "end"), "{messages:?}");
}

#[tokio::test]
async fn watches_have_a_bound() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    let mut open = Vec::new();
    for _ in 0..1_000 {
        open.push(Stream::open(&world, &run).await);
    }
    let refused = world.get(&format!("/v1/runs/{run}/watch")).await;
    refused.is_problem(503, "busy", "");
    assert_eq!(refused.header("retry-after"), Some("1"));
    open.pop();
    open.push(Stream::open(&world, &run).await);
}

#[tokio::test]
async fn a_watch_of_all_runs_tells_how_they_are_now() {
    let world = World::open().await;
    let mut all = Stream::at(&world, "/v1/watch").await;
    let mut others = Stream::at(&world, "/v1/watch?app=shop&function=another").await;
    let run = world.start("approval", json!({"input": "x\ny"})).await;
    let statuses = |message: &Message| -> Vec<String> {
        assert_eq!(message.event, "runs");
        let items = message.data["items"].as_array().unwrap();
        let own = items.iter().filter(|item| item["id"] == json!(run));
        own.map(|item| item["status"].as_str().unwrap().to_owned()).collect()
    };
    // It may be told of as ready first; in the end it is told of as it stands.
    while statuses(&all.next().await.unwrap()) != ["suspended"] {}
    world.post(&format!("/v1/runs/{run}/signals/approve"), "{}").await;
    while statuses(&all.next().await.unwrap()) != ["completed"] {}
    world.stop.send_replace(true);
    assert!(all.rest().await.is_empty(), "a stream ends when the server stops");
    assert!(others.next().await.is_none(), "runs of other functions are not told of");
}

#[tokio::test]
async fn a_watch_of_all_runs_takes_what_it_can_keep_to() {
    let world = World::open().await;
    let answer = world.get("/v1/watch?status=failed").await;
    assert_eq!(answer.status, 422, "{answer:?}");
}
