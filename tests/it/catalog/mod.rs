//! Registering apps, keeping in step with them, and lifting holds when they are mended; with a real partition, real
//! sockets and an app that changes while it is watched.

mod schedules;
mod world;

use std::time::Duration;

use backstitch_server::catalog::CatalogError;
use backstitch_server::dispatch::DiscoveryError;
use backstitch_server::model::{HoldKind, RunStatus, Span};
use backstitch_server::store::Store;

use world::{Behaviour, HOUR, World};

#[tokio::test]
async fn an_app_is_registered_and_known_after_a_restart() {
    let world = World::open(HOUR).await;
    let synced =
        world.catalog.register("shop", &world.app.url(), vec![("x-key".into(), "s".into())]).await.expect("an app");
    assert!(synced.changed && synced.warnings.is_empty());
    let registry = world.catalog.registry();
    let current = registry.current("shop").expect("a deployment");
    assert_eq!((current.id, &*current.manifest.version), (synced.deployment.id, "v1"));
    let (apps, deployments) = world.store.registry().await.expect("the tables");
    assert_eq!((apps[0].clone(), deployments[0].clone()), (synced.app, (*synced.deployment).clone()));
    assert!(world.app.peer.received().iter().all(|request| request.header("x-key") == Some("s")));
    // The same app at the same place is the same deployment, after a restart, too.
    let world = world.restart(HOUR).await;
    let again =
        world.catalog.register("shop", &world.app.url(), vec![("x-key".into(), "s".into())]).await.expect("an app");
    assert!(!again.changed);
    assert_eq!(again.deployment.id, synced.deployment.id);
    assert_eq!(again.app.created_at, apps[0].created_at);
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_registered() {
    let world = World::open(HOUR).await;
    let url = world.app.url();
    let error = world.catalog.register("billing", &url, vec![]).await.expect_err("another name");
    assert!(matches!(error, CatalogError::Discovery(DiscoveryError::OtherApp { .. })), "{error}");
    for name in ["", "a/b", "a\nb", &"x".repeat(300)] {
        let error = world.catalog.register(name, &url, vec![]).await.expect_err(name);
        assert!(matches!(error, CatalogError::Name), "{error}");
    }
    world.app.behave(Behaviour { broken: true, ..Behaviour::default() });
    let error = world.catalog.register("shop", &url, vec![]).await.expect_err("a broken app").to_string();
    assert!(error.contains("web page"), "{error}");
    assert!(matches!(world.catalog.sync("shop").await, Err(CatalogError::Unknown(_))));
    assert!(world.store.registry().await.expect("the tables").0.is_empty());
}

#[tokio::test]
async fn a_new_version_is_a_new_deployment() {
    let world = World::registered(HOUR).await;
    let before = world.catalog.registry().current("shop").expect("a deployment").id;
    assert!(!world.catalog.sync("shop").await.expect("an app").changed);
    world.app.behave(Behaviour { version: "v2", ..Behaviour::default() });
    let synced = world.catalog.sync("shop").await.expect("an app");
    // The catalog's own first question may have found the new version already: then this answer is no news.
    assert_ne!(synced.deployment.id, before);
    let registry = world.catalog.registry();
    assert_eq!(registry.current("shop").expect("a deployment").id, synced.deployment.id);
    assert!(registry.deployments.contains_key(&before), "runs may be pinned to it");
}

#[tokio::test]
async fn an_app_is_forgotten() {
    let world = World::registered(HOUR).await;
    assert!(world.catalog.remove("shop").await.expect("the tables"));
    assert!(!world.catalog.remove("shop").await.expect("the tables"));
    assert!(world.catalog.registry().apps.is_empty());
    assert!(world.store.registry().await.expect("the tables").0.is_empty());
}

#[tokio::test]
async fn changes_and_errors_are_noticed_at_intervals() {
    let world = World::registered(Span(20)).await;
    world.app.behave(Behaviour { broken: true, ..Behaviour::default() });
    let row = world.app_when(|row| row.sync_error.is_some()).await;
    assert!(row.sync_error.as_deref().is_some_and(|error| error.contains("web page")), "{row:?}");
    assert!(row.current.is_some(), "the last deployment stays in use");
    assert_eq!(world.store.registry().await.expect("the tables").0[0].sync_error, row.sync_error);
    world.app.behave(Behaviour { version: "v2", ..Behaviour::default() });
    let mended = world.app_when(|row| row.sync_error.is_none()).await;
    assert_ne!(mended.current, row.current);
}

#[tokio::test]
async fn an_answer_that_looks_changed_leads_to_a_sync() {
    let world = World::registered(HOUR).await;
    let before = world.catalog.registry().apps["shop"].current;
    world.app.behave(Behaviour { version: "v2", ..Behaviour::default() });
    world.start("order").await;
    let after = world.app_when(|row| row.current != before).await;
    assert!(after.sync_error.is_none());
}

/// How an app fails its runs, how it is mended, and whether a routine sync is enough to let them go on.
#[tokio::test]
async fn runs_go_on_when_their_app_is_mended() {
    let whole = Behaviour::default();
    let cases = [
        (Behaviour { refuses: Some((404, "unknown_function")), ..whole }, HoldKind::UnknownFunction, whole, true),
        (Behaviour { refuses: Some((401, "signature")), ..whole }, HoldKind::Signature, whole, true),
        (
            Behaviour { refuses: Some((400, "protocol")), ..whole },
            HoldKind::Protocol,
            Behaviour { version: "v2", ..whole },
            true,
        ),
        (
            Behaviour { refuses: Some((413, "too_large")), ..whole },
            HoldKind::TooLarge,
            Behaviour { version: "v2", ..whole },
            true,
        ),
        // Nothing says that it is another code now, so someone has to.
        (Behaviour { refuses: Some((400, "protocol")), ..whole }, HoldKind::Protocol, whole, false),
    ];
    for (bad, kind, good, by_itself) in cases {
        let world = World::registered(HOUR).await;
        world.app.behave(bad);
        let run = world.start("order").await;
        let held = world.run_when(run, |head| head.status == RunStatus::Paused).await;
        assert_eq!(held.hold.map(|hold| hold.kind), Some(kind));
        world.app.behave(good);
        if by_itself {
            // The first round of a restarted catalog is a routine one.
            let world = world.restart(HOUR).await;
            world.run_when(run, |head| head.status == RunStatus::Completed).await;
        } else {
            let world = world.restart(HOUR).await;
            world.catalog.sync("shop").await.expect("an app");
            world.run_when(run, |head| head.status == RunStatus::Completed).await;
        }
    }
}

#[tokio::test]
async fn whoever_syncs_an_app_that_is_back_does_not_wait_for_the_next_try() {
    let world = World::registered(HOUR).await;
    world.app.behave(Behaviour { away: true, ..Behaviour::default() });
    let run = world.start("order").await;
    world.app.asked(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.app.behave(Behaviour::default());
    world.catalog.sync("shop").await.expect("an app");
    let completed = world.run_when(run, |head| head.status == RunStatus::Completed);
    tokio::time::timeout(Duration::from_secs(20), completed).await.expect("the minute is not waited for");
}

#[tokio::test]
async fn a_routine_that_finds_nothing_new_leaves_contradictions_alone() {
    let world = World::registered(Span(20)).await;
    world.app.behave(Behaviour { refuses: Some((400, "protocol")), ..Behaviour::default() });
    let run = world.start("order").await;
    world.run_when(run, |head| head.status == RunStatus::Paused).await;
    let asked = world.app.peer.received().len();
    world.app.asked(asked + 5).await;
    let posts = world.app.peer.received().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1, "the run was invoked again");
}

#[tokio::test]
async fn many_held_runs_go_on_page_by_page() {
    let world = World::registered(HOUR).await;
    world.app.behave(Behaviour { refuses: Some((401, "signature")), ..Behaviour::default() });
    let mut runs = Vec::new();
    for _ in 0..450 {
        runs.push(world.start("order").await);
    }
    for run in &runs {
        world.run_when(*run, |head| head.status == RunStatus::Paused).await;
    }
    world.app.behave(Behaviour::default());
    world.catalog.sync("shop").await.expect("an app");
    for run in &runs {
        world.run_when(*run, |head| head.status == RunStatus::Completed).await;
    }
}
