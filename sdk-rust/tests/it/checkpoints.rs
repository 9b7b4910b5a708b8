//! What a handler does while its invocation is open, beyond the corpus: time, outages, connections that are gone.
//!
//! The server is a stand-in on a real socket that says what a test tells it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use backstitch::ParentClose;
use backstitch::prelude::*;
use backstitch::testing::TestRun;
use futures_util::future::BoxFuture;
use http::Request;
use serde_json::{Value, json};
use tower_service::Service as _;

use crate::support::{invocation, open_app, post, send, settled};

type Answering = Arc<dyn Fn(usize, Value) -> BoxFuture<'static, (u16, Value)> + Send + Sync>;

/// A server that answers every request as it is told, by its ordinal among those of its kind; and what it was asked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    pub(crate) async fn start<F, Fut>(answer: F) -> Server
    where
        F: Fn(usize, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (u16, Value)> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/invocations", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answer: Answering = Arc::new(move |nth, request| Box::pin(answer(nth, request)));
        let record = Arc::clone(&heard);
        let router = Router::new().fallback(move |body: Bytes| {
            let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
            async move {
                let request: Value = serde_json::from_slice(&body).unwrap();
                let nth = {
                    let mut heard = record.lock().unwrap();
                    heard.push(request.clone());
                    heard.iter().filter(|before| is_beat(before) == is_beat(&request)).count()
                };
                let (status, body) = answer(nth, request).await;
                (StatusCode::from_u16(status).unwrap(), body.to_string())
            }
        });
        tokio::spawn(axum::serve(listener, router).into_future());
        Server { url, heard }
    }

    /// The requests with ops, or without.
    pub(crate) fn heard(&self, beats: bool) -> Vec<Value> {
        self.heard.lock().unwrap().iter().filter(|request| is_beat(request) == beats).cloned().collect()
    }
}

pub(crate) fn is_beat(request: &Value) -> bool {
    request.get("wait").is_some()
}

/// Takes every step as it was reported, and answers no beat.
async fn take(request: Value) -> (u16, Value) {
    if is_beat(&request) {
        std::future::pending::<()>().await;
    }
    let seen = request["seen"].as_u64().unwrap();
    let steps = request["ops"].as_array().unwrap().iter().filter(|op| op["op"] == "step");
    let settled: Vec<Value> = (1..)
        .zip(steps)
        .map(|(nth, op)| json!({"id": op["id"], "op": "step", "seq": seen + nth, "at": "2026-03-01T12:00:01.000Z"}))
        .collect();
    (200, json!({"settled": settled}))
}

fn linked(function: &str, journal: &Value, url: &str) -> Value {
    let mut invocation = invocation(function, journal);
    invocation["links"] = json!({"checkpoint": url, "journal": null});
    invocation
}

pub(crate) async fn answer(app: &App, function: &str, url: &str) -> Value {
    answer_to(app, function, json!([]), url).await
}

/// The answer to an invocation with this journal, by a handler that can reach the server.
pub(crate) async fn answer_to(app: &App, function: &str, journal: Value, url: &str) -> Value {
    let response = send(&mut app.clone().service(), post(&linked(function, &journal, url))).await;
    serde_json::from_slice(response.body()).unwrap()
}

fn steps(count: u32) -> App {
    open_app().function_fn("main", move |ctx: Ctx, (): ()| async move {
        let mut sum = 0;
        for step in 0..count {
            sum += ctx.run("step", |_| async move { backstitch::Ok(step) }).await?;
        }
        backstitch::Ok(sum)
    })
}

