//! A world of random but valid changes: it remembers what it made, so that what it makes next follows from it, as the
//! engine's changes do. All its chance is in the numbers that it is given.

use backstitch_server::limits::PAYLOAD_INLINE_BYTES_MAX;
use backstitch_server::model::{
    App, Attempt, Before, Change, Deployment, DeploymentId, DeploymentLimits, DeploymentState, Entry, EntryKind,
    EntryStatus, Event, EventId, FunctionConfig, FunctionId, Hold, HoldKind, Job, JobAction, JobFilter, JobId,
    JobOptions, JobStatus, Key, Manifest, MarkKey, MarkScope, Mismatch, MoveTo, ObjectKey, ObjectLock, ObjectValue,
    Origin, Outcome, ParentLink, Payload, Previous, QueuePlace, RetryPolicy, RunHead, RunId, RunStatus, Signal, Span,
    StateKey, StateRow, Text, Timestamp, Token, TriggerKind, Verdict, Wait, WaitIndex,
};
use backstitch_server::store::{EventFilter, Timer, TimerKey};

use super::schedules;

pub(super) const APPS: [&str; 3] = ["shop", "billing", "größe/ß"];
pub(super) const FUNCTIONS: [&str; 3] = ["order", "bill", "refund %27; drop table runs"];
const NAMES: [&str; 3] = ["order/created", "order/paid", "тест"];
pub(super) const SIGNALS: [&str; 2] = ["approve", "$awakeable/form:1"];

/// One number that stands for many choices.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        // SplitMix64: every choice uses up the number and makes the next.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (n as u64)).unwrap()
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(super) fn some<T>(&mut self, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.coin().then(|| make(self))
    }

    pub(super) fn text(&mut self, from: &[&str]) -> Text {
        Text::from(*self.pick(from))
    }

    pub(super) fn function(&mut self) -> FunctionId {
        FunctionId::new(self.text(&APPS), self.text(&FUNCTIONS))
    }

    pub(super) fn payload(&mut self) -> Payload {
        let size = match self.below(12) {
            0 => PAYLOAD_INLINE_BYTES_MAX - 1,
            1 => PAYLOAD_INLINE_BYTES_MAX,
            2 => 3 * PAYLOAD_INLINE_BYTES_MAX,
            n => n,
        };
        Payload::trusted(format!("\"{}\"", "x".repeat(size.max(2) - 2)))
    }

    fn outcome(&mut self) -> Outcome {
        match self.below(3) {
            0 => Outcome::Ok(self.payload()),
            1 => Outcome::Err(self.payload()),
            _ => Outcome::Timeout,
        }
    }
}

/// Everything that was made.
#[derive(Default)]
pub(super) struct World {
    pub(super) runs: Vec<RunHead>,
    entries: Vec<Vec<Entry>>,
    signals: Vec<Vec<Signal>>,
    events: Vec<Event>,
    verdicts: usize,
    waits: Vec<Wait>,
    state: Vec<StateKey>,
    pub(super) clock: i64,
}

