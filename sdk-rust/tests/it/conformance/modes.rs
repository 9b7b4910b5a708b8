//! Runs every program of the corpus to its end, against the test kit's server, in both modes: each step an invocation, and
//! as few invocations as possible. Whoever looks at a run's result must not be able to tell which it was.

use std::time::Duration;

use backstitch::testing::{Outcome, TestRun};
use backstitch::{App, Error, Outgoing};
use serde_json::Value;

use super::interpreter::{self, Seen};
use super::values::text;
use super::{cases, read};

/// More rounds than this mean that a program waits for what never comes.
const ROUNDS_MAX: usize = 50;

struct End {
    outcome: String,
    journal: Vec<String>,
    begun: Vec<String>,
    invocations: u32,
}

// The clock is paused: slow bodies take no time.
#[tokio::test(start_paused = true)]
async fn both_modes_come_to_the_same_end() {
    let (mut fewer, mut completed) = (0, 0);
    for path in cases() {
        let case = read(&path);
        // A program that goes on in a new run has no end.
        if case["program"].to_string().contains("continueAsNew") {
            continue;
        }
        for input in [Value::Null, Value::Bool(true)] {
            let respond = end(&case, &input, false).await;
            let checkpoints = end(&case, &input, true).await;
            let name = &case["name"];
            assert_eq!(respond.outcome, checkpoints.outcome, "{name}");
            // Losers of races begin or not, as time has it; everything else is the same.
            if !case["program"].to_string().contains("\"race\"") {
                assert_eq!(respond.journal, checkpoints.journal, "the journals of {name}");
                assert_eq!(respond.begun, checkpoints.begun, "the bodies of {name}");
            }
            assert!(checkpoints.invocations <= respond.invocations, "{name} takes more invocations with checkpoints");
            fewer += usize::from(checkpoints.invocations < respond.invocations);
            completed += usize::from(respond.outcome.starts_with("Completed"));
        }
    }
    assert!(fewer > 40 && completed > 60, "{fewer} programs took fewer invocations, {completed} completed");
}

async fn end(case: &Value, input: &Value, checkpoints: bool) -> End {
    let seen = Seen::default();
    let app = interpreter::define(App::new("conformance"), case, &seen);
    let mut run = match case.get("object") {
        Some(object) => TestRun::new(&app, &format!("{}/{}", text(&object["id"]), text(&object["handler"]))).key("k"),
        None => TestRun::new(&app, "main"),
    }
    .input(input);
    if checkpoints {
        run = run.checkpoints();
    }
    let outcome = tokio::time::timeout(Duration::from_secs(30), play(&mut run)).await;
    let mut journal: Vec<String> =
        run.journal().iter().map(|record| format!("{} {} {:?}", record.id, record.op, record.outcome)).collect();
    let mut begun = seen.lock().unwrap().begun.clone();
    // In which order branches come to their ends is theirs; what they come to is not.
    journal.sort();
    begun.sort();
    End { outcome: format!("{:?}", outcome.unwrap()), journal, begun, invocations: run.invocations() }
}

/// Gives the program what it waits for until it ends.
async fn play(run: &mut TestRun) -> Outcome {
    for _ in 0..ROUNDS_MAX {
        let waiting = run.until_waiting().await;
        let mut given = false;
        for record in run.journal() {
            if !waiting.contains(&record.id) {
                continue;
            }
            if let (Some(update), Some(_)) = (record.params.get("signal"), record.params.get("update")) {
                run.update(text(update), 5);
                given = true;
            } else if let Some(signal) = record.params.get("signal").and_then(Value::as_str) {
                run.signal(signal, "given");
                given = true;
            } else if let Some(event) = record.params.get("event").and_then(Value::as_str) {
                given |= run.event(Outgoing::new(event, "given"));
            }
        }
        if !given {
            return run.finish().await;
        }
    }
    Outcome::Failed(Error::terminal("Endless", "the program waits on"))
}
