//! Invoices over whole runs, in process.
#![cfg(test)]

use backstitch::testing::TestRun;
use example_aws_lambda::{Invoiced, Paid, app};

fn run() -> TestRun {
    TestRun::new(&app(), "invoice").triggered_by(Invoiced {
        id: "17".to_owned(),
        cents: 4_900,
        to: "ann@example.com".to_owned(),
    })
}

#[tokio::test]
async fn nobody_pays_for_three_weeks() {
    let mut run = run();
    let begun = run.now();
    assert_eq!(run.finish().await.ok::<String>(), "overdue");
    assert_eq!(run.now().duration_since(begun).unwrap().as_secs(), 21 * 24 * 3600);
}

#[tokio::test]
async fn a_payment_ends_it() {
    let mut run = run();
    assert_eq!(run.until_waiting().await, ["payment after invoice"]);
    run.event(Paid { id: "18".to_owned() });
    run.event(Paid { id: "17".to_owned() });
    assert_eq!(run.finish().await.ok::<String>(), "paid");
    assert!(run.entry("reminder").is_none());
}
