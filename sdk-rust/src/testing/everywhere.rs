//! Crashes at every point: runs a function again and again, each time with one answer or report that is lost, and compares what
//! came of it with what comes of it undisturbed. What differs is not safe.
//!
//! It cannot know what two undisturbed runs do not have in common, such as the time in a result: that is left out of the
//! comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;

use serde::Serialize;

use crate::testing::{Outcome, TestRun};

/// Places of one run that are tried.
const PLACES_MAX: usize = 1_000;

/// Findings that are shown.
const SHOWN_MAX: usize = 10;

/// How a run is disturbed: give it to [`TestRun::crashing`].
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub(super) at: Option<usize>,
    pub(super) checkpoints: bool,
}

/// What was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashReport {
    /// How many runs there were.
    pub runs: usize,
    /// What was lost, each in a run of its own.
    pub places: Vec<String>,
}

/// A function comes to something else when its process dies.
#[derive(Clone, PartialEq, Eq)]
pub struct NotCrashSafe {
    /// Where, and what differs there, a line each.
    pub findings: Vec<(String, Vec<String>)>,
}

impl fmt::Display for NotCrashSafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function is not crash-safe at {} places:", self.findings.len())?;
        for (place, differs) in self.findings.iter().take(SHOWN_MAX) {
            write!(f, "\n{place}")?;
            differs.iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        if self.findings.len() > SHOWN_MAX { f.write_str("\n…") } else { Ok(()) }
    }
}

impl fmt::Debug for NotCrashSafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NotCrashSafe {}

/// Runs a function once for each answer and each report that can be lost. `once` makes a run anew each time, together with all
/// that it touches, takes it to its end, and gives it back with its outcome and with what it did to the world, by its fakes.
///
/// ```
/// use backstitch::prelude::*;
/// use backstitch::testing::{TestRun, crash_everywhere};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Bank(Mutex<std::collections::BTreeMap<String, u64>>);
///
/// async fn order(ctx: Ctx, cents: u64) -> Result<u64, Error> {
///     let bank = ctx.state::<Arc<Bank>>()?;
///     let charge = |step: Step| async move {
///         bank.0.lock().unwrap().insert(step.idempotency_key(), cents);
///         backstitch::Ok(cents)
///     };
///     ctx.run("charge", charge).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let report = crash_everywhere(|crash| async move {
///     let bank = Arc::new(Bank::default());
///     let app = App::new("shop").state(Arc::clone(&bank)).function(Function::new("order", order));
///     let mut run = TestRun::new(&app, "order").input(999).crashing(crash);
///     let outcome = run.finish().await;
///     let charges = bank.0.lock().unwrap().len();
///     (run, outcome, charges)
/// })
/// .await
/// .unwrap();
/// assert!(report.places.contains(&"respond: lost answer 1 (charge)".to_owned()));
/// # }
/// ```
///
/// # Errors
/// Where the outcome, the journal or the effects are not what they are undisturbed.
pub async fn crash_everywhere<F, Fut, E>(once: F) -> Result<CrashReport, NotCrashSafe>
where
    F: Fn(Crash) -> Fut,
    Fut: Future<Output = (TestRun, Outcome, E)>,
    E: Serialize,
{
    let (mut runs, mut places, mut findings) = (0, Vec::new(), Vec::new());
    for checkpoints in [false, true] {
        let mode = if checkpoints { "checkpoint" } else { "respond" };
        let calm = Crash { at: None, checkpoints };
        let (first, again) = (once(calm).await, once(calm).await);
        let told = first.0.told();
        let (first, again) = (account(&first), account(&again));
        let unsteady: BTreeSet<String> = differences(&first, &again).into_iter().map(|(what, _)| what).collect();
        let odd = unsteady.iter().filter(|what| first.contains_key(*what) != again.contains_key(*what));
        let odd: Vec<String> = odd.map(|what| format!("{what} is in one run and not in the other")).collect();
        if !odd.is_empty() {
            findings.push((format!("{mode}: undisturbed, twice"), odd));
        }
        runs += 2;
        for (at, told) in told.iter().enumerate().take(PLACES_MAX) {
            let what = if told.is_empty() { "the end".to_owned() } else { told.join(", ") };
            let place = format!("{mode}: lost {} {} ({what})", if checkpoints { "report" } else { "answer" }, at + 1);
            let came = account(&once(Crash { at: Some(at), checkpoints }).await);
            let differs = differences(&first, &came).into_iter().filter(|(what, _)| !unsteady.contains(what));
            let differs: Vec<String> = differs.map(|(what, how)| format!("{what}: {how}")).collect();
            if !differs.is_empty() {
                findings.push((place.clone(), differs));
            }
            runs += 1;
            places.push(place);
        }
    }
    if findings.is_empty() { Ok(CrashReport { runs, places }) } else { Err(NotCrashSafe { findings }) }
}

type Account = BTreeMap<String, String>;

/// What a run came to, by what it is about.
fn account<E: Serialize>((run, outcome, effects): &(TestRun, Outcome, E)) -> Account {
    let effects = serde_json::to_string(effects).unwrap_or_else(|error| error.to_string());
    let sent = serde_json::json!({ "sent": run.sent(), "started": run.started(), "state": run.state() });
    let outcome = match outcome {
        Outcome::Failed(error) => format!("failed with {}: {}", error.name(), error.message()),
        other => format!("{other:?}"),
    };
    let own = [("the outcome", outcome), ("the effects", effects), ("what it sent and started", sent.to_string())];
    let own = own.into_iter().map(|(what, value)| (what.to_owned(), value));
    let entry = |entry: crate::testing::Record| {
        (format!("the entry `{}`", entry.id), format!("{} {} {:?}", entry.op, entry.params, entry.outcome))
    };
    own.chain(run.journal().into_iter().map(entry)).collect()
}

fn differences(was: &Account, is: &Account) -> Vec<(String, String)> {
    let all: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let shown = |account: &Account, what: &String| account.get(what).cloned().unwrap_or_else(|| "nothing".to_owned());
    let differing = all.into_iter().filter(|what| was.get(*what) != is.get(*what));
    differing.map(|what| (what.clone(), format!("{} undisturbed, {} now", shown(was, what), shown(is, what)))).collect()
}