#[tokio::test]
async fn a_run_of_many_steps_is_one_invocation() {
    let server = Server::start(|_, request| take(request)).await;
    let answer = answer(&steps(20), "main", &server.url).await;
    assert_eq!(answer["ops"], json!([{"op": "done", "ok": 190}]));
    let numbers: Vec<u64> = server.heard(false).iter().map(|request| request["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
}

/// A child that ends within the second is waited for, one that does not is not.
#[tokio::test]
async fn lingers_for_what_may_come_soon() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.call_as("child", &FunctionRef::<u64, u64>::new("double"), 4).await
    });
    for (soon, ops) in [(true, json!([{"op": "done", "ok": 8}])), (false, json!([]))] {
        let server = Server::start(move |nth, request| async move {
            if !is_beat(&request) {
                return (200, json!({"settled": []}));
            }
            if !soon || nth > 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            (200, json!({"settled": [{"id": "child", "op": "invoke", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "ok": 8}]}))
        })
        .await;
        let answer = tokio::time::timeout(Duration::from_secs(4), answer(&app, "main", &server.url)).await.unwrap();
        assert_eq!(answer["ops"], ops, "soon: {soon}");
        assert_eq!(server.heard(true)[0]["wait"], 900);
    }
}

/// The closure of a body is used up by its first attempt: the handler begins anew, its durable steps do not.
#[tokio::test]
async fn retries_that_are_due_soon_run_in_the_same_invocation() {
    let before = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&before);
    let app = open_app().function_fn("main", move |ctx: Ctx, (): ()| {
        let before = Arc::clone(&counted);
        async move {
            ctx.run("before", |_| async { backstitch::Ok(before.fetch_add(1, Ordering::Relaxed)) }).await?;
            let text = "owned".to_owned();
            let flaky = |step: Step| async move {
                if step.attempt() < 3 {
                    Err(Error::new("Busy", text))
                } else {
                    Ok((text, step.last_error().unwrap().name().to_owned()))
                }
            };
            ctx.run("flaky", flaky).await
        }
    });
    let server = Server::start(|nth, request| async move {
        let again = json!({"settled": [], "retry": [{"id": "flaky", "attempt": nth, "dueIn": 150, "error": {"name": "Busy", "message": "owned"}}]});
        if !is_beat(&request) && (nth == 2 || nth == 3) { (200, again) } else { take(request).await }
    })
    .await;
    let answer = answer(&app, "main", &server.url).await;
    assert_eq!(answer["ops"], json!([{"op": "done", "ok": ["owned", "Busy"]}]));
    assert_eq!(before.load(Ordering::Relaxed), 1);
    let attempts: Vec<Value> = server.heard(false).iter().map(|request| request["ops"][0]["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 1, 2, 3]);
}

#[tokio::test]
async fn a_cancellation_comes_with_the_beat_and_stops_a_body() {
    let stopped = Arc::new(AtomicU32::new(0));
    struct Stop(Arc<AtomicU32>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let flag = Arc::clone(&stopped);
    let app = open_app().function_fn("main", move |ctx: Ctx, (): ()| {
        let flag = Arc::clone(&flag);
        async move {
            let long = async {
                let _stop = Stop(flag);
                std::future::pending::<Result<(), Error>>().await
            };
            let error = ctx.run("long", |_| long).await.unwrap_err();
            ctx.run("undo", |_| async { backstitch::Ok(error.is_cancelled()) }).await
        }
    });
    let server = Server::start(|nth, request| async move {
        if !is_beat(&request) || nth > 1 {
            return take(request).await;
        }
        (200, json!({"settled": [{"id": "$cancel", "op": "cancel", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "ok": null}]}))
    })
    .await;
    let answer = answer(&app, "main", &server.url).await;
    assert_eq!((&answer["ops"], &answer["seen"]), (&json!([{"op": "done", "ok": true}]), &json!(2)));
    assert_eq!(stopped.load(Ordering::Relaxed), 1);
}

/// Nobody listens at the link: 5 s, once, and then not for a while.
#[tokio::test]
async fn a_server_out_of_reach_costs_one_invocation_its_patience() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/invocations", listener.local_addr().unwrap());
    drop(listener);
    let mut service = steps(2).service();
    let mut took = Vec::new();
    for _ in 0..2 {
        let begun = instant();
        let response = send(&mut service, post(&linked("main", &json!([]), &url))).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((&answer["ops"][0]["id"], &answer["ops"][0]["ok"]), (&json!("step"), &json!(0)));
        assert_eq!(answer["ops"].as_array().unwrap().len(), 1);
        took.push(begun.elapsed());
    }
    assert!(took[0] >= Duration::from_secs(5) && took[0] < Duration::from_secs(9), "{took:?}");
    assert!(took[1] < Duration::from_secs(1), "{took:?}");
}

/// A server that takes no checkpoints is not asked again for a while; one that will not take this one is.
#[tokio::test]
async fn a_refusal_is_remembered_if_it_is_for_all() {
    for (status, asked) in [(404, 1), (413, 2)] {
        let server = Server::start(move |_, _| async move { (status, json!({})) }).await;
        let mut service = steps(2).service();
        for _ in 0..2 {
            let response = send(&mut service, post(&linked("main", &json!([]), &server.url))).await;
            let answer: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(answer["ops"].as_array().unwrap().len(), 1, "{answer}");
        }
        assert_eq!(server.heard(false).len(), asked, "after {status}");
    }
}

/// The server is away when the next step ends, and comes back: nothing runs twice, the number stays.
#[tokio::test]
async fn a_restart_of_the_server_is_sat_out() {
    let server = Server::start(|nth, request| async move {
        if !is_beat(&request) && (2..=4).contains(&nth) { (503, json!({})) } else { take(request).await }
    })
    .await;
    let answer = answer(&steps(2), "main", &server.url).await;
    assert_eq!(answer["ops"], json!([{"op": "done", "ok": 1}]));
    let numbers: Vec<Value> = server.heard(false).iter().map(|request| request["n"].clone()).collect();
    assert_eq!(numbers, [1, 2, 2, 2, 2]);
}

/// The caller hangs up: the invocation goes on, and its answer finds the server by the link.
#[tokio::test]
async fn answers_outlive_their_connection() {
    let server = Server::start(|nth, request| async move {
        if request.get("final").is_some() && nth < 3 { (503, json!({})) } else { (200, json!({"settled": []})) }
    })
    .await;
    let app = open_app().outbound(true).function_fn("main", |_: Ctx, (): ()| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        backstitch::Ok("late")
    });
    let invocations = app.invocations();
    let mut service = app.service();
    let call = service.call(post(&linked("main", &json!([]), &server.url)));
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    assert_eq!(invocations.open(), 1);
    assert_eq!(invocations.finish(Duration::from_secs(5)).await, 0);
    let finals = server.heard(false);
    assert_eq!(finals.len(), 3);
    assert_eq!(finals[2], json!({"final": true, "seen": 0, "ops": [{"op": "done", "ok": "late"}]}));
    // One that is read is not sent again.
    let response = send(&mut service, post(&linked("main", &json!([]), &server.url))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(invocations.finish(Duration::from_secs(5)).await, 0);
    assert_eq!(server.heard(false).len(), 3);
}

/// A response that nobody reads to its end: the body is dropped, not the answer.
#[tokio::test]
async fn an_unread_body_is_an_undelivered_answer() {
    let server = Server::start(|_, _| async { (200, json!({"settled": []})) }).await;
    let app = open_app().function_fn("main", |_: Ctx, (): ()| async { backstitch::Ok(1) });
    let invocations = app.invocations();
    let response = app.service().call(post(&linked("main", &json!([]), &server.url))).await.unwrap();
    drop(response);
    assert_eq!(invocations.finish(Duration::from_secs(5)).await, 0);
    assert_eq!(server.heard(false)[0]["final"], true);
}

#[tokio::test]
async fn who_drains_gets_the_run_back_after_the_body() {
    let server = Server::start(|_, request| take(request)).await;
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        for step in 0..100_u32 {
            let work = async {
                tokio::time::sleep(Duration::from_millis(40)).await;
                backstitch::Ok(())
            };
            ctx.run(&format!("step-{step}"), |_| work).await?;
        }
        backstitch::Ok(())
    });
    let invocations = app.invocations();
    let drain = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        invocations.drain();
    };
    let (answer, ()) = tokio::join!(answer(&app, "main", &server.url), drain);
    // The body that was under way goes out with the answer; between two bodies the run is given back.
    let last = answer["ops"].as_array().unwrap().last().unwrap();
    assert!(last == &json!({"op": "yield"}) || last["op"] == "step", "{answer}");
    assert!((2..20).contains(&server.heard(false).len()), "{}", server.heard(false).len());
}

