//! Notices that a deployment answers with another manifest than the one that is registered, and says so, rarely. What it
//! says is a hint: the periodic sync finds out by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::limits::{DRIFT_PAUSE_MS, DRIFT_QUEUE_MAX};
use crate::model::Text;

/// Where drift is reported.
pub struct Drift {
    reports: mpsc::Sender<Text>,
    last: Mutex<BTreeMap<Text, u64>>,
    clock: Arc<dyn Clock>,
}

impl Drift {
    /// A reporter, and the names of the apps that it reports.
    pub fn channel(clock: Arc<dyn Clock>) -> (Drift, mpsc::Receiver<Text>) {
        let (reports, names) = mpsc::channel(DRIFT_QUEUE_MAX);
        (Drift { reports, last: Mutex::new(BTreeMap::new()), clock }, names)
    }

    /// Says that an app is not what it was; at most once in ten seconds for each app.
    pub(super) fn report(&self, app: &Text) {
        let now = self.clock.monotonic_ms();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(app).is_some_and(|before| now.saturating_sub(*before) < DRIFT_PAUSE_MS) {
            return;
        }
        last.retain(|_, before| now.saturating_sub(*before) < DRIFT_PAUSE_MS);
        last.insert(app.clone(), now);
        // A full queue is no loss: whoever reads it has syncs to do already.
        let _ = self.reports.try_send(app.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::Timestamp;

    #[test]
    fn each_app_is_reported_once_in_ten_seconds() {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000), 1));
        let (drift, mut names) = Drift::channel(clock.clone());
        let (shop, billing): (Text, Text) = ("shop".into(), "billing".into());
        drift.report(&shop);
        drift.report(&shop);
        drift.report(&billing);
        clock.advance_ms(DRIFT_PAUSE_MS - 1);
        drift.report(&shop);
        clock.advance_ms(1);
        drift.report(&shop);
        let reported: Vec<Text> = std::iter::from_fn(|| names.try_recv().ok()).collect();
        assert_eq!(reported, [shop.clone(), billing, shop]);
    }
}
