//! SQLite against the oracle: the same random operations go to both, and every answer and every dump must be the same.

use std::sync::Arc;

use backstitch_server::model::{Batch, Timestamp};
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Commit, ObjectsPage, SettledPage, Store};
use proptest::prelude::*;

use super::said::Said;
use super::world::{Dice, World};

/// What is done; the numbers are the chance that it uses.
#[derive(Clone, Debug)]
enum Op {
    /// Several changes in one batch.
    Commit(Vec<u64>),
    Load(Vec<u64>),
    Due(u64),
    List(u64),
    One(u64),
    Apps(u64),
    Takeover,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => prop::collection::vec(any::<u64>(), 0..24).prop_map(Op::Commit),
        2 => prop::collection::vec(any::<u64>(), 1..6).prop_map(Op::Load),
        1 => any::<u64>().prop_map(Op::Due),
        2 => any::<u64>().prop_map(Op::List),
        2 => any::<u64>().prop_map(Op::One),
        1 => any::<u64>().prop_map(Op::Apps),
        1 => Just(Op::Takeover),
    ];
    prop::collection::vec(op, 1..60)
}

/// Asks both stores and compares what they say.
macro_rules! both {
    ($pair:expr, $method:ident($($arg:expr),*)) => {{
        let oracle = $pair.oracle.$method($($arg.clone()),*).await.map_err(|error| error.to_string());
        let sqlite = $pair.sqlite.$method($($arg.clone()),*).await.map_err(|error| error.to_string());
        assert_eq!(oracle, sqlite, stringify!($method));
        oracle
    }};
}

struct Pair {
    oracle: MemoryStore,
    sqlite: super::SqliteStore,
    world: World,
    said: Said,
    epoch: u32,
    commit_no: u64,
}

impl Pair {
    async fn run(&mut self, op: &Op) {
        match op {
            Op::Commit(dice) => self.commit(dice).await,
            Op::Load(dice) => {
                let keys: Vec<_> = dice.iter().map(|dice| self.world.key(&mut Dice(*dice))).collect();
                both!(self, load(0, keys)).unwrap();
            }
            Op::Due(dice) => self.due(&mut Dice(*dice)).await,
            Op::List(dice) => self.list(&mut Dice(*dice)).await,
            Op::One(dice) => self.one(&mut Dice(*dice)).await,
            Op::Apps(dice) => self.apps(&mut Dice(*dice)).await,
            Op::Takeover => self.epoch = both!(self, take_ownership(0)).unwrap().epoch,
        }
    }

    async fn commit(&mut self, dice: &[u64]) {
        let mut changes = Vec::new();
        for dice in dice {
            changes.extend(self.world.changes(&mut Dice(*dice)));
            changes.extend(self.said.changes(&mut Dice(*dice), &self.world.runs));
        }
        self.commit_no += 1;
        let now = Timestamp(1_700_000_000_000 + i64::try_from(self.commit_no).unwrap());
        let batch = Arc::new(Batch { partition: 0, epoch: self.epoch, commit_no: self.commit_no, now, changes });
        let commit = self.oracle.commit(batch.clone()).await;
        assert!(matches!(commit, Commit::Done), "oracle: {commit:?}");
        let commit = self.sqlite.commit(batch).await;
        assert!(matches!(commit, Commit::Done), "sqlite: {commit:?}");
    }

