//! What handlers publish, read as server-sent events; and the tokens with which browsers read it. The test is the handler.

use std::time::Duration;

use axum::body::Body;
use backstitch_server::clock::{Clock as _, SystemClock};
use backstitch_server::limits::{CHANNEL_MESSAGES_MAX, CHANNEL_SEGMENTS, STREAM_READERS_MAX};
use futures_util::StreamExt as _;
use http::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::world::{Answer, World, request};

/// An event as a client gets it: its kind, its id, its data.
type Event = (String, String, Value);

/// A stream as a client reads it.
struct Reading {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Reading {
    async fn open(world: &World, path: &str, last: Option<&str>) -> Reading {
        let mut request = request(Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Reading { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    event.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
                };
                let (kind, id, data) = (field("event"), field("id"), field("data"));
                self.text = rest.to_owned();
                if data.is_empty() {
                    continue;
                }
                return Some((kind, id, serde_json::from_str(&data).unwrap()));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The data of messages, in order.
fn said(events: &[Event]) -> Vec<Value> {
    events.iter().filter(|(kind, ..)| kind.is_empty()).map(|(.., data)| data["data"].clone()).collect()
}

/// An invocation of the function `work`.
struct Work<'w> {
    world: &'w World,
    run: String,
    token: String,
    n: u32,
}

impl<'w> Work<'w> {
    async fn begin(world: &'w World) -> Work<'w> {
        let run = world.start("work", json!({"input": null})).await;
        Work::of(world, run, 1).await
    }

    async fn of(world: &'w World, run: String, nth: usize) -> Work<'w> {
        let token = invocation(world, &run, nth).await["token"].as_str().unwrap().to_owned();
        Work { world, run, token, n: 0 }
    }

    async fn report(&mut self, ops: Value) -> Answer {
        self.n += 1;
        self.send(json!({"n": self.n, "seen": 0, "ops": ops})).await
    }

    async fn send(&self, body: Value) -> Answer {
        let request = request(Method::POST, "/v1/invocations").header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.world.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn say(&mut self, ops: Value) {
        let answer = self.report(ops).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn end(&self, ops: Value) {
        let answer = self.send(json!({"final": true, "seen": 0, "ops": ops})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn path(&self) -> String {
        format!("/v1/runs/{}/stream", self.run)
    }
}

/// The body of a run's `nth` invocation.
async fn invocation(world: &World, run: &str, nth: usize) -> Value {
    for _ in 0..1_000 {
        let bodies = world.peer.received().into_iter().filter(|received| received.method == "POST");
        let mut bodies = bodies.map(|received| serde_json::from_slice::<Value>(&received.body).unwrap());
        if let Some(body) = bodies.by_ref().filter(|body| body["run"]["id"] == run).nth(nth - 1) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{run} was not invoked {nth} times");
}

fn words(attempt: u32, index: u32, data: Value) -> Value {
    json!({"op": "publish", "id": "llm", "attempt": attempt, "topic": "tokens", "index": index, "data": data})
}

fn step(attempt: u32, ok: bool) -> Value {
    let mut step =
        json!({"op": "step", "id": "llm", "attempt": attempt, "params": {"retry": {"initialInterval": "1ms"}}});
    if ok {
        step["ok"] = json!("all");
    } else {
        step["err"] = json!({"name": "E", "message": "m", "retryable": true});
    }
    step
}

#[tokio::test]
async fn words_come_while_the_body_works_and_each_once() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let mut reading = Reading::open(&world, &work.path(), None).await;
    work.say(json!([words(1, 0, json!(["a", {"b": "x\ny"}]))])).await;
    let events = reading.take(2).await;
    assert_eq!(said(&events), [json!("a"), json!({"b": "x\ny"})]);
    let (kind, id, first) = &events[0];
    assert_eq!((kind.as_str(), id.as_str()), ("", "1"));
    assert_eq!((&first["topic"], &first["step"], &first["attempt"]), (&json!("tokens"), &json!("llm"), &json!(1)));
    assert_eq!(first["run"], work.run.as_str());
    // What was said before, in an op that says more, is not said again.
    work.say(json!([words(1, 1, json!([{"b": "x\ny"}, "c"])), {"op": "publish", "id": "$publish", "topic": "stage", "index": 0, "data": [1]}])).await;
    work.say(json!([{"op": "publish", "id": "$publish", "topic": "stage", "index": 0, "data": [1, 2]}])).await;
    work.end(json!([step(1, true), {"op": "done", "ok": null}])).await;
    let rest = reading.rest().await;
    assert_eq!(said(&rest), [json!("c"), json!(1), json!(2)]);
    assert_eq!(rest[1].2.get("step"), None);
    let (kind, id, end) = rest.last().unwrap();
    assert_eq!((kind.as_str(), id.as_str(), &end["status"]), ("end", "end", &json!("completed")));
    // Whoever comes later is given the same; whoever comes back what follows; whoever has seen the end, nothing.
    let whole = Reading::open(&world, &work.path(), None).await.rest().await;
    let ids: Vec<&str> = whole.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "end"]);
    for (last, left) in [("1", 4), ("2", 3), ("4", 1), ("5", 0)] {
        assert_eq!(said(&Reading::open(&world, &work.path(), Some(last)).await.rest().await).len(), left, "{last}");
        let path = format!("{}?after={last}&topics=tokens,stage", work.path());
        assert_eq!(said(&Reading::open(&world, &path, None).await.rest().await).len(), left, "{last}");
    }
    let one = Reading::open(&world, &format!("{}?topics=stage", work.path()), None).await.rest().await;
    assert_eq!(said(&one), [json!(1), json!(2)]);
    let again = request(Method::GET, &work.path()).header("last-event-id", "end");
    assert_eq!(world.send(again.body(Body::empty()).unwrap()).await.status, 204);
}

#[tokio::test]
async fn what_comes_to_nothing_is_cut() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let mut reading = Reading::open(&world, &work.path(), None).await;
    work.say(json!([words(1, 0, json!(["wrong", "way"]))])).await;
    reading.take(2).await;
    work.say(json!([step(1, false)])).await;
    let (kind, id, cut) = reading.next().await.unwrap();
    assert_eq!((kind.as_str(), id.as_str()), ("cut", "3"));
    assert_eq!(
        (&cut["run"], &cut["step"], &cut["attempt"], &cut["from"]),
        (&json!(work.run), &json!("llm"), &json!(1), &json!(1))
    );
    // What the attempt that failed says still is not heard any more.
    work.say(json!([words(1, 2, json!(["late"])), words(2, 0, json!(["right"]))])).await;
    assert_eq!(said(&reading.take(1).await), [json!("right")]);
    // Who had heard it before it broke off is told; who comes for the first time never hears of it.
    let mut back = Reading::open(&world, &work.path(), Some("2")).await;
    assert_eq!(back.next().await.unwrap().0, "cut");
    let mut back = Reading::open(&world, &work.path(), Some("3")).await;
    assert_eq!(said(&back.take(1).await), [json!("right")]);
    work.end(json!([step(2, true), {"op": "done", "ok": null}])).await;
    let whole = Reading::open(&world, &work.path(), None).await.rest().await;
    assert_eq!(whole.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["", "end"]);
    assert_eq!(said(&whole), [json!("right")]);
    // The tables keep what was cut, and by which notice.
    let dump = world.store.dump(0).await.unwrap();
    let cut: Vec<_> = dump.messages.iter().filter_map(|it| it.cut_by).collect();
    assert_eq!((cut, dump.streams.len()), (vec![3], 0));
}

#[tokio::test]
async fn what_a_lost_invocation_said_is_cut() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let mut reading = Reading::open(&world, &work.path(), None).await;
    work.say(json!([words(1, 0, json!(["half"])), {"op": "publish", "id": "$publish", "topic": "stage", "index": 0, "data": ["begun"]}])).await;
    reading.take(2).await;
    // The handler fails without having reported its step.
    work.end(json!([{"op": "fail", "err": {"name": "Died", "message": "m", "retryable": true}}])).await;
    assert_eq!(reading.next().await.unwrap().0, "cut");
    let mut next = Work::of(&world, work.run.clone(), 2).await;
    let body = invocation(&world, &work.run, 2).await;
    assert_eq!(body["run"]["published"], json!({"$publish": 1}));
    next.say(json!([words(1, 0, json!(["whole"]))])).await;
    next.end(json!([step(1, true), {"op": "done", "ok": null}])).await;
    assert_eq!(said(&reading.rest().await), [json!("whole")]);
    let whole = Reading::open(&world, &work.path(), None).await.rest().await;
    assert_eq!(said(&whole), [json!("begun"), json!("whole")]);
}

#[tokio::test]
async fn runs_share_a_channel() {
    let world = World::open().await;
    let (mut one, mut two) = (Work::begin(&world).await, Work::begin(&world).await);
    let news = |index: u32, data: Value| json!({"op": "publish", "id": "$publish", "channel": "news/a", "topic": "t", "index": index, "data": [data]});
    one.say(json!([news(0, json!("early"))])).await;
    let mut now = Reading::open(&world, "/v1/channels/news%2Fa/stream", None).await;
    let mut all = Reading::open(&world, "/v1/channels/news%2Fa/stream?after=0", None).await;
    two.say(json!([news(0, json!("late"))])).await;
    assert_eq!(said(&now.take(1).await), [json!("late")]);
    let events = all.take(2).await;
    assert_eq!(said(&events), [json!("early"), json!("late")]);
    assert_eq!((&events[0].2["run"], &events[1].2["run"]), (&json!(one.run), &json!(two.run)));
    // The run's own stream has none of it.
    one.end(json!([{"op": "done", "ok": null}])).await;
    assert_eq!(said(&Reading::open(&world, &one.path(), None).await.rest().await), [] as [Value; 0]);
}

#[tokio::test]
async fn ops_that_cannot_be_taken_are_refused_by_name() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let large = json!(["x".repeat(70_000)]);
    let good = json!({"op": "publish", "id": "llm", "attempt": 1, "topic": "t", "index": 0, "data": [1]});
    let with = |field: &str, value: Value| {
        let mut op = good.clone();
        op[field] = value;
        op
    };
    for (op, word) in [
        (with("data", json!([])), "data: is empty"),
        (with("data", json!({})), "data"),
        (with("data", large), "data: has 70004 bytes"),
        (with("topic", json!("")), "topic"),
        (with("topic", json!("$t")), "topic: begins with $"),
        (with("topic", json!(null)), "topic: is missing"),
        (with("channel", json!("$run_1")), "channel: begins with $"),
        (with("index", json!(null)), "index: is missing"),
        (with("attempt", json!(0)), "attempt: must be at least 1"),
        (with("attempt", json!(null)), "without one it is $publish"),
        (with("id", json!("$publish")), "begin with $"),
        (with("id", json!("a/$b")), "begin with $"),
    ] {
        let answer = work.report(json!([op])).await;
        work.n -= 1;
        answer.is_problem(400, "malformed", "");
        let detail = answer.json()["detail"].as_str().unwrap().replace('`', "");
        assert!(detail.contains(word), "{detail} has no {word}");
    }
    // On more channels than one step may publish on it goes wrong for the run.
    let many: Vec<Value> = (0..17)
        .map(|n| {
            let mut op = with("channel", json!(format!("c{n}")));
            op["index"] = json!(n);
            op
        })
        .collect();
    work.report(json!(many)).await.is_problem(409, "stale", "");
    let run = world.get(&format!("/v1/runs/{}", work.run)).await.json();
    assert!(run["lastError"]["message"].as_str().is_some_and(|message| message.contains("16 channels")), "{run}");
}

#[tokio::test]
async fn a_token_opens_one_stream_and_nothing_else() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    work.say(json!([words(1, 0, json!(["a"])), {"op": "publish", "id": "$publish", "topic": "stage", "index": 0, "data": [1]}])).await;
    work.end(json!([step(1, true), {"op": "done", "ok": "result"}])).await;
    let other = Work::begin(&world).await;
    let token = |body: Value| {
        let world = &world;
        async move {
            let answer = world.post("/v1/subscriptions", body.to_string()).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()["token"].as_str().unwrap().to_owned()
        }
    };
    let whole = token(json!({"run": work.run})).await;
    let narrow = token(json!({"run": work.run, "topics": ["stage"], "ttl": "1m"})).await;
    let channel = token(json!({"channel": "news"})).await;
    let read = |path: String, token: &str| Reading::open_as(&world, path, token.to_owned());
    assert_eq!(said(&read(work.path(), &whole).await.rest().await).len(), 2);
    assert_eq!(said(&read(work.path(), &narrow).await.rest().await), [json!(1)]);
    let query = format!("{}?token={narrow}", work.path());
    assert_eq!(said(&Reading::open(&world, &query, None).await.rest().await), [json!(1)]);
    let result = world.get(&format!("/v1/runs/{}/result?token={whole}", work.run)).await;
    assert_eq!(result.json()["ok"], "result");
    let get = |path: String| {
        let world = &world;
        async move { world.get(&path).await }
    };
    for (path, status, code) in [
        (format!("{}?token={whole}", other.path()), 403, "out_of_scope"),
        (format!("/v1/runs/{}/result?token={whole}", other.run), 403, "out_of_scope"),
        (format!("/v1/channels/news/stream?token={whole}"), 403, "out_of_scope"),
        (format!("/v1/channels/olds/stream?token={channel}"), 403, "out_of_scope"),
        (format!("{}?token={narrow}&topics=tokens", work.path()), 403, "out_of_scope"),
        (format!("{}?token={}", work.path(), &whole[..whole.len() - 1]), 401, "unauthorized"),
        (format!("{}?token=sub_x", work.path()), 401, "unauthorized"),
        (format!("{}?token=bsk_secret", work.path()), 401, "unauthorized"),
    ] {
        let answer = get(path.clone()).await;
        answer.is_problem(status, code, "");
        assert!(!answer.json()["detail"].as_str().unwrap().contains("bsk_secret"), "{answer:?}");
    }
    // One that was made for a moment is over after it.
    let brief = token(json!({"run": work.run, "ttl": 1})).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(SystemClock::new().wall().0 > 0);
    get(format!("{}?token={brief}", work.path())).await.is_problem(401, "unauthorized", "");
    for (body, place) in [
        (json!({}), ""),
        (json!({"run": work.run, "channel": "x"}), "/channel"),
        (json!({"channel": "$x"}), "/channel"),
        (json!({"run": work.run, "topics": ["a", "b,c"]}), "/topics/1"),
        (json!({"run": work.run, "ttl": "2d"}), "/ttl"),
        (json!({"run": work.run, "ttl": 0}), "/ttl"),
        (json!({"run": "x"}), "/run"),
    ] {
        world.post("/v1/subscriptions", body.to_string()).await.is_problem(422, "invalid", place);
    }
    let nobody = json!({"run": "run_01hzy3v7q8k2m4n6p8r0s2t4v6"});
    world.post("/v1/subscriptions", nobody.to_string()).await.is_problem(404, "unknown_run", "");
}

impl Reading {
    async fn open_as(world: &World, path: String, token: String) -> Reading {
        let request = request(Method::GET, &path).header("authorization", format!("Bearer {token}"));
        let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        Reading { body: response.into_body().into_data_stream(), text: String::new() }
    }
}

#[tokio::test]
async fn pages_of_listed_origins_read_streams_with_a_token() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    work.end(json!([{"op": "done", "ok": 7}])).await;
    world.result(&work.run).await;
    let token = world.post("/v1/subscriptions", json!({"run": work.run}).to_string()).await.json();
    let token = token["token"].as_str().unwrap().to_owned();
    let ask = |method: Method, path: String, origin: &'static str, token: Option<String>| {
        let mut ask = request(method, &path).header("origin", origin);
        if let Some(token) = token {
            ask = ask.header("authorization", format!("Bearer {token}"));
        }
        world.send(ask.body(Body::empty()).unwrap())
    };
    let (stream, result) = (work.path(), format!("/v1/runs/{}/result", work.run));
    for path in [&stream, &result] {
        let answer = ask(Method::GET, path.clone(), "https://app.example", Some(token.clone())).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example")));
        let answer = ask(Method::GET, path.clone(), "https://app.example", None).await;
        answer.is_problem(401, "unauthorized", "");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        let answer = ask(Method::GET, path.clone(), "https://evil.example", Some(token.clone())).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        ask(Method::GET, path.clone(), "null", None).await.is_problem(401, "unauthorized", "");
        assert_eq!(ask(Method::GET, path.clone(), "http://localhost:8484", None).await.status, 200);
    }
    let asked = request(Method::OPTIONS, &stream).header("origin", "https://app.example");
    let asked = asked.header("access-control-request-method", "GET");
    let asked = asked.header("access-control-request-headers", "authorization,last-event-id");
    let answer = world.send(asked.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example")));
    assert!(answer.header("access-control-allow-headers").is_some_and(|it| it.contains("last-event-id")), "{answer:?}");
    // Everything else stays closed to them.
    let answer = ask(Method::GET, "/v1/runs".to_owned(), "https://app.example", Some(token)).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_chain_of_runs_is_one_stream() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let reading = Reading::open(&world, &work.path(), None).await;
    let stage = |data: Value| json!({"op": "publish", "id": "$publish", "topic": "t", "index": 0, "data": [data]});
    work.say(json!([stage(json!("first"))])).await;
    work.end(json!([{"op": "continueAsNew", "input": 2}])).await;
    let next = loop {
        let list = world.get(&format!("/v1/runs?previous={}", work.run)).await.json();
        if let Some(id) = list["items"][0]["id"].as_str() {
            break id.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut second = Work::of(&world, next.clone(), 1).await;
    second.say(json!([stage(json!("second"))])).await;
    second.end(json!([{"op": "done", "ok": null}])).await;
    let events = reading.rest().await;
    assert_eq!(said(&events), [json!("first"), json!("second")]);
    assert_eq!(events.last().unwrap().2, json!({"run": next, "status": "completed"}));
    let resumed = Reading::open(&world, &work.path(), Some("1")).await.rest().await;
    assert_eq!(said(&resumed), [json!("second")]);
}

#[tokio::test]
async fn streams_have_bounds_and_end_with_the_server() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    for (path, status, code, place) in [
        (format!("{}?after=x", work.path()), 422, "invalid", "after"),
        (format!("{}?after=-1", work.path()), 422, "invalid", "after"),
        (format!("{}?topics=a,,b", work.path()), 422, "invalid", "topics"),
        (format!("{}?what=1", work.path()), 422, "invalid", "what"),
        ("/v1/runs/run_01hzy3v7q8k2m4n6p8r0s2t4v6/stream".to_owned(), 404, "unknown_run", ""),
        ("/v1/channels/%24x/stream".to_owned(), 422, "invalid", "channel"),
    ] {
        let answer = world.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        answer.is_problem(status, code, place);
    }
    let mut open = Vec::new();
    for _ in 0..STREAM_READERS_MAX {
        open.push(Reading::open(&world, &work.path(), None).await);
    }
    world.get(&work.path()).await.is_problem(503, "busy", "");
    let last = open.pop().unwrap();
    drop(open);
    world.stop.send_replace(true);
    assert_eq!(last.rest().await, []);
}

/// Ids of messages, in order.
fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().filter(|(kind, ..)| kind.is_empty()).map(|(_, id, _)| id.parse().unwrap()).collect()
}

/// A reader who comes for what a full channel has given up is told which ids are missing, and gets everything behind them.
#[tokio::test]
async fn who_comes_too_late_is_told_of_the_gap() {
    let world = World::open().await;
    let mut work = Work::begin(&world).await;
    let piece = CHANNEL_MESSAGES_MAX / CHANNEL_SEGMENTS;
    let full = CHANNEL_MESSAGES_MAX.div_ceil(piece);
    let numbers = |nth: u64| json!((nth * piece..(nth + 1) * piece).collect::<Vec<_>>());
    let op = |id: &str, channel: Option<&str>, nth: u64| json!({"op": "publish", "id": id, "channel": channel, "topic": "n", "index": nth * piece, "data": numbers(nth)});
    for nth in 0..full {
        work.say(json!([op("$publish", None, nth)])).await;
    }
    // So far there is everything.
    let first = Reading::open(&world, &work.path(), Some("5")).await.take(2).await;
    assert_eq!((ids(&first), said(&first)), (vec![6, 7], vec![json!(5), json!(6)]));
    work.say(json!([op("$publish", None, full)])).await;
    let last = ((full + 1) * piece) as i64;
    for (back, after) in [(None, 0), (Some("5"), 5)] {
        let events = Reading::open(&world, &work.path(), back).await.take((last as u64 - piece + 1) as usize).await;
        let (kind, id, gap) = &events[0];
        assert_eq!((kind.as_str(), gap), ("gap", &json!({"after": after, "until": piece})));
        // The id of the gap is one to come back with: nothing is missing behind it.
        assert_eq!(id, &piece.to_string());
        assert!(ids(&events[1..]).into_iter().eq(piece as i64 + 1..=last), "{back:?}");
        assert!(said(&events[1..]).into_iter().eq((piece..(full + 1) * piece).map(|n| json!(n))), "{back:?}");
    }
    // Who has what is just before it misses nothing.
    let at_the_gap = Reading::open(&world, &work.path(), Some(&piece.to_string())).await.take(1).await;
    assert_eq!((ids(&at_the_gap), said(&at_the_gap)), (vec![piece as i64 + 1], vec![json!(piece)]));
    // A channel with a name has gaps, too.
    for nth in 0..=full {
        work.say(json!([op("a/$publish", Some("news"), nth)])).await;
    }
    let mut news = Reading::open(&world, "/v1/channels/news/stream", Some("7")).await;
    let (kind, id, gap) = news.next().await.unwrap();
    assert_eq!((kind.as_str(), &gap["after"], gap["until"].to_string()), ("gap", &json!(7), id.clone()));
    let (_, next, message) = news.next().await.unwrap();
    assert_eq!(next.parse::<i64>().unwrap(), id.parse::<i64>().unwrap() + 1);
    assert_eq!(message["data"], json!(piece));
    work.end(json!([{"op": "done", "ok": null}])).await;
}
