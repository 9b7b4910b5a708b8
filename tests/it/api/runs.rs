//! Runs: lists, journals, results, cancelling, resuming, explaining.

use serde_json::{Value, json};

use super::world::World;

const NOBODY: &str = "/v1/runs/run_00000000000000000000000000";

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let world = World::open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.start("echo", json!({"input": n})).await);
    }
    let failed = world.start("fail", json!({})).await;
    for id in ids.iter().chain([&failed]) {
        world.result(id).await;
    }
    let list = async |query: String| {
        let page = world.get(&format!("/v1/runs{query}")).await.json();
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(list("?status=failed,cancelled".to_owned()).await.0, std::slice::from_ref(&failed));
    assert_eq!(list("?function=echo&app=shop".to_owned()).await.0.len(), 5);
    assert_eq!(list("?app=other".to_owned()).await.0.len(), 0);
    assert_eq!(list("?since=2999-01-01T00:00:00Z".to_owned()).await.0.len(), 0);
    assert_eq!(list("?until=2999-01-01T00:00:00Z".to_owned()).await.0.len(), 6);

    let mut seen = Vec::new();
    let mut query = "?function=echo&limit=2".to_owned();
    loop {
        let (page, next) = list(query).await;
        seen.extend(page);
        let Some(cursor) = next else { break };
        world.get(&format!("/v1/runs?limit=2&cursor={cursor}")).await.is_problem(422, "invalid", "cursor");
        query = format!("?function=echo&limit=2&cursor={cursor}");
    }
    ids.reverse();
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn bad_questions_about_runs_are_refused() {
    let world = World::open().await;
    for (path, place) in [
        ("/v1/runs?status=done", "status"),
        ("/v1/runs?limit=201", "limit"),
        ("/v1/runs?limit=x", "limit"),
        ("/v1/runs?cursor=x", "cursor"),
        ("/v1/runs?stat=failed", "stat"),
        ("/v1/runs?since=yesterday", "since"),
        ("/v1/runs?attribute=total", "attribute"),
        ("/v1/runs?attribute=total:over:9", "attribute"),
        ("/v1/runs?text=", "text"),
        ("/v1/runs?text=a%0Ab", "text"),
        ("/v1/runs?trigger=luck", "trigger"),
        ("/v1/runs?parent=x", "parent"),
        ("/v1/runs?event=x", "event"),
        ("/v1/runs/counts?limit=5", "query"),
        ("/v1/runs/counts?stat=failed", "stat"),
        ("/v1/runs/nonsense", "run"),
        ("/v1/runs/evt_00000000000000000000000000/journal", "run"),
        ("/v1/runs/nonsense/watch", "run"),
        ("/v1/runs/nonsense/explain", "run"),
        ("/v1/runs/run_00000000000000000000000000/result?wait=10m", "wait"),
    ] {
        world.get(path).await.is_problem(422, "invalid", place);
    }
    for path in ["", "/journal", "/result", "/watch", "/explain"] {
        world.get(&format!("{NOBODY}{path}")).await.is_problem(404, "unknown_run", "");
    }
    for path in ["/cancel", "/resume", "/signals/x"] {
        world.post(&format!("{NOBODY}{path}"), "").await.is_problem(404, "unknown_run", "");
    }
}

#[tokio::test]
async fn a_journal_shows_every_attempt() {
    let world = World::open().await;
    let run = world.start("flaky", json!({"input": {"n": 1}})).await;
    assert_eq!(world.result(&run).await["ok"], "at last");
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    let ops: Vec<&Value> = journal["entries"].as_array().unwrap().iter().map(|entry| &entry["op"]).collect();
    assert_eq!(ops, ["input", "step", "outcome"]);
    let step = &journal["entries"][1];
    assert_eq!(
        (&step["id"], &step["name"], &step["status"], &step["ok"], &step["seq"]),
        (&json!("try"), &json!("try it"), &json!("settled"), &json!("at last"), &json!(1))
    );
    assert_eq!(step["params"], json!({"retry": {"initialInterval": "10ms"}}));
    let attempts = step["attempts"].as_array().unwrap();
    assert_eq!(
        (attempts.len(), &attempts[0]["number"], &attempts[0]["error"]["name"]),
        (1, &json!(1), &json!("Flaky"))
    );
    assert_eq!(journal["entries"][0]["ok"], json!({"n": 1}));
    assert_eq!(journal["run"]["status"], "completed");
    for time in [&step["createdAt"], &step["settledAt"], &attempts[0]["endedAt"], &journal["run"]["endedAt"]] {
        let time = time.as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
}

#[tokio::test]
async fn runs_are_cancelled_in_their_turn() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let answer = world.post(&format!("/v1/runs/{run}/cancel"), "{}").await;
    assert_eq!((answer.status, &answer.json()["id"]), (202, &json!(run)));
    let result = world.result(&run).await;
    assert_eq!((&result["status"], &result["err"]["name"]), (&json!("cancelled"), &json!("CancelledError")));
    let again = world.post(&format!("/v1/runs/{run}/cancel"), "").await;
    assert_eq!((again.status, &again.json()["status"]), (202, &json!("cancelled")));
    world.post(&format!("/v1/runs/{run}/cancel"), r#"{"grace":1}"#).await.is_problem(422, "invalid", "/grace");
    world.post(&format!("/v1/runs/{run}/resume"), "").await.is_problem(409, "run_ended", "");
}

#[tokio::test]
async fn only_held_runs_are_resumed() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    world.post(&format!("/v1/runs/{run}/resume"), "").await.is_problem(409, "not_held", "");
}

#[tokio::test]
async fn a_run_says_what_it_waits_for() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let why = world.get(&format!("/v1/runs/{run}/explain")).await.json();
    assert_eq!((&why["run"], &why["reason"]), (&json!(run), &json!("waiting")));
    assert!(why["sentence"].as_str().unwrap().contains("signal `approve`"), "{why}");
    assert_eq!(why["waitsFor"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_result_comes_as_soon_as_it_is_there() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    let path = format!("/v1/runs/{run}/result?wait=30s");
    let (result, ()) = tokio::join!(world.get(&path), async {
        world.reaches(&run, "suspended").await;
        let signal = world.post(&format!("/v1/runs/{run}/signals/approve"), r#"{"data":"yes"}"#).await;
        assert_eq!(signal.status, 202, "{signal:?}");
    });
    assert_eq!((result.status, &result.json()["ok"]), (200, &json!("yes")));
}

#[tokio::test]
async fn waits_end_when_the_server_stops() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let path = format!("/v1/runs/{run}/result?wait=5m");
    let (result, ()) = tokio::join!(world.get(&path), async {
        tokio::task::yield_now().await;
        world.stop.send_replace(true);
    });
    assert_eq!(result.status, 202, "{result:?}");
    world.get("/readyz").await.is_problem(503, "unavailable", "");
}