    async fn due(&mut self, dice: &mut Dice) {
        let limit = dice.below(5) + 1;
        let until = Timestamp(1_700_000_000_000 + dice.below(4) as i64);
        let cursor = self.world.cursor(dice);
        both!(self, due(0, cursor, until, limit)).unwrap();
        // All pages together are all that is due, each timer once.
        let whole = both!(self, due(0, None, until, usize::MAX)).unwrap();
        let (mut paged, mut after) = (Vec::new(), None);
        while let page = both!(self, due(0, after, until, limit)).unwrap()
            && !page.is_empty()
        {
            after = page.last().cloned();
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }

    async fn list(&mut self, dice: &mut Dice) {
        let (runs, events) = (self.world.run_filter(dice), self.world.event_filter(dice));
        both!(self, runs(runs.clone())).unwrap();
        let numbers: Vec<i64> = (0..9).map(|_| dice.below(self.world.runs.len() + 2) as i64).collect();
        both!(self, failures(numbers)).unwrap();
        both!(self, count_runs(runs)).unwrap();
        both!(self, events(events)).unwrap();
        both!(self, scanning_waits(0)).unwrap();
        let (app, after) = (World::app_name(dice), dice.below(4) as i64);
        both!(self, held_runs(0, app, after, 3)).unwrap();
        let run = self.world.run_id(dice);
        both!(self, children(run, 3)).unwrap();
        let (from, to) = (dice.below(4) as i64, dice.below(99) as i64);
        both!(self, stuck_runs(0, from, to)).unwrap();
        let (page, ticks) = super::schedules::pages(dice);
        both!(self, schedule(ticks.schedule.clone())).unwrap();
        both!(self, schedules(page)).unwrap();
        both!(self, ticks(ticks)).unwrap();
        both!(self, count_schedules()).unwrap();
        both!(self, stuck_schedules(0)).unwrap();
    }

    async fn one(&mut self, dice: &mut Dice) {
        let (run, event) = (self.world.run_id(dice), self.world.event_id(dice));
        both!(self, run(run)).unwrap();
        let page = self.said.page(dice, self.world.runs.last());
        both!(self, messages(page)).unwrap();
        let journal = both!(self, journal(run)).unwrap();
        both!(self, event(event)).unwrap();
        let page = SettledPage {
            run,
            before: dice.below(8) as u32,
            limit: dice.below(4) + 1,
            bytes_max: dice.below(60_000),
            outcome_bytes_max: dice.below(40_000),
        };
        both!(self, settled_before(page)).unwrap();
        if let Some(entry) = journal.and_then(|journal| journal.entries.into_iter().last()) {
            let id = entry.id.clone();
            assert_eq!(both!(self, entry(run, id)).unwrap().map(|found| found.id), Some(entry.id));
        }
        if let backstitch_server::model::Key::RunName(function, name) = self.world.key(dice) {
            both!(self, run_named(function, name)).unwrap();
        }
        let object = World::object(dice);
        both!(self, object(object)).unwrap();
        let after = dice.below(2).checked_sub(1).map(|_| object.key.clone());
        let page = ObjectsPage { app: object.app, object: object.object, after, limit: dice.below(4) + 1 };
        both!(self, objects(page)).unwrap();
        let fresh = [7_u8; 32];
        both!(self, secret(fresh)).unwrap();
    }

    async fn apps(&mut self, dice: &mut Dice) {
        let (app, deployment) = self.world.app(dice);
        both!(self, put_app(app, deployment)).unwrap();
        if dice.below(3) == 0 {
            let name = World::app_name(dice);
            both!(self, delete_app(name)).unwrap();
        }
        if dice.below(4) == 0 {
            let keep = dice.below(3);
            both!(self, prune_deployments(keep)).unwrap();
        }
        both!(self, registry()).unwrap();
        let job = self.world.job(dice);
        both!(self, put_job(job)).unwrap();
        both!(self, jobs()).unwrap();
    }
}

async fn agree(ops: &[Op]) {
    let dir = tempfile::tempdir().unwrap();
    let (oracle, sqlite) = (MemoryStore::new(), super::sqlite(dir.path()));
    let mut pair = Pair { oracle, sqlite, world: World::default(), said: Said::default(), epoch: 0, commit_no: 0 };
    pair.run(&Op::Takeover).await;
    for op in ops {
        pair.run(op).await;
    }
    let before = both!(pair, dump(0)).unwrap();
    let oracle = pair.oracle.take_ownership(0).await.unwrap();
    drop(pair.sqlite);
    // The file alone holds everything.
    let again = super::sqlite(dir.path());
    assert_eq!(again.dump(0).await.unwrap(), before);
    assert_eq!(again.take_ownership(0).await.unwrap(), oracle);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_oracle(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agree(&ops));
    }
}
