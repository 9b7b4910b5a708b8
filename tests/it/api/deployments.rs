//! Deployments over HTTP: listed with who is on them, drained, retired, and left by moving their runs.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use backstitch_server::limits::DEPLOYMENTS_KEPT_MAX;
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, World, request};
use crate::support::peer::{Peer, Received, SDK, Say, response};

/// The app `store`, whose version can be changed. Its function `wait` waits for a signal; in a version whose name begins with
/// `bad` it contradicts the journal instead, once there is one.
struct Store {
    peer: Peer,
    version: Arc<Mutex<(String, bool)>>,
}

impl Store {
    async fn open(version: &str, immutable: bool) -> Store {
        let version = Arc::new(Mutex::new((version.to_owned(), immutable)));
        let shared = version.clone();
        let peer = Peer::start(move |request| {
            let (version, immutable) = shared.lock().expect("no test panics with the lock").clone();
            store(request, &version, immutable)
        })
        .await;
        Store { peer, version }
    }

    async fn deploy(&self, world: &World, version: &str, immutable: bool) -> String {
        *self.version.lock().expect("no test panics with the lock") = (version.to_owned(), immutable);
        self.register(world).await
    }

    /// Registers it, and says which deployment that made.
    async fn register(&self, world: &World) -> String {
        let put = request(Method::PUT, "/v1/apps/store").header("content-type", "application/json");
        let answer = world.send(put.body(Body::from(json!({"url": self.peer.url()}).to_string())).unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["deployment"]["id"].as_str().unwrap().to_owned()
    }
}

fn store(request: &Received, version: &str, immutable: bool) -> Vec<Say> {
    if request.method == "GET" {
        let manifest = json!({
            "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "store",
            "deployment": {"id": version, "immutable": immutable}, "functions": [{"id": "wait", "triggers": []}],
        });
        return response(200, &SDK, &manifest.to_string());
    }
    let call: Value = serde_json::from_slice(&request.body).unwrap();
    let journal = call["journal"].as_array().unwrap();
    let seen = journal.iter().filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or(0);
    let wait = journal.iter().find(|entry| entry["id"] == "approval");
    let ops = match wait {
        Some(_) if version.starts_with("bad") => {
            json!([{"op": "mismatch", "id": "approval", "journal": "waitSignal", "code": "sleep"}])
        }
        Some(entry) if entry["seq"].is_number() => json!([{"op": "done", "ok": entry["ok"]}]),
        Some(_) => json!([]),
        None => json!([{"op": "waitSignal", "id": "approval", "params": {"signal": "approve"}}]),
    };
    response(200, &SDK, &json!({"token": call["token"], "seen": seen, "ops": ops}).to_string())
}

async fn start(world: &World) -> String {
    let answer = world.post("/v1/functions/store/wait/runs", "{}").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = answer.json()["id"].as_str().unwrap().to_owned();
    world.reaches(&run, "suspended").await;
    run
}

async fn approve(world: &World, run: &str) {
    let answer = world.post(&format!("/v1/runs/{run}/signals/approve"), r#"{"data": "yes"}"#).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

async fn act(world: &World, method: Method, deployment: &str, act: &str) -> Answer {
    let path = format!("/v1/apps/store/deployments/{deployment}{act}");
    world.send(request(method, &path).body(Body::empty()).unwrap()).await
}

async fn listed(world: &World) -> Vec<Value> {
    world.get("/v1/apps/store/deployments").await.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn pinned_runs_are_counted_and_keep_their_deployment() {
    let world = World::open().await;
    let store = Store::open("v1", true).await;
    let first = store.register(&world).await;
    let runs = [start(&world).await, start(&world).await];
    act(&world, Method::POST, &first, "/drain").await.is_problem(409, "current_deployment", "");
    act(&world, Method::DELETE, &first, "").await.is_problem(409, "current_deployment", "");

    let second = store.deploy(&world, "v2", true).await;
    let third = start(&world).await;
    let found: Vec<Value> = listed(&world).await;
    let told =
        |found: &Value| ["id", "version", "current", "immutable", "state", "openRuns"].map(|it| found[it].clone());
    assert_eq!(told(&found[0]), [json!(second), json!("v2"), json!(true), json!(true), json!("active"), json!(1)]);
    assert_eq!(told(&found[1]), [json!(first), json!("v1"), json!(false), json!(true), json!("active"), json!(2)]);
    let page = world.get("/v1/apps/store/deployments?limit=1").await.json();
    assert_eq!(page["items"][0]["id"], second);
    let next = format!("/v1/apps/store/deployments?limit=1&cursor={}", page["next"].as_str().unwrap());
    let page = world.get(&next).await.json();
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(first), &json!(null)));
    world.get("/v1/apps/nobody/deployments").await.is_problem(404, "unknown_app", "");
    world.get(&format!("/v1/apps/shop/deployments/{first}")).await.is_problem(404, "unknown_deployment", "");
    world.get("/v1/apps/store/deployments/dep_x").await.is_problem(422, "invalid", "deployment");

    // The list of runs that the refusal names is the list of those that are counted.
    let refused = act(&world, Method::DELETE, &first, "").await;
    refused.is_problem(409, "deployment_in_use", "");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2 runs"), "{detail}");
    let link = detail.split_whitespace().find(|word| word.starts_with("/v1/runs?")).unwrap().trim_end_matches(';');
    let pinned = world.get(link).await.json();
    let pinned: Vec<&str> = pinned["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(pinned, [&*runs[1], &*runs[0]]);

    // Draining waits for the runs, and retires by itself.
    let drained = act(&world, Method::POST, &first, "/drain").await.json();
    assert_eq!((&drained["state"], &drained["openRuns"]), (&json!("draining"), &json!(2)));
    for run in runs.iter().chain([&third]) {
        approve(&world, run).await;
        assert_eq!(world.result(run).await["ok"], "yes");
    }
    let ended = world.get(&format!("/v1/runs?deployment={first}")).await.json();
    assert_eq!(ended["items"].as_array().unwrap().len(), 2, "{ended}");
    store.deploy(&world, "v3", true).await;
    let retired = world.get(&format!("/v1/apps/store/deployments/{first}")).await.json();
    assert_eq!((&retired["state"], &retired["openRuns"]), (&json!("retired"), &json!(0)));
    let retired = act(&world, Method::DELETE, &second, "").await;
    assert_eq!((retired.status, &retired.json()["state"]), (200, &json!("retired")));
    // What somebody takes back into use is in use.
    assert_eq!(store.deploy(&world, "v1", true).await, first);
    assert_eq!(listed(&world).await.iter().find(|it| it["id"] == first.as_str()).unwrap()["state"], "active");
}

#[tokio::test]
async fn all_runs_leave_a_deployment_as_a_job() {
    let world = World::open().await;
    let store = Store::open("v1", true).await;
    let first = store.register(&world).await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(start(&world).await);
    }
    let second = store.deploy(&world, "v2", false).await;
    let path = format!("/v1/apps/store/deployments/{first}/move");
    let counted = world.post(&path, r#"{"to": "current", "dryRun": true}"#).await;
    assert_eq!((counted.status, counted.json()), (200, json!({"total": 5})));
    world.post(&path, r#"{"to": "somewhere"}"#).await.is_problem(422, "invalid", "/to");
    world.post(&path, r#"{}"#).await.is_problem(422, "invalid", "");
    let nowhere = format!(r#"{{"to": "{}"}}"#, first.replace(&first[20..], "0000000000"));
    world.post(&path, nowhere).await.is_problem(404, "unknown_deployment", "");
    world.post("/v1/jobs", r#"{"action": "move", "filter": {}}"#).await.is_problem(422, "invalid", "/options/to");
    let odd = r#"{"action": "pause", "filter": {}, "options": {"to": "current"}}"#;
    world.post("/v1/jobs", odd).await.is_problem(422, "invalid", "/options/to");

    let job = world.post(&path, r#"{"to": "current"}"#).await;
    assert_eq!((job.status, &job.json()["filter"]["deployment"]), (202, &json!(first)), "{job:?}");
    let id = job.json()["id"].as_str().unwrap().to_owned();
    let job = super::jobs::ended(&world, &id).await;
    assert_eq!([&job["done"], &job["failed"], &job["options"]["to"]], [&json!(5), &json!(0), &json!("current")]);
    let left = world.get(&format!("/v1/apps/store/deployments/{first}")).await.json();
    assert_eq!(left["openRuns"], 0);
    assert_eq!(act(&world, Method::DELETE, &first, "").await.json()["state"], "retired");
    // They follow the app now, wherever it goes.
    let shown = world.get(&format!("/v1/runs/{}", runs[0])).await.json();
    assert_eq!(shown["deployment"], json!(null));
    approve(&world, &runs[0]).await;
    world.result(&runs[0]).await;
    let journal = world.get(&format!("/v1/runs/{}/journal", runs[0])).await.json();
    assert_eq!(journal["entries"][1]["deployment"], json!(first), "who wrote an entry stays known");
    let to_mutable = format!(r#"{{"to": "{second}"}}"#);
    store.deploy(&world, "v3", false).await;
    let refused = world.post(&format!("/v1/runs/{}/move", runs[1]), to_mutable).await;
    refused.is_problem(409, "cannot_move", "");
}

#[tokio::test]
async fn a_contradiction_shows_both_sides_and_heals_on_another_deployment() {
    let world = World::open().await;
    for immutable in [true, false] {
        let store = Store::open("bad", immutable).await;
        let bad = store.register(&world).await;
        let run = start(&world).await;
        approve(&world, &run).await;
        world.reaches(&run, "paused").await;
        let why = world.get(&format!("/v1/runs/{run}/explain")).await.json();
        assert_eq!((&why["reason"], &why["hold"]["kind"]), (&json!("held"), &json!("mismatch")), "{why}");
        assert_eq!(why["hold"]["deployment"], json!(bad));
        let sides = json!({"id": "approval", "journal": "waitSignal", "code": "sleep"});
        assert_eq!(why["hold"]["mismatch"], sides);
        let shown = world.get(&format!("/v1/runs/{run}")).await.json();
        for text in [why["sentence"].as_str().unwrap(), shown["hold"]["detail"].as_str().unwrap()] {
            for part in ["`approval`", "the journal has waitSignal", "the code asks for sleep"] {
                assert!(text.contains(part), "`{part}` is missing: {text}");
            }
            assert_eq!(text.contains("move the run"), immutable, "{text}");
        }
        let good = store.deploy(&world, "good", immutable).await;
        if immutable {
            // The new deployment is none of the business of a run that is pinned to the old one.
            let answer = world.post(&format!("/v1/runs/{run}/move"), format!(r#"{{"to": "{good}"}}"#)).await;
            assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("ready")));
        }
        assert_eq!(world.result(&run).await["ok"], "yes");
        let ended = world.post(&format!("/v1/runs/{run}/move"), r#"{"to": "current"}"#).await;
        ended.is_problem(409, "run_ended", "");
    }
}

#[tokio::test]
async fn deployments_that_nothing_needs_are_forgotten() {
    let world = World::open().await;
    let store = Store::open("v0", true).await;
    let first = store.register(&world).await;
    let run = start(&world).await;
    let mut second = String::new();
    for n in 1..=DEPLOYMENTS_KEPT_MAX + 2 {
        // Which was seen last is a question of milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let id = store.deploy(&world, &format!("v{n}"), n > 1).await;
        if n == 1 {
            second = id;
        }
    }
    let found = listed(&world).await;
    // Those that were seen last, and the one that somebody is on.
    assert_eq!(found.len(), DEPLOYMENTS_KEPT_MAX + 1);
    assert_eq!(found.last().unwrap()["id"], first.as_str());
    act(&world, Method::POST, &second, "/drain").await.is_problem(404, "unknown_deployment", "");
    approve(&world, &run).await;
    assert_eq!(world.result(&run).await["ok"], "yes");
    store.deploy(&world, "last", true).await;
    assert_eq!(listed(&world).await.len(), DEPLOYMENTS_KEPT_MAX);
    // What it did stays, and still names it.
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    assert_eq!(journal["entries"][1]["deployment"], first.as_str());
    assert_eq!(world.get(&format!("/v1/runs?deployment={first}")).await.json()["items"][0]["id"], run.as_str());
}