impl World {
    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp(1_700_000_000_000 + self.clock)
    }

    pub(super) fn deployment(dice: &mut Dice) -> DeploymentId {
        DeploymentId::new(Timestamp(1_700_000_000_000), dice.below(3) as u64, 0)
    }

    fn wake(&mut self, dice: &mut Dice) -> Option<Timestamp> {
        match dice.below(4) {
            0 => None,
            1 => Some(Timestamp::ZERO),
            n => Some(Timestamp(1_700_000_000_000 + n as i64 % 3)),
        }
    }

    /// A new run and its input.
    pub(super) fn begin_run(&mut self, dice: &mut Dice) -> (RunHead, Entry) {
        self.create_run(dice);
        (self.runs[self.runs.len() - 1].clone(), self.entries[self.runs.len() - 1][0].clone())
    }

    /// The next change or changes, whatever is possible now.
    pub(super) fn changes(&mut self, dice: &mut Dice) -> Vec<Change> {
        match dice.below(18) {
            0 | 1 => self.create_run(dice),
            2 | 3 => self.change_run(dice),
            4..=6 => self.add_entry(dice),
            7 | 8 => self.change_entry(dice),
            9 => self.attempt(dice),
            10 => self.accept_event(dice),
            11 => self.verdict(dice),
            12 => self.wait(dice),
            13 | 14 => self.signal(dice),
            15 | 16 => World::value(dice),
            _ => self.state(dice),
        }
    }

    /// A name that a run may take over, because whoever has it went on in another run.
    fn continued(&self) -> Option<(FunctionId, Option<Text>)> {
        let holds = |run: &&RunHead, other: &RunHead| other.function == run.function && other.name == run.name;
        let free =
            |run: &&RunHead| !self.runs.iter().any(|other| holds(run, other) && other.status != RunStatus::Continued);
        let run = self.runs.iter().filter(|run| run.name.is_some() && run.status == RunStatus::Continued).find(free)?;
        Some((run.function.clone(), run.name.clone()))
    }

    fn create_run(&mut self, dice: &mut Dice) -> Vec<Change> {
        let now = self.now();
        let run_no = self.runs.len() as i64 + 1;
        let id = RunId::new(Timestamp(now.0 - dice.below(3) as i64), dice.0, 0);
        let of_event = if self.events.is_empty() { None } else { dice.some(|dice| dice.pick(&self.events).clone()) };
        let mother = if self.runs.is_empty() { None } else { dice.some(|dice| dice.pick(&self.runs).clone()) };
        let mother = mother.filter(|_| of_event.is_none());
        let (function, name) = match self.continued() {
            Some(continued) if dice.coin() => continued,
            _ => (dice.function(), dice.some(|_| Text::from(format!("order-{run_no}")))),
        };
        let run = RunHead {
            run_no,
            id,
            function,
            name,
            status: *dice.pick(&[RunStatus::Queued, RunStatus::Ready]),
            trigger: *dice.pick(&TriggerKind::ALL),
            event: of_event.as_ref().map(|event| event.id),
            born_seq: self.events.len() as i64,
            parent: mother.as_ref().map(|mother| ParentLink { run: mother.id, idx: 1 }),
            root: mother.map_or(id, |mother| mother.root),
            deployment: dice.some(World::deployment),
            created_at: now,
            started_at: now,
            ended_at: None,
            failures: 0,
            losses: 0,
            last_error: None,
            awaiting: Vec::new(),
            hold: None,
            wake_at: self.wake(dice),
            cancel_by: None,
            mismatch_since: None,
            seen: 0,
            open_token: None,
            key: dice.some(|dice| dice.text(&SIGNALS)),
            queue: None,
            start_by: None,
            deadline: None,
            chain: dice.some(|dice| self.run_id(dice)),
            seed: dice.some(|dice| self.run_id(dice)),
            previous: dice.some(|dice| Previous {
                run: self.run_id(dice),
                origin: *dice.pick(&[Origin::Continue, Origin::Fork]),
            }),
            value: None,
            tick: dice.some(schedules::tick),
            labels: dice.labels(),
        };
        // As the engine does, a run takes over the very bytes of its event.
        let data = of_event.map_or_else(|| dice.payload(), |event| event.data);
        let input =
            Entry { outcome: Some(Outcome::Ok(data)), seq: None, ..self.entry(dice, run_no, 0, EntryKind::Input) };
        self.runs.push(run.clone());
        self.entries.push(vec![input.clone()]);
        self.signals.push(Vec::new());
        vec![Change::RunCreated(run), Change::EntryAdded(input)]
    }

    fn open_run(&self, dice: &mut Dice) -> Option<usize> {
        let open: Vec<usize> = (0..self.runs.len()).filter(|at| !self.runs[*at].status.is_terminal()).collect();
        (!open.is_empty()).then(|| *dice.pick(&open))
    }

    /// A run that has ended finishes, or takes up, the work that is left after it.
    fn settle_up(&mut self, dice: &mut Dice) -> Vec<Change> {
        let wake_at = self.wake(dice);
        let ended: Vec<usize> = (0..self.runs.len()).filter(|at| self.runs[*at].status.is_terminal()).collect();
        if ended.is_empty() {
            return Vec::new();
        }
        let run = &mut self.runs[*dice.pick(&ended)];
        run.wake_at = wake_at;
        vec![Change::RunChanged(run.clone())]
    }

    fn change_run(&mut self, dice: &mut Dice) -> Vec<Change> {
        if dice.below(4) == 0 {
            return self.settle_up(dice);
        }
        let Some(at) = self.open_run(dice) else { return Vec::new() };
        let now = self.now();
        let status = *dice.pick(&RunStatus::ALL);
        let run = RunHead {
            status,
            ended_at: status.is_terminal().then_some(now),
            wake_at: self.wake(dice),
            started_at: Timestamp(now.0 - dice.below(9) as i64),
            deployment: dice.some(World::deployment),
            failures: dice.below(5) as u32,
            losses: dice.below(5) as u32,
            last_error: dice.some(Dice::failure),
            awaiting: dice.some(|_| vec![vec![Text::from("a"), Text::from("b:1")], vec![]]).unwrap_or_default(),
            hold: (status == RunStatus::Paused).then(|| Hold {
                kind: HoldKind::Lost,
                detail: "held\0 by hand".to_owned(),
                since: now,
                deployment: dice.some(World::deployment),
                mismatch: dice.some(|_| Mismatch { id: "a".into(), journal: "step".into(), code: "sleep".into() }),
            }),
            cancel_by: dice.some(|_| now),
            mismatch_since: dice.some(|_| now),
            seen: dice.below(9) as u32,
            open_token: dice.some(|dice| Token { epoch: 3, counter: dice.below(9) as u64, run: self.runs[at].id }),
            queue: dice.some(|dice| QueuePlace { key: World::object(dice).line(), order: now.0 }),
            start_by: dice.some(|_| now),
            deadline: dice.some(|_| now),
            value: dice.some(Dice::payload),
            labels: if dice.coin() { dice.labels() } else { self.runs[at].labels.clone() },
            ..self.runs[at].clone()
        };
        self.runs[at] = run.clone();
        let mut changes = vec![Change::RunChanged(run)];
        if status.is_terminal() {
            let (run_no, idx) = (self.runs[at].run_no, self.entries[at].len() as u32);
            let mut entry = self.entry(dice, run_no, idx, EntryKind::Outcome);
            entry.outcome = Some(match status {
                RunStatus::Failed => Outcome::Err(dice.failure()),
                _ => Outcome::Ok(dice.payload()),
            });
            self.entries[at].push(entry.clone());
            changes.push(Change::EntryAdded(entry));
        }
        changes
    }

    /// A settled entry without its outcome.
    fn entry(&mut self, dice: &mut Dice, run_no: i64, idx: u32, kind: EntryKind) -> Entry {
        let now = self.now();
        Entry {
            run_no,
            idx,
            id: Text::from(format!("{kind}:{idx}")),
            kind,
            name: dice.some(|_| Text::from("charge")),
            params: dice.payload(),
            status: EntryStatus::Settled,
            outcome: None,
            seq: Some(idx),
            due_at: dice.some(|_| now),
            failures: 0,
            last_error: None,
            deployment: dice.some(World::deployment),
            child: dice.some(|_| RunId::new(now, 7, 0)),
            created_at: now,
            settled_at: Some(now),
            details: dice.some(Dice::payload),
            copied: dice.coin(),
        }
    }

    fn add_entry(&mut self, dice: &mut Dice) -> Vec<Change> {
        let Some(at) = self.open_run(dice) else { return Vec::new() };
        let kind = *dice.pick(&EntryKind::ALL[1..9]);
        let (run_no, idx) = (self.runs[at].run_no, self.entries[at].len() as u32);
        let mut entry = self.entry(dice, run_no, idx, kind);
        if dice.coin() {
            entry.outcome = Some(dice.outcome());
        } else {
            entry.status = *dice.pick(&[EntryStatus::Waiting, EntryStatus::Backoff, EntryStatus::Runnable]);
            (entry.seq, entry.settled_at) = (None, None);
        }
        self.entries[at].push(entry.clone());
        vec![Change::EntryAdded(entry)]
    }

    fn change_entry(&mut self, dice: &mut Dice) -> Vec<Change> {
        let open = |entry: &&Entry| !entry.is_settled();
        let all: Vec<Entry> = self.entries.iter().flatten().filter(open).cloned().collect();
        if all.is_empty() {
            return Vec::new();
        }
        let mut entry = dice.pick(&all).clone();
        entry.failures += 1;
        entry.last_error = dice.some(Dice::payload);
        entry.due_at = dice.some(|_| Timestamp(1_700_000_000_000));
        entry.status = *dice.pick(&EntryStatus::ALL);
        if entry.is_settled() {
            (entry.outcome, entry.seq, entry.settled_at) = (Some(dice.outcome()), Some(entry.idx), Some(self.now()));
            entry.child = None;
        }
        let at = usize::try_from(entry.run_no - 1).unwrap();
        self.entries[at][entry.idx as usize] = entry.clone();
        vec![Change::EntryChanged(entry)]
    }

    fn attempt(&mut self, dice: &mut Dice) -> Vec<Change> {
        let Some(at) = self.open_run(dice) else { return Vec::new() };
        let (started_at, ended_at) = (self.now(), self.now());
        let (run_no, number, error) = (self.runs[at].run_no, dice.below(9) as u32, dice.payload());
        let idx = dice.some(|dice| dice.below(4) as u32);
        vec![Change::AttemptAdded(Attempt { run_no, idx, number, started_at, ended_at, error })]
    }

    fn accept_event(&mut self, dice: &mut Dice) -> Vec<Change> {
        let at = self.now();
        let event = Event {
            seq: self.events.len() as i64 + 1,
            id: EventId::new(at, dice.0, 0),
            name: dice.text(&NAMES),
            data: dice.payload(),
            at,
            client_id: dice.some(|_| Text::from("client")),
            source: if self.runs.is_empty() { None } else { dice.some(|dice| dice.pick(&self.runs).id) },
        };
        self.events.push(event.clone());
        vec![Change::EventAdded(event)]
    }

    fn verdict(&mut self, dice: &mut Dice) -> Vec<Change> {
        if self.events.is_empty() {
            return Vec::new();
        }
        self.verdicts += 1;
        let function = FunctionId::new("shop", format!("f{}", self.verdicts));
        let failed = || Verdict::FilterFailed("no such key: `a\0b`".to_owned());
        let verdict = if dice.coin() { Verdict::Filtered } else { failed() };
        vec![Change::VerdictAdded(dice.pick(&self.events).id, function, verdict)]
    }

    fn index(dice: &mut Dice) -> WaitIndex {
        let value = *dice.pick(&[0, 1, i64::MIN, i64::MAX]);
        let path = Text::from(if value == 0 { "" } else { "data.orderId" });
        WaitIndex { event: dice.text(&NAMES), path, value }
    }

    fn wait(&mut self, dice: &mut Dice) -> Vec<Change> {
        if !self.waits.is_empty() && dice.coin() {
            let at = dice.below(self.waits.len());
            if dice.coin() {
                return vec![Change::WaitClosed(self.waits.swap_remove(at))];
            }
            self.waits[at].scanned_to = dice.some(|dice| dice.below(100) as i64);
            return vec![Change::WaitChanged(self.waits[at].clone())];
        }
        let Some(at) = self.open_run(dice) else { return Vec::new() };
        let now = self.now();
        let wait = Wait {
            run: self.runs[at].id,
            run_no: self.runs[at].run_no,
            // Unique, and no entry's position is asked for.
            idx: u32::try_from(now.0 - 1_700_000_000_000).unwrap(),
            index: World::index(dice),
            after_seq: dice.below(5) as i64,
            scanned_to: dice.some(|dice| dice.below(5) as i64),
            scan_end: 5,
            filter: dice.some(Dice::payload),
        };
        self.waits.push(wait.clone());
        vec![Change::WaitOpened(wait)]
    }

    fn signal(&mut self, dice: &mut Dice) -> Vec<Change> {
        let Some(at) = self.open_run(dice) else { return Vec::new() };
        let early = self.signals[at].iter_mut().find(|signal| signal.consumed_by.is_none());
        if let Some(signal) = early.filter(|_| dice.coin()) {
            signal.consumed_by = Some(dice.below(9) as u32);
            signal.reply = dice.some(Dice::outcome);
            return vec![Change::SignalChanged(signal.clone())];
        }
        let signal = Signal {
            run_no: self.runs[at].run_no,
            order: self.signals[at].len() as u32,
            name: dice.text(&SIGNALS),
            id: dice.some(|_| Text::from("once")),
            settle: dice.outcome(),
            at: self.now(),
            consumed_by: dice.some(|_| 3).filter(|_| dice.coin()),
            wants_reply: dice.coin(),
            reply: None,
        };
        self.signals[at].push(signal.clone());
        vec![Change::SignalAdded(signal)]
    }

    /// One of a few keys of an object.
    pub(super) fn object(dice: &mut Dice) -> ObjectKey {
        let (object, key) = (*dice.pick(&["cart", "cart x"]), *dice.pick(&["a", "b c", "größe"]));
        ObjectKey { app: dice.text(&APPS), object: object.into(), key: key.into() }
    }

    fn value(dice: &mut Dice) -> Vec<Change> {
        let object = World::object(dice);
        if dice.below(4) == 0 {
            return vec![Change::ValuesKept(object)];
        }
        let name = dice.text(&["items", "n", "größe"]);
        let before = match dice.below(3) {
            0 => None,
            1 => Some(Before::Absent),
            _ => Some(Before::Was(dice.payload())),
        };
        // What was taken away is there only as long as its run may be shown it.
        let value = if before.is_none() { Some(dice.payload()) } else { dice.some(Dice::payload) };
        vec![Change::ValuePut(ObjectValue { object, name, value, before })]
    }

    fn state(&mut self, dice: &mut Dice) -> Vec<Change> {
        if !self.state.is_empty() && dice.coin() {
            return vec![Change::StateDeleted(dice.pick(&self.state).clone())];
        }
        let key = self.state_key(dice);
        self.state.push(key.clone());
        let value = match &key {
            StateKey::Object(_) => {
                let (holder, waiting) = (dice.some(|_| RunId(7)), dice.below(3) as u64);
                Payload::of(&ObjectLock { format: 1, holder, waiting, next: 9 }).unwrap()
            }
            StateKey::Schedule(_) => schedules::row(dice, self.runs.last().map_or(RunId(7), |run| run.id)),
            _ => Payload::trusted(r#"{"v":1}"#),
        };
        vec![Change::StatePut(StateRow { key, wake_at: self.wake(dice), value })]
    }

    fn state_key(&mut self, dice: &mut Dice) -> StateKey {
        match dice.below(6) {
            3 => StateKey::Object(World::object(dice)),
            4 => StateKey::Schedule(schedules::key(dice)),
            0 => StateKey::Fanout(EventId::new(Timestamp(5), dice.below(9) as u64, 0)),
            1 => StateKey::Mark(World::mark(dice, |_| MarkScope::Event)),
            2 => StateKey::Mark(World::mark(dice, |_| MarkScope::Signal(RunId(7)))),
            _ => StateKey::Mark(World::mark(dice, |dice| MarkScope::Start(dice.function()))),
        }
    }

    fn mark(dice: &mut Dice, scope: impl FnOnce(&mut Dice) -> MarkScope) -> MarkKey {
        MarkKey { scope: scope(dice), key: Text::from(format!("key {}", dice.below(4))) }
    }

    /// A key to ask for: mostly one that is there.
    pub(super) fn key(&mut self, dice: &mut Dice) -> Key {
        match dice.below(12) {
            9 => Key::Object(World::object(dice)),
            10 => Key::Line(World::object(dice)),
            11 => Key::Values(World::object(dice)),
            0 | 1 => Key::Run(self.run_id(dice)),
            8 => Key::Chain(self.runs.iter().find_map(|run| run.chain).unwrap_or(RunId::new(Timestamp(1), 1, 1))),
            2 => match self.runs.iter().find(|run| run.name.is_some()) {
                Some(run) => Key::RunName(run.function.clone(), run.name.clone().unwrap()),
                None => Key::RunName(dice.function(), Text::from("nobody")),
            },
            3 => match self.state_key(dice) {
                StateKey::Mark(mark) => Key::Mark(mark),
                StateKey::Object(object) => Key::Object(object),
                StateKey::Schedule(schedule) => Key::Schedule(schedule),
                StateKey::Fanout(_) | StateKey::Channel(_) => Key::Mark(World::mark(dice, |_| MarkScope::Event)),
            },
            4 => Key::EventName(dice.text(&NAMES)),
            5 => Key::Waits(World::index(dice)),
            6 => Key::Event(self.event_id(dice)),
            _ => Key::Events { name: dice.text(&NAMES), after: dice.below(4) as i64, until: dice.below(9) as i64 },
        }
    }

    /// A run's id, or one that nothing has.
    pub(super) fn run_id(&self, dice: &mut Dice) -> RunId {
        if self.runs.is_empty() { RunId::new(Timestamp(1), 1, 1) } else { dice.pick(&self.runs).id }
    }

    /// An event's id, or one that nothing has.
    pub(super) fn event_id(&self, dice: &mut Dice) -> EventId {
        if self.events.is_empty() { EventId::new(Timestamp(1), 1, 1) } else { dice.pick(&self.events).id }
    }

    /// A place in the order of timers.
    pub(super) fn cursor(&mut self, dice: &mut Dice) -> Option<Timer> {
        let key = if dice.coin() { TimerKey::Run(self.run_id(dice)) } else { TimerKey::State(self.state_key(dice)) };
        let at = Timestamp(*dice.pick(&[0, 1_700_000_000_000, 1_700_000_000_002]));
        dice.some(|_| Timer { at, key })
    }

    /// What a list of events may ask for.
    pub(super) fn event_filter(&self, dice: &mut Dice) -> EventFilter {
        EventFilter {
            name: dice.some(|dice| dice.text(&NAMES)),
            before_seq: dice.some(|dice| dice.below(self.events.len() + 2) as i64),
            limit: dice.below(9) + 1,
        }
    }

    /// An app that has, or had, something to say.
    pub(super) fn app(&mut self, dice: &mut Dice) -> (App, Option<Deployment>) {
        let name = dice.text(&APPS);
        let deployment = dice.some(|dice| Deployment {
            id: World::deployment(dice),
            app: name.clone(),
            manifest: manifest(&name, dice),
            url: "https://shop.example/api".to_owned(),
            created_at: self.now(),
            seen_at: Timestamp(dice.below(3) as i64),
            state: *dice.pick(&[DeploymentState::Active, DeploymentState::Draining, DeploymentState::Retired]),
        });
        let app = App {
            name,
            url: "https://shop.example/api".to_owned(),
            headers: dice.some(|_| vec![("x-bypass".to_owned(), "s3cret".to_owned())]).unwrap_or_default(),
            current: deployment.as_ref().map(|deployment| deployment.id),
            created_at: self.now(),
            synced_at: dice.some(|_| Timestamp(9)),
            sync_error: dice.some(|_| "refused".to_owned()),
            paused: std::collections::BTreeSet::new(),
        };
        (app, deployment)
    }

    /// A job, new or known.
    pub(super) fn job(&mut self, dice: &mut Dice) -> Job {
        Job {
            id: JobId::new(Timestamp(5), dice.below(4) as u64, 0),
            action: JobAction::Retry,
            filter: JobFilter { app: Some("shop".into()), status: vec![RunStatus::Failed], ..JobFilter::default() },
            options: JobOptions { at: Some("a".into()), to: Some(MoveTo::Current), backfill: None },
            status: *dice.pick(&[JobStatus::Running, JobStatus::Done, JobStatus::Stopped]),
            total: 9,
            done: dice.below(5) as u64,
            failed: dice.below(3) as u64,
            last_error: dice.some(|_| "refused".to_owned()),
            position: dice.below(99) as i64,
            created_at: Timestamp(5),
            ended_at: dice.some(|_| Timestamp(9)),
        }
    }

    /// The name of an app.
    pub(super) fn app_name(dice: &mut Dice) -> Text {
        dice.text(&APPS)
    }
}

fn manifest(app: &Text, dice: &mut Dice) -> Manifest {
    let limits = DeploymentLimits {
        request_bytes: 1,
        response_bytes: 2,
        seconds: dice.some(|_| 3),
        streams: true,
        outbound: false,
    };
    let function = FunctionConfig {
        id: Text::from("order"),
        name: dice.some(|_| "Order".to_owned()),
        triggers: Vec::new(),
        retry: RetryPolicy { factor: Some(1.5), ..RetryPolicy::default() },
        invocation_timeout: dice.some(|_| Span::minutes(1)),
        input: dice.some(|_| serde_json::json!({"type": "object"})),
        ..FunctionConfig::default()
    };
    let (sdk, version, hash) = ("typescript/0.1.0".to_owned(), "v1".to_owned(), "abc".to_owned());
    Manifest { app: app.clone(), sdk, version, hash, immutable: dice.coin(), limits, functions: vec![function] }
}
