//! The schedules in a manifest: triggers with a cron line or an interval, and how they go about it.

use serde_json::Value;

use super::manifest::{Fields, Reader};
use crate::limits::{CATCH_UP_MS_DEFAULT, TRIGGERS_MAX};
use crate::model::{DeclaredSchedule, Overlap, Payload, ScheduleSpec, Span, Text, Timing};

/// Whether a trigger is a schedule.
pub(super) fn is_schedule(trigger: &Fields) -> bool {
    trigger.contains_key("cron") || trigger.contains_key("every")
}

impl Reader<'_> {
    /// The schedules among a function's triggers. One without an id is called as the function is.
    pub(super) fn schedules(&mut self, function: &Fields, id: Option<&Text>, at: &str) -> Vec<DeclaredSchedule> {
        let triggers = function.get("triggers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut schedules = Vec::new();
        for (n, trigger) in triggers.iter().enumerate().take(TRIGGERS_MAX) {
            let Some(trigger) = trigger.as_object().filter(|trigger| is_schedule(trigger)) else { continue };
            let at = format!("{at}/triggers/{n}");
            let own = if trigger.contains_key("id") { self.segment(trigger, &at, "id") } else { id.cloned() };
            let spec = self.schedule(trigger, id, &at);
            let (Some(id), Some(spec)) = (own, spec) else { continue };
            if !self.schedule_ids.insert(id.clone()) {
                let message =
                    format!("`{id}` is the id of another schedule of this app, too; give each an `id` of its own");
                self.error(format!("{at}/id"), message);
            }
            schedules.push(DeclaredSchedule { id, spec });
        }
        schedules
    }

    fn schedule(&mut self, trigger: &Fields, function: Option<&Text>, at: &str) -> Option<ScheduleSpec> {
        let timing = self.timing(trigger, at);
        let jitter = self.duration(trigger, at, "jitter").unwrap_or_default();
        let catch_up = self.duration(trigger, at, "catchUp").unwrap_or(Span(CATCH_UP_MS_DEFAULT));
        let overlap = self.overlap(trigger, at);
        let input = trigger.get("input").map_or_else(Payload::null, |input| Payload::trusted(input.to_string()));
        let function = function?.clone();
        let spec = ScheduleSpec { function, timing: timing?, jitter, overlap, catch_up, input };
        if let Some(problem) = spec.problem() {
            self.error(format!("{at}/{}", problem.field), problem.message);
        }
        Some(spec)
    }

    fn timing(&mut self, trigger: &Fields, at: &str) -> Option<Timing> {
        if trigger.contains_key("cron") && trigger.contains_key("every") {
            self.error(format!("{at}/every"), "must be left out where there is a `cron`");
            return None;
        }
        if trigger.contains_key("every") {
            let every = self.duration(trigger, at, "every")?;
            return Some(Timing::Every { every, offset: self.duration(trigger, at, "offset").unwrap_or_default() });
        }
        let cron = trigger.get("cron").and_then(Value::as_str);
        if cron.is_none() {
            self.error(format!("{at}/cron"), "must be a text such as \"0 9 * * MON\"");
        }
        let tz = match trigger.get("tz") {
            None | Some(Value::Null) => None,
            Some(Value::String(tz)) => Some(Text::from(tz.as_str())),
            Some(_) => {
                self.error(format!("{at}/tz"), "must be the name of a time zone, such as Europe/Berlin");
                None
            }
        };
        Some(Timing::Cron { cron: cron?.into(), tz })
    }

    fn overlap(&mut self, trigger: &Fields, at: &str) -> Overlap {
        match trigger.get("overlap") {
            None | Some(Value::Null) => Overlap::default(),
            Some(word) => word.as_str().and_then(Overlap::parse).unwrap_or_else(|| {
                self.error(format!("{at}/overlap"), format_args!("must be {}", Overlap::words()));
                Overlap::default()
            }),
        }
    }
}
