//! Keeps the schedules of apps as their manifests declare them: makes what is new, changes what is other, and ends what is
//! declared no longer. It compares what is with what should be, at the start, at every tick and after every change, so that it
//! does not matter where the server died before. The positions of schedules are their owners' business.

use std::collections::BTreeMap;

use super::keeper::Keeper;
use crate::engine::{Command, PutSchedule};
use crate::limits::PAGE_MAX;
use crate::model::{ScheduleKey, ScheduleSource, ScheduleSpec};
use crate::processor::Declined;
use crate::store::{ScheduleRow, SchedulesPage, StoreError};

/// What is to be done with one schedule.
#[derive(Debug)]
enum Step {
    Put(ScheduleKey, Box<ScheduleSpec>),
    End(ScheduleKey),
}

impl Keeper {
    /// Brings schedules in step with the registry. What goes wrong is tried again at the next tick.
    pub(super) async fn keep_schedules(&mut self) {
        let steps = match self.steps().await {
            Ok(steps) => steps,
            Err(error) => return tracing::warn!(%error, "schedules cannot be read; they are looked at again"),
        };
        for step in steps {
            let (key, command) = match step {
                Step::Put(key, spec) => {
                    tracing::info!(schedule = %key, "an app declares a schedule");
                    let put = PutSchedule { key: key.clone(), spec: *spec, source: ScheduleSource::Manifest };
                    (key, Command::PutSchedule(Box::new(put)))
                }
                Step::End(key) => {
                    tracing::info!(schedule = %key, "a schedule ends: its app does not declare it any more");
                    (key.clone(), Command::EndSchedule { key, source: ScheduleSource::Manifest })
                }
            };
            match self.parts.cluster.owner_of_schedule(&key).submit(command).await {
                Ok(_) => {}
                Err(Declined::Unavailable(_)) => return,
                Err(error) => tracing::warn!(schedule = %key, %error, "a schedule cannot be kept; it is tried again"),
            }
        }
    }

    async fn steps(&mut self) -> Result<Vec<Step>, StoreError> {
        let registry = self.registry();
        let mut declared: BTreeMap<ScheduleKey, &ScheduleSpec> = BTreeMap::new();
        for app in registry.apps.keys() {
            let of_app = registry.schedules(app);
            declared.extend(of_app.map(|it| (ScheduleKey::new(app.clone(), it.id.clone()), &it.spec)));
        }
        let mut steps = Vec::new();
        let mut after = None;
        loop {
            let page = SchedulesPage { app: None, after: after.take(), limit: PAGE_MAX };
            let rows = self.parts.store.schedules(page).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            for ScheduleRow { key, schedule, .. } in rows {
                let is_declared = schedule.source == ScheduleSource::Manifest;
                match declared.remove(&key) {
                    Some(spec) if !is_declared || *spec != schedule.spec => {
                        steps.push(Step::Put(key, Box::new(spec.clone())));
                    }
                    None if is_declared => steps.push(Step::End(key)),
                    Some(_) | None => {}
                }
            }
        }
        steps.extend(declared.into_iter().map(|(key, spec)| Step::Put(key, Box::new(spec.clone()))));
        Ok(steps)
    }
}
