//! The durable primitives with real handlers: scripts for Node's test runner, since what they try out is the TypeScript SDK on both sides,
//! as handler and as client. Each has a server and a handler of its own, and kills them. See `primitives/world.mjs`.

use std::time::Duration;

use tokio::process::Command;

/// How long one script may take on a machine that does other things, too; they take some 10 s.
const PATIENCE: Duration = Duration::from_secs(300);

async fn check(script: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/e2e/primitives");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", script])
        .current_dir(folder)
        .env("BACKSTITCH_BIN", env!("CARGO_BIN_EXE_backstitch"))
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, node.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{script} has not ended")).expect("node can be run");
    let (said, refused) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{refused}");
    assert!(!said.contains("tests 0"), "no test ran: {said}");
}

#[tokio::test]
async fn sagas() {
    check("saga.test.mjs").await;
}

#[tokio::test]
async fn updates_and_status() {
    check("updates.test.mjs").await;
}

#[tokio::test]
async fn forks() {
    check("forks.test.mjs").await;
}

#[tokio::test]
async fn jobs() {
    check("jobs.test.mjs").await;
}

#[tokio::test]
async fn times() {
    check("times.test.mjs").await;
}

#[tokio::test]
async fn control() {
    check("control.test.mjs").await;
}

#[tokio::test]
async fn children() {
    check("children.test.mjs").await;
}

#[tokio::test]
async fn fetches() {
    check("fetches.test.mjs").await;
}

#[tokio::test]
async fn versions() {
    check("versions.test.mjs").await;
}
