//! The test kit: that it keeps the server's rules as far as one run sees them.

use backstitch::FetchResponse;
use backstitch::prelude::*;
use backstitch::testing::{Outcome, Recorded, TestRun};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Event, Serialize, Deserialize, Clone)]
#[event("order/created")]
struct OrderCreated {
    id: String,
    cents: u64,
}

#[derive(Event, Serialize, Deserialize)]
#[event("order/paid")]
struct OrderPaid {
    id: String,
}

/// Charges, waits for the payment, ships; refunds when the shipping fails for good.
#[backstitch::function(on = OrderCreated, retry(attempts = 2))]
async fn order(ctx: Ctx, order: OrderCreated) -> Result<String, Error> {
    let charge: String = ctx.run("charge", |step| charge(order.cents, step.idempotency_key())).await?;
    let paid = ctx.event::<OrderPaid>("paid").when("async.data.id == event.data.id").timeout(1.days()).await?;
    if paid.is_none() {
        return Err(Error::terminal("Unpaid", "nobody paid within a day"));
    }
    if let Err(error) = ctx.run("ship", |_| ship(&order.id)).retry(Retry::attempts(3)).await {
        ctx.run("refund", |_| async { backstitch::Ok(()) }).await?;
        return Err(error);
    }
    ctx.send("notify", OrderPaid { id: order.id.clone() }).await?;
    Ok(charge)
}

async fn charge(cents: u64, key: String) -> Result<String, std::io::Error> {
    Ok(format!("{cents}:{key}"))
}

async fn ship(id: &str) -> Result<(), Error> {
    if id == "bad" { Err(Error::new("Broken", "the truck is")) } else { Ok(()) }
}

#[backstitch::function]
async fn parent(ctx: Ctx) -> Result<u64, Error> {
    ctx.start(audit, "why".to_owned()).await?;
    let doubled = ctx.call(double, 21).await?;
    let far = ctx.call_as("far", &FunctionRef::<u64, u64>::new("billing/charge"), 1).timeout(1.hours()).await?;
    Ok(doubled + far)
}

#[backstitch::function]
async fn double(_ctx: Ctx, n: u64) -> Result<u64, Error> {
    Ok(n * 2)
}

#[backstitch::function]
async fn audit(_ctx: Ctx, _why: String) -> Result<(), Error> {
    Ok(())
}

fn shop() -> App {
    App::new("shop").function(order).function(parent).function(double).function(audit)
}

fn created(id: &str) -> OrderCreated {
    OrderCreated { id: id.to_owned(), cents: 400 }
}

#[tokio::test]
async fn a_run_from_event_to_end() {
    let mut run = TestRun::new(&shop(), "order").triggered_by(created("1"));
    assert_eq!(run.until_waiting().await, ["paid"]);
    assert!(run.event(OrderPaid { id: "1".to_owned() }));
    let charge: String = run.finish().await.ok();
    assert!(charge.starts_with("400:run_") && charge.ends_with("/charge"), "{charge}");
    assert_eq!(run.sent(), [("order/paid".to_owned(), json!({"id": "1"}))]);
    let ids: Vec<String> = run.journal().into_iter().map(|record| record.id).collect();
    assert_eq!(ids, ["charge", "paid", "ship", "notify"]);
}

#[tokio::test]
async fn time_passes_where_nothing_else_can_happen() {
    let mut run = TestRun::new(&shop(), "order").triggered_by(created("1"));
    let begun = run.now();
    assert_eq!(run.finish().await.err().name(), "Unpaid");
    assert_eq!(run.now().duration_since(begun).unwrap(), 1.days());
    assert_eq!(run.entry("paid").unwrap().outcome, Some(Recorded::TimedOut));
}

#[tokio::test]
async fn retries_end_and_compensation_runs() {
    let mut run = TestRun::new(&shop(), "order").triggered_by(created("bad"));
    run.until_waiting().await;
    run.event(OrderPaid { id: "bad".to_owned() });
    let error = run.finish().await.err();
    assert_eq!((error.name(), error.is_retryable()), ("Broken", false));
    assert_eq!(run.executions("ship"), 3);
    assert_eq!(run.executions("refund"), 1);
}

#[tokio::test]
async fn a_crash_runs_the_step_again_and_nothing_else() {
    let mut run = TestRun::new(&shop(), "order").triggered_by(created("1")).crash_after("ship");
    run.until_waiting().await;
    run.event(OrderPaid { id: "1".to_owned() });
    run.finish().await.ok::<String>();
    assert_eq!((run.executions("charge"), run.executions("ship")), (1, 2));
}

#[tokio::test]
async fn outcomes_can_be_injected() {
    let declined = Error::terminal("CardDeclined", "no funds").with_code("51");
    let mut run = TestRun::new(&shop(), "order").triggered_by(created("1")).step::<()>("charge", Err(declined));
    let error = run.finish().await.err();
    assert_eq!((error.name(), error.code()), ("CardDeclined", Some("51")));
}

