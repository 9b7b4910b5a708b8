//! Saga, updates, status, heartbeats, patches, objects and the rest, as a test of the user's would see them: in both modes,
//! so that each is a test of replay and one of handlers that report while they work.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstitch::prelude::*;
use backstitch::testing::{Outcome, Recorded, TestRun};
use backstitch::{Failed, Object, ObjectCtx, ObjectRef, ParentClose, SharedCtx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{invocation, open_app, ops, post, send, settled};

/// Both ways in which an invocation can go.
fn both(app: &App, function: &str) -> [TestRun; 2] {
    [TestRun::new(app, function), TestRun::new(app, function).checkpoints()]
}

fn ids(run: &TestRun) -> Vec<String> {
    run.journal().into_iter().map(|record| record.id).collect()
}

type Log = Arc<Mutex<Vec<String>>>;

/// Charges, reserves, fails; the refund fails twice before it goes through.
fn saga(log: &Log) -> App {
    let log = Arc::clone(log);
    let order = move |ctx: Ctx, cancelled: bool| {
        let log = Arc::clone(&log);
        async move {
            let (refunds, releases) = (Arc::clone(&log), log);
            ctx.run("charge", |_| async { backstitch::Ok(json!({"id": "ch_1"})) })
                .compensate(move |charge: Value, step: Step| async move {
                    let line = format!(
                        "refund {} for the {}. time, as {}",
                        charge["id"],
                        step.attempt(),
                        step.idempotency_key()
                    );
                    refunds.lock().unwrap().push(line);
                    if step.attempt() < 3 { Err(Error::new("Busy", "the bank is")) } else { Ok("re_1") }
                })
                .compensate_retry(Retry::attempts(5))
                .await?;
            ctx.run("reserve", |_| async { backstitch::Ok(4) })
                .compensate(move |shelf: u32, _| async move {
                    releases.lock().unwrap().push(format!("release {shelf}"));
                    backstitch::Ok(())
                })
                .await?;
            if cancelled {
                ctx.signal::<()>("never").await?;
            }
            ctx.run("ship", |_| async { Err::<(), _>(Error::terminal("NoTruck", "none left")) }).await
        }
    };
    App::new("shop").function_fn("order", order)
}

#[tokio::test]
async fn what_succeeded_is_undone_the_last_first() {
    for crash in ["charge", "$undo/reserve", "$undo/charge"] {
        let log = Log::default();
        for run in both(&saga(&log), "order") {
            let mut run = run.input(false).crash_after(crash);
            assert_eq!(run.finish().await.err().name(), "NoTruck");
            let undone = ids(&run);
            assert_eq!(undone, ["charge", "reserve", "ship", "$failure", "$undo/reserve", "$undo/charge"]);
            assert_eq!(run.entry("$undo/charge").unwrap().outcome, Some(Recorded::Ok(json!("re_1"))));
            assert_eq!(run.entry("$undo/charge").unwrap().params["retry"], json!({"attempts": 5}));
            let lines = std::mem::take(&mut *log.lock().unwrap());
            assert_eq!(lines.first().unwrap(), "release 4", "{lines:?}");
            let last = lines.last().unwrap();
            assert!(last.starts_with("refund \"ch_1\" for the 3. time") && last.ends_with("/$undo/charge"), "{last}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_run_is_undone_and_a_held_one_says_so() {
    let log = Log::default();
    for run in both(&saga(&log), "order") {
        let mut run = run.input(true);
        assert_eq!(run.until_waiting().await, ["never"]);
        run.cancel();
        assert_eq!(run.finish().await.err().name(), "CancelledError");
        assert_eq!(ids(&run)[4..], ["$undo/reserve", "$undo/charge"]);
    }
    let mut held = TestRun::new(&saga(&log), "order")
        .input(false)
        .step::<()>("$undo/charge", Err(Error::terminal("Gone", "no such charge")));
    assert!(matches!(held.finish().await, Outcome::Blocked(open) if open == ["$undo/charge"]));
    assert!(!held.settle("$undo/reserve", ()) && held.settle("$undo/charge", "by hand"));
    assert_eq!(held.finish().await.err().name(), "NoTruck");
}

/// What undoes a step may hold the context itself: nothing of the invocation may stay behind.
#[tokio::test]
async fn compensations_do_not_keep_their_invocation_alive() {
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    let app = open_app().function_fn("main", move |ctx: Ctx, (): ()| {
        let held = Arc::clone(&held);
        async move {
            let own = ctx.clone();
            let undo = ctx.run("a", |_| async { backstitch::Ok(1) }).compensate(move |_: u32, _| async move {
                drop((own, held));
                backstitch::Ok(())
            });
            undo.await?;
            ctx.signal::<()>("go").await
        }
    });
    ops(app.clone(), "main", json!([settled("a", "step", 1, &json!(1))])).await;
    drop(app);
    assert_eq!(Arc::strong_count(&kept), 1);
}

/// A branch in an await of its own comes to a step that has to be undone only in a moment: it is waited for.
#[tokio::test]
async fn a_branch_that_is_late_is_undone_too() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let late = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            ctx.run("late", |_| async { backstitch::Ok(1) })
                .compensate(|n: u32, _| async move { backstitch::Ok(n) })
                .await
        };
        try_join!(late, ctx.signal::<()>("never")).map(drop)
    });
    let failure = json!({"id": "$failure", "op": "failure", "seq": 2, "at": "2026-03-01T12:00:02.000Z",
                         "err": {"name": "Timeout", "message": "too long"}});
    let ops = ops(app, "main", json!([settled("late", "step", 1, &json!(1)), failure])).await;
    assert_eq!((&ops[0]["id"], &ops[0]["ok"]), (&json!("$undo/late"), &json!(1)));
}

