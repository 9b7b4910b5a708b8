//! Deployments on the command line: listed, drained, retired, and left.

use super::world::{World, pinned_shop};

#[tokio::test]
async fn an_old_version_is_left_and_retired() {
    let (world, first, second) = (World::new().await, pinned_shop("monday").await, pinned_shop("tuesday").await);
    world.run(&["apps", "add", &first.url()]).await.expect(0, &["shop"]);
    let mut runs = Vec::new();
    for _ in 0..3 {
        let started = world.run(&["call", "shop/wait", "--no-wait", "--json"]).await.expect(0, &[]).json();
        runs.push(started["id"].as_str().unwrap().to_owned());
    }
    let listed = world.run(&["apps", "deployments", "shop", "--json"]).await.expect(0, &[]).json();
    let old = listed["id"].as_str().unwrap();
    world.run(&["apps", "drain", "shop", old]).await.expect(4, &["is the current one", "apps remove shop"]);

    world.run(&["apps", "add", &second.url()]).await.expect(0, &["shop"]);
    let table = world.run(&["apps", "deployments", "shop"]).await.expect(0, &["monday", "tuesday", "current", old]);
    let row = table.out.lines().find(|line| line.contains("monday")).unwrap();
    assert!(row.split_whitespace().any(|cell| cell == "3"), "{table:?}");
    let pinned = world.run(&["runs", "--deployment", old, "--json"]).await.expect(0, &[]);
    assert_eq!(pinned.out.lines().count(), 3);
    world.run(&["apps", "retire", "shop", old]).await.expect(4, &["3 runs that have not ended", "apps move shop"]);
    world.run(&["apps", "drain", "shop", old]).await.expect(0, &["is retired when the 3 runs", "runs --deployment"]);
    world.run(&["apps", "move", "shop", old, "--dry-run"]).await.expect(0, &["3 runs match; nothing was done"]);
    world.run(&["move", &runs[0], "--to", old]).await.expect(4, &["is draining"]);
    world.run(&["move", &runs[0]]).await.expect(0, &["is moved: it is suspended"]);
    world.run(&["move", &runs[0], "--to", "there"]).await.expect(4, &["neither `current` nor a deployment's id"]);
    world.run(&["apps", "move", "shop", old]).await.expect(0, &["move", "of 2", "jobs show job_"]);
    for _ in 0..100 {
        if world.run(&["runs", "--deployment", old, "--json"]).await.expect(0, &[]).out.is_empty() {
            break;
        }
    }
    world.run(&["apps", "retire", "shop", old]).await.expect(0, &["is retired"]);
    world.run(&["apps", "deployments", "shop"]).await.expect(0, &["retired"]);
    world.run(&["apps", "retire", "shop", "nonsense"]).await.expect(4, &["nonsense"]);
    world.run(&["apps", "deployments", "nobody"]).await.expect(4, &["nobody"]);
}
