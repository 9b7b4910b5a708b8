//! What people ask of runs: random labels, random filters over them, and what a search promises of its pages.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_server::limits::{FAILURES_COMPARED_MAX, RUNS_SCANNED_MAX};
use backstitch_server::model::{
    AttributeTest, AttributeValue, Change, Entry, EntryKind, EntryStatus, Event, EventId, Failure, FailureTest, Labels,
    Number, Outcome, Payload, RunHead, RunId, RunStatus, Text, Timestamp, TriggerKind,
};
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{RunFilter, Store};

use super::world::{APPS, Dice, FUNCTIONS, SIGNALS, World};
use super::{done, sqlite};
use crate::support::runs;

const TAGS: [&str; 4] = ["eu", "EU\"west\\1", "größe", "customer-42"];
const TEXTS: [&str; 8] = ["eu", "\"", "\\", "42", "SHOP/or", "rder-1", "0.5", "run_"];
const FAILURES: [&str; 3] = ["CardDeclined", "Error", "Größe"];
const TESTS: [&str; 14] = [
    "n:exists",
    "n:eq:1",
    "n:eq:\"1\"",
    "n:gte:0.5",
    "n:gt:0.5",
    "n:lt:1",
    "n:lte:-0",
    "n:gt:a",
    "n:lte:größe",
    "t.x:prefix:cust",
    "t.x:eq:true",
    "t.x:eq:customer-42",
    "n:gt:-9007199254740991",
    "none:exists",
];

impl Dice {
    /// Tags and attributes, often the same ones.
    pub(super) fn labels(&mut self) -> Labels {
        let tags = (0..self.below(3)).map(|_| self.text(&TAGS)).collect();
        let attributes = (0..self.below(3)).map(|_| (self.text(&["n", "t.x", "N"]), self.attribute())).collect();
        Labels { tags, attributes }
    }

    fn attribute(&mut self) -> AttributeValue {
        let number = |value| AttributeValue::Number(Number::new(value).unwrap());
        match self.below(4) {
            0 => AttributeValue::Boolean(self.below(2) == 0),
            1 => AttributeValue::Text(self.text(&["1", "", "größe", "customer-42", "a\"b\\c", "true"])),
            2 => number([0.0, 1.0, -1.0, 42.0][self.below(4)]),
            _ => number([0.5, 0.1 + 0.2, -1e-7, 9_007_199_254_740_991.0][self.below(4)]),
        }
    }

    /// A failure, large ones too, or what is none.
    pub(super) fn failure(&mut self) -> Payload {
        if self.below(4) == 0 {
            return self.payload();
        }
        let message = self.text(&["card 17 was declined", "card 4711 was declined", "no card", "größe 1: zu spät"]);
        let stack = "x".repeat([0, 40_000][usize::from(self.below(4) == 0)]);
        Failure { stack: Some(stack), ..Failure::new(&self.text(&FAILURES), &*message) }.payload()
    }

    fn failure_test(&mut self) -> FailureTest {
        let name = self.some(|dice| dice.text(&FAILURES));
        let message = self.some(|dice| dice.text(&["card … was declined", "no card", "größe 2: zu spät"]));
        FailureTest::new(name.as_deref(), message.as_deref())
    }

    fn test(&mut self) -> AttributeTest {
        self.text(&TESTS).parse().unwrap()
    }
}

impl World {
    /// What a list of runs may ask for.
    pub(super) fn run_filter(&self, dice: &mut Dice) -> RunFilter {
        let statuses = (0..dice.below(3)).map(|_| RunStatus::ALL[dice.below(RunStatus::ALL.len())]).collect();
        let some_time = |dice: &mut Dice| Timestamp(1_700_000_000_000 + dice.below(self.clock as usize + 2) as i64);
        let rarely = |dice: &mut Dice| dice.below(6) == 0;
        RunFilter {
            statuses,
            app: dice.some(|dice| dice.text(&APPS)),
            function: dice.some(|dice| dice.text(&FUNCTIONS)),
            deployment: dice.some(World::deployment).filter(|_| rarely(dice)),
            previous: dice.some(|dice| self.run_id(dice)).filter(|_| rarely(dice)),
            schedule: World::scheduled(dice),
            parent: dice.some(|dice| self.run_id(dice)).filter(|_| rarely(dice)),
            root: dice.some(|dice| self.run_id(dice)).filter(|_| rarely(dice)),
            event: dice.some(|dice| self.event_id(dice)).filter(|_| rarely(dice)),
            trigger: dice.some(|dice| *dice.pick(&TriggerKind::ALL)).filter(|_| rarely(dice)),
            key: dice.some(|dice| dice.text(&SIGNALS)).filter(|_| rarely(dice)),
            name_prefix: dice.some(|dice| dice.text(&["order", "order-1", "x"])).filter(|_| rarely(dice)),
            tags: (0..dice.below(6).saturating_sub(3)).map(|_| dice.text(&TAGS)).collect(),
            attributes: (0..dice.below(6).saturating_sub(3)).map(|_| dice.test()).collect(),
            text: dice.some(|dice| self.some_text(dice)).filter(|_| rarely(dice)),
            failure: if rarely(dice) { dice.failure_test() } else { FailureTest::default() },
            since: dice.some(some_time).filter(|_| rarely(dice)),
            until: dice.some(some_time).filter(|_| rarely(dice)),
            before_run_no: dice.some(|dice| dice.below(self.runs.len() + 2) as i64),
            limit: dice.below(9) + 1,
        }
    }

