//! `verify`: on nothing, beside a running server, after it, and on a database that somebody damaged.

use super::world::{World, binary, run, shop};

#[tokio::test]
async fn a_database_is_proved_to_be_in_order_or_not() {
    let empty = tempfile::tempdir().unwrap();
    let verify = |dir: &std::path::Path, arguments: &[&str]| {
        let mut command = binary(dir);
        command.arg("verify").args(arguments);
        run(command)
    };
    verify(empty.path(), &[]).await.expect(2, &["no database in .backstitch", "--data-dir"]);
    std::fs::write(empty.path().join("backstitch.db"), vec![b'x'; 200]).unwrap();
    verify(empty.path(), &["--data-dir", "."]).await.expect(4, &["a database of another program"]);

    let (mut world, app) = (World::new().await, shop().await);
    world.run(&["apps", "add", &app.url()]).await.expect(0, &["shop"]);
    world.run(&["call", "shop/wait", "--no-wait"]).await.expect(0, &["run_"]);
    world.run(&["call", "shop/echo", "7"]).await.expect(0, &["7"]);
    let dir = world.dir.path().to_owned();
    verify(&dir, &["--start"]).await.expect(0, &["✓ stuck", "✓ file", "2 runs in backstitch-data: all is in order"]);
    let checks = verify(&dir, &["--start", "--json"]).await.expect(0, &["\"found\":0"]);
    assert!(checks.out.lines().count() > 10, "{checks:?}");
    assert_eq!(world.server.stop().await, 0);
    verify(&dir, &["--start"]).await.expect(0, &["all is in order"]);

    let database = rusqlite::Connection::open(dir.join("backstitch-data/backstitch.db")).unwrap();
    database.execute_batch("update entries set status = 'backoff' where op = 'waitSignal'").unwrap();
    drop(database);
    let found = verify(&dir, &["--start"]).await;
    found.expect(
        1,
        &["✗ stuck", "not so 1 times", "run_", "it is suspended, and nothing will wake it", "→", "1 findings"],
    );
    let found = verify(&dir, &["--start", "--json"]).await.expect(1, &["\"do\":"]);
    let stuck: serde_json::Value = found.out.lines().find(|line| line.contains("\"stuck\"")).unwrap().parse().unwrap();
    assert!(stuck["found"] == 1 && stuck["examples"][0]["run"].as_str().unwrap().starts_with("run_"), "{stuck}");
}
