//! Jobs over HTTP: counted, done, stopped, and what is refused.

use serde_json::{Value, json};

use backstitch_server::jobs;
use backstitch_server::model::{Job, JobAction, JobFilter, JobId, JobOptions, JobStatus};

use super::world::World;

async fn start(world: &World, body: Value) -> Value {
    let answer = world.post("/v1/jobs", body.to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    ended(world, answer.json()["id"].as_str().unwrap()).await
}

pub(super) async fn ended(world: &World, id: &str) -> Value {
    for _ in 0..1_000 {
        let job = world.get(&format!("/v1/jobs/{id}")).await.json();
        if job["status"] != "running" {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the job {id} never ended");
}

async fn total(world: &World, query: &str) -> usize {
    world.get(&format!("/v1/runs?limit=200&{query}")).await.json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn failed_runs_are_retried_once() {
    let world = World::open().await;
    // More than one page.
    for _ in 0..70 {
        let run = world.start("fail", json!({})).await;
        world.result(&run).await;
    }
    let ok = world.start("echo", json!({})).await;
    world.result(&ok).await;
    let retry = json!({"action": "retry", "filter": {"status": ["failed"], "app": "shop", "function": "fail"}});
    let mut count = retry.clone();
    count["dryRun"] = json!(true);
    let counted = world.post("/v1/jobs", count.to_string()).await;
    assert_eq!((counted.status, counted.json()), (200, json!({"total": 70})));
    assert_eq!(total(&world, "function=fail").await, 70, "counting does nothing");
    let job = start(&world, retry.clone()).await;
    let told = ["status", "total", "done", "failed"].map(|field| job[field].clone());
    assert_eq!(told, [json!("done"), json!(70), json!(70), json!(0)], "{job}");
    assert!(job["endedAt"].is_string() && job["lastError"].is_null());
    assert_eq!(total(&world, "function=fail").await, 140, "each once, and the new ones are left alone");
    let newest = world.get("/v1/runs?limit=1").await.json()["items"][0].clone();
    assert_eq!(newest["previous"]["origin"], "fork");
    world.result(newest["id"].as_str().unwrap()).await;
    let again = json!({"action": "retry", "filter": {"status": ["failed"], "until": newest["createdAt"]}});
    start(&world, again).await;
    let of_first =
        world.get(&format!("/v1/runs?previous={}", newest["previous"]["run"].as_str().unwrap())).await.json();
    assert_eq!(of_first["items"].as_array().unwrap().len(), 1, "what has a fork is left alone");
    assert_eq!(world.get("/v1/jobs").await.json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_action_means_what_it_can_be_about() {
    let world = World::open().await;
    let waiting = world.start("approval", json!({})).await;
    world.reaches(&waiting, "suspended").await;
    let echo = world.start("echo", json!({})).await;
    world.result(&echo).await;
    let paused = start(&world, json!({"action": "pause", "filter": {}})).await;
    assert_eq!((&paused["total"], &paused["done"]), (&json!(1), &json!(1)), "{paused}");
    world.reaches(&waiting, "paused").await;
    let resumed = start(&world, json!({"action": "resume", "filter": {"function": "approval"}})).await;
    assert_eq!(resumed["done"], 1, "{resumed}");
    let missing = json!({"action": "fork", "filter": {"function": "echo"}, "options": {"at": "nothing"}});
    let failed = start(&world, missing).await;
    assert_eq!((&failed["done"], &failed["failed"]), (&json!(0), &json!(1)));
    assert!(failed["lastError"].as_str().unwrap().contains("nothing"), "{failed}");
    let forked = start(&world, json!({"action": "fork", "filter": {"function": "echo"}})).await;
    assert_eq!(forked["done"], 1);
    assert_eq!(total(&world, &format!("previous={echo}")).await, 1);
    let killed = start(&world, json!({"action": "kill", "filter": {}})).await;
    assert_eq!(killed["total"], killed["done"]);
    assert_eq!(world.result(&waiting).await["status"], "cancelled");
}

#[tokio::test]
async fn a_job_is_stopped_and_what_is_wrong_is_said() {
    let world = World::open().await;
    let job = start(&world, json!({"action": "cancel", "filter": {}})).await;
    let id = job["id"].as_str().unwrap();
    let request = super::world::request(http::Method::DELETE, &format!("/v1/jobs/{id}"));
    let stopped = world.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((stopped.status, &stopped.json()["status"]), (200, &json!("done")), "what has ended stays as it ended");
    for (body, place) in [
        (json!({"action": "explode", "filter": {}}), "/action"),
        (json!({"action": "cancel"}), ""),
        (json!({"action": "cancel", "filter": {"names": "x"}}), "/filter/names"),
        (json!({"action": "cancel", "filter": {"attribute": ["total:over:9"]}}), "/filter/attribute/0"),
        (json!({"action": "cancel", "filter": {"text": ""}}), "/filter/text"),
        (json!({"action": "cancel", "filter": {"tag": vec!["a"; 17]}}), "/filter/tag"),
        (json!({"action": "cancel", "filter": {"status": ["odd"]}}), "/filter/status/0"),
        (json!({"action": "cancel", "filter": {}, "options": {"at": "x"}}), "/options/at"),
    ] {
        world.post("/v1/jobs", body.to_string()).await.is_problem(422, "invalid", place);
    }
    world.get("/v1/jobs/job_00000000000000000000000000").await.is_problem(404, "unknown_job", "");
    world.get("/v1/jobs/nonsense").await.is_problem(422, "invalid", "job");
}

/// What a server left when it died: the job goes on below its position, and what it made before is not made again.
#[tokio::test]
async fn a_job_goes_on_after_a_restart() {
    let world = World::open().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let run = world.start("echo", json!({})).await;
        world.result(&run).await;
        runs.push(run);
    }
    let newest = world.store.run(runs[3].parse().unwrap()).await.unwrap().unwrap().head;
    let id = JobId::new(newest.created_at, 7, 0);
    let job = |position, done| Job {
        id,
        action: JobAction::Fork,
        filter: JobFilter { function: Some("echo".into()), ..JobFilter::default() },
        options: JobOptions::default(),
        status: JobStatus::Running,
        total: 4,
        done,
        failed: 0,
        last_error: None,
        position,
        created_at: newest.created_at,
        ended_at: None,
    };
    // Two runs are behind the position; in the second round the page that had just been done is done again.
    for (position, done, forks) in [(newest.run_no - 1, 2, [1, 1, 0, 0]), (newest.run_no, 1, [1, 1, 1, 0])] {
        world.store.put_job(job(position, done)).await.unwrap();
        let (store, cluster, clock) = (world.store.clone(), world.cluster.clone(), world.clock.clone());
        let (_jobs, runner) = jobs::open(jobs::Parts { store, cluster, clock, stop: world.stop.subscribe() });
        let job = ended(&world, &id.to_string()).await;
        assert_eq!((&job["status"], &job["done"], &job["failed"]), (&json!("done"), &json!(4), &json!(0)), "{job}");
        for (run, expected) in runs.iter().zip(forks) {
            assert_eq!(total(&world, &format!("previous={run}")).await, expected, "forks of {run}");
        }
        runner.abort();
    }
}
