//! What Rust adds to the protocol's rules: futures that are dropped, spawned, joined, that panic and that yield.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backstitch::prelude::*;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use crate::support::{open_app, ops, settled};

fn kinds(ops: &[Value]) -> Vec<(String, String)> {
    let text = |op: &Value, key: &str| op[key].as_str().unwrap_or_default().to_owned();
    ops.iter().map(|op| (text(op, "op"), text(op, "id"))).collect()
}

#[tokio::test]
async fn a_spawned_task_gets_an_error_and_counts_nothing() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let spawned = ctx.clone();
        let task = tokio::spawn(async move { spawned.sleep("nap", 1.hours()).await });
        let error = task.await?.err().map(|error| error.name().to_owned());
        // Made here, polled there: refused as well.
        let nap = ctx.sleep("other", 1.hours());
        let moved = tokio::spawn(nap).await?.err().map(|error| error.name().to_owned());
        ctx.sleep("nap", 1.minutes()).await?;
        backstitch::Ok((error, moved))
    });
    let first = ops(app.clone(), "main", json!([])).await;
    assert_eq!(kinds(&first), [("sleep".to_owned(), "nap".to_owned())]);
    let last = ops(app, "main", json!([settled("nap", "sleep", 1, &Value::Null)])).await;
    assert_eq!(last[0]["ok"], json!(["OutsideRunError", "OutsideRunError"]));
}

#[tokio::test]
async fn panics_are_retryable_failures() {
    let app = open_app()
        .function_fn("handler", |_: Ctx, (): ()| async {
            if true { panic!("no {}", "way") } else { backstitch::Ok(()) }
        })
        .function_fn("body", |ctx: Ctx, (): ()| async move {
            ctx.run("a", |_| async { if true { panic!("no way") } else { backstitch::Ok(()) } }).await
        })
        .function_fn("destructor", |ctx: Ctx, (): ()| async move {
            struct Bad;
            impl Drop for Bad {
                fn drop(&mut self) {
                    panic!("in drop");
                }
            }
            let bad = Bad;
            ctx.sleep("nap", 1.hours()).await?;
            drop(bad);
            backstitch::Ok(())
        });
    let handler = ops(app.clone(), "handler", json!([])).await;
    let (name, message) = (&handler[0]["err"]["name"], &handler[0]["err"]["message"]);
    assert_eq!((name, message), (&json!("Panic"), &json!("the handler panicked: no way")));
    assert_eq!(handler[0]["err"]["retryable"], true);
    let body = ops(app.clone(), "body", json!([])).await;
    assert_eq!((&body[0]["op"], &body[0]["err"]["retryable"]), (&json!("step"), &json!(true)));
    assert_eq!(kinds(&ops(app, "destructor", json!([])).await), [("sleep".to_owned(), "nap".to_owned())]);
}

#[tokio::test]
async fn joins_register_all_branches_and_borrow() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let name = String::from("ann");
        let (a, b, ()) = try_join!(
            ctx.run("a", |_| async { backstitch::Ok(name.len()) }),
            ctx.run("b", |_| async { backstitch::Ok(format!("{name}!")) }),
            ctx.sleep("nap", 1.minutes()),
        )?;
        backstitch::Ok((a, b))
    });
    let first = ops(app.clone(), "main", json!([])).await;
    assert_eq!(first.len(), 3, "{first:?}");
    let journal = json!([
        settled("b", "step", 1, &json!("ann!")),
        settled("nap", "sleep", 2, &Value::Null),
        settled("a", "step", 3, &json!(3))
    ]);
    assert_eq!(ops(app, "main", journal).await[0]["ok"], json!([3, "ann!"]));
}

/// Both branches are known; the one that settled first wins, whatever the order in the code.
#[tokio::test]
async fn select_takes_the_branch_that_settled_first() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let winner = select! {
            left = ctx.signal::<String>("left") => left?,
            right = ctx.signal::<String>("right") => right?,
        };
        backstitch::Ok(winner)
    });
    for (first, second) in [("left", "right"), ("right", "left")] {
        let journal =
            json!([settled(first, "waitSignal", 1, &json!(first)), settled(second, "waitSignal", 2, &json!(second))]);
        for _ in 0..20 {
            assert_eq!(ops(app.clone(), "main", journal.clone()).await[0]["ok"], first);
        }
    }
}

/// A large join yields in the middle; that is not rest.
#[tokio::test]
async fn a_join_that_yields_is_not_suspended_half_registered() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let mut naps: FuturesUnordered<_> = (0..500).map(|n| ctx.sleep(&format!("nap-{n}"), 1.hours())).collect();
        tokio::task::yield_now().await;
        while let Some(nap) = naps.next().await {
            nap?;
        }
        backstitch::Ok(())
    });
    assert_eq!(ops(app, "main", json!([])).await.len(), 500);
}

