//! What started a run, as filters see it and as the next run of its chain is told. Decides nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::run::value_of;
use super::run_draft::RunDraft;
use crate::model::{Labels, Payload};

impl RunDraft<'_> {
    /// The name of the event that started the run.
    pub(super) fn trigger_name(&self) -> Option<String> {
        let facts: serde_json::Value = self.entry(0).params.read().ok()?;
        Some(facts.get("name")?.as_str()?.to_owned())
    }

    /// The trigger as filters see it: the event that started the run, or its input as an event's data.
    pub(super) fn trigger_view(&self) -> serde_json::Value {
        let input = self.entry(0);
        let data: serde_json::Value = value_of(input).read().unwrap_or_default();
        let mut view: serde_json::Value = input.params.read().unwrap_or_default();
        match view.as_object_mut() {
            Some(fields) => {
                // A run of a chain is told what started the first.
                fields.entry("data").or_insert(data);
                view
            }
            None => serde_json::json!({ "data": data }),
        }
    }

    /// What the next run of a chain is told: the same, with the data, which for the first run are its input.
    pub(super) fn trigger_facts(&self) -> Payload {
        type Fields<'a> = BTreeMap<&'a str, serde::de::IgnoredAny>;
        let input = self.entry(0);
        let facts = &input.params;
        // A run of a chain has them, and so has its fork.
        if facts.read::<Fields<'_>>().is_ok_and(|facts| facts.contains_key("data")) {
            return facts.clone();
        }
        let mut json = facts.bytes().strip_suffix(b"}").unwrap_or(facts.bytes()).to_vec();
        json.extend_from_slice(br#","data":"#);
        json.extend_from_slice(value_of(input).bytes());
        json.push(b'}');
        Payload::trusted(json)
    }
}

/// What a run was started to be found by, as entry 0 says.
pub(super) fn labels(facts: &Payload) -> Labels {
    #[derive(Default, Deserialize)]
    struct Facts {
        #[serde(default)]
        labels: Labels,
    }
    facts.read::<Facts>().unwrap_or_default().labels
}

/// The same facts about a run that is to be found by these labels: its handler is told of them, and goes on from there.
pub(super) fn with_labels(facts: Payload, labels: &Labels) -> Payload {
    type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;
    let has = |fields: &Fields<'_>| fields.contains_key("labels");
    let Ok(mut fields) = facts.read::<Fields<'_>>() else { return facts };
    if labels.is_empty() && !has(&fields) {
        return facts;
    }
    let written = serde_json::value::to_raw_value(labels);
    match &written {
        Ok(written) if !labels.is_empty() => fields.insert("labels", written),
        _ => fields.remove("labels"),
    };
    Payload::of(&fields).unwrap_or_else(|_| facts.clone())
}
