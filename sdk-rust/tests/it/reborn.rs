//! What a handler that begins anew within its invocation finds: all that is durable, and nothing of the one before it.
//!
//! The closure of a body is used up by its first attempt, so a retry that is due at once is one for a new handler.

use backstitch::prelude::*;
use backstitch::{Object, ObjectCtx, ParentClose};
use serde_json::{Value, json};

use crate::checkpoints::{Server, answer, answer_to, is_beat};
use crate::support::{invocation, open_app, post, send};

const AT: &str = "2026-03-01T12:00:01.000Z";

/// Settles what a request reports and what settles at once; a step that failed is to run again now. `first` is the next `seq`.
fn reply(request: &Value, first: u64) -> Value {
    let attempt = |op: &Value| op["attempt"].as_u64().unwrap_or(0);
    let ops = request["ops"].as_array().unwrap();
    let done = ops.iter().filter(|op| op.get("ok").is_some() || op["op"] == "state");
    let outcome = |op: &Value, seq: u64| {
        let mut settled = json!({"id": op["id"], "op": op["op"], "seq": seq, "at": AT});
        if op["op"] == "state" {
            settled["ok"] = Value::Null;
        }
        settled
    };
    let settled: Vec<Value> = (first..).zip(done).map(|(seq, op)| outcome(op, seq)).collect();
    let failed = ops.iter().filter(|op| op.get("err").is_some());
    let retry: Vec<Value> =
        failed.map(|op| json!({"id": op["id"], "attempt": attempt(op) + 1, "dueIn": 0, "error": op["err"]})).collect();
    json!({"settled": settled, "retry": retry})
}

async fn takes_all(request: Value) -> (u16, Value) {
    if is_beat(&request) {
        std::future::pending::<()>().await;
    }
    (200, reply(&request, request["seen"].as_u64().unwrap() + 1))
}

#[tokio::test]
async fn a_compensation_that_is_due_again_at_once_is_done_by_a_new_handler() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.run("a", |_| async { backstitch::Ok(7) })
            .compensate(|n: u32, step: Step| async move {
                if step.attempt() < 3 { Err(Error::new("Busy", "the bank is")) } else { Ok(n) }
            })
            .await?;
        ctx.signal::<()>("never").await
    });
    let server = Server::start(|_, request| takes_all(request)).await;
    let failure =
        json!({"id": "$failure", "op": "failure", "seq": 2, "at": AT, "err": {"name": "Broken", "message": "no"}});
    let journal = json!([{"id": "a", "op": "step", "seq": 1, "at": AT, "ok": 7}, failure]);
    let answer = answer_to(&app, "main", journal, &server.url).await;
    assert_eq!(answer["ops"][0]["err"]["name"], "Broken", "{answer}");
    let attempts: Vec<u64> = server.heard(false).iter().map(|it| it["ops"][0]["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(server.heard(false)[2]["ops"][0]["ok"], 7);
}

#[tokio::test]
async fn a_new_handler_reads_the_state_as_of_the_beginning_and_writes_it_once() {
    let count = |ctx: ObjectCtx, (): ()| async move {
        let count: u32 = ctx.get("count")?.unwrap_or(0);
        ctx.set("count", count + 1)?;
        ctx.run(
            "flaky",
            |step| async move { if step.attempt() < 3 { Err(Error::new("Busy", "not yet")) } else { Ok(()) } },
        )
        .await?;
        backstitch::Ok((count, ctx.get::<u32>("count")?))
    };
    let app = open_app().object(Object::new("counter").exclusive("count", count));
    let server = Server::start(|_, request| takes_all(request)).await;
    let mut body = invocation("counter/count", &json!([]));
    body["links"] = json!({"checkpoint": server.url, "journal": null});
    (body["state"], body["run"]["key"]) = (json!({"count": 4}), json!("k"));
    let response = send(&mut app.service(), post(&body)).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["ops"], json!([{"op": "done", "ok": [4, 5]}]));
    let heard = server.heard(false);
    let writes = heard.iter().flat_map(|it| it["ops"].as_array().unwrap()).filter(|op| op["op"] == "state").count();
    assert_eq!(writes, 1, "{heard:?}");
}

/// The handler has ended, and only a child holds back the end, when the run fails.
#[tokio::test]
async fn a_run_that_fails_after_its_handler_has_ended_is_undone_too() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.run("a", |_| async { backstitch::Ok(7) }).compensate(|n: u32, _| async move { backstitch::Ok(n) }).await?;
        let child = ctx.call_as("child", &FunctionRef::<u64, u64>::new("double"), 4);
        select! {
            doubled = child.parent_close(ParentClose::Wait) => doubled,
            _ = ctx.run("quick", |_| async { backstitch::Ok(()) }) => Ok(1),
        }
    });
    let server = Server::start(|_, request| async move {
        let seen = request["seen"].as_u64().unwrap();
        if !is_beat(&request) {
            return (200, reply(&request, seen + 1));
        }
        if seen != 2 {
            std::future::pending::<()>().await;
        }
        let error = json!({"name": "Timeout", "message": "too long"});
        (200, json!({"settled": [{"id": "$failure", "op": "failure", "seq": 3, "at": AT, "err": error}]}))
    })
    .await;
    let answer = answer(&app, "main", &server.url).await;
    assert_eq!(answer["ops"][0]["err"]["name"], "Timeout", "{answer}");
    assert_eq!(server.heard(false).last().unwrap()["ops"][0]["id"], "$undo/a");
}

/// What settles at once and nobody waits for does not wake the run that waits for something else.
#[tokio::test]
async fn what_nobody_waits_for_wakes_nobody() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.patched("v2")?;
        ctx.signal::<()>("go").await
    });
    let response = send(&mut app.service(), post(&invocation("main", &json!([])))).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["awaiting"], json!([["go"]]));
}

/// A cancellation that comes while a failed run is undone changes nothing.
#[tokio::test]
async fn a_run_that_is_being_undone_is_not_cancelled() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        for step in ["a", "b"] {
            let done = ctx.run(step, |_| async { backstitch::Ok(7) });
            done.compensate(|n: u32, _| async move { backstitch::Ok(n) }).await?;
        }
        ctx.signal::<()>("never").await
    });
    let server = Server::start(|_, request| async move {
        let (status, mut said) = takes_all(request.clone()).await;
        if request["ops"][0]["id"] == "$undo/b" {
            let cancel = json!({"id": "$cancel", "op": "cancel", "seq": 5, "at": AT, "ok": null});
            said["settled"].as_array_mut().unwrap().push(cancel);
        }
        (status, said)
    })
    .await;
    let failure =
        json!({"id": "$failure", "op": "failure", "seq": 3, "at": AT, "err": {"name": "Broken", "message": "no"}});
    let done = |id: &str, seq: u64| json!({"id": id, "op": "step", "seq": seq, "at": AT, "ok": 7});
    let answer = answer_to(&app, "main", json!([done("a", 1), done("b", 2), failure]), &server.url).await;
    assert_eq!(answer["ops"][0]["err"]["name"], "Broken", "{answer}");
    let undone: Vec<Value> = server.heard(false).iter().map(|it| it["ops"][0]["id"].clone()).collect();
    assert_eq!(undone, ["$undo/b", "$undo/a"]);
}
