//! What was found: how a disturbed run differs from an undisturbed one. What two undisturbed runs do not have in common is left
//! out, such as the time in a result.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::{Value, json};

use crate::cli::screen;
use crate::cli::style::{BAD, BOLD, DIM, GOOD, styled};
use crate::dispatch::Seen;
use crate::limits::CHAOS_SHOWN_CHARS_MAX;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) status: String,
    pub(super) result: String,
    /// Entries by id: what they are and what they came to.
    pub(super) entries: BTreeMap<String, String>,
    /// Their ids, in order of creation.
    pub(super) order: Vec<String>,
    /// What was done to the world, by name.
    pub(super) effects: BTreeMap<String, u64>,
    pub(super) calls: Vec<Seen>,
    pub(super) contradictions: Vec<String>,
    /// Why it did not end.
    pub(super) stuck: Option<String>,
    /// Whether the disturbance took place.
    pub(super) hit: bool,
}

/// One disturbance, and what it changed.
#[derive(Debug)]
struct Tried {
    place: String,
    differs: Vec<String>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Report {
    seed: u64,
    undisturbed: Came,
    /// What no two undisturbed runs have in common.
    unsteady: Came,
    tried: Vec<Tried>,
}

impl Report {
    /// Of two undisturbed runs: they show what can be compared.
    pub(super) fn of(seed: u64, first: &Came, second: &Came) -> Report {
        let mut tried = Vec::new();
        let ids = |came: &Came| came.entries.keys().cloned().collect::<BTreeSet<_>>();
        let mut differs: Vec<String> = ids(first).symmetric_difference(&ids(second)).map(|id| format!("`{id}` is in the journal of one run and not of the other: code outside of steps decided by chance or by the clock")).collect();
        if first.status != second.status {
            differs.push(format!("one run is {}, the other {}", first.status, second.status));
        }
        tried.push(Tried { place: "undisturbed, twice".to_owned(), differs });
        Report { seed, undisturbed: first.clone(), unsteady: second.clone(), tried }
    }

    /// Notes what a disturbance changed.
    pub(super) fn compare(&mut self, place: &str, came: &Came) {
        let (was, other) = (&self.undisturbed, &self.unsteady);
        let mut differs: Vec<String> = came.contradictions.clone();
        if let Some(stuck) = &came.stuck {
            differs.push(format!("the run does not end: {stuck}"));
        }
        if came.status != was.status && was.status == other.status && came.stuck.is_none() {
            differs.push(format!("the run is {} ({}), undisturbed {}", came.status, shown(&came.result), was.status));
        } else if came.result != was.result && was.result == other.result && came.stuck.is_none() {
            differs.push(format!("the result is {}, undisturbed {}", shown(&came.result), shown(&was.result)));
        }
        differs.extend(self.entries(came));
        differs.extend(self.effects(came));
        if !came.hit {
            differs.push("the call never came: the run took another way before it".to_owned());
        }
        self.tried.push(Tried { place: place.to_owned(), differs });
    }

    fn entries(&self, came: &Came) -> Vec<String> {
        let (was, other) = (&self.undisturbed, &self.unsteady);
        let mut differs = Vec::new();
        // What a run that does not end has not come to is no other finding.
        let steady = |id: &String| was.entries.contains_key(id) == other.entries.contains_key(id);
        if came.stuck.is_none() {
            let lost = was.entries.keys().filter(|id| !came.entries.contains_key(*id) && steady(id));
            differs.extend(lost.map(|id| format!("`{id}` is lost: it is in the undisturbed journal")));
        }
        let new = came.entries.keys().filter(|id| !was.entries.contains_key(*id) && steady(id));
        differs.extend(new.map(|id| format!("`{id}` is new: it is not in the undisturbed journal")));
        for (id, entry) in &came.entries {
            match (was.entries.get(id), other.entries.get(id)) {
                (Some(before), Some(again)) if before == again && before != entry && came.stuck.is_none() => {
                    differs.push(format!("`{id}` came to {}, undisturbed {}", shown(entry), shown(before)));
                }
                _ => {}
            }
        }
        if differs.is_empty() && came.stuck.is_none() && was.order == other.order && was.order != came.order {
            differs.push(format!(
                "the entries came in another order: {}, undisturbed {}",
                came.order.join(", "),
                was.order.join(", ")
            ));
        }
        differs
    }

    fn effects(&self, came: &Came) -> Vec<String> {
        let count = |came: &Came, name: &str| came.effects.get(name).copied().unwrap_or(0);
        let names: BTreeSet<&String> = came.effects.keys().chain(self.undisturbed.effects.keys()).collect();
        let one = |name: &&String| {
            let (was, other, is) = (count(&self.undisturbed, name), count(&self.unsteady, name), count(came, name));
            if is == was || was != other {
                return None;
            }
            Some(match is > was {
                true => format!(
                    "the effect `{name}` is doubled: it was done {is} times, undisturbed {was}; do it in a step, and give whoever does it the step's idempotency key"
                ),
                false if came.stuck.is_some() => return None,
                false => format!("the effect `{name}` is lost: it was done {is} times, undisturbed {was}"),
            })
        };
        names.iter().filter_map(one).collect()
    }

