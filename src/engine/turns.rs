//! The volatile part of a partition: who is being invoked, who is next, whose deployment cannot be reached, which
//! timers are near. All of it is empty after a crash and follows again from the tables; none of it is written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::Explanation;
use crate::limits::{
    ADOPTION_MS, IN_FLIGHT_MAX, IN_FLIGHT_PER_DEPLOYMENT_MAX, NOTE_MS, RETRY_AFTER_MS_MAX, UNREACHED_PAUSE_MS_MAX,
};
use crate::model::{DeploymentId, RunId, Span, Timestamp, Token};

/// One invocation that is under way.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) token: Token,
    pub(super) deployment: Option<DeploymentId>,
    pub(super) started_at: Timestamp,
    /// The greatest `seq` that the handler was given.
    pub(super) shown: u32,
    /// A step became due while the handler was told to leave it alone: the run is invoked again even if it rests.
    pub(super) stirred: bool,
    /// The greatest number of a checkpoint with ops that was taken.
    pub(super) taken: u32,
    /// Of an invocation that no call belongs to any more: until when its handler is waited for.
    silent_at: Option<Timestamp>,
}

impl Turn {
    /// The turn of an invocation that was open when the server stopped. Its handler may be at work still.
    pub(super) fn adopted(token: Token, deployment: Option<DeploymentId>, now: Timestamp, shown: u32) -> Turn {
        let silent_at = Some(now.after(Span(ADOPTION_MS)));
        Turn { token, deployment, started_at: now, shown, stirred: false, taken: 0, silent_at }
    }
}

/// Why a deployment's runs wait, and until when.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    tries: u32,
    next_at: Timestamp,
    reason: String,
    probe: Option<Token>,
}

/// The runs that go to one deployment.
#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    queue: VecDeque<RunId>,
    outage: Option<Outage>,
}

impl Lane {
    fn admits(&self, now: Timestamp) -> bool {
        let open = match &self.outage {
            None => true,
            Some(outage) => outage.probe.is_none() && outage.next_at <= now,
        };
        open && self.in_flight < IN_FLIGHT_PER_DEPLOYMENT_MAX && !self.queue.is_empty()
    }
}

/// How an invocation's call ended, as far as its deployment is concerned.
#[derive(Clone, Debug)]
pub enum CallEnd {
    /// The handler answered.
    Answered,
    /// The deployment refused or lost it: it can be reached.
    Reached,
    /// The call was never made.
    Unused,
    /// It cannot be reached.
    NotReached {
        /// What happened.
        reason: String,
        /// When it wants to be asked again.
        retry_after: Option<Span>,
    },
}

/// Turns, queues and lanes of a partition.
#[derive(Debug)]
pub(super) struct Turns {
    epoch: u32,
    counter: u64,
    turns: BTreeMap<RunId, Turn>,
    calls: BTreeMap<Token, DeploymentId>,
    ready: VecDeque<RunId>,
    queued: BTreeSet<RunId>,
    delayed: BTreeSet<(Timestamp, RunId)>,
    lanes: BTreeMap<DeploymentId, Lane>,
    homeless: BTreeSet<RunId>,
    /// Open invocations that are to be noted, and when.
    unnoted: BTreeSet<(Timestamp, Token)>,
    /// Adopted invocations, and when they have been silent for too long.
    adopted: BTreeSet<(Timestamp, Token)>,
    /// Up to which `seq` the last invocation of a run that is still ready had come.
    seen: BTreeMap<RunId, u32>,
}

