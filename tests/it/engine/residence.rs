//! What stays in memory: the runs that were last worked on, within two bounds.

use std::collections::BTreeSet;

use backstitch_server::engine::{CallEnd, Poll};
use backstitch_server::limits::RESIDENT_IDLE_BYTES_MAX;
use backstitch_server::model::{Key, Loaded, RunId};

use super::harness::START;
use super::house::House;

fn resident(house: &House) -> BTreeSet<RunId> {
    let keys = house.partition.resident().into_iter();
    keys.filter_map(|(key, _)| if let Key::Run(run) = key { Some(run) } else { None }).collect()
}

#[test]
fn a_busy_run_takes_the_room_of_one() {
    let mut house = House::new(4);
    let runs: BTreeSet<RunId> = (0..4).map(|_| house.start(false, 9)).collect();
    let busy = *runs.first().expect("four");
    for _ in 0..50 {
        house.signal(busy).expect("is kept");
    }
    assert_eq!(resident(&house), runs);
}

#[test]
fn who_was_not_worked_on_for_longest_goes_first() {
    let mut house = House::new(3);
    let [a, b, c] = [0; 3].map(|_| house.start(false, 9));
    house.signal(a).expect("is kept");
    let d = house.start(false, 9);
    assert_eq!(resident(&house), BTreeSet::from([a, c, d]), "{b} was the oldest");
    house.signal(c).expect("is kept");
    let e = house.start(false, 9);
    assert_eq!(resident(&house), BTreeSet::from([c, d, e]));
}

#[test]
fn large_runs_have_a_bound_of_their_own() {
    let mut house = House::new(4_096);
    let large = RESIDENT_IDLE_BYTES_MAX / 8 + 1;
    let runs: Vec<RunId> = (0..12).map(|_| house.start(false, large)).collect();
    assert_eq!(resident(&house), runs[5..].iter().copied().collect());
}

#[test]
fn of_those_in_line_the_foremost_stay() {
    let mut house = House::new(4);
    let resting = [0; 2].map(|_| house.start(false, 9));
    let ready: Vec<RunId> = (0..10).map(|_| house.start(true, 9)).collect();
    let stay = BTreeSet::from([resting[0], resting[1], ready[0], ready[1]]);
    assert_eq!(resident(&house), stay, "each kind has half of the room");
}

#[test]
fn a_run_whose_call_came_to_nothing_is_forgotten_in_its_time() {
    let mut house = House::new(2);
    let run = house.start(true, 9);
    let Poll::Invoke(snapshot, _) = house.partition.poll(START, &house.registry) else { panic!("is ready") };
    house.start(false, 9);
    house.start(false, 9);
    house.start(false, 9);
    assert!(resident(&house).contains(&run), "it has its turn");
    house.partition.call_ended(snapshot.token, CallEnd::Unused, START);
    let last = house.start(false, 9);
    assert_eq!(resident(&house), BTreeSet::from([run, last]));
}

#[test]
fn what_is_not_there_is_not_kept() {
    let mut house = House::new(2);
    (1..100).for_each(|n| house.partition.install(Key::Run(RunId(n)), Loaded::Run(None)));
    let run = house.start(false, 9);
    assert_eq!(resident(&house), BTreeSet::from([run]));
}