    /// Whether nothing was found.
    pub(super) fn is_clean(&self) -> bool {
        self.findings().next().is_none()
    }

    fn findings(&self) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(|tried| !tried.differs.is_empty())
    }

    /// For programs.
    pub(super) fn json(&self, again: &str) -> Value {
        let findings: Vec<Value> =
            self.findings().map(|tried| json!({ "place": tried.place, "differs": tried.differs })).collect();
        json!({
            "seed": self.seed, "runs": self.tried.len() + 1, "calls": self.undisturbed.calls.len(),
            "operations": self.undisturbed.order, "effects": self.undisturbed.effects, "crashSafe": self.is_clean(),
            "findings": findings, "again": again,
        })
    }

    /// For people.
    pub(super) fn print(&self, again: impl Fn(&str) -> String) -> io::Result<()> {
        let operations = self.undisturbed.order.join(", ");
        screen::line(format!("\n  {} {}", styled(BOLD, "operations"), operations))?;
        for (name, count) in &self.undisturbed.effects {
            screen::line(format!("  {} {name} × {count}", styled(BOLD, "effect")))?;
        }
        screen::line("")?;
        for Tried { place, differs } in &self.tried {
            if differs.is_empty() {
                screen::line(format!("  {} {place}", styled(GOOD, "✓")))?;
                continue;
            }
            screen::line(format!("  {} {place}", styled(BAD, "✗")))?;
            for line in differs {
                screen::line(format!("      {line}"))?;
            }
            screen::line(format!("      {}", styled(DIM, format!("again: {}", again(place)))))?;
        }
        let (runs, findings) = (self.tried.len() + 1, self.findings().count());
        let verdict = match findings {
            0 => styled(GOOD, "nothing was found"),
            1 => styled(BAD, "not crash-safe at 1 place"),
            _ => {
                return screen::line(format!(
                    "\n  {runs} runs, seed {}: {}",
                    self.seed,
                    styled(BAD, format!("not crash-safe at {findings} places"))
                ));
            }
        };
        screen::line(format!("\n  {runs} runs, seed {}: {verdict}", self.seed))
    }
}

/// A text that fits into a line.
fn shown(text: &str) -> String {
    if text.chars().count() <= CHAOS_SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    let cut: String = text.chars().take(CHAOS_SHOWN_CHARS_MAX).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(entries: &[(&str, &str)], effects: &[(&str, u64)]) -> Came {
        let entries: Vec<(String, String)> =
            entries.iter().map(|(id, what)| ((*id).to_owned(), (*what).to_owned())).collect();
        Came {
            status: "completed".to_owned(),
            result: "1".to_owned(),
            order: entries.iter().map(|(id, _)| id.clone()).collect(),
            entries: entries.into_iter().collect(),
            effects: effects.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            hit: true,
            ..Came::default()
        }
    }

    #[track_caller]
    fn check(second: &Came, disturbed: &Came, expected: &[&str]) {
        let first = came(&[("a", "step 1"), ("b", "sleep null")], &[("mail", 1)]);
        let mut report = Report::of(1, &first, second);
        report.compare("after a", disturbed);
        let found: Vec<&String> = report.findings().flat_map(|tried| &tried.differs).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn what_differs_is_named() {
        let same = || came(&[("a", "step 1"), ("b", "sleep null")], &[("mail", 1)]);
        check(&same(), &same(), &[]);
        check(
            &same(),
            &came(&[("a", "step 1"), ("b", "sleep null")], &[("mail", 2)]),
            &["`mail` is doubled: it was done 2 times"],
        );
        check(&same(), &came(&[("a", "step 1"), ("b", "sleep null")], &[]), &["`mail` is lost"]);
        check(&same(), &came(&[("a", "step 1"), ("c", "sleep null")], &[("mail", 1)]), &["`b` is lost", "`c` is new"]);
        check(
            &same(),
            &came(&[("a", "step 2"), ("b", "sleep null")], &[("mail", 1)]),
            &["`a` came to step 2, undisturbed step 1"],
        );
        check(&same(), &came(&[("b", "sleep null"), ("a", "step 1")], &[("mail", 1)]), &["another order: b, a"]);
        check(&same(), &Came { result: "2".to_owned(), ..same() }, &["the result is 2, undisturbed 1"]);
        check(&same(), &Came { hit: false, ..same() }, &["the call never came"]);
        let held = Came { stuck: Some("contradicts".to_owned()), entries: BTreeMap::new(), ..same() };
        check(&same(), &held, &["does not end: contradicts"]);
    }

    #[test]
    fn what_two_undisturbed_runs_do_not_share_is_left_out() {
        let other = Came { result: "7".to_owned(), ..came(&[("a", "step 9"), ("b", "sleep null")], &[("mail", 1)]) };
        let third = Came { result: "8".to_owned(), ..came(&[("a", "step 3"), ("b", "sleep null")], &[("mail", 1)]) };
        check(&other, &third, &[]);
        check(
            &came(&[("a", "step 1"), ("c", "step 1")], &[("mail", 1)]),
            &came(&[("a", "step 1"), ("b", "sleep null")], &[("mail", 1)]),
            &["`b` is in the journal of one run", "`c` is in"],
        );
    }
}
