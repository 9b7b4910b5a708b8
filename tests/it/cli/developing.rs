//! `dev`: apps that are named, apps that are found, and the app that it starts.

use std::path::Path;

use crate::support::peer::{Peer, SDK, response};

use super::world::{Server, manifest, shop};

fn is_alive(pid: &str) -> bool {
    // A zombie is dead: nobody has read its end yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test]
async fn named_apps_are_registered_and_their_changes_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = manifest();
    first["functions"][0]["input"] = serde_json::json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let functions = std::sync::Arc::new(std::sync::Mutex::new(first));
    let shared = functions.clone();
    let app = Peer::start(move |_| response(200, &SDK, &shared.lock().unwrap().to_string())).await;
    let mut server = Server::start(dir.path(), &["dev", "--no-discovery", "--app", &app.url()], &[]).await;
    server.says("backstitch 0.").await;
    server.says(&format!("✓ shop  {}", app.url())).await;
    server.says("shop/order  on order/created").await;
    server.says(r#"try   backstitch call shop/echo '{"n":1}'"#).await;
    {
        let mut functions = functions.lock().unwrap();
        functions["functions"] = serde_json::json!([{"id": "echo"}, {"id": "refund"}]);
        functions["deployment"]["id"] = "v2".into();
    }
    let line = server.says("↻ shop changed").await;
    assert!(line.contains("+refund") && line.contains("-order"), "{line}");
    drop(app);
    server.says("✗ shop").await;
    assert_eq!(server.stop().await, 0);
    assert!(dir.path().join(".backstitch/backstitch.db").exists());
}

#[tokio::test]
async fn an_app_that_is_not_there_yet_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(dir.path(), &["dev", "--no-discovery", "--app", "http://127.0.0.1:9/api/backstitch"], &[]).await;
    server.says("failed to reach the app at http://127.0.0.1:9/api/backstitch").await;
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn an_app_with_a_key_is_asked_by_its_name() {
    let app = Peer::start(|request| match request.header("authorization") {
        None => response(401, &SDK, r#"{"code": "signature", "title": "no", "detail": "no bearer token"}"#),
        Some(_) => response(200, &SDK, &manifest().to_string()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let key = backstitch_server::auth::SigningKey::shared([9; 32]).reveal();
    let keyed = [("BACKSTITCH_KEY", &*key)];
    let (named, unnamed) = (format!("shop={}", app.url()), app.url());
    let mut open = Server::start(dir.path(), &["dev", "--no-discovery", "--app", &unnamed], &[]).await;
    let said = open.says("for its name").await;
    for word in ["this server has no key", "start the app with BACKSTITCH_DEV=1", "no bearer token"] {
        assert!(said.contains(word), "{said}");
    }
    let mut add = super::world::binary(dir.path());
    add.args(["apps", "add", &unnamed, "--url", open.url()]);
    let command = format!("`backstitch apps add {unnamed} --name NAME`");
    super::world::run(add).await.expect(4, &[&command, "this command has no key"]);
    assert_eq!(open.stop().await, 0);
    let mut server = Server::start(dir.path(), &["dev", "--no-discovery", "--app", &unnamed], &keyed).await;
    let said = server.says("for its name").await;
    assert!(said.contains(&format!("say it with --app NAME={unnamed}")) && !said.contains("has no key"), "{said}");
    assert_eq!(server.stop().await, 0);
    let mut server = Server::start(dir.path(), &["dev", "--no-discovery", "--app", &named], &keyed).await;
    server.says("✓ shop").await;
    let doctor = || {
        let mut command = super::world::binary(dir.path());
        command.args(["doctor", "--url", server.url()]);
        super::world::run(command)
    };
    doctor().await.expect(0, &["✓ app       shop at"]);
    drop(app);
    doctor().await.expect(1, &["✗ app       shop at", "failed to reach the app", "→ put that right"]);
}

#[tokio::test]
async fn apps_on_usual_ports_are_found() {
    // One of these is free on any machine.
    let mut free = None;
    for port in [9080, 9000, 8787, 5173, 4000, 3002] {
        if let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            free = Some((listener, port));
            break;
        }
    }
    let (listener, port) = free.expect("one of the usual ports is free");
    let app = shop().await;
    let target = app.address;
    let forward = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut to) = tokio::net::TcpStream::connect(target).await {
                    drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
                }
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["dev"], &[]).await;
    server.says(&format!("http://localhost:{port}/api/backstitch")).await;
    assert_eq!(server.stop().await, 0);
    forward.abort();
}

async fn with_child(dir: &Path, script: &str, variables: &[(&str, &str)]) -> Server {
    Server::start(dir, &["dev", "--no-discovery", "--", "sh", "-c", script], variables).await
}

#[tokio::test]
async fn the_app_it_starts_knows_the_server_and_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo \"dev $BACKSTITCH_DEV url $BACKSTITCH_URL key ${BACKSTITCH_KEY:-none}\"; echo oops >&2; sleep 1000 & echo \"pids $$ $!\"; wait";
    let mut server = with_child(dir.path(), script, &[]).await;
    let line = server.says("app │ dev 1 url").await;
    assert!(line.contains(server.url()) && line.ends_with("key none"), "{line}");
    let line = server.says("app │ pids").await;
    let pids: Vec<String> = line.split_whitespace().rev().take(2).map(str::to_owned).collect();
    assert!(pids.iter().all(|pid| is_alive(pid)), "{line}");
    assert_eq!(server.stop().await, 0);
    assert!(pids.iter().all(|pid| !is_alive(pid)), "the whole group ends: {line}");
}

#[tokio::test]
async fn an_app_that_is_started_again_is_given_time() {
    let dir = tempfile::tempdir().unwrap();
    let app = Peer::start(|_| response(200, &SDK, &manifest().to_string())).await;
    let port = app.address.port();
    let mut server = Server::start(dir.path(), &["dev", "--no-discovery", "--app", &app.url()], &[]).await;
    server.says("✓ shop").await;
    assert_eq!(server.stop().await, 0);
    drop(app);
    let mut server = with_child(dir.path(), "sleep 0.5; echo up", &[]).await;
    server.says("app │ up").await;
    // The same place, as the child would take it.
    let _app = Peer::start_on(port, |_| response(200, &SDK, &manifest().to_string())).await;
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("✓ shop")) {
        said.push(server.err.next_line().await.unwrap().expect("it says that the app is there"));
    }
    assert!(!said.iter().any(|line| line.contains("failed to reach")), "{said:#?}");
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn the_app_gets_the_half_of_the_key_that_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let key = backstitch_server::auth::SigningKey::private([9; 32]);
    let mut server =
        with_child(dir.path(), "echo key $BACKSTITCH_KEY; exit 3", &[("BACKSTITCH_KEY", &key.reveal())]).await;
    let line = server.says("app │ key").await;
    assert!(line.ends_with(&key.for_handlers()), "{line}");
    server.says("the app exited with code 3; the server goes on").await;
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_stubborn_app_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_child(dir.path(), "trap '' TERM; echo pid $$; while :; do sleep 1; done", &[]).await;
    let line = server.says("app │ pid").await;
    let pid = line.split_whitespace().last().unwrap().to_owned();
    assert_eq!(server.stop().await, 0);
    assert!(!is_alive(&pid));
}

#[tokio::test]
async fn the_app_ends_with_a_server_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_child(dir.path(), "sleep 1000 & echo \"pids $$ $!\"; wait", &[]).await;
    let line = server.says("app │ pids").await;
    let pids: Vec<String> = line.split_whitespace().rev().take(2).map(str::to_owned).collect();
    assert!(pids.iter().all(|pid| is_alive(pid)), "{line}");
    server.signal("-KILL").await;
    server.ended().await;
    let gone = async {
        while pids.iter().any(|pid| is_alive(pid)) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("the whole group ends");
}

#[tokio::test]
async fn a_command_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = super::world::binary(dir.path());
    command.args(["dev", "--listen", "127.0.0.1:0", "--no-discovery", "--", "no-such-program"]);
    super::world::run(command).await.expect(5, &["failed to start `no-such-program`"]);
}
