//! A server without sockets: requests go into its router. The app that it calls is a real peer.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use backstitch_server::api::{self, Guard, Places, Rooms};
use backstitch_server::auth::{RunSecrets, Signer};
use backstitch_server::catalog;
use backstitch_server::clock::{Clock, SystemClock};
use backstitch_server::cluster::Cluster;
use backstitch_server::dashboard;
use backstitch_server::dispatch::{Discovery, Drift, Egress, HttpClient, HttpFetcher, HttpInvoker, Wire};
use backstitch_server::jobs;
use backstitch_server::limits::{POLLS_MAX, STREAM_READERS_MAX, WATCHES_MAX};
use backstitch_server::model::{Home, RunId, Span};
use backstitch_server::processor;
use backstitch_server::store::Store;
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::telemetry::Metrics;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::support::peer::{Peer, Received, SDK, Say, response};

/// A running server, and the app `shop` that it knows.
pub(super) struct World {
    pub(super) router: Router,
    pub(super) secrets: Arc<RunSecrets>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) drain: watch::Sender<bool>,
    pub(super) peer: Peer,
    pub(super) store: Arc<dyn Store>,
    pub(super) cluster: Cluster,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    _tasks: Vec<JoinHandle<()>>,
}

impl World {
    /// Starts everything, and registers the app.
    pub(super) async fn open() -> World {
        World::guarded(Guard::local(None)).await
    }

