//! Publishing: each message once, and of a step what its successful attempt has said, whatever dies on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backstitch::prelude::*;
use backstitch::testing::TestRun;
use futures_util::stream;
use serde_json::{Value, json};

async fn answer(ctx: Ctx, (): ()) -> Result<String, Error> {
    ctx.publish("stage", "thinking")?;
    let body = |step: Step| async move {
        step.publish("attempt", step.attempt())?;
        let text = if step.attempt() == 1 { vec!["wrong ", "way"] } else { vec!["the ", "quick ", "fox"] };
        let tokens = step.pipe("tokens", stream::iter(text.into_iter().map(backstitch::Ok))).await?;
        match step.attempt() {
            1 => Err(Error::new("Broken", "cut off")),
            _ => backstitch::Ok(tokens.concat()),
        }
    };
    let text = ctx.run("llm", body).await?;
    ctx.publish_on("news", "stage", "done")?;
    ctx.scope("after").publish("stage", "scoped")?;
    Ok(text)
}

fn run() -> TestRun {
    TestRun::new(&App::new("shop").function_fn("answer", answer), "answer")
}

fn heard(run: &TestRun, topic: &str) -> Vec<Value> {
    run.messages().into_iter().filter(|message| message.topic == topic).map(|message| message.data).collect()
}

async fn check(mut run: TestRun) {
    assert_eq!(run.finish().await.ok::<String>(), "the quick fox");
    assert_eq!(heard(&run, "tokens"), [json!("the "), json!("quick "), json!("fox")]);
    assert_eq!(heard(&run, "attempt"), [json!(2)]);
    assert_eq!(heard(&run, "stage"), [json!("thinking"), json!("done"), json!("scoped")]);
    let done = run.messages().into_iter().find(|message| message.data == "done").unwrap();
    assert_eq!((done.channel.as_deref(), done.step), (Some("news"), None));
    let token = run.messages().into_iter().find(|message| message.topic == "tokens").unwrap();
    assert_eq!(token.step, Some(("llm".to_owned(), 2)));
}

#[tokio::test]
async fn what_is_heard_in_the_end_is_what_the_successful_attempt_said() {
    check(run()).await;
    check(run().checkpoints()).await;
}

#[tokio::test]
async fn so_it_is_when_the_process_dies_after_the_step() {
    check(run().crash_after("llm")).await;
    check(run().checkpoints().crash_after("llm")).await;
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_at_the_call() {
    async fn bad(ctx: Ctx, (): ()) -> Result<Vec<String>, Error> {
        let long = "t".repeat(257);
        let mut refused = Vec::new();
        for topic in ["", "$t", "t\n", &long] {
            refused.push(ctx.publish(topic, 1).unwrap_err().name().to_owned());
        }
        refused.push(ctx.publish_on("$c", "t", 1).unwrap_err().name().to_owned());
        refused.push(ctx.publish("t", "x".repeat(70_000)).unwrap_err().name().to_owned());
        let inner = ctx.clone();
        let nested = ctx.run("s", |_| async move { inner.publish("t", 1) }).retry(Retry::attempts(1)).await;
        refused.push(nested.unwrap_err().name().to_owned());
        Ok(refused)
    }
    let mut run = TestRun::new(&App::new("shop").function_fn("bad", bad), "bad");
    let refused = run.finish().await.ok::<Vec<String>>();
    assert_eq!(refused[..5], ["MisuseError"; 5]);
    assert_eq!(refused[6], "NestedStepError");
    assert_eq!(run.messages(), []);
}

#[tokio::test]
async fn the_loser_of_a_race_is_not_heard() {
    async fn race(ctx: Ctx, seen: Arc<AtomicBool>) -> Result<&'static str, Error> {
        let slow = ctx.run("slow", |step| async move {
            step.publish("tokens", "never")?;
            seen.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
            backstitch::Ok(())
        });
        let fast = ctx.run("fast", |step| async move { step.publish("tokens", "heard") });
        tokio::select! {
            _ = slow => Ok("slow"),
            done = fast => done.map(|()| "fast"),
        }
    }
    let seen = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&seen);
    let app = App::new("shop").function_fn("race", move |ctx, (): ()| race(ctx, Arc::clone(&own)));
    let mut run = TestRun::new(&app, "race").checkpoints();
    assert_eq!(run.finish().await.ok::<String>(), "fast");
    assert_eq!((heard(&run, "tokens"), seen.load(Ordering::Relaxed)), (vec![json!("heard")], true));
}