#[backstitch::function]
async fn address(ctx: Ctx) -> Result<Vec<String>, Error> {
    let mut streets = Vec::new();
    ctx.set_status(json!({"streets": 0}))?;
    while let Some(change) = ctx.update::<String>("change").timeout(1.hours()).await? {
        if change.data.is_empty() {
            change.reject(Error::terminal("Empty", "a street, please").with_code("E1"))?;
            continue;
        }
        let fee: u32 = ctx.run("apply", |_| async { backstitch::Ok(3) }).await?;
        streets.push(change.data.clone());
        change.reply(json!({"fee": fee}))?;
        ctx.set_status(json!({"streets": streets.len()}))?;
    }
    Ok(streets)
}

#[tokio::test]
async fn updates_are_answered_and_the_status_is_shown() {
    for mut run in both(&App::new("shop").function(address), "address") {
        let early = run.update("change", "Elm");
        assert_eq!(run.until_waiting().await, ["change:1"]);
        assert_eq!(run.reply(&early).unwrap().unwrap(), json!({"fee": 3}));
        assert_eq!(run.status(), Some(json!({"streets": 1})));
        let (wrong, empty) = (run.update("change", 7), run.update("change", ""));
        assert_eq!(run.until_waiting().await, ["change:3"]);
        assert_eq!(run.reply(&wrong).unwrap().unwrap_err().name(), "SchemaError");
        assert_eq!(run.reply(&empty).unwrap().unwrap_err().code(), Some("E1"));
        assert_eq!(run.finish().await.ok::<Vec<String>>(), ["Elm"]);
    }
}

#[tokio::test]
async fn a_run_is_found_by_its_start_and_by_what_its_handler_makes_of_it() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        assert_eq!((ctx.tags(), ctx.attributes().len()), (vec!["old".to_owned()], 1));
        ctx.add_tags(["new", "old"])?;
        ctx.set_attributes([
            ("total", 12.5.into()),
            ("at", std::time::SystemTime::UNIX_EPOCH.into()),
            ("gone", true.into()),
        ])?;
        ctx.sleep("nap", 1.hours()).await?;
        ctx.remove_tags(["old", "unknown"])?;
        ctx.remove_attributes(["gone"])?;
        ctx.set_attributes([("total", 13.into())])?;
        ctx.signal::<()>("rest").await?;
        backstitch::Ok(ctx.tags())
    });
    for run in both(&app, "main") {
        let mut run = run.tag("old").attribute("customer", "c-1");
        assert_eq!(run.until_waiting().await, ["nap"]);
        assert_eq!((run.tags(), run.attributes().len()), (vec!["new".to_owned(), "old".to_owned()], 4));
        run.skip(Duration::from_secs(3_600));
        assert_eq!(run.until_waiting().await, ["rest"]);
        assert_eq!(run.tags(), ["new"]);
        let attributes = serde_json::to_value(run.attributes()).unwrap();
        assert_eq!(attributes, json!({"customer": "c-1", "total": 13, "at": "1970-01-01T00:00:00.000Z"}));
        run.signal("rest", ());
        assert_eq!(run.finish().await.ok::<Vec<String>>(), ["new"]);
    }
}

