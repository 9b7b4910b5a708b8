//! `start`: what it announces, what keeps it from starting, and how it stops.

use std::os::unix::fs::PermissionsExt as _;

use std::time::Duration;

use crate::support::peer::{Peer, SDK, Say, response};

use super::world::{Server, World, binary, manifest, run};

#[tokio::test]
async fn it_says_where_it_is_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["start", "--environment", "staging"], &[]).await;
    let said = &server.announcement;
    assert!(said["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{said}");
    assert_eq!((said["environment"].as_str(), said["dataDir"].as_str()), (Some("staging"), Some("backstitch-data")));
    assert_eq!(said["pid"].as_u64(), server.process.id().map(u64::from));
    let health = reqwest::get(format!("{}/healthz", server.url())).await.unwrap().text().await.unwrap();
    assert!(health.contains("staging"), "{health}");
    assert_eq!(server.stop().await, 0);
    assert_eq!(server.out.next_line().await.unwrap(), None);
    assert!(dir.path().join("backstitch-data/backstitch.db").exists());
}

#[tokio::test]
async fn one_server_has_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(dir.path(), &["start"], &[]).await;
    let mut second = binary(dir.path());
    second.args(["start", "--listen", "127.0.0.1:0"]);
    let pid = first.process.id().unwrap();
    run(second).await.expect(6, &[&format!("backstitch-data is in use by process {pid}"), "a directory of its own"]);
    let mut port = binary(dir.path());
    port.args(["start", "--data-dir", "other", "--listen", first.url().trim_start_matches("http://")]);
    run(port).await.expect(6, &["failed to listen on 127.0.0.1:", "--listen"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = binary(dir.path());
    open.args(["start", "--listen", "0.0.0.0:0"]);
    run(open).await.expect(2, &["--listen", "--allow-unauthenticated-network"]);
    std::fs::write(dir.path().join("backstitch.toml"), "lisen = 1").unwrap();
    let mut mistyped = binary(dir.path());
    mistyped.args(["start", "--listen", "127.0.0.1:0"]);
    run(mistyped).await.expect(2, &["no setting `lisen`"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
}

#[tokio::test]
async fn a_server_whose_data_another_took_over_ends() {
    let mut world = World::new().await;
    world.run(&["send", "order/created"]).await.expect(0, &[]);
    // What a second owner does first. The lock keeps servers from that, but not a copy of the directory over a network.
    let file = world.dir.path().join("backstitch-data/backstitch.db");
    let changed = rusqlite::Connection::open(file).unwrap().execute("update ownership set epoch = epoch + 1", []);
    assert_eq!(changed.unwrap(), 1);
    world.run(&["send", "order/created"]).await.expect(5, &["it is safe to try again"]);
    world.server.says("error: failed to write: partition 0 is owned under another epoch").await;
    assert_eq!(world.server.ended().await, 6);
}

#[tokio::test]
async fn a_file_in_the_way_of_the_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("taken"), "a file").unwrap();
    std::fs::set_permissions(dir.path().join("taken"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = binary(dir.path());
    command.args(["start", "--listen", "127.0.0.1:0", "--data-dir", "taken"]);
    run(command).await.expect(6, &["taken"]);
}

#[tokio::test]
async fn logs_are_for_programs_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("BACKSTITCH_LOG_FORMAT", "json"), ("BACKSTITCH_LISTENN", "x")];
    let mut server = Server::start(dir.path(), &["start"], &variables).await;
    let line = server.says("looks like a setting").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((line["level"].as_str(), line["variable"].as_str()), (Some("WARN"), Some("BACKSTITCH_LISTENN")));
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut world = World::new().await;
    let app = Peer::start(|request| match request.method.as_str() {
        "GET" => response(200, &SDK, &manifest().to_string()),
        // A handler that is at work when the server stops, and long after.
        _ => vec![Say::Pause(Duration::from_secs(600))],
    })
    .await;
    world.run(&["apps", "add", &app.url()]).await.expect(0, &[]);
    world.run(&["call", "shop/echo", "--no-wait"]).await.expect(0, &[]);
    while !app.received().iter().any(|request| request.method == "POST") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.server.signal("-INT").await;
    world.server.says("stopping; a second signal ends it at once").await;
    world.server.signal("-INT").await;
    assert_eq!(world.server.ended().await, 130);
}
