//! The demo of `make demo`, run as it is: it checks its own claims, and its exit code is what they come to.
#![expect(clippy::disallowed_methods, reason = "a real program is given real time to do its work")]

use std::time::{Duration, Instant};

use tokio::process::Command;

use super::world::repository;

/// How long the demo may take on a machine that does other things, too; about half of it is back-off and sleep.
const DEMO_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn holds_its_claims() {
    let mut demo = Command::new("node");
    demo.arg(repository().join("examples/demo/demo.mjs")).env("BACKSTITCH_BIN", env!("CARGO_BIN_EXE_backstitch"));
    let begun = Instant::now();
    let output = demo.kill_on_drop(true).output().await.unwrap();
    let (printed, refused) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{refused}");
    assert!(printed.contains("All claims hold."), "{printed}");
    assert!(!printed.contains('\u{1b}'), "no colour where nobody looks");
    assert!(begun.elapsed() < DEMO_MAX);
}
