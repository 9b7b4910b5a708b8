//! Schedules follow what an app declares: they begin, change, end, and are mended when the server died in between.

use backstitch_server::engine::Command;
use backstitch_server::model::{ScheduleKey, ScheduleSource, Span, Timing};
use backstitch_server::store::{ScheduleRow, Store};

use super::world::{Behaviour, HOUR, World};

fn key() -> ScheduleKey {
    ScheduleKey::new("shop", "order")
}

async fn kept(world: &World) -> Option<ScheduleRow> {
    world.store.schedule(key()).await.expect("the tables")
}

async fn declares(world: &World, version: &'static str, trigger: Option<&'static str>) {
    world.app.behave(Behaviour { version, trigger, ..Behaviour::default() });
    world.catalog.sync("shop").await.expect("an app");
}

fn every(row: &ScheduleRow) -> Timing {
    row.schedule.spec.timing.clone()
}

#[tokio::test]
async fn schedules_begin_change_and_end_with_what_the_app_declares() {
    let world = World::registered(HOUR).await;
    assert!(kept(&world).await.is_none());
    declares(&world, "v2", Some(r#"{"every": "1h"}"#)).await;
    let begun = kept(&world).await.expect("is declared");
    assert_eq!((begun.schedule.source, begun.wake_at.is_some()), (ScheduleSource::Manifest, true));
    declares(&world, "v3", Some(r#"{"every": "1h", "overlap": "allow"}"#)).await;
    let changed = kept(&world).await.expect("is declared");
    assert_eq!(
        (changed.schedule.created_at, changed.schedule.position),
        (begun.schedule.created_at, begun.schedule.position)
    );
    declares(&world, "v4", Some(r#"{"every": "2h"}"#)).await;
    let (every_two, hours) = (every(&kept(&world).await.expect("is declared")), Span::minutes(120));
    assert_eq!(every_two, Timing::Every { every: hours, offset: Span(0) });
    // Nobody has to ask: a restart changes nothing about it.
    let world = world.restart(HOUR).await;
    assert_eq!(every(&kept(&world).await.expect("is declared")), every_two);
    declares(&world, "v5", None).await;
    assert!(kept(&world).await.is_none(), "it ends when it is declared no more");
    declares(&world, "v6", Some(r#"{"every": "1h"}"#)).await;
    assert!(world.catalog.remove("shop").await.expect("the tables"));
    assert!(kept(&world).await.is_none(), "it ends with its app");
}

#[tokio::test]
async fn what_the_server_did_not_come_to_is_done_at_the_next_start() {
    let world = World::registered(HOUR).await;
    declares(&world, "v2", Some(r#"{"every": "1h"}"#)).await;
    // As if it had died after it wrote the deployment, and before the schedule.
    let end = Command::EndSchedule { key: key(), source: ScheduleSource::Manifest };
    world.processor.submit(end).await.expect("ends");
    assert!(kept(&world).await.is_none());
    let world = world.restart(Span(20)).await;
    while kept(&world).await.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