#[tokio::test]
async fn what_nobody_can_be_found_by_is_refused_where_it_is_said() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        let long = |bytes| "x".repeat(bytes);
        let many = || (0..33).map(|n: u32| n.to_string());
        let text = |text: String| [("t", text.into())];
        let mut refused = vec![
            ctx.add_tags([""]),
            ctx.add_tags([long(129)]),
            ctx.add_tags(["a\nb"]),
            ctx.set_tags(many()),
            ctx.set_attributes([("a b", 1.into())]),
            ctx.set_attributes([("n", f64::NAN.into())]),
            ctx.set_attributes([("n", u64::MAX.into())]),
            ctx.set_attributes(text(long(1_025))),
            ctx.set_attributes(many().map(|name| (name, true.into()))),
            ctx.set_attributes((0..20).map(|n| (format!("a{n}"), long(1_000).into()))),
        ];
        let inner = ctx.clone();
        refused.push(
            ctx.run("body", |_| async move { backstitch::Ok(inner.add_tags(["inside"]).is_err()) }).await.map(drop),
        );
        let names: Vec<String> =
            refused.into_iter().filter_map(Result::err).map(|error| error.name().to_owned()).collect();
        backstitch::Ok((names, ctx.tags(), ctx.attributes().len()))
    });
    let mut run = TestRun::new(&app, "main");
    let (names, tags, attributes): (Vec<String>, Vec<String>, usize) = run.finish().await.ok();
    assert_eq!((names, tags, attributes), (vec!["MisuseError".to_owned(); 10], Vec::new(), 0));
    let body: Vec<_> = run.journal().into_iter().filter(|record| record.id == "body").collect();
    assert_eq!(body.len(), 1);
}

/// After data that do not fit, only what is left of the time is waited for.
#[tokio::test]
async fn a_refused_update_does_not_begin_the_time_anew() {
    let mut run = TestRun::new(&App::new("shop").function(address), "address");
    run.until_waiting().await;
    run.skip(45.minutes());
    run.update("change", 7);
    run.until_waiting().await;
    assert_eq!(run.entry("change:1").unwrap().params["timeout"], "15m");
}

#[tokio::test]
async fn answers_belong_into_the_handler() {
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        let update = ctx.update::<u32>("u").await?;
        ctx.run("body", |_| async { update.reply(1) }).await
    });
    let journal = json!([settled("u", "waitSignal", 1, &json!({"id": "up_1", "data": 1}))]);
    assert_eq!(ops(app, "main", journal).await[0]["err"]["name"], "NestedStepError");
}

/// Copies five rows, and breaks off after each.
#[tokio::test]
async fn an_attempt_goes_on_where_the_last_one_broke_off() {
    let app = App::new("shop").function_fn("copy", |ctx: Ctx, (): ()| async move {
        ctx.run("rows", |step| async move {
            let row = step.details::<u32>()?.unwrap_or(0);
            step.heartbeat(row + 1)?;
            if row < 4 { Err(Error::new("Broken", "cut off")) } else { Ok((row, step.attempt())) }
        })
        .retry(Retry::attempts(9))
        .await
    });
    for mut run in both(&app, "copy") {
        assert_eq!(run.finish().await.ok::<(u32, u32)>(), (4, 5));
    }
    // What an attempt said is known even if it was lost: it is tried again, from there.
    let mut run = TestRun::new(&app, "copy").checkpoints().crash_after("rows");
    assert_eq!(run.finish().await.ok::<(u32, u32)>().0, 4);
}

/// The body is silent at first, then says that it lives from another task; it takes longer than it may be silent.
#[tokio::test(start_paused = true)]
async fn a_body_that_shows_signs_of_life_may_take_its_time() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, lives: bool| async move {
        ctx.run("long", |step| async move {
            let pulse = tokio::spawn(async move {
                for second in 0..30 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if lives {
                        step.heartbeat(second).unwrap();
                    }
                }
            });
            pulse.await?;
            backstitch::Ok(())
        })
        .heartbeat(5.seconds())
        .retry(Retry::attempts(1))
        .await
    });
    for checkpoints in [false, true] {
        let run = |lives: bool| {
            let run = TestRun::new(&app, "main").input(lives);
            if checkpoints { run.checkpoints() } else { run }
        };
        run(true).finish().await.ok::<()>();
        let error = run(false).finish().await.err();
        assert_eq!((error.name(), error.message()), ("Timeout", "the body gave no heartbeat for 5s"));
    }
}

