//! The agent over whole runs, in process, with the stand-in for a model behind real HTTP.
#![cfg(test)]

use backstitch::testing::TestRun;
use example_research_agent::{Llm, Report, app, model};

async fn run() -> TestRun {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, model::router()).await });
    TestRun::new(&app(Llm::new(url, None, "stand-in")), "research").input("Why do seams hold?")
}

/// Runs on until the agent asks, letting it recover from what the model and the archive throw at it.
async fn until_it_asks(run: &mut TestRun) {
    while run.entry("turn-3/approve").is_none() {
        run.until_waiting().await;
        run.skip(std::time::Duration::from_millis(100));
    }
}

#[tokio::test]
async fn approved_it_buys_and_reports() {
    let mut run = run().await;
    until_it_asks(&mut run).await;
    run.signal("approve", "ann");
    let Report { report, notes } = run.finish().await.ok();
    assert_eq!(notes.iter().map(|note| note.tool.as_str()).collect::<Vec<_>>(), ["search", "read", "buy"]);
    assert!(report.contains("opens one stitch at most") && report.contains("turn-3/tool"), "{report}");
    // The archive opens at the second attempt, and every third request to the model fails.
    assert_eq!(run.executions("turn-2/tool"), 2);
    assert_eq!(run.executions("plan"), 2);
}

#[tokio::test]
async fn rejected_it_does_without() {
    let mut run = run().await.crash_after("turn-1/think");
    until_it_asks(&mut run).await;
    run.signal("reject", "too dear");
    let Report { notes, .. } = run.finish().await.ok();
    assert_eq!(notes[2].found, "not allowed: too dear");
    assert_eq!(run.executions("turn-3/tool"), 0);
}

#[tokio::test]
async fn silence_is_a_no() {
    let Report { notes, .. } = run().await.finish().await.ok();
    assert_eq!(notes[2].found, "not allowed: nobody answered for a day");
}
