//! Invocations that were open when the partition was lost: whichever comes first, the run's turn in line or a word of its
//! handler, the handler keeps the run.

use backstitch_server::engine::{Command, Decision, Partition, Poll, Reply};
use backstitch_server::model::{Checkpoint, Key, Loaded, Moment, Payload, Registry, StoredRun, Timestamp, Token};

use super::registry::{function, plain_start, registry};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn decide(partition: &mut Partition, registry: &Registry, command: &Command) -> Reply {
    match partition.decide(Moment { now: NOW, seed: 7 }, registry, command) {
        Decision::Decided(transition) => {
            transition.changes.iter().for_each(|change| partition.apply(change));
            transition.reply
        }
        other => panic!("{command:?}: {other:?}"),
    }
}

/// A run whose handler has been at work for a while, as the tables have it.
fn at_work(registry: &Registry) -> (StoredRun, Token) {
    let mut partition = Partition::new(1, 0, 0, 0);
    partition.begin_batch(1);
    let start = plain_start(function(0), Payload::null());
    let Reply::Run { id, .. } = decide(&mut partition, registry, &Command::Start(start)) else { panic!("no run") };
    let Poll::Invoke(snapshot, _) = partition.poll(NOW, registry) else { panic!("no invocation") };
    decide(&mut partition, registry, &Command::Note { token: snapshot.token });
    (partition.stored(id).expect("it is resident"), snapshot.token)
}

/// The next owner of the partition has read the run, which is ready.
fn taken_over(run: &StoredRun) -> Partition {
    let mut partition = Partition::new(2, run.head.run_no, 0, 0);
    partition.begin_batch(2);
    partition.install(Key::Run(run.head.id), Loaded::Run(Some(Box::new(run.clone()))));
    partition
}

fn beat(partition: &mut Partition, registry: &Registry, token: Token) {
    let checkpoint = Checkpoint { n: 0, seen: 0, ops: Vec::new() };
    let reply = decide(partition, registry, &Command::Checkpoint { token, checkpoint });
    assert!(matches!(reply, Reply::News(_)), "{reply:?}");
    partition.heard(token, 0, 0, NOW);
}

#[test]
fn a_handler_that_speaks_before_its_run_is_polled_keeps_it() {
    let registry = registry(1, false);
    let (run, token) = at_work(&registry);
    let mut partition = taken_over(&run);
    beat(&mut partition, &registry, token);
    assert!(matches!(partition.poll(NOW, &registry), Poll::Idle));
    assert!(partition.is_current(token));
    beat(&mut partition, &registry, token);
}

#[test]
fn a_handler_that_speaks_after_its_run_was_polled_keeps_it() {
    let registry = registry(1, false);
    let (run, token) = at_work(&registry);
    let mut partition = taken_over(&run);
    assert!(matches!(partition.poll(NOW, &registry), Poll::Idle));
    beat(&mut partition, &registry, token);
    assert!(matches!(partition.poll(NOW, &registry), Poll::Idle));
    assert!(partition.is_current(token));
}