impl Turns {
    pub(super) fn new(epoch: u32) -> Turns {
        Turns {
            epoch,
            counter: 0,
            turns: BTreeMap::new(),
            calls: BTreeMap::new(),
            ready: VecDeque::new(),
            queued: BTreeSet::new(),
            delayed: BTreeSet::new(),
            lanes: BTreeMap::new(),
            homeless: BTreeSet::new(),
            unnoted: BTreeSet::new(),
            adopted: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The invocation that a run is in.
    pub(super) fn turn(&self, run: RunId) -> Option<&Turn> {
        self.turns.get(&run)
    }

    /// How many calls are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// How many runs wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.queued.len()
    }

    /// Puts a run in line, once.
    pub(super) fn enqueue(&mut self, run: RunId) {
        if !self.turns.contains_key(&run) && self.queued.insert(run) {
            self.ready.push_back(run);
        }
    }

    /// The next run in line that has no lane yet.
    pub(super) fn next_ready(&mut self, now: Timestamp) -> Option<RunId> {
        while let Some((at, run)) = self.delayed.first().copied()
            && at <= now
        {
            self.delayed.remove(&(at, run));
            self.ready.push_back(run);
        }
        self.ready.pop_front()
    }

    /// The run leaves the line: it is not ready any more, or it is being loaded and comes back by itself.
    pub(super) fn leave(&mut self, run: RunId) {
        self.queued.remove(&run);
    }

    /// The run comes back into line at a later time.
    pub(super) fn delay(&mut self, run: RunId, until: Timestamp) {
        self.delayed.insert((until, run));
    }

    /// The run goes to a deployment's lane.
    pub(super) fn route(&mut self, run: RunId, deployment: DeploymentId) {
        self.lanes.entry(deployment).or_default().queue.push_back(run);
    }

    /// The run has no deployment: it waits for the registry to change.
    pub(super) fn no_home(&mut self, run: RunId) {
        self.homeless.insert(run);
    }

    /// The registry changed: whoever had no deployment, or another one, gets in line again.
    pub(super) fn reroute(&mut self) {
        self.ready.extend(std::mem::take(&mut self.homeless));
        for lane in self.lanes.values_mut() {
            self.ready.extend(lane.queue.drain(..));
            if let Some(outage) = &mut lane.outage {
                outage.next_at = Timestamp::ZERO;
            }
        }
        self.lanes.retain(|_, lane| lane.in_flight > 0 || lane.outage.is_some());
    }

    /// The run goes to another deployment from now on: it gets in line there.
    pub(super) fn moved(&mut self, run: RunId) {
        if !self.queued.contains(&run) {
            return;
        }
        if self.homeless.remove(&run) {
            return self.ready.push_back(run);
        }
        for lane in self.lanes.values_mut() {
            // Many runs are moved from the newest to the oldest, and the newest stand last.
            if let Some(at) = lane.queue.iter().rposition(|queued| *queued == run) {
                lane.queue.remove(at);
                return self.ready.push_back(run);
            }
        }
    }

    /// Whether another call may begin at all.
    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < IN_FLIGHT_MAX
    }

    /// The next run of any lane that admits one.
    pub(super) fn next_admitted(&mut self, now: Timestamp) -> Option<(RunId, DeploymentId)> {
        if !self.has_room() {
            return None;
        }
        let (deployment, lane) = self.lanes.iter_mut().find(|(_, lane)| lane.admits(now))?;
        let run = lane.queue.pop_front()?;
        Some((run, *deployment))
    }

    /// A run gets its turn. An invocation whose handler can reach the server is `noted` when it takes long.
    pub(super) fn begin(
        &mut self,
        run: RunId,
        deployment: DeploymentId,
        now: Timestamp,
        shown: u32,
        noted: bool,
    ) -> Token {
        self.counter += 1;
        let token = Token { epoch: self.epoch, counter: self.counter, run };
        self.queued.remove(&run);
        let turn = Turn { deployment: Some(deployment), silent_at: None, ..Turn::adopted(token, None, now, shown) };
        let before = self.turns.insert(run, turn);
        assert!(before.is_none(), "a run has at most one current token: {run}");
        if noted {
            self.unnoted.insert((now.after(Span(NOTE_MS)), token));
        }
        self.calls.insert(token, deployment);
        let lane = self.lanes.entry(deployment).or_default();
        lane.in_flight += 1;
        if let Some(outage) = &mut lane.outage {
            outage.probe = Some(token);
        }
        token
    }

    /// Whether a token is of an earlier ownership: its handler may be at work, and no call of ours belongs to it.
    pub(super) fn is_older(&self, token: Token) -> bool {
        token.epoch < self.epoch
    }

    /// Takes over an invocation that was open when the server stopped: it is waited for.
    pub(super) fn adopt(&mut self, token: Token, deployment: Option<DeploymentId>, now: Timestamp, shown: u32) {
        self.queued.remove(&token.run);
        let turn = Turn::adopted(token, deployment, now, shown);
        self.adopted.extend(turn.silent_at.map(|at| (at, token)));
        let before = self.turns.insert(token.run, turn);
        assert!(before.is_none(), "a run has at most one current token: {}", token.run);
    }

    /// A checkpoint was taken and answered: what the handler knows now, and that it is alive.
    pub(super) fn heard(&mut self, token: Token, taken: u32, shown: u32, now: Timestamp) {
        let Some(turn) = self.turns.get_mut(&token.run).filter(|turn| turn.token == token) else { return };
        turn.taken = turn.taken.max(taken);
        turn.shown = turn.shown.max(shown);
        if let Some(silent_at) = &mut turn.silent_at {
            self.adopted.remove(&(*silent_at, token));
            *silent_at = now.after(Span(ADOPTION_MS));
            self.adopted.insert((*silent_at, token));
        }
    }

