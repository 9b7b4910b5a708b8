//! Attempts that a test lets fail, and crashes at every point.

use std::sync::{Arc, Mutex};

use backstitch::testing::{Crash, NotCrashSafe, Outcome, Recorded, TestRun, crash_everywhere};
use backstitch::{App, Ctx, DurationExt, Error, Function, Retry, Step};

#[derive(Default)]
struct Bank(Mutex<Vec<(Option<String>, u64)>>);

impl Bank {
    fn charge(&self, key: Option<String>, cents: u64) {
        let mut charges = self.0.lock().unwrap();
        if key.is_none() || !charges.iter().any(|(known, _)| *known == key) {
            charges.push((key, cents));
        }
    }
}

async fn order(ctx: Ctx, flaw: String) -> Result<usize, Error> {
    let bank = ctx.state::<Arc<Bank>>()?;
    if flaw == "outside" {
        bank.charge(None, 1);
    }
    let key = |step: &Step| (flaw != "keyless").then(|| step.idempotency_key());
    let charge = |step: Step| {
        bank.charge(key(&step), 999);
        async { backstitch::Ok(1) }
    };
    ctx.run("charge", charge).await?;
    ctx.sleep("cool-off", 1.hours()).await?;
    let parts = ctx.map(
        "parts",
        [1, 2, 3],
        |n| *n,
        |ctx, n| async move { ctx.run("pack", |_| async move { backstitch::Ok(n) }).await },
    );
    let packed = parts.concurrency(2).tolerate(1).await?;
    Ok(packed.iter().flatten().sum())
}

async fn tried(flaw: &'static str, crash: Crash) -> (TestRun, Outcome, usize) {
    let bank = Arc::new(Bank::default());
    let app = App::new("shop").state(Arc::clone(&bank)).function(Function::new("order", order));
    let mut run = TestRun::new(&app, "order").input(flaw).crashing(crash);
    let outcome = run.finish().await;
    let charges = bank.0.lock().unwrap().len();
    (run, outcome, charges)
}

#[tokio::test]
async fn a_sound_function_comes_to_the_same_everywhere() {
    let report = crash_everywhere(|crash| tried("none", crash)).await.unwrap();
    assert!(report.places.contains(&"checkpoint: lost report 1 (charge)".to_owned()), "{report:?}");
    assert!(report.places.iter().any(|place| place.contains("parts/2/pack")), "{report:?}");
    assert_eq!(report.runs, report.places.len() + 4);
}

#[tokio::test]
async fn what_is_done_twice_is_found_where_it_is() {
    let NotCrashSafe { findings } = crash_everywhere(|crash| tried("keyless", crash)).await.unwrap_err();
    let places: Vec<&str> = findings.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["respond: lost answer 1 (charge)", "checkpoint: lost report 1 (charge)"]);
    assert_eq!(findings[0].1, ["the effects: 1 undisturbed, 2 now"]);
    let outside = crash_everywhere(|crash| tried("outside", crash)).await.unwrap_err();
    assert!(outside.findings.len() > 6, "{outside}");
}

#[tokio::test]
async fn attempts_fail_as_often_as_a_test_wants() {
    let attempt = Function::new("f", |ctx: Ctx, (): ()| async move {
        ctx.run("charge", |step| async move { backstitch::Ok(step.attempt()) }).retry(Retry::attempts(4)).await
    });
    let app = App::new("shop").function(attempt);
    let busy = |_| Error::new("Busy", "later");
    let mut run = TestRun::new(&app, "f").failing("charge", [1, 2], busy);
    assert_eq!(run.finish().await.ok::<u32>(), 3);
    assert_eq!(run.executions("charge"), 3);
    let mut run = TestRun::new(&app, "f").failing("charge", [1, 2, 3, 4], busy);
    assert_eq!(run.finish().await.err().name(), "Busy");
    let mut run = TestRun::new(&app, "f").failing("charge", [2], busy).checkpoints();
    assert_eq!(run.finish().await.ok::<u32>(), 1);
    assert_eq!(run.entry("charge").unwrap().outcome, Some(Recorded::Ok(1.into())));
}