/// The loser's body would begin in every later invocation and end in none.
#[tokio::test]
async fn a_decided_race_does_not_begin_its_losers_body() {
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        select! {
            work = ctx.run("work", |_| async {
                BEGUN.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(60)).await;
                backstitch::Ok(())
            }) => work?,
            nap = ctx.sleep("limit", 1.hours()) => nap?,
        }
        ctx.sleep("after", 1.hours()).await
    });
    let journal = json!([
        settled("limit", "sleep", 1, &Value::Null),
        {"id": "work", "op": "step", "run": {"attempt": 2}}
    ]);
    assert_eq!(kinds(&ops(app, "main", journal).await), [("sleep".to_owned(), "after".to_owned())]);
    assert_eq!(BEGUN.load(Ordering::Relaxed), 0);
}

/// A future outside Backstitch that ends a branch drops the other, body and all, and the invocation goes on.
#[tokio::test]
async fn a_dropped_body_goes_unreported() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        select! {
            work = ctx.run("work", |_| std::future::pending::<Result<(), Error>>()) => work?,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        ctx.run("next", |_| async { backstitch::Ok(1) }).await
    });
    assert_eq!(kinds(&ops(app, "main", json!([])).await), [("step".to_owned(), "next".to_owned())]);
}

/// A shield waits for what is outside of it, which the cancellation leaves alone so long; one that is dropped is closed.
#[tokio::test]
async fn a_shield_holds_the_cancellation_back() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let outside = ctx.signal::<u32>("outside");
        let kept = ctx.shield("move", |_| outside).await?;
        select! {
            biased;
            never = ctx.shield("dropped", |_| std::future::pending::<Result<(), Error>>()) => never?,
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        let lost = ctx.signal::<u32>("lost").await;
        backstitch::Ok((kept, lost.err().map(|error| error.is_cancelled())))
    });
    let cancel = json!({"id": "$cancel", "op": "cancel", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "ok": null});
    let first = ops(app.clone(), "main", json!([cancel])).await;
    assert_eq!(kinds(&first), [("waitSignal".to_owned(), "outside".to_owned())]);
    let journal = json!([cancel, settled("outside", "waitSignal", 2, &json!(7))]);
    assert_eq!(ops(app, "main", journal).await[0]["ok"], json!([7, true]));
}

/// The handler is in an await of its own when the cancellation's turn would be: it hears of it at its next call.
#[tokio::test]
async fn a_cancellation_waits_for_something_that_it_can_reject() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let error = ctx.run("charge", |_| async { backstitch::Ok(1) }).await.unwrap_err();
        backstitch::Ok(error.is_cancelled())
    });
    let cancel = json!({"id": "$cancel", "op": "cancel", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "ok": null});
    assert_eq!(ops(app, "main", json!([cancel])).await, [json!({"op": "done", "ok": true})]);
}

#[tokio::test]
async fn a_map_keeps_to_its_bound_and_refuses_equal_keys() {
    let begun = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&begun);
    let app = open_app()
        .function_fn("main", move |ctx: Ctx, (): ()| {
            let seen = Arc::clone(&seen);
            async move {
                let items: Vec<u32> = (0..10).collect();
                let seen = &seen;
                let double = |ctx: Ctx, item: u32| async move {
                    seen.fetch_add(1, Ordering::Relaxed);
                    ctx.run("double", |_| async { backstitch::Ok(item * 2) }).await
                };
                ctx.map("items", items, |item| *item, double).concurrency(3).await
            }
        })
        .function_fn("twins", |ctx: Ctx, (): ()| async move {
            ctx.map("items", [1, 1], |item| *item, |_, item| async move { backstitch::Ok(item) }).await
        });
    let first = ops(app.clone(), "main", json!([])).await;
    assert_eq!(first.len(), 3);
    assert_eq!(begun.load(Ordering::Relaxed), 3);
    let twins = ops(app, "twins", json!([])).await;
    assert_eq!((&twins[0]["err"]["name"], &twins[0]["err"]["retryable"]), (&json!("InvalidIdError"), &json!(false)));
}

#[tokio::test]
async fn bad_inputs_and_values_name_the_place() {
    let app = open_app()
        .function_fn("input", |_: Ctx, input: Vec<u32>| async move { backstitch::Ok(input) })
        .function_fn("value", |ctx: Ctx, (): ()| async move {
            ctx.run("a", |_| async { backstitch::Ok(vec![(1, "x".to_owned())]) }).await
        });
    let input = ops(app.clone(), "input", json!([])).await;
    let error = &input[0]["err"];
    assert_eq!((&error["name"], &error["retryable"]), (&json!("DeserializationError"), &json!(false)));
    let journal = json!([settled("a", "step", 1, &json!([[1, "x"], [2, 3]]))]);
    let value = ops(app, "value", journal).await;
    let message = value[0]["err"]["message"].as_str().unwrap();
    assert!(message.contains("the outcome of `a`") && message.contains("[1][1]"), "{message}");
}

#[tokio::test]
async fn misuse_of_ids_is_terminal() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move { ctx.sleep("", 1.hours()).await });
    let empty = ops(app, "main", json!([])).await;
    assert_eq!((&empty[0]["op"], &empty[0]["err"]["name"]), (&json!("fail"), &json!("InvalidIdError")));
    let app =
        open_app().function_fn("main", |ctx: Ctx, (): ()| async move { ctx.sleep("nap", (11 * 53).weeks()).await });
    let long = ops(app, "main", json!([])).await;
    assert_eq!(long[0]["err"]["name"], "InvalidDurationError");
}
