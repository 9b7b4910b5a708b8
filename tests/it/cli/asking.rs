//! Commands against a server with an app: what they print, and their ways out.

use serde_json::{Value, json};

use super::world::{Following, World, run, shop};

/// A server on which the app is registered.
async fn world() -> (World, crate::support::peer::Peer) {
    let (world, app) = (World::new().await, shop().await);
    world.run(&["apps", "add", &app.url()]).await.expect(0, &["shop", "shop/order"]);
    (world, app)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn apps_come_and_go() {
    let (world, app) = world().await;
    world.run(&["apps"]).await.expect(0, &["shop", "echo, fail, wait, order", "in step"]);
    let listed = lines(&world.run(&["apps", "list", "--json"]).await.expect(0, &[]).out);
    assert_eq!((listed.len(), listed[0]["url"].as_str()), (1, Some(&*app.url())));
    world.run(&["apps", "sync"]).await.expect(0, &["shop"]);
    world.run(&["apps", "sync", "nobody"]).await.expect(4, &["nobody"]);
    world.run(&["apps", "add", "http://127.0.0.1:9/"]).await.expect(4, &["failed to reach the app"]);
    world.run(&["apps", "add", &app.url(), "--name", "other"]).await.expect(4, &["calls itself `shop`"]);
    world.run(&["apps", "add", &app.url(), "--header", "nonsense"]).await.expect(2, &["NAME=VALUE"]);
    world.run(&["doctor"]).await.expect(0, &["✓ server", "✓ app", "shop at"]);
    world.run(&["apps", "remove", "shop"]).await.expect(0, &["shop is forgotten"]);
    world.run(&["apps"]).await.expect(0, &["no apps yet"]);
    world.run(&["apps", "remove", "shop"]).await.expect(4, &["shop"]);
}

#[tokio::test]
async fn calls_print_the_value_and_exit_by_the_outcome() {
    let (world, _app) = world().await;
    let ended = world.run(&["call", "shop/echo", "{\"a\": [1,  2]}"]).await.expect(0, &["is completed"]);
    assert_eq!(ended.out, "{\"a\":[1,2]}\n");
    assert_eq!(world.run(&["call", "echo", "7"]).await.expect(0, &[]).out, "7\n");
    let failed = world.run(&["call", "shop/fail"]).await.expect(1, &["is failed: OutOfStock: none left"]);
    assert_eq!(failed.out, "");
    world.run(&["call", "shop/missing"]).await.expect(4, &["shop/missing"]);
    world.run(&["call", "missing"]).await.expect(2, &["there is no function `missing`"]);
    world.run(&["call", "shop/wait", "--wait", "50ms"]).await.expect(7, &["has not ended yet: it is suspended"]);
    let json = world.run(&["call", "shop/fail", "--json"]).await.expect(1, &[]).json();
    assert_eq!((json["status"].as_str(), json["err"]["name"].as_str()), (Some("failed"), Some("OutOfStock")));

    std::fs::write(world.dir.path().join("in.json"), "\"from a file\"").unwrap();
    assert_eq!(world.run(&["call", "shop/echo", "@in.json"]).await.expect(0, &[]).out, "\"from a file\"\n");
    let mut piped = world.command(&["call", "shop/echo", "-"]);
    piped.stdin(std::fs::File::open(world.dir.path().join("in.json")).unwrap());
    assert_eq!(run(piped).await.expect(0, &[]).out, "\"from a file\"\n");
}

#[tokio::test]
async fn names_and_keys_find_the_first_run() {
    let (world, _app) = world().await;
    let start = ["call", "shop/echo", "1", "--no-wait", "--json"];
    let with = |more: &[&'static str]| start.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let first = world.run(&with(&["--run-id", "order-1"])).await.expect(0, &[]).json();
    let again = world.run(&with(&["--run-id", "order-1"])).await.expect(0, &[]).json();
    assert_eq!((&first["id"], &first["created"], &again["created"]), (&again["id"], &json!(true), &json!(false)));
    let keyed = world.run(&with(&["--idempotency-key", "k"])).await.expect(0, &[]).json();
    assert_eq!(world.run(&with(&["--idempotency-key", "k"])).await.expect(0, &[]).json()["id"], keyed["id"]);
    world.run(&["call", "shop/echo", "2", "--run-id", "order-1"]).await.expect(4, &["order-1"]);
    let shown = world.run(&["run", "shop/echo/order-1"]).await.expect(0, &["shop/echo", "order-1"]);
    assert!(shown.out.contains(first["id"].as_str().unwrap()), "{shown:?}");
    let delayed = world.run(&["call", "shop/echo", "--delay", "1h", "--no-wait"]).await.expect(0, &["run_"]);
    world.run(&["explain", delayed.out.trim()]).await.expect(0, &["delayed until"]);
}

#[tokio::test]
async fn events_start_runs_that_can_be_listed_and_shown() {
    let (world, _app) = world().await;
    let sent = world.run(&["send", "order/created", "{\"id\": 42}", "--id", "o-42"]).await;
    let sent = sent.expect(0, &["evt_", "started run_", "shop/order"]);
    world.run(&["send", "order/created", "--id", "o-42"]).await.expect(0, &["accepted before"]);
    let nothing = world.run(&["send", "nobody/cares", "--json"]).await.expect(0, &[]).json();
    assert_eq!(nothing["events"][0]["runs"], json!([]));
    let id = sent.out.split_whitespace().find(|word| word.starts_with("run_")).unwrap();
    world.run(&["run", id, "--watch"]).await.expect(0, &["completed"]);
    let shown = world.run(&["run", id]).await.expect(0, &["shop/order", "✓ charge", "└─ ✓ \"shipped\""]);
    assert!(shown.out.contains("├─ cart"), "scopes have their own line: {}", shown.out);
    let journal = world.run(&["run", id, "--json"]).await.expect(0, &[]).json();
    assert_eq!(journal["entries"][1]["ok"], json!({"paid": true}));

    world.run(&["call", "shop/fail"]).await.expect(1, &[]);
    world.run(&["runs"]).await.expect(0, &["RUN", "shop/order", "shop/fail", "completed", "failed"]);
    let failed = lines(&world.run(&["runs", "--status", "failed,cancelled", "--json"]).await.expect(0, &[]).out);
    assert_eq!((failed.len(), failed[0]["function"].as_str()), (1, Some("fail")));
    let of_one = world.run(&["runs", "--function", "shop/order", "--since", "1h", "-n", "1", "--json"]).await;
    assert_eq!(lines(&of_one.out)[0]["id"].as_str(), Some(id));
    world.run(&["runs", "--status", "sleeping"]).await.expect(4, &["`sleeping` is no status"]);
    world.run(&["runs", "--until", "2001-01-01T00:00:00Z"]).await.expect(0, &["no runs match"]);
}

#[tokio::test]
async fn a_run_is_followed_until_a_signal_ends_it() {
    let (world, _app) = world().await;
    let id = world.run(&["call", "shop/wait", "--no-wait"]).await.expect(0, &[]).out.trim().to_owned();
    let person = Following::start(world.command(&["run", &id, "--watch"]), "waits for the signal approve").await;
    let program = Following::start(world.command(&["run", &id, "--watch", "--json"]), "waitSignal").await;
    world.run(&["explain", &id]).await.expect(0, &["It waits for", "approve"]);
    world.run(&["signal", &id, "approve", "{\"by\": \"ada\"}", "--id", "s1"]).await.expect(0, &["has it"]);
    let (person, program) = (person.ended().await, program.ended().await);
    let person = person.expect(0, &["waits for the signal approve", "completed", "{\"by\":\"ada\"}"]);
    assert!(!person.out.contains('\u{1b}'), "no colours and no moves without a terminal: {person:?}");
    let program = lines(&program.expect(0, &[]).out);
    assert!(
        program.iter().any(|line| line["event"] == "entry" && line["data"]["ok"] == json!({"by": "ada"})),
        "{program:?}"
    );
    assert_eq!(program.last().unwrap()["data"]["status"], "completed");
    world.run(&["signal", &id, "approve"]).await.expect(4, &["completed"]);
}

#[tokio::test]
async fn runs_are_stopped_and_what_cannot_be_is_refused() {
    let (world, _app) = world().await;
    let id = world.run(&["call", "shop/wait", "--no-wait"]).await.expect(0, &[]).out.trim().to_owned();
    world.run(&["resume", &id]).await.expect(4, &["it is not paused but suspended"]);
    world.run(&["cancel", &id]).await.expect(0, &["was asked to stop"]);
    const NOBODY: &str = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";
    for command in [&["cancel", NOBODY][..], &["explain", NOBODY], &["run", NOBODY], &["run", NOBODY, "--watch"]] {
        world.run(command).await.expect(4, &[NOBODY]);
    }
    world.run(&["run", "shop/wait/nobody"]).await.expect(4, &["nobody"]);
    world.run(&["signal", "awk_nonsense", "1"]).await.expect(4, &["token"]);
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let (world, _app) = world().await;
    world.run(&["call", "shop/echo", "1"]).await.expect(0, &[]);
    let mut head = tokio::process::Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_backstitch");
    head.args(["-c", &format!("'{binary}' runs | true; '{binary}' completions bash | head -n 1 >&2")]);
    head.env("BACKSTITCH_URL", world.server.url()).current_dir(world.dir.path()).kill_on_drop(true);
    head.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ended = run(head).await.expect(0, &[]);
    assert!(!ended.err.contains("error") && !ended.err.contains("panicked"), "{ended:?}");
}

#[tokio::test]
async fn runs_are_forked_one_by_one_and_many_at_once() {
    let (world, _app) = world().await;
    world.run(&["call", "shop/fail", "7", "--run-id", "f"]).await.expect(1, &[]);
    let plan = world.run(&["retry", "shop/fail/f", "--dry-run"]).await.expect(0, &["nothing was started"]);
    assert_eq!(plan.out, "", "it has no entries that could be kept");
    let forked = world.run(&["fork", "shop/fail/f", "--input", "8", "--json"]).await.expect(0, &[]).json();
    let id = forked["id"].as_str().unwrap();
    world.run(&["run", id]).await.expect(0, &["forked from run_"]);
    world.run(&["fork", id, "--at", "nothing"]).await.expect(4, &["nothing"]);
    world.run(&["fork", id, "--edit", "nonsense"]).await.expect(2, &["ENTRY=JSON"]);
    world.run(&["call", "shop/echo", "1", "--run-id", "e"]).await.expect(0, &[]);
    world.run(&["retry", "shop/echo/e"]).await.expect(4, &["fork it instead"]);

    world.run(&["jobs"]).await.expect(0, &["no jobs yet"]);
    world.run(&["jobs", "start", "retry"]).await.expect(2, &["say which runs"]);
    let matching = ["jobs", "start", "fork", "--function", "shop/echo", "--status", "completed"];
    let dry: Vec<&str> = matching.iter().copied().chain(["--dry-run"]).collect();
    world.run(&dry).await.expect(0, &["1 runs match; nothing was done"]);
    let json: Vec<&str> = matching.iter().copied().chain(["--json"]).collect();
    let job = world.run(&json).await.expect(0, &[]).json();
    let job = job["id"].as_str().unwrap();
    while world.run(&["jobs", "show", job, "--json"]).await.expect(0, &[]).json()["status"] == "running" {}
    world.run(&["jobs", "show", job]).await.expect(0, &["done", "1 done, 0 failed, of 1"]);
    world.run(&["jobs", "stop", job]).await.expect(0, &["done"]);
    world.run(&["jobs"]).await.expect(0, &[job]);
}

#[tokio::test]
async fn lists_say_what_went_wrong_and_find_runs_by_it() {
    let (world, _app) = world().await;
    world.run(&["call", "shop/echo", "7"]).await.expect(0, &[]);
    let calm = world.run(&["runs"]).await.expect(0, &["shop/echo"]);
    assert!(!calm.out.contains("ERROR"), "no column for what no run has: {}", calm.out);
    world.run(&["call", "shop/fail"]).await.expect(1, &["OutOfStock"]);
    world.run(&["runs"]).await.expect(0, &["ERROR", "OutOfStock: none left"]);
    let found = world.run(&["runs", "--error", "OutOfStock", "--message", "none left", "--json"]).await.expect(0, &[]);
    let found = lines(&found.out);
    assert_eq!(
        (found.len(), &found[0]["err"]),
        (1, &json!({"name": "OutOfStock", "message": "none\nleft"})),
        "a line break is a space"
    );
    world.run(&["runs", "--error", "Other"]).await.expect(0, &["no runs match"]);
    let retry = ["jobs", "start", "retry", "--error", "OutOfStock", "--message", "none left", "--dry-run"];
    world.run(&retry).await.expect(0, &["1 runs match"]);
    world.run(&["runs", "--error", ""]).await.expect(4, &["is empty"]);
}