#[tokio::test]
async fn what_is_too_large_to_show_is_refused() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        let large = "x".repeat(70_000);
        let refused = ctx.set_status(&large).unwrap_err();
        let own = ctx.run("a", |step| async move { step.heartbeat(&large) }).retry(Retry::attempts(1)).await;
        backstitch::Ok((refused.name().to_owned(), own.unwrap_err().name().to_owned()))
    });
    let names: (String, String) = TestRun::new(&app, "main").finish().await.ok();
    assert_eq!(names, ("TooLarge".to_owned(), "TooLarge".to_owned()));
}

#[tokio::test]
async fn a_step_has_a_time_over_all_its_attempts() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        let step = ctx.run("pay", |_| async { Err::<(), _>(Error::new("Busy", "the bank is")) });
        step.retry(Retry::attempts(99)).schedule_to_close(10.seconds()).schedule_to_start(1.minutes()).await
    });
    for mut run in both(&app, "main") {
        let error = run.finish().await.err();
        assert_eq!(error.name(), "Timeout");
        assert_eq!(error.data::<Value>().unwrap()["lastError"]["name"], "Busy");
        assert_eq!(run.executions("pay"), 4);
    }
}

#[tokio::test]
async fn a_patch_is_taken_by_runs_that_come_to_it_afterwards() {
    static PATCHED: AtomicU32 = AtomicU32::new(0);
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.signal::<()>("one").await?;
        // Stands for a deployment: before it, the code did not ask.
        let patched = PATCHED.load(Ordering::Relaxed) == 1 && ctx.patched("v2")?;
        if patched {
            ctx.run("new", |_| async { backstitch::Ok(()) }).await?;
        }
        ctx.signal::<()>("two").await?;
        backstitch::Ok(patched)
    });
    let mut runs = Vec::from(both(&app, "main"));
    runs.extend(both(&app, "main"));
    for run in &mut runs[..2] {
        run.signal("one", ());
    }
    for run in &mut runs {
        run.until_waiting().await;
    }
    PATCHED.store(1, Ordering::Relaxed);
    for (position, mut run) in runs.into_iter().enumerate() {
        run.signal("one", ());
        run.signal("two", ());
        assert_eq!(run.finish().await.ok::<bool>(), position >= 2);
        assert_eq!(run.entry("patched/v2").is_some(), position >= 2);
    }
}

#[tokio::test]
async fn a_parent_can_wait_for_a_child_that_it_does_not_await() {
    const CHILD: FunctionRef<(), ()> = FunctionRef::new("other/child");
    let app = open_app().function_fn("main", |ctx: Ctx, (): ()| async move {
        select! {
            done = ctx.call(CHILD, ()).parent_close(ParentClose::Wait) => done?,
            done = ctx.run("quick", |_| async { backstitch::Ok(()) }) => done?,
        }
        backstitch::Ok(7)
    });
    let child = json!({"id": "child", "op": "invoke", "pending": true});
    let quick = settled("quick", "step", 1, &json!(null));
    let response = send(&mut app.clone().service(), post(&invocation("main", &json!([quick, child])))).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((&answer["ops"], &answer["awaiting"]), (&json!([]), &json!([["child"]])));
    // A cancellation before it began leaves no child behind to wait for.
    let cancel = json!({"id": "$cancel", "op": "cancel", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "ok": null});
    assert_eq!(ops(app, "main", json!([cancel])).await[0]["err"]["name"], "CancelledError");
}