/// Near the end of what the host allows no body begins.
#[tokio::test]
async fn gives_its_turn_back_before_the_host_ends_it() {
    let server = Server::start(|_, request| take(request)).await;
    let app = open_app().host_limit(Duration::from_secs(1)).function_fn("main", |ctx: Ctx, (): ()| async move {
        for step in 0..100_u32 {
            let work = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                backstitch::Ok(())
            };
            ctx.run(&format!("step-{step}"), |_| work).await?;
        }
        backstitch::Ok(())
    });
    let manifest = send(&mut app.clone().service(), Request::get("/").body(axum::body::Body::empty()).unwrap()).await;
    let manifest: Value = serde_json::from_slice(manifest.body()).unwrap();
    assert_eq!((&manifest["limits"]["seconds"], &manifest["limits"]["outbound"]), (&json!(1), &json!(true)));
    let begun = instant();
    let answer = answer(&app, "main", &server.url).await;
    assert_eq!(answer["ops"], json!([{"op": "yield"}]));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!((3..8).contains(&server.heard(false).len()), "{}", server.heard(false).len());
}

#[tokio::test]
async fn an_app_can_go_without() {
    let server = Server::start(|_, request| take(request)).await;
    let answer = answer(&steps(2).outbound(false), "main", &server.url).await;
    assert_eq!(answer["ops"].as_array().unwrap().len(), 1);
    assert!(server.heard(false).is_empty());
}