    fn some_text(&self, dice: &mut Dice) -> Text {
        if dice.below(4) == 0 { self.run_id(dice).to_string().into() } else { dice.text(&TEXTS) }
    }
}

fn numbered(run_no: i64, labels: Labels) -> RunHead {
    let id = RunId::new(Timestamp(run_no), 7, 0);
    RunHead { run_no, id, root: id, created_at: Timestamp(run_no), labels, ..runs::head() }
}

fn tagged(tag: &str) -> Labels {
    Labels { tags: BTreeSet::from([tag.into()]), attributes: BTreeMap::new() }
}

fn numbers(page: &[RunHead]) -> Vec<i64> {
    page.iter().map(|run| run.run_no).collect()
}

/// Three runs, far apart.
async fn spread() -> (tempfile::TempDir, impl Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite(dir.path());
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let far = [1, 2 * RUNS_SCANNED_MAX, 4 * RUNS_SCANNED_MAX];
    let runs = far.map(|run_no| Change::RunCreated(numbered(run_no, tagged("Wanted"))));
    done(&store, epoch, 1, runs.to_vec()).await;
    (dir, store)
}

#[tokio::test]
async fn what_no_index_leads_to_is_looked_for_a_stretch_at_a_time() {
    let (_dir, store) = spread().await;
    let ask = |before_run_no| {
        let filter = RunFilter { text: Some("wanted".into()), before_run_no, limit: 2, ..RunFilter::default() };
        store.runs(filter)
    };
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = ask(before).await.unwrap();
        found.extend(numbers(&page.runs));
        pages += 1;
        match page.looked_to {
            Some(to) => {
                assert!(before.is_none_or(|before| to < before), "every page comes nearer to the end");
                before = Some(to);
            }
            None => break,
        }
    }
    assert_eq!(found, [4 * RUNS_SCANNED_MAX, 2 * RUNS_SCANNED_MAX, 1]);
    assert_eq!(pages, 4, "each looked at no more than its stretch");
    let counted = store.count_runs(RunFilter { text: Some("wanted".into()), ..RunFilter::default() }).await.unwrap();
    assert_eq!(counted.total(), 3, "counts look at all");
}

#[tokio::test]
async fn many_candidates_of_which_few_match_are_looked_at_a_stretch_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite(dir.path());
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let last = RUNS_SCANNED_MAX + 10;
    let run = |run_no| RunHead { trigger: TriggerKind::Call, ..numbered(run_no, tagged("common")) };
    let first = RunHead { trigger: TriggerKind::Event, ..run(1) };
    let others = (2..=last).map(|run_no| Change::RunCreated(run(run_no)));
    done(&store, epoch, 1, std::iter::once(Change::RunCreated(first)).chain(others).collect()).await;
    let filter =
        RunFilter { tags: vec!["common".into()], trigger: Some(TriggerKind::Event), limit: 1, ..RunFilter::default() };
    let page = store.runs(filter.clone()).await.unwrap();
    assert_eq!((page.runs.len(), page.looked_to), (0, Some(last - RUNS_SCANNED_MAX + 1)));
    let next = store.runs(RunFilter { before_run_no: page.looked_to, ..filter.clone() }).await.unwrap();
    assert_eq!((numbers(&next.runs), next.looked_to), (vec![1], None));
    let all = RunFilter { trigger: None, limit: 3, ..filter };
    assert_eq!(numbers(&store.runs(all).await.unwrap().runs), [last, last - 1, last - 2], "a full page says nothing");
}

/// Failures are compared a bounded number at a time, and runs that ended well are none of them.
#[tokio::test]
async fn failures_are_compared_a_stretch_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite(dir.path());
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let last = 2 * FAILURES_COMPARED_MAX;
    let failed = |run_no: i64| {
        let status = if run_no % 100 == 99 { RunStatus::Completed } else { RunStatus::Failed };
        let name = if run_no == 1 { "Rare" } else { "Common" };
        let outcome = Failure::new(name, format!("order {run_no} is lost")).payload();
        let entry = Entry {
            outcome: Some(Outcome::Err(outcome)),
            run_no,
            ..runs::entry(0, "outcome", EntryKind::Outcome, "{}")
        };
        let head = RunHead { status, ended_at: Some(Timestamp(run_no)), ..numbered(run_no, Labels::default()) };
        [Change::RunCreated(head), Change::EntryAdded(entry)]
    };
    done(&store, epoch, 1, (1..=last).flat_map(failed).collect()).await;
    let filter =
        |name, message| RunFilter { failure: FailureTest::new(Some(name), message), limit: 1, ..RunFilter::default() };
    let rare = filter("Rare", Some("order 7 is lost"));
    let (mut page, mut pages) = (store.runs(rare.clone()).await.unwrap(), 1);
    assert!(page.runs.is_empty() && page.looked_to.is_some(), "the first page has come as far as it may");
    while page.runs.is_empty() {
        page = store.runs(RunFilter { before_run_no: page.looked_to, ..rare.clone() }).await.unwrap();
        pages += 1;
    }
    assert_eq!((numbers(&page.runs), pages), (vec![1], 2));
    assert_eq!(numbers(&store.runs(filter("Common", None)).await.unwrap().runs), [last]);
    let counts = store.count_runs(filter("Common", None)).await.unwrap();
    assert_eq!(counts.total(), (2..=last).filter(|run_no| run_no % 100 != 99).count() as u64, "counts look at all");
    let told = store.failures(vec![1, last + 1, 99]).await.unwrap();
    assert_eq!(told[0].as_ref().map(|failure| &*failure.message), Some("order 1 is lost"));
    assert!(told[1].is_none() && told[2].is_none(), "of a run that is not there, and of one that is well");
}