#[tokio::test]
async fn a_run_goes_on_in_a_new_one() {
    let app = App::new("shop").function_fn("meter", |ctx: Ctx, total: u64| async move {
        match ctx.signal::<u64>("reading").timeout(1.days()).await? {
            Some(reading) => ctx.continue_as_new(total + reading).await,
            None => backstitch::Ok(total),
        }
    });
    for run in both(&app, "meter") {
        let mut run = run.input(0);
        for reading in [1, 2, 3] {
            run.signal("reading", reading);
        }
        assert_eq!(run.finish().await.ok::<u64>(), 6);
        assert_eq!((run.runs(), ids(&run)), (4, vec!["reading".to_owned()]));
    }
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
struct Item {
    sku: String,
    cents: u64,
}

const CART: ObjectRef = ObjectRef::new("cart");

async fn add(cart: ObjectCtx, item: Item) -> Result<usize, Error> {
    let mut items: Vec<Item> = cart.get("items")?.unwrap_or_default();
    items.push(item);
    cart.set("items", &items)?;
    Ok(items.len())
}

async fn checkout(cart: ObjectCtx, _: ()) -> Result<u64, Error> {
    #[derive(Serialize)]
    struct Emptied {
        items: Vec<Item>,
        orders: u32,
    }
    let items: Vec<Item> = cart.get("items")?.unwrap_or_default();
    let cents = items.iter().map(|item| item.cents).sum();
    cart.run("charge", |_| async { backstitch::Ok(format!("{} paid {cents}", cart.key())) }).await?;
    let orders: Option<u32> = cart.get("orders")?;
    cart.set_all(Emptied { items: Vec::new(), orders: orders.unwrap_or(0) + 1 })?;
    cart.clear("coupon")?;
    Ok(cents)
}

async fn show(cart: SharedCtx, _: ()) -> Result<(Vec<Item>, Vec<String>), Error> {
    Ok((cart.get("items")?.unwrap_or_default(), cart.names()))
}

async fn selfish(cart: ObjectCtx, _: ()) -> Result<usize, Error> {
    let item = Item { sku: "lamp".to_owned(), cents: 1 };
    cart.call(CART.handler::<Item, usize>("add").key(cart.key()), item).await
}

fn shop() -> App {
    let options = FunctionOptions::new("checkout").retry(Retry::attempts(2)).name("Check out");
    let cart = Object::new("cart").exclusive("add", add).exclusive(options, checkout).shared("show", show);
    open_app().object(cart.exclusive("selfish", selfish)).function_fn("gift", |ctx: Ctx, customer: String| async move {
        let item = Item { sku: "card".to_owned(), cents: 0 };
        ctx.call_as("first", &CART.handler::<Item, usize>("add").key(&customer), item.clone()).await?;
        ctx.call(CART.handler::<Item, usize>("add").key(customer), item).await
    })
}

#[tokio::test]
async fn an_object_keeps_its_state_under_its_key() {
    let app = shop();
    let lamp = Item { sku: "lamp".to_owned(), cents: 4_900 };
    let mut run = TestRun::new(&app, "cart/add").key("ann").input(&lamp);
    assert_eq!(run.finish().await.ok::<usize>(), 1);
    let state = run.state();
    for run in both(&app, "cart/checkout") {
        let mut run = run.key("ann").with_state(state.clone().into_iter().chain([("coupon".to_owned(), json!(5))]));
        assert_eq!(run.finish().await.ok::<u64>(), 4_900);
        assert_eq!(run.state(), [("items".to_owned(), json!([])), ("orders".to_owned(), json!(1))].into());
        assert_eq!(ids(&run), ["charge", "$state", "$state:1"]);
    }
    let mut run = TestRun::new(&app, "cart/show").key("ann").with_state(state);
    assert_eq!(run.finish().await.ok::<(Vec<Item>, Vec<String>)>(), (vec![lamp], vec!["items".to_owned()]));
    let mut run = TestRun::new(&app, "gift").input("bob");
    assert_eq!(run.finish().await.ok::<usize>(), 2);
    let mut run = TestRun::new(&app, "cart/selfish").key("ann");
    assert_eq!(run.finish().await.err().name(), "Deadlock");
}

#[tokio::test]
async fn bad_keys_and_writes_from_elsewhere_are_refused() {
    let wide = Object::new("wide").exclusive("write", |ctx: ObjectCtx, (): ()| async move {
        let large = ctx.set("x", "x".repeat(300_000)).unwrap_err();
        let list = ctx.set_all([1, 2]).unwrap_err();
        let inside = ctx.run("a", |_| async { ctx.set("x", 1) }).await.unwrap_err();
        backstitch::Ok([large.name().to_owned(), list.name().to_owned(), inside.name().to_owned()])
    });
    let app = open_app().object(wide).function_fn("main", |ctx: Ctx, (): ()| async move {
        ctx.call(CART.handler::<(), ()>("add").key(""), ()).await
    });
    let mut run = TestRun::new(&app, "wide/write").key("k");
    assert_eq!(run.finish().await.ok::<[String; 3]>(), ["TooLarge", "InvalidStateError", "NestedStepError"]);
    assert_eq!(TestRun::new(&app, "main").finish().await.err().name(), "InvalidKeyError");
}

#[derive(Event, Serialize, Deserialize)]
#[event("order/cancelled")]
struct Cancelled {
    id: u64,
}

async fn tell(ctx: Ctx, failed: Failed<u64>) -> Result<String, Error> {
    let text = format!("{} {} failed: {}", failed.run.function, failed.input, failed.error);
    ctx.run("tell", |_| async { backstitch::Ok(text) }).await
}

#[backstitch::function(cancel_on(Cancelled, when = "async.data.id == event.data.id"), on_failure = tell)]
async fn order(_ctx: Ctx, id: u64) -> Result<u64, Error> {
    Ok(id)
}

async fn manifest(app: App) -> Value {
    let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
    serde_json::from_slice(send(&mut app.service(), request).await.body()).unwrap()
}

#[tokio::test]
async fn the_manifest_tells_of_objects_cancellations_and_failures() {
    let told = manifest(shop().function(order)).await;
    let functions: Vec<&Value> = told["functions"].as_array().unwrap().iter().collect();
    assert_eq!(
        functions.iter().map(|it| it["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["gift", "order", "order.onFailure"]
    );
    let cancel_on = json!([{"event": "order/cancelled", "if": "async.data.id == event.data.id"}]);
    assert_eq!(functions[1]["cancelOn"], cancel_on);
    assert_eq!(functions[2]["triggers"], json!([{"failureOf": "order"}]));
    let cart = &told["objects"][0];
    assert_eq!(cart["id"], "cart");
    let modes: Vec<(&str, &str)> = cart["handlers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["mode"].as_str().unwrap()))
        .collect();
    assert_eq!(modes, [("add", "exclusive"), ("checkout", "exclusive"), ("selfish", "exclusive"), ("show", "shared")]);
    assert_eq!(manifest(open_app()).await.get("objects"), None);
    let input = json!({"run": {"id": "run_1", "app": "shop", "function": "order", "name": null},
                       "error": {"name": "Broken", "message": "cut off"}, "input": 7});
    let mut run = TestRun::new(&shop().function(order), "order.onFailure").input(input);
    assert_eq!(run.finish().await.ok::<String>(), "order 7 failed: Broken: cut off");
}

#[tokio::test]
async fn an_app_with_a_bad_object_says_so() {
    let bad = [
        Object::new("cart"),
        Object::new("a/b").shared("show", show),
        Object::new("cart").shared("sh/ow", show),
        Object::new("cart").shared("show", show).shared("show", show),
        Object::new("cart").shared(FunctionOptions::new("show").on::<Cancelled>(), show),
    ];
    for object in bad {
        assert_eq!(manifest(open_app().object(object)).await["code"], "sdk");
    }
    let twice =
        open_app().object(Object::new("cart").shared("show", show)).object(Object::new("cart").shared("all", show));
    assert_eq!(manifest(twice).await["code"], "sdk");
}

/// A section is done to its end, retries and sleeps and all, before the run hears of its cancellation; so is what is beside.
#[tokio::test]
async fn a_shield_is_done_to_its_end() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        let part = ctx.shield("move", |ctx| async move {
            ctx.run("take", |step| async move {
                if step.attempt() < 3 { Err(Error::new("Busy", "not yet")) } else { Ok(step.attempt()) }
            })
            .await?;
            ctx.sleep("nap", 1.hours()).await?;
            ctx.shield("inner", |ctx| async move { ctx.run("give", |_| async { backstitch::Ok(2) }).await }).await
        });
        let beside = async {
            match ctx.signal::<()>("never").await {
                Err(error) => ctx.run("cleaned", |_| async { backstitch::Ok(error.name().to_owned()) }).await,
                Ok(()) => Ok(String::new()),
            }
        };
        let (given, beside) = try_join!(part, beside)?;
        let late = ctx.shield("late", |ctx| async move { ctx.run("x", |_| async { backstitch::Ok(4) }).await }).await?;
        let took = ctx.now().duration_since(ctx.started_at())?;
        backstitch::Ok((given, beside, late, took >= 1.hours()))
    });
    for mut run in both(&app, "main") {
        run.until_waiting().await;
        run.cancel();
        let end: (u32, String, u32, bool) = run.finish().await.ok();
        assert_eq!(end, (2, "CancelledError".to_owned(), 4, true));
        let mut ids = ids(&run);
        ids.sort();
        let all = ["$cancel", "cleaned", "late/x", "move/inner/give", "move/nap", "move/take", "never"];
        assert_eq!(ids, all);
    }
}
