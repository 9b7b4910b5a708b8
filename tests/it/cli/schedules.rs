//! Schedules on the command line: made, listed, held, triggered and filled up, and their runs found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::world::{Ended, World, manifest, shop};
use crate::support::peer::{Peer, SDK, response};

const DAYS: [&str; 4] = ["--from", "2026-02-10", "--until", "2026-02-20"];

/// A server with an app, and the schedule `shop/nightly` of one of its functions, at three in the morning.
async fn world(app: &Peer, function: &str) -> World {
    let world = World::new().await;
    world.run(&["apps", "add", &app.url()]).await.expect(0, &["shop"]);
    let made = ["schedules", "put", "shop/nightly", "--function", function, "--cron", "0 3 * * *"];
    let more = ["--tz", "Europe/Berlin", "--input", "{\"a\": 1}", "--overlap", "bufferAll"];
    world.run(&[&made[..], &more[..]].concat()).await.expect(0, &["shop/nightly"]);
    world
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl World {
    async fn backfill(&self, range: &[&str], more: &[&str]) -> Ended {
        self.run(&[&["schedules", "backfill", "shop/nightly"], range, more].concat()).await
    }

    /// Fills up the range, and returns how many of its times were done and how many failed.
    async fn fill(&self, more: &[&str]) -> (u64, u64) {
        let begun = self.backfill(&DAYS, &[more, &["--json"]].concat()).await.expect(0, &[]).json();
        let job = begun["id"].as_str().unwrap().to_owned();
        for _ in 0..200 {
            let job = self.run(&["jobs", "show", &job, "--json"]).await.expect(0, &[]).json();
            if job["status"] == "done" {
                return (job["done"].as_u64().unwrap(), job["failed"].as_u64().unwrap());
            }
        }
        panic!("the backfill does not end: {:?}", self.run(&["jobs", "show", &job]).await);
    }

    /// The runs of the schedule, as the list has them.
    async fn scheduled(&self, more: &[&str]) -> Vec<Value> {
        let list = ["runs", "--schedule", "shop/nightly", "-n", "100", "--json"];
        lines(&self.run(&[&list[..], more].concat()).await.expect(0, &[]))
    }
}

#[tokio::test]
async fn schedules_come_are_held_and_go() {
    let app = shop().await;
    let world = world(&app, "echo").await;
    let shown = world.run(&["schedules", "show", "shop/nightly"]).await;
    let shown = shown.expect(0, &["shop/echo", "0 3 * * * Europe/Berlin", "bufferAll", "catch-up", "1d"]);
    let next: Vec<&str> = shown.out.lines().filter(|line| line.trim_start().starts_with("next")).collect();
    assert_eq!(next.len(), 10, "{shown:?}");
    let json = world.run(&["schedules", "show", "shop/nightly", "--json"]).await.expect(0, &[]).json();
    assert!(next[0].contains(json["next"].as_str().unwrap()), "{next:?} {json}");
    assert_eq!(json["input"], json!({"a": 1}));

    world.run(&["schedules", "put", "shop/often", "--function", "echo", "--every", "15m"]).await.expect(0, &[]);
    world.run(&["schedules"]).await.expect(0, &["SCHEDULE", "shop/nightly", "shop/often", "every 15m"]);
    world.run(&["schedules", "list", "--app", "other"]).await.expect(0, &["no schedules yet"]);
    let first = world.run(&["schedules", "list", "--limit", "1"]).await.expect(0, &["shop/nightly", "--cursor"]);
    let cursor = first.err.split_whitespace().last().unwrap().to_owned();
    let second = world.run(&["schedules", "list", "--limit", "1", "--cursor", &cursor]).await;
    let second = second.expect(0, &["shop/often"]);
    assert!(!second.out.contains("shop/nightly") && !second.err.contains("--cursor"), "{second:?}");

    let note = "the warehouse moves";
    world.run(&["schedules", "pause", "shop/nightly", "--note", note]).await.expect(0, &["paused", note]);
    let listed = lines(&world.run(&["schedules", "list", "--json"]).await.expect(0, &[]));
    assert_eq!((&listed[0]["paused"]["note"], &listed[1]["paused"]), (&note.into(), &Value::Null));
    world.run(&["schedules"]).await.expect(0, &["paused"]);
    let resumed = world.run(&["schedules", "resume", "shop/nightly", "--json"]).await.expect(0, &[]).json();
    assert_eq!(resumed["paused"], Value::Null);

    world.run(&["schedules", "delete", "shop/nightly"]).await.expect(0, &["shop/nightly is gone"]);
    world.run(&["schedules", "delete", "shop/nightly"]).await.expect(4, &["shop/nightly"]);
    world.run(&["schedules", "show", "shop/nightly"]).await.expect(4, &["shop/nightly"]);
}

#[tokio::test]
async fn what_is_no_schedule_is_refused_with_the_reason() {
    let app = shop().await;
    let world = world(&app, "echo").await;
    let put = ["schedules", "put", "shop/x", "--function", "echo"];
    for (more, code, word) in [
        (&[][..], 2, "--cron"),
        (&["--cron", "0 3 * * *", "--every", "1h"], 2, "cannot be used with"),
        (&["--every", "1h", "--tz", "UTC"], 2, "cannot be used with"),
        (&["--cron", "0 3 * * *", "--offset", "1m"], 2, "cannot be used with"),
        (&["--every", "often"], 2, "often"),
        (&["--cron", "0 25 * * *"], 4, "is no cron line"),
        (&["--cron", "0 3 * * *", "--tz", "Europe/Atlantis"], 4, "Europe/Atlantis"),
        (&["--every", "1h", "--overlap", "sometimes"], 4, "sometimes"),
        (&["--every", "1h", "--input", "{"], 2, "JSON"),
    ] {
        world.run(&[&put[..], more].concat()).await.expect(code, &[word]);
    }
    world.run(&["schedules", "put", "nightly", "--function", "echo", "--every", "1h"]).await.expect(2, &["nightly"]);
    let nobody = ["schedules", "trigger", "shop/nobody"];
    world.run(&nobody).await.expect(4, &["shop/nobody"]);
    world.run(&["runs", "--schedule", "nightly"]).await.expect(2, &["nightly"]);
    world.run(&["runs", "--schedule", "shop/nobody"]).await.expect(0, &["no runs match"]);
    for (range, code, word) in [
        (["--from", "yesterday", "--until", "2026-02-20"], 2, "--from yesterday"),
        (["--from", "2026-02-10", "--until", "2026-02-31"], 2, "--until 2026-02-31"),
        (["--from", "2026-02-20", "--until", "2026-02-10"], 4, "until"),
    ] {
        world.backfill(&range, &[]).await.expect(code, &[word]);
    }
    world.backfill(&DAYS, &["--reprocess", "some"]).await.expect(4, &["some"]);
    world.backfill(&DAYS, &["--concurrency", "0"]).await.expect(4, &["concurrency"]);
    assert!(world.scheduled(&[]).await.is_empty(), "nothing was started");
}

#[tokio::test]
async fn the_runs_of_a_schedule_are_found_and_missing_ones_made_up_for() {
    let app = shop().await;
    let world = world(&app, "echo").await;
    let run = world.run(&["schedules", "trigger", "shop/nightly"]).await.expect(0, &["run_"]).out.trim().to_owned();
    world.run(&["run", &run, "--watch"]).await.expect(0, &["completed"]);
    world.run(&["run", &run]).await.expect(0, &["{\"a\":1}"]);
    world.run(&["call", "shop/echo", "2"]).await.expect(0, &[]);
    let found = world.scheduled(&[]).await;
    assert_eq!(found.iter().map(|run| run["id"].as_str().unwrap()).collect::<Vec<_>>(), [&*run], "{found:?}");

    let plan = world.backfill(&DAYS, &["--dry-run"]).await.expect(0, &["10 of 10 times would get a run"]);
    let days: Vec<String> = (10..20).map(|day| format!("2026-02-{day}T02:00:00.000Z")).collect();
    assert_eq!(plan.out.lines().collect::<Vec<_>>(), days, "three in Berlin is two in UTC");
    let json = world.backfill(&DAYS, &["--dry-run", "--json"]).await.expect(0, &[]).json();
    assert_eq!((&json["runs"], &json["total"]), (&10.into(), &10.into()));
    assert_eq!(world.scheduled(&[]).await.len(), 1, "nothing was started");

    assert_eq!(world.fill(&["--concurrency", "4"]).await, (10, 0));
    let mut times: Vec<String> = world
        .scheduled(&["--until", "2100-01-01T00:00:00Z", "--status", "completed"])
        .await
        .iter()
        .map(|run| run["scheduledAt"].as_str().unwrap().to_owned())
        .collect();
    times.sort();
    assert_eq!(times[..10], days);
    assert_eq!(times.len(), 11, "and the one that was triggered");
    let table = world.run(&["runs", "--schedule", "shop/nightly", "-n", "3"]).await.expect(0, &["FOR", "shop/echo"]);
    assert!(table.out.lines().any(|line| days.iter().any(|day| line.contains(day))), "{table:?}");
    assert!(!table.out.contains("NAME"), "{table:?}");

    world.backfill(&DAYS, &["--dry-run"]).await.expect(0, &["0 of 10 times would get a run"]);
    world.backfill(&DAYS, &["--dry-run", "--reprocess", "failed"]).await.expect(0, &["0 of 10"]);
    world.backfill(&DAYS, &["--dry-run", "--reprocess", "all"]).await.expect(0, &["10 of 10"]);
    let half = ["--from", "2026-02-15T02:00:00Z", "--until", "2026-02-21"];
    world.backfill(&half, &["--dry-run"]).await.expect(0, &["1 of 6", "2026-02-20T02:00:00.000Z"]);
}

/// An app whose function `fail` fails until it is mended.
async fn mendable(mended: Arc<AtomicBool>) -> Peer {
    Peer::start(move |request| {
        if request.method == "GET" {
            return response(200, &SDK, &manifest().to_string());
        }
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        let failure = json!({"name": "Torn", "message": "a torn line", "retryable": false});
        let end = match mended.load(Ordering::Relaxed) {
            true => json!({"op": "done", "ok": call["trigger"]}),
            false => json!({"op": "fail", "err": failure}),
        };
        response(200, &SDK, &json!({"token": call["token"], "seen": 0, "ops": [end]}).to_string())
    })
    .await
}

#[tokio::test]
async fn times_whose_runs_failed_are_made_again() {
    let mended = Arc::new(AtomicBool::new(false));
    let app = mendable(mended.clone()).await;
    let world = world(&app, "fail").await;
    assert_eq!(world.fill(&["--concurrency", "10"]).await, (0, 10));
    assert_eq!(world.scheduled(&["--status", "failed"]).await.len(), 10);
    world.backfill(&DAYS, &["--dry-run"]).await.expect(0, &["0 of 10"]);
    world.backfill(&DAYS, &["--dry-run", "--reprocess", "failed"]).await.expect(0, &["10 of 10"]);
    mended.store(true, Ordering::Relaxed);
    assert_eq!(world.fill(&["--reprocess", "failed", "--concurrency", "10"]).await, (10, 0));
    world.backfill(&DAYS, &["--dry-run", "--reprocess", "failed"]).await.expect(0, &["0 of 10"]);
    // The old ones stay as they are, beside those that were made of them.
    for status in ["failed", "completed"] {
        assert_eq!(world.scheduled(&["--status", status]).await.len(), 10, "{status}");
    }
}
