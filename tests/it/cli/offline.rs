//! Commands without a server: the ways out, keys, completions, and who is asked wrongly.

use crate::support::peer::{Peer, response};

use super::world::{Ended, binary, run};

async fn cli(arguments: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut command = binary(dir.path());
    command.args(arguments);
    run(command).await
}

#[tokio::test]
async fn help_and_version_are_answers() {
    cli(&["--help"]).await.expect(0, &["dev", "start", "Exit codes: 0 done"]);
    cli(&["--version"]).await.expect(0, &["backstitch 0."]);
    cli(&["dev", "--help"]).await.expect(0, &["BACKSTITCH_LISTEN", "--allow-unauthenticated-network", "npm run dev"]);
}

#[tokio::test]
async fn wrong_usage_has_its_own_code() {
    cli(&[]).await.expect(2, &["Usage: backstitch"]);
    cli(&["sned", "x"]).await.expect(2, &["send"]);
    cli(&["start", "--key", "bsk_x"]).await.expect(2, &["unexpected argument '--key'"]);
    cli(&["call", "a/b", "{not json}"]).await.expect(2, &["the input is not JSON"]);
    cli(&["call", "a/b", "hello"]).await.expect(2, &["'\"hello\"'"]);
    cli(&["call", "a/b", "@missing.json"]).await.expect(2, &["missing.json"]);
    cli(&["call", "a/b", "--wait", "soon"]).await.expect(2, &["soon"]);
    cli(&["call", "a/b", "--wait", "1s", "--no-wait"]).await.expect(2, &["cannot be used with"]);
    cli(&["run", "run_nonsense"]).await.expect(2, &["`run_nonsense` is no run"]);
    cli(&["runs", "--since", "yesterday"]).await.expect(2, &["--since yesterday"]);
    cli(&["runs", "--app", "a", "--function", "b/c"]).await.expect(2, &["names the app `b`"]);
    cli(&["runs", "--limit", "0"]).await.expect(2, &["0"]);
    cli(&["signal", "run_x"]).await.expect(2, &["name the signal"]);
    cli(&["signal", "awk_x", "1", "--reject", "no"]).await.expect(2, &["not with both"]);
    cli(&["runs", "--url", "127.0.0.1:8484"]).await.expect(2, &["--url", "http://127.0.0.1:8484"]);
}

#[tokio::test]
async fn nobody_there_has_its_own_code() {
    const RUN: &str = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";
    // Port 9 is nobody's on a machine that tests run on.
    for command in [
        &["runs"][..],
        &["apps"],
        &["apps", "sync", "shop"],
        &["apps", "remove", "shop"],
        &["send", "a"],
        &["call", "a/b"],
        &["call", "b"],
        &["run", RUN],
        &["run", RUN, "--watch"],
        &["run", "a/b/c"],
        &["explain", RUN],
        &["signal", RUN, "go"],
        &["cancel", RUN],
        &["resume", RUN],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--url", "http://127.0.0.1:9"]).collect();
        let ended = cli(&arguments).await.expect(3, &["no server at http://127.0.0.1:9", "backstitch dev"]);
        assert_eq!(ended.out, "", "{command:?}");
    }
    cli(&["doctor", "--url", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"])
        .await
        .expect(1, &["✗ server", "→ start one with `backstitch dev`", "✓ data", "✓ database", "✓ port"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_found_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut head = vec![0; 100];
    head[..16].copy_from_slice(b"SQLite format 3\0");
    head[68..72].copy_from_slice(b"Bkst");
    let doctor = |bytes: &[u8]| {
        std::fs::write(dir.path().join("backstitch.db"), bytes).unwrap();
        let mut command = binary(dir.path());
        command.args(["doctor", "--url", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--data-dir", "."]);
        run(command)
    };
    head[63] = 1;
    doctor(&head).await.expect(1, &["✓ data"]);
    head[63] = 99;
    doctor(&head).await.expect(1, &["✗ data", "written by a newer version of Backstitch (schema 99", "--data-dir"]);
    head[68] = b'X';
    doctor(&head).await.expect(1, &["✗ data", "a database of another program"]);
    doctor(b"").await.expect(1, &["✓ data"]);
}

#[tokio::test]
async fn strangers_are_recognized() {
    let page = Peer::start(|_| response(200, &[("content-type", "text/html")], "<html>")).await;
    let url = format!("http://{}", page.address);
    cli(&["runs", "--url", &url]).await.expect(5, &["not of a Backstitch server"]);
    let gone = Peer::start(|_| response(404, &[], "nothing here")).await;
    cli(&["runs", "--url", &format!("http://{}", gone.address)]).await.expect(5, &["answered 404"]);
    let broken = Peer::start(|_| vec![crate::support::peer::Say::Reset]).await;
    cli(&["runs", "--url", &format!("http://{}", broken.address)]).await.expect(5, &["broke"]);
}

#[tokio::test]
async fn fresh_keys_differ_and_fit() {
    let made = cli(&["keys", "new", "--json"]).await.expect(0, &[]).json();
    assert_eq!(made["server"], made["app"]);
    let pair = cli(&["keys", "new", "--pair", "--json"]).await.expect(0, &[]).json();
    let server: backstitch_server::auth::SigningKey = pair["server"].as_str().unwrap().parse().unwrap();
    assert_eq!(server.for_handlers(), pair["app"].as_str().unwrap());
    let (one, other) = (cli(&["keys", "new"]).await, cli(&["keys", "new"]).await);
    assert!(one.out.contains("BACKSTITCH_KEY=bsk_") && one.out != other.out, "{one:?}");
}

#[tokio::test]
async fn every_shell_gets_its_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        cli(&["completions", shell]).await.expect(0, &["completions", "doctor"]);
    }
    cli(&["completions", "cmd"]).await.expect(2, &["bash"]);
}