#[tokio::test]
async fn children_run_or_are_given() {
    let mut run = TestRun::new(&shop(), "parent").child("far", Ok(100_u64));
    assert_eq!(run.finish().await.ok::<u64>(), 142);
    assert_eq!(run.started(), [("audit".to_owned(), json!("why"))]);

    let failing = Error::terminal("Broken", "no");
    let mut run = TestRun::new(&shop(), "parent").child::<u64>("far", Err(failing));
    let error = run.finish().await.err();
    assert_eq!(error.name(), "ChildFailed");

    // Nobody answers for the other app: the child's time-out passes.
    let mut run = TestRun::new(&shop(), "parent");
    assert_eq!(run.finish().await.err().name(), "Timeout");
}

#[tokio::test]
async fn cancellation_lets_the_handler_put_things_right() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        match ctx.signal::<()>("never").await {
            Err(error) if error.is_cancelled() => {
                ctx.run("undo", |_| async { backstitch::Ok(()) }).await?;
                Err(error)
            }
            other => other,
        }
    });
    let mut run = TestRun::new(&app, "main");
    assert!(matches!(run.finish().await, Outcome::Blocked(open) if open == ["never"]));
    run.cancel();
    assert_eq!(run.finish().await.err().name(), "CancelledError");
    assert_eq!(run.executions("undo"), 1);
}

#[tokio::test]
async fn awakeables_are_settled_by_their_token() {
    let app = App::new("shop").function_fn("main", |ctx: Ctx, (): ()| async move {
        let mut form = ctx.awakeable::<u32>("form").timeout(7.days());
        let token = form.token()?;
        ctx.send("mail", Outgoing::new("mail", &token)).await?;
        form.await
    });
    let mut run = TestRun::new(&app, "main");
    assert_eq!(run.until_waiting().await, ["form"]);
    let token = run.sent()[0].1.as_str().unwrap().to_owned();
    assert!(!run.resolve("awk_nothing", 1));
    assert!(run.resolve(&token, 7));
    assert_eq!(run.finish().await.ok::<Option<u32>>(), Some(7));
}

#[backstitch::function(retry(attempts = 1))]
async fn ask(ctx: Ctx, url: String) -> Result<(u16, String), Error> {
    let call = ctx.fetch("model", url).header("authorization", "Bearer k").json(&json!({ "n": 1 }));
    let answer = call.retry(Retry::attempts(3)).schedule_to_close(1.hours()).await?;
    Ok((answer.status, answer.text()))
}

#[tokio::test]
async fn a_test_says_what_calls_are_answered() {
    let app = App::new("research").function(ask);
    let url = "https://models.example/v1";
    let mut run = TestRun::new(&app, "ask").input(url).fetch("model", |attempt| match attempt {
        1 => Ok(FetchResponse::new(503, "busy").with_header("Retry-After", "600")),
        2 => Err(Error::new("Refused", "connection refused")),
        _ => Ok(FetchResponse::new(200, "hi")),
    });
    let began = run.now();
    assert_eq!(run.finish().await.ok::<(u16, String)>(), (200, "hi".to_owned()));
    assert_eq!(run.now().duration_since(began).unwrap(), std::time::Duration::from_secs(602));
    let asked = run.entry("model").unwrap();
    let headers = json!({ "authorization": "Bearer k", "content-type": "application/json" });
    let request = json!({ "url": url, "method": "POST", "headers": headers, "body": r#"{"n":1}"# });
    assert_eq!((&*asked.op, &asked.params["request"]), ("fetch", &request));

    let mut busy = TestRun::new(&app, "ask").input(url).fetch("model", |_| Ok(FetchResponse::new(503, "busy")));
    assert_eq!(busy.finish().await.ok::<(u16, String)>(), (503, "busy".to_owned()), "the last answer is the answer");
    let mut dead = TestRun::new(&app, "ask").input(url).fetch("model", |_| Err(Error::new("Refused", "refused")));
    assert_eq!(dead.finish().await.err().name(), "FetchFailed");
    let mut open = TestRun::new(&app, "ask").input(url);
    assert!(matches!(open.finish().await, Outcome::Blocked(ids) if ids == ["model"]));
}

#[test]
fn an_answer_is_read_as_what_it_is() {
    let answer = FetchResponse::new(200, r#"{"a":1}"#);
    assert!(answer.is_success() && !answer.is_base64());
    assert_eq!(answer.json::<serde_json::Value>().unwrap(), json!({ "a": 1 }));
    let error = FetchResponse::new(502, "<html>").json::<serde_json::Value>().unwrap_err();
    assert!(error.name() == "NotJsonError" && !error.is_retryable(), "{error:?}");
    let bytes: FetchResponse =
        serde_json::from_value(json!({ "status": 200, "headers": {}, "body": "AP8B", "encoding": "base64" })).unwrap();
    assert!(bytes.is_base64() && bytes.bytes() == [0, 255, 1]);
}
