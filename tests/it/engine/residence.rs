//! What stays in memory: the runs that were last worked on, within two bounds.

use std::collections::BTreeSet;

use backstitch_server::engine::{CallEnd, Command, Decision, Partition, Poll, Reply, Start};
use backstitch_server::limits::RESIDENT_IDLE_BYTES_MAX;
use backstitch_server::model::{Key, Loaded, Moment, Outcome, Payload, Registry, RunId, Span};

use super::harness::START;
use super::registry::{function, registry};

/// A partition whose every command is a batch of its own, durable at once.
struct House {
    partition: Partition,
    registry: Registry,
    batch: u64,
}

impl House {
    fn new(idle: usize) -> House {
        let mut partition = Partition::new(1, 0, 0);
        partition.keep_at_most(idle, 9);
        House { partition, registry: registry(1, false), batch: 0 }
    }

    fn take(&mut self, command: &Command) -> Reply {
        self.batch += 1;
        self.partition.begin_batch(self.batch);
        let moment = Moment { now: START, seed: u128::from(self.batch) };
        let transition = match self.partition.decide(moment, &self.registry, command) {
            Decision::Decided(transition) => transition,
            other => panic!("everything is there for {command:?}: {other:?}"),
        };
        transition.changes.iter().for_each(|change| self.partition.apply(change));
        self.partition.durable(self.batch);
        transition.reply
    }

    /// Starts a run, which rests or is in line for its turn.
    fn start(&mut self, ready: bool, bytes: usize) -> RunId {
        let input = Payload::trusted(format!("\"{}\"", "x".repeat(bytes)));
        let delay = (!ready).then_some(Span(5_000));
        let start = Start { function: function(0), input, name: None, idempotency_key: None, delay };
        match self.take(&Command::Start(start)) {
            Reply::Run { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    /// Something happens to a run.
    fn touch(&mut self, run: RunId) {
        let settle = Outcome::Ok(Payload::null());
        self.take(&Command::Signal { run, name: "s9".into(), id: None, settle });
    }

    fn resident(&self) -> BTreeSet<RunId> {
        let runs = self.partition.resident().into_iter();
        runs.filter_map(|(key, _)| if let Key::Run(run) = key { Some(run) } else { None }).collect()
    }
}

#[test]
fn a_busy_run_takes_the_room_of_one() {
    let mut house = House::new(4);
    let runs: BTreeSet<RunId> = (0..4).map(|_| house.start(false, 9)).collect();
    let busy = *runs.first().expect("four");
    (0..50).for_each(|_| house.touch(busy));
    assert_eq!(house.resident(), runs);
}

#[test]
fn who_was_not_worked_on_for_longest_goes_first() {
    let mut house = House::new(3);
    let [a, b, c] = [0; 3].map(|_| house.start(false, 9));
    house.touch(a);
    let d = house.start(false, 9);
    assert_eq!(house.resident(), BTreeSet::from([a, c, d]), "{b} was the oldest");
    house.touch(c);
    let e = house.start(false, 9);
    assert_eq!(house.resident(), BTreeSet::from([c, d, e]));
}

#[test]
fn large_runs_have_a_bound_of_their_own() {
    let mut house = House::new(4_096);
    let large = RESIDENT_IDLE_BYTES_MAX / 8 + 1;
    let runs: Vec<RunId> = (0..12).map(|_| house.start(false, large)).collect();
    assert_eq!(house.resident(), runs[5..].iter().copied().collect());
}

#[test]
fn of_those_in_line_the_foremost_stay() {
    let mut house = House::new(4);
    let resting = [0; 2].map(|_| house.start(false, 9));
    let ready: Vec<RunId> = (0..10).map(|_| house.start(true, 9)).collect();
    let stay = BTreeSet::from([resting[0], resting[1], ready[0], ready[1]]);
    assert_eq!(house.resident(), stay, "each kind has half of the room");
}

#[test]
fn a_run_whose_call_came_to_nothing_is_forgotten_in_its_time() {
    let mut house = House::new(2);
    let run = house.start(true, 9);
    let Poll::Invoke(snapshot, _) = house.partition.poll(START, &house.registry) else { panic!("is ready") };
    house.start(false, 9);
    house.start(false, 9);
    house.start(false, 9);
    assert!(house.resident().contains(&run), "it has its turn");
    house.partition.call_ended(snapshot.token, CallEnd::Unused, START);
    let last = house.start(false, 9);
    assert_eq!(house.resident(), BTreeSet::from([run, last]));
}

#[test]
fn what_is_not_there_is_not_kept() {
    let mut house = House::new(2);
    (1..100).for_each(|n| house.partition.install(Key::Run(RunId(n)), Loaded::Run(None)));
    let run = house.start(false, 9);
    assert_eq!(house.resident(), BTreeSet::from([run]));
}
