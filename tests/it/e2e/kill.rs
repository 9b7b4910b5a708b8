//! The kill test: the server dies by SIGKILL again and again while clients send and handlers work. Afterwards every
//! acknowledged thing is accounted for, every entry is settled once, and every run has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::handlers::{Executions, rust_app};
use super::server::{Place, Server};

/// How often the server is killed; more with `BACKSTITCH_KILLS`.
const KILLS: usize = 30;

/// What was acknowledged: the runs of events, of starts, and the signals, by order id.
#[derive(Default)]
struct Acknowledged {
    runs: BTreeMap<String, BTreeSet<String>>,
    approved: BTreeSet<String>,
}

#[expect(clippy::disallowed_methods, reason = "how long the test runs is chosen outside, as for all tests")]
fn kills() -> usize {
    std::env::var("BACKSTITCH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_done_twice() {
    let place = Place::new();
    let app = rust_app().await;
    let mut acknowledged = Acknowledged::default();
    let mut chance: u64 = 0x9e37_79b9_7f4a_7c15;
    let kills = kills();
    for round in 0..kills {
        let server = Arc::new(Server::start(&place).await);
        if round == 0 {
            let (status, body) = server.put_app("shop", &app.url).await;
            assert!(status == 200 || status == 201, "{body}");
        }
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let load = tokio::spawn(load(server.clone(), round, acknowledged));
        tokio::time::sleep(Duration::from_millis(30 + (chance >> 33) % 400)).await;
        let pid = server.pid();
        kill_process(pid);
        acknowledged = load.await.expect("the load does not panic");
        Arc::into_inner(server).expect("the load is over").kill().await;
    }
    let server = Server::start(&place).await;
    let mut ended = 0;
    for (order, runs) in &acknowledged.runs {
        assert_eq!(runs.len(), 1, "order {order} was acknowledged with several runs: {runs:?}");
        for run in runs {
            if !acknowledged.approved.contains(order) {
                let path = format!("/v1/runs/{run}/signals/approve");
                let (status, body) = server.post(&path, json!({"data": true, "id": order})).await;
                assert!(status < 300, "{order}: {status} {body}");
            }
            let result = server.result(run).await;
            check(&server, &app.executions, order, run, &result).await;
            ended += 1;
        }
    }
    assert!(ended >= kills, "only {ended} orders were acknowledged in {kills} rounds: the load is too small");
    // What was never acknowledged may exist; it waits for its approval and for nothing else.
    for status in ["ready", "backoff", "paused", "queued", "failed", "cancelled"] {
        server
            .until(&format!("/v1/runs?status={status}"), |page| page["items"].as_array().is_some_and(Vec::is_empty))
            .await;
    }
    let (_, metrics) = server.get("/metrics").await;
    for found in ["backstitch_audit_stuck_runs_total 0", "backstitch_audit_late_timers_total 0"] {
        assert!(metrics.as_str().is_some_and(|page| page.contains(found)), "{metrics}");
    }
    server.kill().await;
    eprintln!("kill test: {kills} kills, {ended} acknowledged orders, all ended");
}

/// Sends events, starts and approvals until the server is gone.
async fn load(server: Arc<Server>, round: usize, mut acknowledged: Acknowledged) -> Acknowledged {
    for n in 0..10_000 {
        let order = format!("o-{round}-{n}");
        let answer = if n % 2 == 0 {
            let event = json!({"name": "order/created", "id": order, "data": {"id": order}});
            server.ask(reqwest::Method::POST, "/v1/events", Some(event)).await
        } else {
            let start = json!({"input": {"id": order}, "runId": order});
            server.ask(reqwest::Method::POST, "/v1/functions/shop/order/runs", Some(start)).await
        };
        let Some((status, body)) = answer else { break };
        assert!(status < 300 || status == 503, "{status} {body}");
        if status >= 300 {
            break;
        }
        let run = run_of(&body).unwrap_or_else(|| panic!("no run in {body}"));
        acknowledged.runs.entry(order.clone()).or_default().insert(run.clone());
        let approval = json!({"data": true, "id": order});
        let path = format!("/v1/runs/{run}/signals/approve");
        let Some((status, body)) = server.ask(reqwest::Method::POST, &path, Some(approval)).await else { break };
        assert!(status < 300 || status == 503, "{status} {body}");
        if status < 300 {
            acknowledged.approved.insert(order);
        }
    }
    acknowledged
}

/// The one run in the answer to an event or a start.
fn run_of(body: &Value) -> Option<String> {
    let started = body["events"].get(0).and_then(|event| event["runs"].get(0)).unwrap_or(body);
    Some(started["id"].as_str()?.to_owned())
}

async fn check(server: &Server, executions: &Executions, order: &str, run: &str, result: &Value) {
    assert_eq!(result["status"], "completed", "{order}: {result}");
    assert_eq!(result["ok"]["order"], order);
    assert_eq!(result["ok"]["approved"], true);
    let (_, journal) = server.get(&format!("/v1/runs/{run}/journal")).await;
    let entries = journal["entries"].as_array().unwrap_or_else(|| panic!("{journal}"));
    let mut ids = BTreeSet::new();
    let mut seqs = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        assert_eq!(entry["idx"], position, "{order}: {journal}");
        assert!(ids.insert(entry["id"].as_str().unwrap_or_default()), "{order}: {} stands twice", entry["id"]);
        assert_eq!(entry["status"], "settled", "{order}: {entry}");
        seqs.extend(entry["seq"].as_u64());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{order}: {journal}");
    let log = executions.lock().expect("nobody panics with the lock");
    for step in ["charge", "reserve", "invoice", "ship"] {
        let ran = log.get(&(run.to_owned(), step.to_owned())).unwrap_or_else(|| panic!("{order}: {step} never ran"));
        let recorded = entries.iter().find(|entry| entry["id"] == step).map(|entry| entry["ok"].clone());
        let recorded = recorded.unwrap_or_else(|| panic!("{order}: {step} is not in the journal"));
        assert!(
            ran.iter().any(|result| recorded == result.as_str()),
            "{order}: {step} recorded {recorded}, ran {ran:?}"
        );
        assert_eq!(result["ok"][step], recorded, "{order}: the handler saw another result of {step}");
    }
}

/// SIGKILL without giving up the handle: requests under way fail as they do in a crash.
fn kill_process(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill can be run");
    assert!(status.success());
}
