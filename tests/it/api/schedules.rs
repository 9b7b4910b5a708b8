//! Schedules over HTTP: made, shown, held, triggered and filled up, with real runs of a real app.

use http::Method;
use serde_json::{Value, json};

use super::jobs::ended;
use super::world::{Answer, World, request};
use backstitch_server::jobs;
use backstitch_server::model::{Backfill, JobStatus, Reprocess, ScheduleKey};

const NIGHTLY: &str = "/v1/schedules/shop/nightly";

async fn with(world: &World, method: Method, path: &str, body: &Value) -> Answer {
    let request = request(method, path).header("content-type", "application/json");
    world.send(request.body(axum::body::Body::from(body.to_string())).unwrap()).await
}

async fn put(world: &World, body: Value) -> Answer {
    with(world, Method::PUT, NIGHTLY, &body).await
}

/// The schedule, as soon as it is as wanted.
async fn when(world: &World, wanted: impl Fn(&Value) -> bool) -> Value {
    until(world, NIGHTLY, wanted).await
}

#[tokio::test]
async fn a_schedule_is_made_shown_changed_and_deleted() {
    let world = World::open().await;
    let spec =
        json!({"function": "echo", "cron": "30 2 * * *", "tz": "Europe/Berlin", "jitter": "5m", "input": {"a": 1}});
    let made = put(&world, spec.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let shown = world.get(NIGHTLY).await.json();
    assert_eq!(made.json(), shown);
    let fields =
        ["id", "source", "function", "cron", "tz", "jitter", "overlap", "catchUp", "input", "paused", "waiting"];
    let told = fields.map(|field| shown[field].clone());
    let expected = [
        json!("shop/nightly"),
        json!("api"),
        json!("echo"),
        json!("30 2 * * *"),
        json!("Europe/Berlin"),
        json!("5m"),
        json!("skip"),
        json!("1d"),
        json!({"a": 1}),
        Value::Null,
        Value::Null,
    ];
    assert_eq!(told, expected);
    assert_eq!((&shown["nextTicks"][0], shown["nextTicks"].as_array().unwrap().len()), (&shown["next"], 10));
    assert!(shown["explanation"].as_str().unwrap().contains(shown["next"].as_str().unwrap()), "{shown}");
    assert_eq!(put(&world, spec).await.status, 200);
    let changed = put(&world, json!({"function": "echo", "every": "1h", "overlap": "bufferAll"})).await;
    assert_eq!((changed.status, &changed.json()["every"], &changed.json()["cron"]), (200, &json!("1h"), &Value::Null));
    let list = world.get("/v1/schedules?app=shop&limit=1").await.json();
    assert_eq!((&list["items"][0]["id"], &list["next"]), (&json!("shop/nightly"), &Value::Null));
    assert_eq!(world.get("/v1/schedules?app=other").await.json()["items"], json!([]));
    assert_eq!(with(&world, Method::DELETE, NIGHTLY, &json!({})).await.status, 204);
    world.get(NIGHTLY).await.is_problem(404, "unknown_schedule", "");
    with(&world, Method::DELETE, NIGHTLY, &json!({})).await.is_problem(404, "unknown_schedule", "");
}

#[tokio::test]
async fn pages_of_schedules_follow_one_another() {
    let world = World::open().await;
    for name in ["c", "a", "b"] {
        let path = format!("/v1/schedules/shop/{name}");
        assert_eq!(with(&world, Method::PUT, &path, &json!({"function": "echo", "every": "1h"})).await.status, 201);
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/schedules?limit=2{cursor}")).await.json();
        names
            .extend(page["items"].as_array().unwrap().iter().map(|item| item["schedule"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let world = World::open().await;
    for (body, place) in [
        (json!({"function": "echo"}), "/cron"),
        (json!({"cron": "@daily"}), ""),
        (json!({"function": "echo", "cron": "now and then"}), "/cron"),
        (json!({"function": "echo", "cron": "@daily", "tz": "Mars/Base"}), "/tz"),
        (json!({"function": "echo", "cron": "@daily", "every": "1h"}), "/every"),
        (json!({"function": "echo", "cron": "@daily", "offset": "1h"}), "/offset"),
        (json!({"function": "echo", "every": "1h", "tz": "UTC"}), "/tz"),
        (json!({"function": "echo", "every": "1ms"}), "/every"),
        (json!({"function": "echo", "every": "often"}), "/every"),
        (json!({"function": "echo", "every": "1h", "overlap": "queue"}), "/overlap"),
        (json!({"function": "echo", "every": "1h", "jitter": "3d"}), "/jitter"),
        (json!({"function": "echo", "every": "1h", "name": "x"}), "/name"),
    ] {
        put(&world, body).await.is_problem(422, "invalid", place);
    }
    put(&world, json!({"function": "nothing", "every": "1h"})).await.is_problem(404, "unknown_function", "");
    for (verb, body) in [("pause", json!({})), ("resume", json!({})), ("trigger", json!({}))] {
        with(&world, Method::POST, &format!("{NIGHTLY}/{verb}"), &body).await.is_problem(404, "unknown_schedule", "");
    }
    put(&world, json!({"function": "echo", "every": "1h"})).await;
    let backfill = |from: &str, until: &str| json!({"from": from, "until": until});
    let path = format!("{NIGHTLY}/backfill");
    for (body, place) in [
        (backfill("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), "/from"),
        (backfill("2026-01-02T00:00:00Z", "9999-01-01T00:00:00Z"), "/until"),
        (backfill("1970-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), "/from"),
        (json!({"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "concurrency": 0}), "/concurrency"),
        (json!({"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "reprocess": "some"}), "/reprocess"),
    ] {
        with(&world, Method::POST, &path, &body).await.is_problem(422, "invalid", place);
    }
    world
        .post("/v1/jobs", json!({"action": "backfill", "filter": {}}).to_string())
        .await
        .is_problem(422, "invalid", "/action");
    world.get(&format!("{NIGHTLY}/runs/yesterday")).await.is_problem(422, "invalid", "time");
    let none = world.get(&format!("{NIGHTLY}/runs/2026-01-01T00:30:00Z")).await;
    none.is_problem(404, "unknown_tick", "");
    assert!(none.json()["detail"].as_str().unwrap().contains("none of its times"), "{none:?}");
    let older = world.get(&format!("{NIGHTLY}/runs/2026-01-01T01:00:00Z")).await.json();
    assert!(older["detail"].as_str().unwrap().contains("younger"), "{older}");
    world.get("/v1/runs?schedule=nightly").await.is_problem(422, "invalid", "schedule");
}

#[tokio::test]
async fn ticks_have_runs_that_are_found_by_their_time() {
    let world = World::open().await;
    put(&world, json!({"function": "echo", "every": "1s", "overlap": "allow", "input": "tick"})).await;
    let seen = when(&world, |schedule| schedule["started"]["count"].as_u64() >= Some(2)).await;
    let paused = with(&world, Method::POST, &format!("{NIGHTLY}/pause"), &json!({"note": "enough"})).await.json();
    assert_eq!(paused["paused"]["note"], "enough");
    assert!(paused["explanation"].as_str().unwrap().contains("enough"), "{paused}");
    let at = seen["started"]["last"].as_str().unwrap();
    let run = world.get(&format!("{NIGHTLY}/runs/{at}")).await.json();
    let told = ["trigger", "schedule", "scheduledAt", "input"].map(|field| run[field].clone());
    assert_eq!(told, [json!("schedule"), json!("shop/nightly"), json!(at), json!("tick")]);
    assert_eq!(world.result(run["id"].as_str().unwrap()).await["status"], "completed");
    let runs = world.get("/v1/runs?schedule=shop/nightly").await.json();
    let ticks = world.get(&format!("{NIGHTLY}/runs")).await.json();
    let (runs, ticks) = (runs["items"].as_array().unwrap(), ticks["items"].as_array().unwrap());
    assert_eq!(runs.len(), ticks.len());
    assert!(runs.iter().rev().map(|run| &run["id"]).eq(ticks.iter().map(|tick| &tick["run"])), "{runs:?} {ticks:?}");
    let page = world.get(&format!("{NIGHTLY}/runs?limit=1")).await.json();
    assert_eq!((&page["items"][0], &page["next"]), (&ticks[0], &ticks[1]["at"]));
    assert_eq!(world.get("/v1/runs?schedule=shop/other").await.json()["items"], json!([]));
    // By hand, and whatever: it is paused.
    let by_hand = world.post(&format!("{NIGHTLY}/trigger"), "").await;
    assert_eq!((by_hand.status, &by_hand.json()["created"]), (202, &json!(true)));
    world.result(by_hand.json()["id"].as_str().unwrap()).await;
    let resumed = world.post(&format!("{NIGHTLY}/resume"), "").await.json();
    assert_eq!(resumed["paused"], Value::Null);
    when(&world, |schedule| schedule["started"]["last"].as_str() > Some(at)).await;
}

#[tokio::test]
async fn what_waits_says_for_what() {
    let world = World::open().await;
    put(&world, json!({"function": "approval", "every": "1s", "overlap": "bufferAll"})).await;
    let seen = when(&world, |schedule| schedule["waiting"]["count"].as_u64() >= Some(2)).await;
    let run = seen["running"].as_str().unwrap();
    let sentence = seen["explanation"].as_str().unwrap();
    assert!(sentence.contains("ticks wait") && sentence.contains(run) && sentence.contains("bufferAll"), "{sentence}");
    let first = seen["waiting"]["first"].as_str().unwrap();
    let why = world.get(&format!("{NIGHTLY}/runs/{first}")).await.json();
    assert!(why["detail"].as_str().unwrap().contains("waits for an earlier run"), "{why}");
    with(&world, Method::POST, &format!("{NIGHTLY}/pause"), &json!({})).await;
    world.post(&format!("/v1/runs/{run}/kill"), "").await;
    world.post(&format!("{NIGHTLY}/resume"), "").await;
    when(&world, |schedule| schedule["started"]["last"] == first).await;
}

async fn until(world: &World, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let body = world.get(path).await.json();
        if wanted(&body) {
            return body;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{path} never said what was wanted: {}", world.get(path).await.json());
}

fn range(concurrency: u32, reprocess: &str) -> Value {
    json!({"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T12:00:00Z", "concurrency": concurrency, "reprocess": reprocess})
}

async fn fill(world: &World, body: &Value) -> Value {
    let answer = with(world, Method::POST, &format!("{NIGHTLY}/backfill"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    ended(world, answer.json()["id"].as_str().unwrap()).await
}

async fn plan(world: &World, mut body: Value) -> Value {
    body["dryRun"] = true.into();
    let answer = with(world, Method::POST, &format!("{NIGHTLY}/backfill"), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn count(world: &World) -> usize {
    world.get("/v1/runs?schedule=shop/nightly&limit=200").await.json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_range_is_filled_up_once() {
    let world = World::open().await;
    put(&world, json!({"function": "echo", "cron": "0 * * * *"})).await;
    let planned = plan(&world, range(3, "none")).await;
    assert_eq!((&planned["total"], &planned["runs"]), (&json!(12), &json!(12)));
    assert_eq!(planned["ticks"][1], "2026-01-01T01:00:00.000Z");
    assert_eq!(count(&world).await, 0, "counting does nothing");
    let job = fill(&world, &range(3, "none")).await;
    let told = ["status", "action", "total", "done", "failed"].map(|field| job[field].clone());
    assert_eq!(told, [json!("done"), json!("backfill"), json!(12), json!(12), json!(0)], "{job}");
    assert_eq!(job["options"]["backfill"]["schedule"], "shop/nightly");
    // A second time there is nothing to do; with `all` each is made again, and that one is found.
    assert_eq!(plan(&world, range(3, "none")).await["runs"], 0);
    assert_eq!(fill(&world, &range(3, "none")).await["done"], 12);
    assert_eq!(count(&world).await, 12);
    let time = "2026-01-01T05:00:00.000Z";
    let first = world.get(&format!("{NIGHTLY}/runs/{time}")).await.json();
    assert_eq!(fill(&world, &range(100, "all")).await["done"], 12);
    assert_eq!(count(&world).await, 24);
    let again = world.get(&format!("{NIGHTLY}/runs/{time}")).await.json();
    assert_eq!((&again["previous"]["run"], &again["scheduledAt"]), (&first["id"], &json!(time)));
    let journal = world.get(&format!("/v1/runs/{}/journal", first["id"].as_str().unwrap())).await.json();
    let trigger = &journal["entries"][0]["params"];
    assert_eq!((&trigger["at"], &trigger["previous"]), (&json!(time), &json!("2026-01-01T04:00:00.000Z")), "{journal}");
}

#[tokio::test]
async fn what_failed_is_made_again() {
    let world = World::open().await;
    put(&world, json!({"function": "fail", "every": "1h"})).await;
    let job = fill(&world, &range(5, "none")).await;
    assert_eq!((&job["done"], &job["failed"]), (&json!(0), &json!(12)), "{job}");
    assert!(job["lastError"].as_str().unwrap().contains("2026-01-01T11:00:00.000Z: its run is failed"), "{job}");
    assert_eq!(plan(&world, range(5, "failed")).await["runs"], 12);
    put(&world, json!({"function": "echo", "every": "1h"})).await;
    let again = fill(&world, &range(5, "failed")).await;
    // A run that is made again stays one of the function that it was.
    assert_eq!((&again["failed"], count(&world).await), (&json!(12), 24), "{again}");
}

#[tokio::test]
async fn so_many_run_at_a_time_and_a_backfill_is_stopped() {
    let world = World::open().await;
    put(&world, json!({"function": "approval", "every": "1h"})).await;
    let answer = with(&world, Method::POST, &format!("{NIGHTLY}/backfill"), &range(2, "none")).await.json();
    let id = answer["id"].as_str().unwrap();
    let open = "/v1/runs?schedule=shop/nightly&status=suspended";
    let two = until(&world, open, |page| page["items"].as_array().unwrap().len() == 2).await;
    let oldest = two["items"][1].clone();
    assert_eq!(oldest["scheduledAt"], "2026-01-01T00:00:00.000Z");
    world.post(&format!("/v1/runs/{}/signals/approve", oldest["id"].as_str().unwrap()), r#"{"data": true}"#).await;
    let third = |page: &Value| {
        page["items"].as_array().unwrap().iter().any(|run| run["scheduledAt"] == "2026-01-01T02:00:00.000Z")
    };
    until(&world, open, third).await;
    let job = until(&world, &format!("/v1/jobs/{id}"), |job| job["done"] == 1).await;
    assert_eq!((&job["status"], count(&world).await), (&json!("running"), 3));
    let stopped = with(&world, Method::DELETE, &format!("/v1/jobs/{id}"), &json!({})).await.json();
    assert_eq!((&stopped["status"], &stopped["done"]), (&json!("stopped"), &json!(1)), "{stopped}");
}

/// What a server left when it died: times that were seen to are not done again, and their runs are waited for.
#[tokio::test]
async fn a_backfill_goes_on_after_a_restart() {
    let world = World::open().await;
    put(&world, json!({"function": "fail", "every": "1h"})).await;
    let job = fill(&world, &range(1, "none")).await;
    let mut left = world.store.jobs().await.unwrap().remove(0);
    assert_eq!(left.id.to_string(), job["id"].as_str().unwrap());
    // It had seen to all times, and written down that it had come half the way; and it was to make again what failed.
    left.status = JobStatus::Running;
    (left.position, left.failed, left.ended_at) =
        ("2026-01-01T05:00:00Z".parse::<backstitch_server::model::Timestamp>().unwrap().0, 6, None);
    let reprocess = Reprocess::Failed;
    left.options.backfill = left.options.backfill.map(|backfill| Backfill { reprocess, ..backfill });
    world.store.put_job(left.clone()).await.unwrap();
    let open = || {
        jobs::open(jobs::Parts {
            store: world.store.clone(),
            cluster: world.cluster.clone(),
            clock: world.clock.clone(),
            stop: world.stop.subscribe(),
        })
    };
    let (_jobs, runner) = open();
    let again = ended(&world, &left.id.to_string()).await;
    assert_eq!((&again["status"], &again["failed"], count(&world).await), (&json!("done"), &json!(12), 12), "{again}");
    runner.abort();
    // One whose schedule is gone stops.
    with(&world, Method::DELETE, NIGHTLY, &json!({})).await;
    assert!(world.store.schedule(ScheduleKey::new("shop", "nightly")).await.unwrap().is_none());
    left.status = JobStatus::Running;
    world.store.put_job(left.clone()).await.unwrap();
    let (_jobs, runner) = open();
    let stopped = ended(&world, &left.id.to_string()).await;
    assert_eq!((&stopped["status"], &stopped["lastError"]), (&json!("stopped"), &json!("its schedule is gone")));
    runner.abort();
}
