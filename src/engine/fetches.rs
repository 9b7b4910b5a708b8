//! The calls that the server makes for runs: which are under way, and which wait for room. All of it is volatile: after a
//! crash it follows again from the entries that are open, and the calls are made again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crate::limits::{FETCHES_MAX, FETCHES_PER_HOST_MAX};
use crate::model::{FetchToken, RunId, Text, Timestamp};

/// An entry: its run and its position.
type Place = (RunId, u32);

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for room.
    InLine,
    /// Its turn has come while its run was not in memory: it is the first when the run is there.
    Called,
    /// It is under way since then.
    UnderWay(FetchToken, Timestamp),
}

/// The calls to one host.
#[derive(Debug, Default)]
struct Lane {
    under_way: usize,
    line: VecDeque<Place>,
}

/// All calls of a partition that are to be made now.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    counter: u64,
    places: BTreeMap<Place, (Text, State)>,
    lanes: BTreeMap<Text, Lane>,
    /// The hosts that a call may begin to.
    open: BTreeSet<Text>,
    /// The host that had its turn last: hosts take turns, so that no long line holds up a short one.
    last: Text,
    under_way: usize,
    /// Calls under way that nobody waits for any more.
    abandoned: VecDeque<FetchToken>,
}

impl Fetches {
    /// Whether a call is in line, or under way.
    pub(super) fn has(&self, run: RunId, idx: u32) -> bool {
        matches!(self.places.get(&(run, idx)), Some((_, State::InLine | State::UnderWay(..))))
    }

    /// Puts a call in line, once.
    pub(super) fn ask(&mut self, run: RunId, idx: u32, host: Text) {
        let before = self.places.insert((run, idx), (host.clone(), State::InLine));
        let lane = self.lanes.entry(host.clone()).or_default();
        match before {
            Some((_, State::Called)) => lane.line.push_front((run, idx)),
            None => lane.line.push_back((run, idx)),
            Some(known) => drop(self.places.insert((run, idx), known)),
        }
        self.look_at(host);
    }

    /// The next call in line, of the next host in turn. It leaves the line.
    pub(super) fn next(&mut self) -> Option<(RunId, u32)> {
        while self.under_way < FETCHES_MAX {
            let after = (Bound::Excluded(&self.last), Bound::Unbounded);
            let host = self.open.range::<Text, _>(after).next().or_else(|| self.open.first())?.clone();
            let place = self.lanes.get_mut(&host).and_then(|lane| lane.line.pop_front());
            self.look_at(host.clone());
            self.last = host;
            if let Some(place) = place
                && let Some((_, state @ State::InLine)) = self.places.get_mut(&place)
            {
                *state = State::Called;
                return Some(place);
            }
        }
        None
    }

    /// The call whose turn has come begins.
    pub(super) fn begin(&mut self, run: RunId, idx: u32, now: Timestamp) -> FetchToken {
        self.counter += 1;
        let token = FetchToken { run, idx, counter: self.counter };
        if let Some((host, state)) = self.places.get_mut(&(run, idx)) {
            *state = State::UnderWay(token, now);
            let host = host.clone();
            self.under_way += 1;
            self.lanes.entry(host.clone()).or_default().under_way += 1;
            self.look_at(host);
        }
        token
    }

    /// Whether this call is under way, and its entry's current one.
    pub(super) fn is_current(&self, token: FetchToken) -> bool {
        matches!(self.places.get(&(token.run, token.idx)), Some((_, State::UnderWay(own, _))) if *own == token)
    }

    /// Since when the call of an entry is under way.
    pub(super) fn since(&self, run: RunId, idx: u32) -> Option<Timestamp> {
        match self.places.get(&(run, idx)) {
            Some((_, State::UnderWay(_, since))) => Some(*since),
            _ => None,
        }
    }

    /// How many calls to a host are under way.
    pub(super) fn to(&self, host: &Text) -> usize {
        self.lanes.get(host).map_or(0, |lane| lane.under_way)
    }

    /// A call ended, or was not made after all.
    pub(super) fn end(&mut self, token: FetchToken) {
        if self.is_current(token) {
            self.forget((token.run, token.idx));
        }
    }

    /// The call is not to be made now. One that is under way is given up.
    pub(super) fn leave(&mut self, run: RunId, idx: u32) {
        if let Some(State::UnderWay(token, _)) = self.forget((run, idx)) {
            self.abandoned.push_back(token);
        }
    }

    /// None of a run's calls is to be made any more.
    pub(super) fn leave_all(&mut self, run: RunId) {
        for idx in self.of(run) {
            self.leave(run, idx);
        }
    }