/// Of three calls that are awaited together the server is told; of what stands beside them, that each may matter.
#[tokio::test]
async fn calls_that_are_awaited_together_are_said_to_be() {
    const DOUBLE: FunctionRef<u64, u64> = FunctionRef::new("double");
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let calls = (0..3).map(|n| ctx.call(DOUBLE, n));
        let (doubled, nap) = join!(ctx.all(calls), ctx.sleep("nap", 1.hours()));
        nap?;
        doubled
    });
    let awaiting = async |journal: Value| {
        let response = send(&mut app.clone().service(), post(&invocation("main", &journal))).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        answer["awaiting"].clone()
    };
    assert_eq!(awaiting(json!([])).await, json!([["nap"], ["double", "double:1", "double:2"]]));
    let child =
        |id: &str, seq: u64| json!({"id": id, "op": "invoke", "seq": seq, "at": "2026-03-01T12:00:01.000Z", "ok": 2});
    // One of them is there: the others are awaited. Two are there: one alone says nothing that needs to be said.
    assert_eq!(awaiting(json!([child("double:1", 1)])).await, json!([["nap"], ["double", "double:2"]]));
    assert_eq!(awaiting(json!([child("double:1", 1), child("double", 2)])).await, Value::Null);
}

#[tokio::test]
async fn handlers_share_what_the_app_was_given() {
    struct Ledger(&'static str);
    let app = App::new("shop").state(Ledger("main")).function_fn("main", |ctx: Ctx, (): ()| async move {
        let missing = ctx.state::<String>().unwrap_err();
        let account = ctx.run("read", |_| async { backstitch::Ok(ctx.state::<Ledger>()?.0.to_owned()) }).await?;
        backstitch::Ok((account, missing.name().to_owned(), missing.is_retryable()))
    });
    let shared: (String, String, bool) = TestRun::new(&app, "main").finish().await.ok();
    assert_eq!(shared, ("main".to_owned(), "MissingStateError".to_owned(), false));
}

/// The kit with checkpoints: one invocation where there were three, and a lost report is run again.
#[tokio::test]
async fn the_kit_takes_checkpoints() {
    let mut run = TestRun::new(&steps(3), "main").checkpoints();
    assert_eq!(run.finish().await.ok::<u32>(), 3);
    assert_eq!((run.invocations(), run.executions("step:1")), (1, 1));
    let mut run = TestRun::new(&steps(3), "main").checkpoints().crash_after("step:1");
    assert_eq!(run.finish().await.ok::<u32>(), 3);
    assert_eq!((run.invocations(), run.executions("step"), run.executions("step:1")), (2, 1, 2));
    let mut run = TestRun::new(&steps(3), "main");
    assert_eq!(run.finish().await.ok::<u32>(), 3);
    assert_eq!(run.invocations(), 4);
}

fn instant() -> tokio::time::Instant {
    #[expect(clippy::disallowed_methods, reason = "a test that measures")]
    tokio::time::Instant::now()
}

/// Status and heartbeats are worth a report of their own once a second, each with its newest value.
#[tokio::test]
async fn a_long_body_is_heard_of_once_a_second() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.set_status("copying")?;
        ctx.run("copy", |step| async move {
            for row in 0..24 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                step.heartbeat(row)?;
            }
            backstitch::Ok(())
        })
        .await
    });
    let server = Server::start(|_, request| take(request)).await;
    answer(&app, "main", &server.url).await;
    let heard = server.heard(false);
    let kinds = |request: &Value| -> Vec<String> {
        request["ops"].as_array().unwrap().iter().map(|op| op["op"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<Vec<String>> = heard.iter().map(kinds).collect();
    assert_eq!(all, [vec!["heartbeat", "status"], vec!["heartbeat"], vec!["step"]]);
    assert_eq!((&heard[0]["ops"][0]["name"], &heard[0]["ops"][1]["value"]), (&json!("copy"), &json!("copying")));
    let row = heard[1]["ops"][0]["details"].as_u64().unwrap();
    assert!(row > heard[0]["ops"][0]["details"].as_u64().unwrap() + 5, "{heard:?}");
}

/// The run fails while the handler is at work and a report is on its way: what it reports is undone, too.
#[tokio::test]
async fn what_was_on_its_way_when_the_run_failed_is_undone() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let undone = |n: u32, _: Step| async move { backstitch::Ok(n) };
        ctx.run("a", |_| async { backstitch::Ok(1) }).compensate(undone).await?;
        let long = ctx.run("long", |_| std::future::pending::<Result<u32, Error>>()).compensate(undone);
        let quick = ctx.run("quick", |_| async { backstitch::Ok(3) }).compensate(undone);
        try_join!(long, quick).map(drop)
    });
    let at = "2026-03-01T12:00:01.000Z";
    let server = Server::start(move |nth, request| async move {
        let op = |id: &str, seq: u64| json!({"id": id, "op": "step", "seq": seq, "at": at});
        match (is_beat(&request), nth) {
            (true, 1) => {
                let error = json!({"name": "Timeout", "message": "too long"});
                let failure = json!({"id": "$failure", "op": "failure", "seq": 2, "at": at, "err": error});
                (200, json!({"settled": [failure]}))
            }
            (true, _) => std::future::pending().await,
            (false, 1) => (200, json!({"settled": [op("a", 1)]})),
            (false, 2) => {
                // Later than the first beat.
                tokio::time::sleep(Duration::from_millis(1_600)).await;
                (200, json!({"settled": [op("quick", 3)]}))
            }
            (false, nth) => (200, json!({"settled": [op(request["ops"][0]["id"].as_str().unwrap(), nth as u64 + 1)]})),
        }
    })
    .await;
    let answer = tokio::time::timeout(Duration::from_secs(5), answer(&app, "main", &server.url)).await.unwrap();
    assert_eq!(answer["ops"][0]["err"]["name"], "Timeout", "{answer}");
    let heard = server.heard(false);
    let ids: Vec<&str> = heard.iter().map(|request| request["ops"][0]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "quick", "$undo/quick", "$undo/a"]);
}