    /// An adopted invocation whose handler has been silent for too long.
    pub(super) fn pop_silent(&mut self, now: Timestamp) -> Option<Token> {
        let (at, token) = *self.adopted.first().filter(|(at, _)| *at <= now)?;
        self.adopted.remove(&(at, token));
        Some(token)
    }

    /// An invocation that has been open long enough to be noted.
    pub(super) fn pop_unnoted(&mut self, now: Timestamp) -> Option<Token> {
        let (at, token) = *self.unnoted.first().filter(|(at, _)| *at <= now)?;
        self.unnoted.remove(&(at, token));
        Some(token)
    }

    /// Up to which `seq` a ready run's last invocation had come, if that is not in its row.
    pub(super) fn take_seen(&mut self, run: RunId) -> Option<u32> {
        self.seen.remove(&run)
    }

    fn drop_turn(&mut self, run: RunId) -> Option<Turn> {
        let turn = self.turns.remove(&run)?;
        self.unnoted.remove(&(turn.started_at.after(Span(NOTE_MS)), turn.token));
        if let Some(silent_at) = turn.silent_at {
            self.adopted.remove(&(silent_at, turn.token));
        }
        Some(turn)
    }

    /// A call ended, whatever became of its answer. A run that its deployment did not get comes first next time.
    pub(super) fn end(&mut self, token: Token, end: CallEnd, now: Timestamp) {
        let current = self.turns.get(&token.run).is_some_and(|turn| turn.token == token);
        let turn = if current { self.drop_turn(token.run) } else { None };
        if let (CallEnd::Answered, Some(turn)) = (&end, turn) {
            self.seen.insert(token.run, turn.shown);
        }
        let Some(deployment) = self.calls.remove(&token) else { return };
        let lane = self.lanes.entry(deployment).or_default();
        lane.in_flight -= 1;
        match end {
            CallEnd::Answered | CallEnd::Reached => lane.outage = None,
            CallEnd::Unused => {
                if let Some(outage) = lane.outage.as_mut().filter(|outage| outage.probe == Some(token)) {
                    outage.probe = None;
                }
            }
            CallEnd::NotReached { reason, retry_after } => {
                let tries = lane.outage.as_ref().map_or(1, |outage| {
                    // Calls that were under way together fail together: they count as one try.
                    if outage.probe == Some(token) || outage.probe.is_none() && outage.next_at <= now {
                        outage.tries.saturating_add(1)
                    } else {
                        outage.tries
                    }
                });
                let doubled = 1_000u64.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(UNREACHED_PAUSE_MS_MAX);
                let pause = retry_after.map_or(doubled, |after| after.0.min(RETRY_AFTER_MS_MAX).max(doubled));
                let since = lane.outage.as_ref().map_or(now, |outage| outage.since);
                let others = lane.outage.as_ref().and_then(|outage| outage.probe).filter(|probe| *probe != token);
                lane.outage = Some(Outage { since, tries, next_at: now.after(Span(pause)), reason, probe: others });
                if current && self.queued.insert(token.run) {
                    lane.queue.push_front(token.run);
                }
            }
        }
        if lane.in_flight == 0 && lane.queue.is_empty() && lane.outage.is_none() {
            self.lanes.remove(&deployment);
        }
    }

    /// The run is not ready any more: its turn is over, although its call may still be under way.
    pub(super) fn revoke(&mut self, run: RunId) {
        self.drop_turn(run);
        self.seen.remove(&run);
    }

    /// A step of the run became due.
    pub(super) fn stir(&mut self, run: RunId) {
        if let Some(turn) = self.turns.get_mut(&run) {
            turn.stirred = true;
        }
    }

    /// Why a deployment's runs wait, if they do.
    pub(super) fn outage(&self, deployment: DeploymentId) -> Option<Explanation> {
        let lane = self.lanes.get(&deployment)?;
        let outage = lane.outage.as_ref()?;
        Some(Explanation::Unreachable {
            since: outage.since,
            reason: outage.reason.clone(),
            next_at: outage.next_at,
            runs: lane.queue.len(),
        })
    }

    /// When something here moves by itself.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let delayed = self.delayed.first().map(|(at, _)| *at);
        let room = |lane: &&Lane| self.has_room() && lane.in_flight < IN_FLIGHT_PER_DEPLOYMENT_MAX;
        let probes = self.lanes.values().filter(|lane| !lane.queue.is_empty()).filter(room);
        let probe =
            probes.filter_map(|lane| lane.outage.as_ref()).filter(|o| o.probe.is_none()).map(|o| o.next_at).min();
        let noted = self.unnoted.first().map(|(at, _)| *at);
        let silent = self.adopted.first().map(|(at, _)| *at);
        [delayed, probe, noted, silent].into_iter().flatten().min()
    }
}
