//! One event for thousands of waits: each delivery costs the same, however many waits there are.

use std::time::{Duration, Instant};

use backstitch_server::engine::{Command, Decision, Partition, Reply};
use backstitch_server::model::{
    Change, Entry, EntryKind, EntryStatus, EventDraft, Key, Loaded, Moment, Payload, Registry, Wait, WaitIndex,
};

use super::harness::START;
use super::registry::{function, plain_start, registry};

/// Decides and applies; what it decided, without what was applied.
fn take(
    partition: &mut Partition,
    registry: &Registry,
    seed: u128,
    command: &Command,
) -> (Vec<Change>, Vec<Command>, Reply) {
    match partition.decide(Moment { now: START, seed }, registry, command) {
        Decision::Decided(transition) => {
            transition.changes.iter().for_each(|change| partition.apply(change));
            (transition.changes, transition.follow_ups, transition.reply)
        }
        other => panic!("everything is there for {command:?}: {other:?}"),
    }
}

/// Starts a run and has it wait for the event. Only the first such wait takes it.
fn wait(partition: &mut Partition, registry: &Registry, run_no: i64) {
    let (function, input) = (function(0), Payload::null());
    let start = plain_start(function, input);
    let (.., reply) = take(partition, registry, run_no as u128, &Command::Start(start));
    let Reply::Run { id: run, .. } = reply else { panic!("{reply:?}") };
    let input = partition.stored(run).expect("was started").entries.remove(0);
    let (kind, status) = (EntryKind::WaitEvent, EntryStatus::Waiting);
    let entry = Entry { idx: 1, id: "paid".into(), kind, status, outcome: None, seq: None, settled_at: None, ..input };
    partition.apply(&Change::EntryAdded(entry));
    partition.apply(&Change::WaitOpened(Wait {
        run,
        run_no,
        idx: 1,
        index: WaitIndex { event: "e".into(), path: "".into(), value: 0 },
        after_seq: 0,
        scanned_to: None,
        scan_end: 0,
        filter: (run_no > 1).then(|| Payload::trusted(r#""async.data == 7""#)),
    }));
}

/// Offers one event to this many waits, of which only the first takes it, and says how long that took.
#[expect(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
fn deliver(waits: i64) -> Duration {
    let registry = registry(1, false);
    let mut partition = Partition::new(1, 0, 0, 0);
    let index = WaitIndex { event: "e".into(), path: "".into(), value: 0 };
    partition.install(Key::EventName("e".into()), Loaded::EventName { last_seq: 0, paths: Vec::new() });
    partition.install(Key::Waits(index), Loaded::Waits(Vec::new()));
    (1..=waits).for_each(|run_no| wait(&mut partition, &registry, run_no));
    let event = EventDraft { name: "e".into(), data: Payload::null(), client_id: None };
    let (mut commands, mut offers, mut settled) = (vec![Command::Ingest(vec![event])], 0, 0);
    let started = Instant::now();
    while let Some(command) = commands.pop() {
        let (changes, follow_ups, _) = take(&mut partition, &registry, 1, &command);
        settled += changes.iter().filter(|change| matches!(change, Change::WaitClosed(_))).count();
        offers += follow_ups.len() as i64;
        commands.extend(follow_ups);
    }
    assert_eq!((offers, settled), (waits + 1, 1), "each wait was offered the event");
    started.elapsed()
}

#[test]
fn ten_times_the_waits_take_some_ten_times_as_long() {
    deliver(100);
    // Where other work goes on, one look may be wrong; what is quadratic is wrong each time.
    let fits = (0..5).any(|_| {
        let (few, many) = (deliver(1_000), deliver(10_000));
        println!("1,000 waits: {few:?}, 10,000 waits: {many:?}");
        many < 40 * few
    });
    assert!(fits, "10,000 waits take more than 40 times as long as 1,000");
}
