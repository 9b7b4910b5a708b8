//! `dev --chaos` with a real app in a process of its own: a sound one passes, and each planted flaw is found where it is.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use backstitch_server::config::settings;
use serde_json::Value;
use tokio::process::Command;

/// How long one search may take on a machine that does other things, too; it starts an app some twenty times.
const PATIENCE: Duration = Duration::from_secs(900);

struct Found {
    code: i32,
    out: String,
    err: String,
}

async fn chaos(dir: &Path, flaw: &str, more: &[&str]) -> Found {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/e2e/chaos.app.mjs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    settings::all().for_each(|setting| {
        command.env_remove(setting.variable());
    });
    command
        .current_dir(dir)
        .args([
            "dev",
            "--no-discovery",
            "--app",
            &format!("http://127.0.0.1:{port}"),
            "--chaos",
            "shop/order",
            "--seed",
            "7",
        ])
        .args(["--input", r#"{"cents": 999}"#, "--signal", r#"approve={"by": "ann"}"#])
        .args(more)
        .args(["--", "node", app])
        .env("PORT", port.to_string())
        .env("FLAW", flaw)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("the binary can be run");
    Found {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The report for programs, when the app has this flaw.
async fn report(flaw: &str, code: i32) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let found = chaos(dir.path(), flaw, &["--json"]).await;
    assert_eq!(found.code, code, "{}\n{}", found.out, found.err);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it leaves nothing behind");
    serde_json::from_str(&found.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", found.out, found.err))
}

/// The places of a report whose differences have this word, without duplicates of one kind.
fn places(report: &Value, word: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let has = |finding: &&Value| finding["differs"].to_string().contains(word);
    findings.iter().filter(has).map(|finding| finding["place"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_sound_app_passes() {
    let report = report("none", 0).await;
    assert_eq!(report["crashSafe"], true, "{report:#}");
    let mut operations: Vec<&str> = report["operations"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // The last two are done side by side.
    operations[4..].sort_unstable();
    assert_eq!(operations, ["charge", "cool-off", "pack", "approval", "mail", "text"]);
    assert_eq!(report["effects"], serde_json::json!({"charge": 1, "mail": 1}));
    assert_eq!(report["runs"].as_u64().unwrap(), report["calls"].as_u64().unwrap() * 4 + 2, "each call in four ways");
}

#[tokio::test]
async fn an_effect_without_a_key_is_doubled() {
    let report = report("keyless", 1).await;
    let places = places(&report, "`charge` is doubled: it was done 2 times, undisturbed 1");
    for place in ["after charge", "twice charge", "late charge"] {
        assert!(places.contains(&place.to_owned()), "{place}: {report:#}");
    }
    assert!(places.iter().all(|place| place.ends_with("charge")), "{report:#}");
    assert_eq!(report["findings"].as_array().unwrap().len(), places.len(), "{report:#}");
}

#[tokio::test]
async fn an_effect_outside_of_steps_is_doubled_everywhere() {
    let report = report("outside", 1).await;
    let calls = report["calls"].as_u64().unwrap() as usize;
    assert!(places(&report, "`welcome` is doubled").len() >= calls * 3, "{report:#}");
}

#[tokio::test]
async fn what_only_memory_knows_is_lost_with_the_process() {
    let report = report("memory", 1).await;
    assert!(places(&report, "the result is").iter().any(|place| place.starts_with("after ")), "{report:#}");
}

#[tokio::test]
async fn chance_in_the_flow_is_found_and_the_place_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let found = chaos(dir.path(), "chance", &[]).await;
    assert_eq!(found.code, 1, "{}\n{}", found.out, found.err);
    let said = |word: &str| found.out.contains(word);
    assert!(
        said("the same journal led to")
            || said("is in the journal of one run and not of the other")
            || said("`pack` is"),
        "{}",
        found.out
    );
    assert!(
        said("again: backstitch dev --chaos shop/order --seed 7 --at '") && said("not crash-safe at"),
        "{}",
        found.out
    );
    let again = chaos(dir.path(), "keyless", &["--at", "after charge", "--json"]).await;
    let report: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((again.code, report["runs"].as_u64()), (1, Some(3)), "{report:#}");
}

#[tokio::test]
async fn what_cannot_be_tried_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = chaos(dir.path(), "none", &["--at", "after lunch"]).await;
    assert_eq!(nowhere.code, 2, "{}", nowhere.err);
    assert!(
        nowhere.err.contains("there is no such place") && nowhere.err.contains("\"after charge\""),
        "{}",
        nowhere.err
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstitch"));
    command.current_dir(dir.path()).args(["dev", "--chaos", "shop", "--", "true"]).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name the function as APP/FUNCTION"));
}
