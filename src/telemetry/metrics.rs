//! What the server counts of itself, for whoever watches many servers: a name, a sentence and a number each, in the text format of
//! Prometheus. Counters begin at zero with the process; nothing is decided by them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::History;

/// A number that only grows.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    what: &'static str,
    value: AtomicU64,
}

impl Counter {
    const fn new(name: &'static str, what: &'static str) -> Counter {
        Counter { name, what, value: AtomicU64::new(0) }
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.value.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// Everything that one server counts.
#[derive(Debug)]
pub struct Metrics {
    /// Runs that the auditor has looked at.
    pub audited_runs: Counter,
    /// Runs that nothing would have woken.
    pub stuck_runs: Counter,
    /// Schedules that nothing would have woken.
    pub stuck_schedules: Counter,
    /// Timers that did not fire in time.
    pub late_timers: Counter,
    /// How many runs were open when.
    pub history: History,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            audited_runs: Counter::new("backstitch_audited_runs_total", "Runs that the auditor has looked at."),
            stuck_runs: Counter::new(
                "backstitch_audit_stuck_runs_total",
                "Runs that the auditor found with nothing that would wake them, and nudged. There should be none.",
            ),
            stuck_schedules: Counter::new(
                "backstitch_audit_stuck_schedules_total",
                "Schedules that the auditor found with nothing that would wake them, and nudged. There should be none.",
            ),
            late_timers: Counter::new(
                "backstitch_audit_late_timers_total",
                "Timers that the auditor found long overdue, and nudged. There should be none.",
            ),
            history: History::default(),
        }
    }
}

impl Metrics {
    /// All of it, with what else is known right now: `(name, what it is, number)`.
    pub fn print(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut page = String::new();
        let mut add = |name: &str, what: &str, kind: &str, value: u64| {
            let _ = write!(page, "# HELP {name} {what}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        for counter in [&self.audited_runs, &self.stuck_runs, &self.stuck_schedules, &self.late_timers] {
            add(counter.name, counter.what, "counter", counter.value());
        }
        if let Some(open) = self.history.last() {
            let what = [
                ("backstitch_runs_backlog", "Runs that are ready, or wait for their start.", open.backlog),
                ("backstitch_runs_waiting", "Runs that wait for a time, a signal, an event or a child.", open.waiting),
                ("backstitch_runs_failing", "Runs that failed and are tried again.", open.failing),
                ("backstitch_runs_held", "Runs that are held until somebody resumes them.", open.held),
            ];
            what.into_iter().for_each(|(name, what, value)| add(name, what, "gauge", value));
        }
        gauges.iter().for_each(|(name, what, value)| add(name, what, "gauge", *value));
        page
    }
}
