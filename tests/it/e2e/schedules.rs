//! Ticks of a real server that is killed again and again: each of them has one run, and none is early.

use std::collections::BTreeMap;
use std::time::Duration;

use backstitch::{App, Ctx, Error, FunctionOptions, Overlap, Schedule};
use serde_json::{Value, json};

use super::server::{Place, Server};

/// How often the server is killed.
const KILLS: usize = 8;

/// The app `clock`: its function `tick`, at every second, tells the time that it is for.
async fn clock() -> String {
    let second = Schedule::every(Duration::from_secs(1)).overlap(Overlap::Allow).catch_up(Duration::from_secs(600));
    let options = FunctionOptions::new("tick").schedule(second);
    let app = App::new("clock").dev(true).function_fn(options, |ctx: Ctx, _: Value| async move {
        let at = ctx.tick().map(|tick| tick.at).ok_or_else(|| Error::terminal("NoTick", "nothing started it"))?;
        ctx.run("tell", |_| async move { backstitch::Ok(format!("{at:?}")) }).await
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move { axum::serve(listener, app.router()).await.expect("the app is served") });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_second_has_its_run_although_the_server_is_killed() {
    let (place, url) = (Place::new(), clock().await);
    let mut chance: u64 = 0x2545_f491_4f6c_dd1d;
    for round in 0..KILLS {
        let server = Server::start(&place).await;
        if round == 0 {
            let (status, body) = server.put_app("clock", &url).await;
            assert!(status == 200 || status == 201, "{body}");
        }
        // Around a tick: where in the second it dies is left to chance.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(200 + (chance >> 33) % 1_300)).await;
        server.kill().await;
    }
    let server = Server::start(&place).await;
    let path = "/v1/schedules/clock/tick";
    let (_, before) = server.get(path).await;
    let count = before["started"]["count"].as_u64().expect("a number");
    server.until(path, |schedule| schedule["started"]["count"].as_u64() >= Some(count + 2)).await;
    let (status, paused) = server.post(&format!("{path}/pause"), json!({})).await;
    assert_eq!(status, 200, "{paused}");
    for state in ["ready", "backoff", "queued", "suspended"] {
        server.until(&format!("/v1/runs?status={state}"), |page| page["items"] == json!([])).await;
    }
    let (_, page) = server.get("/v1/runs?schedule=clock/tick&limit=200").await;
    let mut ticks = BTreeMap::new();
    for run in page["items"].as_array().expect("a list") {
        assert_eq!(run["status"], "completed", "{run}");
        assert!(run["createdAt"].as_str() >= run["scheduledAt"].as_str(), "a tick came early: {run}");
        let at: backstitch_server::model::Timestamp =
            run["scheduledAt"].as_str().expect("a time").parse().expect("a time");
        assert!(ticks.insert(at.0, run["id"].clone()).is_none(), "a tick has two runs: {run}");
    }
    let (first, last) = (*ticks.first_key_value().expect("ticks").0, *ticks.last_key_value().expect("ticks").0);
    let all: Vec<i64> = (first..=last).step_by(1_000).collect();
    assert!(ticks.keys().copied().eq(all), "a tick has no run: {ticks:?}");
    assert_eq!((&paused["skipped"]["count"], &paused["missed"]["count"]), (&json!(0), &json!(0)), "{paused}");
    assert_eq!(paused["started"]["count"], ticks.len(), "{paused}");
    assert!(ticks.len() > KILLS, "only {} ticks in {KILLS} rounds", ticks.len());
    server.kill().await;
}