/// A child that holds back the end is waited for as any other: what comes within a second costs no invocation.
#[tokio::test]
async fn lingers_for_a_child_that_holds_back_the_end() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let child = ctx.call_as("child", &FunctionRef::<u64, u64>::new("double"), 4);
        select! {
            doubled = child.parent_close(ParentClose::Wait) => doubled,
            _ = ctx.run("quick", |_| async { backstitch::Ok(()) }) => Ok(1),
        }
    });
    let server = Server::start(|_, request| async move {
        if !is_beat(&request) {
            return take(request).await;
        }
        let seen = request["seen"].as_u64().unwrap();
        if seen > 1 {
            std::future::pending::<()>().await;
        }
        let child = json!({"id": "child", "op": "invoke", "seq": 2, "at": "2026-03-01T12:00:01.000Z", "ok": 8});
        (200, json!({"settled": if seen == 1 { json!([child]) } else { json!([]) }}))
    })
    .await;
    let answer = tokio::time::timeout(Duration::from_secs(4), answer(&app, "main", &server.url)).await.unwrap();
    assert_eq!((&answer["ops"], &answer["seen"]), (&json!([{"op": "done", "ok": 1}]), &json!(2)));
}

/// Pages of two entries each, of a journal that has as many as are asked for; and what was asked for.
async fn pages() -> (String, Arc<Mutex<Vec<u64>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let page = move |uri: http::Uri| {
        let before: u64 = uri.query().unwrap().strip_prefix("before=").unwrap().parse().unwrap();
        record.lock().unwrap().push(before);
        let from = before.saturating_sub(2).max(1);
        let entries: Vec<Value> = (from..before).map(step).collect();
        let before = (from > 1).then_some(from);
        async move { json!({"journal": entries, "before": before}).to_string() }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/journal", listener.local_addr().unwrap());
    let router = Router::new().fallback(page);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

fn step(seq: u64) -> Value {
    settled(&format!("s{seq}"), "step", seq, &json!(seq))
}

#[tokio::test]
async fn the_next_invocation_of_a_run_fetches_only_what_has_settled_since() {
    let app = open_app().outbound(true).function_fn("main", |ctx: Ctx, (): ()| async move {
        let mut sum = 0;
        for step in 1..=9_u64 {
            sum += ctx.run(&format!("s{step}"), |_| async move { backstitch::Ok(step) }).await?;
        }
        backstitch::Ok(sum)
    });
    let (url, asked) = pages().await;
    let mut service = app.service();
    let mut invoke = async |run: &str, known: &[u64]| {
        let journal: Vec<Value> = known.iter().copied().map(step).collect();
        let mut invocation = invocation("main", &json!(journal));
        invocation["run"]["id"] = json!(run);
        invocation["links"] = json!({"checkpoint": null, "journal": url});
        let response = send(&mut service, post(&invocation)).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        let next = known.last().unwrap() + 1;
        assert_eq!(answer["ops"][0]["id"], format!("s{next}"), "it goes on behind what it was given: {answer}");
        std::mem::take(&mut *asked.lock().unwrap())
    };
    assert_eq!(invoke("run_a", &[4]).await, [4, 2]);
    assert_eq!(invoke("run_a", &[6, 7]).await, [6], "up to 3 was there");
    assert_eq!(invoke("run_a", &[7]).await, [7], "and now up to 5");
    assert_eq!(invoke("run_a", &[5, 6, 7]).await, [0; 0], "what the body has besides is not asked for");
    assert_eq!(invoke("run_b", &[4]).await, [4, 2], "another run has a journal of its own");
}