    /// A run came into memory: its calls whose turn had come are in line again, or not to be made any more.
    pub(super) fn arrived(&mut self, run: RunId) {
        for idx in self.of(run) {
            if matches!(self.places.get(&(run, idx)), Some((_, State::Called))) {
                self.forget((run, idx));
            }
        }
    }

    /// A call under way that nobody waits for any more.
    pub(super) fn pop_abandoned(&mut self) -> Option<FetchToken> {
        self.abandoned.pop_front()
    }

    fn of(&self, run: RunId) -> Vec<u32> {
        self.places.range((run, 0)..=(run, u32::MAX)).map(|((_, idx), _)| *idx).collect()
    }

    fn forget(&mut self, place: Place) -> Option<State> {
        let (host, state) = self.places.remove(&place)?;
        if let (State::UnderWay(..), Some(lane)) = (state, self.lanes.get_mut(&host)) {
            lane.under_way -= 1;
            self.under_way -= 1;
        }
        self.look_at(host);
        Some(state)
    }

    /// Notes whether a call to a host may begin, and forgets a host that there is nothing to do for.
    fn look_at(&mut self, host: Text) {
        let Some(lane) = self.lanes.get(&host) else { return };
        let (idle, waits) = (lane.under_way == 0, !lane.line.is_empty());
        if waits && lane.under_way < FETCHES_PER_HOST_MAX {
            self.open.insert(host);
        } else {
            self.open.remove(&host);
            if idle && !waits {
                self.lanes.remove(&host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(fetches: &mut Fetches) -> Vec<(RunId, u32)> {
        std::iter::from_fn(|| {
            let (run, idx) = fetches.next()?;
            fetches.begin(run, idx, Timestamp::ZERO);
            Some((run, idx))
        })
        .collect()
    }

    #[test]
    fn hosts_take_turns_and_none_has_more_than_its_share() {
        let mut fetches = Fetches::default();
        for idx in 0..2 * FETCHES_PER_HOST_MAX as u32 {
            fetches.ask(RunId(1), idx, "slow".into());
            // Once is enough.
            fetches.ask(RunId(1), idx, "slow".into());
        }
        fetches.ask(RunId(2), 0, "quick".into());
        let begun = drain(&mut fetches);
        assert_eq!(begun.len(), FETCHES_PER_HOST_MAX + 1);
        assert!(begun[..2].contains(&(RunId(2), 0)), "a short line waits behind a long one");
        assert_eq!((fetches.to(&"slow".into()), fetches.to(&"quick".into())), (FETCHES_PER_HOST_MAX, 1));
        let first = FetchToken { run: RunId(1), idx: begun.iter().find(|(run, _)| run.0 == 1).unwrap().1, counter: 0 };
        let State::UnderWay(token, _) = fetches.places[&(first.run, first.idx)].1 else { panic!("is under way") };
        fetches.end(FetchToken { counter: token.counter + 1_000_000, ..token });
        assert_eq!(fetches.next(), None, "another call of the entry ended");
        fetches.end(token);
        assert_eq!(drain(&mut fetches), [(RunId(1), FETCHES_PER_HOST_MAX as u32)]);
    }

    #[test]
    fn all_hosts_together_have_a_bound() {
        let mut fetches = Fetches::default();
        for host in 0..FETCHES_MAX as u32 + 5 {
            fetches.ask(RunId(1), host, format!("h{host}").into());
        }
        assert_eq!(drain(&mut fetches).len(), FETCHES_MAX);
        fetches.leave(RunId(1), 0);
        assert_eq!(drain(&mut fetches).len(), 1);
    }

    #[test]
    fn whoever_ends_gives_up_its_calls() {
        let mut fetches = Fetches::default();
        for idx in 0..3 {
            fetches.ask(RunId(1), idx, "h".into());
        }
        fetches.next();
        let token = fetches.begin(RunId(1), 0, Timestamp::ZERO);
        fetches.next();
        fetches.leave_all(RunId(1));
        assert_eq!((fetches.pop_abandoned(), fetches.pop_abandoned(), fetches.next()), (Some(token), None, None));
        assert!(!fetches.is_current(token) && fetches.places.is_empty() && fetches.open.is_empty());
        assert!(fetches.lanes.is_empty() && fetches.under_way == 0);
    }

    #[test]
    fn a_call_whose_run_was_loaded_for_it_is_the_first() {
        let mut fetches = Fetches::default();
        for run in 1..4 {
            fetches.ask(RunId(run), 7, "h".into());
        }
        let called = fetches.next().unwrap();
        fetches.ask(called.0, called.1, "h".into());
        fetches.arrived(called.0);
        assert_eq!(fetches.next(), Some(called));
        // It was loaded, and nothing is to be called for it.
        fetches.arrived(called.0);
        assert_eq!(drain(&mut fetches).len(), 2);
    }
}