    /// The same, with another guard at the door.
    pub(super) async fn guarded(guard: Guard) -> World {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let secrets = Arc::new(RunSecrets::new(&store.secret([7; 32]).await.unwrap()));
        let client = HttpClient::new(Egress::Open).unwrap();
        let signer = Arc::new(Signer::new("test", None, clock.clone()));
        let (drift, drifted) = Drift::channel(clock.clone());
        // Nobody listens there: tests send to the router what a handler would.
        let home = Home { public_url: None, local_url: Some("http://127.0.0.1:8484".to_owned()) };
        let registry = catalog::load(&*store, home).await.unwrap();
        let known = registry.subscribe();
        let wire = Some(Arc::<Wire>::default());
        let invoker = HttpInvoker::new(
            client.clone(),
            signer.clone(),
            secrets.clone(),
            known.clone(),
            drift,
            clock.clone(),
            wire.clone(),
        );
        let (stop, stopping) = watch::channel(false);
        let (drain, draining) = watch::channel(false);
        let (processor, partition) = processor::open(processor::Parts {
            partition: 0,
            store: store.clone(),
            clock: clock.clone(),
            invoker: Arc::new(invoker),
            fetcher: Arc::new(HttpFetcher::new(client.clone(), clock.clone())),
            registry: known,
            stop: draining.clone(),
        })
        .await
        .unwrap();
        let cluster = Cluster::single(processor);
        let (catalog, keeper) = catalog::open(catalog::Parts {
            store: store.clone(),
            discovery: Discovery::new(client, signer),
            cluster: cluster.clone(),
            partitions: vec![0],
            clock: clock.clone(),
            registry,
            drift: drifted,
            every: Span::minutes(60),
            stop: draining.clone(),
        });
        let (jobs, runner) = jobs::open(jobs::Parts {
            store: store.clone(),
            cluster: cluster.clone(),
            clock: clock.clone(),
            stop: stopping.clone(),
        });
        let metrics = Arc::<Metrics>::default();
        let doors = Arc::new(Rooms {
            store: store.clone(),
            cluster: cluster.clone(),
            catalog: catalog.clone(),
            jobs,
            secrets: secrets.clone(),
            clock: clock.clone(),
            environment: "test".into(),
            guard,
            stop: stopping,
            draining: draining.clone(),
            watching: Places::of(WATCHES_MAX),
            reading: Places::of(STREAM_READERS_MAX),
            cors_origins: vec!["https://app.example".to_owned()],
            polling: Places::of(POLLS_MAX),
            metrics: metrics.clone(),
            wire,
            dev: None,
        });
        let router = api::router(doors, dashboard::routes());
        let peer = Peer::start(shop).await;
        catalog.register("shop", &peer.url(), Vec::new()).await.unwrap();
        let partition = tokio::spawn(async move { partition.await.unwrap().unwrap() });
        World {
            router,
            secrets,
            stop,
            drain,
            peer,
            store,
            cluster,
            clock,
            metrics,
            _tasks: vec![partition, keeper, runner],
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// Sends a body as JSON.
    pub(super) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.into())).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Starts a run and returns its id.
    pub(super) async fn start(&self, function: &str, body: Value) -> String {
        let answer = self.post(&format!("/v1/functions/shop/{function}/runs"), body.to_string()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// How a run ended.
    pub(super) async fn result(&self, run: &str) -> Value {
        let answer = self.get(&format!("/v1/runs/{run}/result?wait=10s")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until a run stands so; what it waits for is then in its journal.
    pub(super) async fn reaches(&self, run: &str, status: &str) {
        for _ in 0..1_000 {
            let answer = self.get(&format!("/v1/runs/{run}")).await;
            if answer.json()["status"] == status {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("run {run} never became {status}");
    }

    /// The token of a run's awakeable.
    pub(super) fn token(&self, run: &str, entry: &str) -> String {
        self.secrets.token(run.parse::<RunId>().unwrap(), entry)
    }
}

/// A request of this machine.
pub(super) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "localhost:8484")
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer is a problem with this code, as it should look; `place` is the first pointer or parameter, or empty.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16, code: &str, place: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!((&problem["status"], &problem["type"]), (&json!(status), &json!("about:blank")), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with("failed ")), "{problem}");
        let first = &problem["errors"][0];
        let shown = first["pointer"].as_str().or(first["parameter"].as_str()).unwrap_or_default();
        assert_eq!(shown, place, "{problem}");
    }
}

/// The app: what it answers to discovery and to invocations of its functions.
pub(super) fn shop(received: &Received) -> Vec<Say> {
    if received.method == "GET" {
        return response(200, &SDK, &manifest("shop").to_string());
    }
    let invocation: Value = serde_json::from_slice(&received.body).unwrap();
    let journal = invocation["journal"].as_array().unwrap();
    let seen = journal.iter().filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or(0);
    let find = |id: &str| journal.iter().find(|entry| entry["id"] == id);
    let cancelled = find("$cancel").is_some();
    let wait = |id: &str, op: Value| match find(id) {
        None => json!([op]),
        Some(entry) if entry["pending"] == true => json!([]),
        Some(entry) if !entry["err"].is_null() => json!([{"op": "fail", "err": entry["err"]}]),
        Some(entry) => json!([{"op": "done", "ok": entry["ok"]}]),
    };
    let wait_signal = json!({"op": "waitSignal", "id": "approval", "params": {"signal": "approve"}});
    let wait_form = json!({"op": "waitSignal", "id": "form", "params": {"awakeable": true}});
    let ops = match invocation["run"]["function"].as_str().unwrap() {
        // Its handler is the test.
        "work" => return vec![Say::Pause(std::time::Duration::from_secs(60)), Say::Close],
        "echo" | "on-paid" => return echo(&invocation, &received.body, seen),
        // With the error that its input says, if it says one.
        "fail" => {
            let asked = &invocation["input"];
            let said = |field: &str, else_say: &str| asked[field].as_str().unwrap_or(else_say).to_owned();
            let (name, message) = (said("name", "Broken"), said("message", "it broke"));
            json!([{"op": "fail", "err": {"name": name, "message": message, "retryable": false}}])
        }
        "flaky" => match find("try") {
            None => json!([step(1, false)]),
            Some(entry) if entry["run"].is_object() => json!([step(2, true)]),
            Some(entry) if entry["pending"] == true => json!([]),
            Some(entry) => json!([{"op": "done", "ok": entry["ok"]}]),
        },
        _ if cancelled => {
            json!([{"op": "fail", "err": {"name": "CancelledError", "message": "cancelled", "retryable": false}}])
        }
        "approval" => wait("approval", wait_signal),
        "form" => wait("form", wait_form),
        // The server makes the call that the input says.
        "ask" => wait("ask", json!({"op": "fetch", "id": "ask", "params": invocation["input"]})),
        "desk" => desk(journal),
        "trip" => trip(journal),
        "cart/add" => match find("$state") {
            None => added(&invocation),
            Some(_) => json!([{"op": "done", "ok": invocation["run"]["key"]}]),
        },
        "cart/hold" => wait("approval", wait_signal),
        "cart/show" => json!([{"op": "done", "ok": invocation["state"]}]),
        "ticker" => match find("tick") {
            None => json!([{"op": "waitSignal", "id": "tick", "params": {"signal": "tick"}}]),
            Some(entry) if entry["pending"] == true => json!([]),
            Some(_) => ticked(&invocation["input"]),
        },
        function => panic!("the server invoked {function}"),
    };
    let answer = json!({"token": invocation["token"], "seen": seen, "ops": ops});
    response(200, &SDK, &answer.to_string())
}

/// Replies to every update with its data, unless they are bad.
fn desk(journal: &[Value]) -> Value {
    let reply = |entry: &Value| {
        let (id, data) = (&entry["ok"]["id"], &entry["ok"]["data"]);
        match data == "bad" {
            true => json!({"op": "reply", "update": id, "err": {"name": "Refused", "message": "bad"}}),
            false => json!({"op": "reply", "update": id, "ok": data}),
        }
    };
    let mut ops: Vec<Value> = journal.iter().filter(|entry| entry["seq"].is_number()).map(reply).collect();
    if journal.iter().all(|entry| entry["seq"].is_number()) {
        let id = format!("change:{}", journal.len());
        ops.push(json!({"op": "waitSignal", "id": id, "params": {"signal": "change", "update": true}}));
    }
    json!(ops)
}

/// Adds its input to the items of the object.
fn added(invocation: &Value) -> Value {
    let mut items = invocation["state"]["items"].as_array().cloned().unwrap_or_default();
    items.push(invocation["input"].clone());
    json!([{"op": "state", "id": "$state", "name": "$state", "params": {"set": {"items": items}}}])
}

/// Goes on in a new run after each tick but the third.
fn ticked(input: &Value) -> Value {
    match input["n"].as_u64().unwrap_or(0) {
        n if n < 2 => json!([{"op": "continueAsNew", "input": {"n": n + 1}}]),
        n => json!([{"op": "done", "ok": {"ticks": n + 1}}]),
    }
}

/// Books a hotel, gets no seat, and cannot give the room back.
fn trip(journal: &[Value]) -> Value {
    let no_seat = json!({"op": "fail", "err": {"name": "NoSeat", "message": "no seat", "retryable": false}});
    let step = |id: &str, params: Value| json!({"op": "step", "id": id, "params": params, "attempt": 1});
    let with = |mut op: Value, field: &str, value: Value| {
        op[field] = value;
        op
    };
    let find = |id: &str| journal.iter().find(|entry| entry["id"] == id);
    match (find("$failure"), find("$undo/hotel")) {
        (None, _) => json!([with(step("hotel", json!({"compensate": true})), "ok", json!("room 7")), no_seat]),
        (Some(_), None) => {
            let error = json!({"name": "Closed", "message": "nobody answers", "retryable": false});
            json!([with(step("$undo/hotel", json!({"compensates": "hotel"})), "err", error)])
        }
        (Some(_), Some(_)) => json!([no_seat]),
    }
}

fn step(attempt: u32, ok: bool) -> Value {
    let mut step = json!({"op": "step", "id": "try", "name": "try it", "attempt": attempt,
        "params": {"retry": {"initialInterval": "10ms"}}});
    if ok {
        step["ok"] = json!("at last");
    } else {
        step["err"] = json!({"name": "Flaky", "message": "not yet", "retryable": true});
    }
    step
}

/// Ends with the input, byte by byte.
fn echo(invocation: &Value, body: &[u8], seen: u64) -> Vec<Say> {
    #[derive(serde::Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        input: &'a serde_json::value::RawValue,
    }
    let input = serde_json::from_slice::<Input<'_>>(body).unwrap().input;
    let token = &invocation["token"];
    response(200, &SDK, &format!(r#"{{"token":{token},"seen":{seen},"ops":[{{"op":"done","ok":{input}}}]}}"#))
}

/// What the app says of itself.
pub(super) fn manifest(app: &str) -> Value {
    let function = |id: &str| json!({"id": id, "name": id, "triggers": [], "retry": {"initialInterval": "10ms"}});
    let mut functions: Vec<Value> = ["echo", "fail", "flaky", "approval", "form", "work"].map(function).into();
    functions.push(json!({"id": "on-paid", "triggers": [{"event": "order/paid", "if": "event.data.cents > 100"}]}));
    functions.push(function("desk"));
    functions.push(function("ask"));
    functions.push(function("trip"));
    functions.push(function("ticker"));
    json!({
        "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": app,
        "deployment": {"id": "v1", "immutable": false},
        "limits": {"requestBytes": 4_400_000, "responseBytes": 4_400_000, "streams": true, "outbound": true},
        "functions": functions,
        "objects": [{"id": "cart", "handlers": [
            {"id": "add", "mode": "exclusive"}, {"id": "hold", "mode": "exclusive"}, {"id": "show", "mode": "shared"}
        ]}]
    })
}
