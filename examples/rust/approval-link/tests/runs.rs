//! Expenses over whole runs, in process.
#![cfg(test)]

use backstitch::testing::{Recorded, TestRun};
use example_approval_link::{Decision, Expense, app};

fn run() -> TestRun {
    let input = Expense { what: "a lamp".to_owned(), cents: 4_900, link_base: "http://localhost:3000".to_owned() };
    TestRun::new(&app(), "expense").input(input)
}

#[tokio::test]
async fn nobody_answers_for_a_week() {
    let mut run = run();
    assert_eq!(run.until_waiting().await, ["decision"]);
    let begun = run.now();
    assert_eq!(run.finish().await.ok::<String>(), "expired");
    assert_eq!(run.now().duration_since(begun).unwrap().as_secs(), 7 * 24 * 3600);
}

#[tokio::test]
async fn a_token_settles_once() {
    for (approved, status) in [(true, "approved"), (false, "declined")] {
        let mut run = run();
        run.until_waiting().await;
        let Some(Recorded::Ok(mail)) = run.entry("ask").and_then(|ask| ask.outcome) else { panic!("no mail was sent") };
        let token = mail.as_str().unwrap().rsplit('=').next().unwrap().to_owned();
        assert!(run.resolve(&token, Decision { approved }));
        assert!(!run.resolve(&token, Decision { approved: !approved }));
        assert_eq!(run.finish().await.ok::<String>(), status);
        assert_eq!(run.entry("tell").unwrap().outcome, Some(Recorded::Ok(status.into())));
    }
}