#[tokio::test]
async fn what_an_index_leads_to_is_found_at_once() {
    let (_dir, store) = spread().await;
    let filter = RunFilter { tags: vec!["Wanted".into()], limit: 9, ..RunFilter::default() };
    let page = store.runs(filter.clone()).await.unwrap();
    assert_eq!((numbers(&page.runs).len(), page.looked_to), (3, None));
    let none = RunFilter { tags: vec!["wanted".into()], ..filter };
    assert!(store.runs(none).await.unwrap().runs.is_empty(), "tags are compared as they are");
}

#[tokio::test]
async fn a_tag_that_is_gone_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite(dir.path());
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let attributes = |n| BTreeMap::from([("n".into(), AttributeValue::Number(Number::new(n).unwrap()))]);
    let labels = |tag: &str, n| Labels { attributes: attributes(n), ..tagged(tag) };
    done(&store, epoch, 1, vec![Change::RunCreated(numbered(1, labels("old", 1.0)))]).await;
    done(&store, epoch, 2, vec![Change::RunChanged(numbered(1, labels("new", 2.0)))]).await;
    for (tag, test, found) in
        [("old", "n:exists", 0), ("new", "n:eq:1", 0), ("new", "n:gte:2", 1), ("new", "n:lt:2", 0)]
    {
        let (tags, attributes) = (vec![tag.into()], vec![test.parse().unwrap()]);
        for filter in [
            RunFilter { tags, limit: 5, ..RunFilter::default() },
            RunFilter { attributes, limit: 5, ..RunFilter::default() },
        ] {
            let both = filter.tags.is_empty() && test == "n:exists" || filter.attributes.is_empty() && tag == "new";
            let runs = store.runs(filter).await.unwrap().runs.len();
            assert_eq!(runs, if both { 1 } else { found }, "{tag} {test}");
        }
    }
}

/// An event tells which runs waited for it: not those that another event woke, and not a fork's copies.
#[tokio::test]
async fn an_event_tells_which_runs_it_woke() {
    let dir = tempfile::tempdir().unwrap();
    let (file, memory) = (sqlite(dir.path()), MemoryStore::new());
    let event = |seq: i64, at: i64| Event {
        seq,
        id: EventId::new(Timestamp(1_000), seq.unsigned_abs(), 0),
        name: "payment/settled".into(),
        data: Payload::trusted("{}".to_owned()),
        at: Timestamp(at),
        client_id: None,
        source: None,
    };
    // The second was accepted late: it was meant to be earlier.
    let events = [event(1, 1_000), event(2, 500)];
    let waited = |run_no: i64, settled_at: i64, by: &Event, size: usize, copied: bool| {
        let outcome =
            format!(r#"{{"id":"{}","name":"payment/settled","data":"{}","at":"x"}}"#, by.id, "x".repeat(size));
        let entry = Entry {
            run_no,
            status: EntryStatus::Settled,
            outcome: Some(Outcome::Ok(Payload::trusted(outcome))),
            settled_at: Some(Timestamp(settled_at)),
            copied,
            ..runs::entry(1, "bank", EntryKind::WaitEvent, "{}")
        };
        [Change::RunCreated(numbered(run_no, Labels::default())), Change::EntryAdded(entry)]
    };
    let mut changes = Vec::from(events.clone().map(Change::EventAdded));
    changes.extend(waited(1, 1_000, &events[0], 9, false));
    changes.extend(waited(2, 1_000, &events[1], 9, false));
    // A large one stands in another table.
    changes.extend(waited(3, 9_000, &events[0], 40_000, false));
    changes.extend(waited(4, 9_000, &events[0], 9, true));
    for store in [&file as &dyn Store, &memory] {
        let epoch = store.take_ownership(0).await.unwrap().epoch;
        done(store, epoch, 1, changes.clone()).await;
        for (event, expected) in [(&events[0], vec![1, 3]), (&events[1], vec![2])] {
            let woken = store.event(event.id).await.unwrap().unwrap().woken;
            assert_eq!(woken.iter().map(|(run, _)| run.run_no).collect::<Vec<_>>(), expected);
            assert!(woken.iter().all(|(_, entry)| &**entry == "bank"));
        }
    }
}
