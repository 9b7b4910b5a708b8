//! What started a run, as filters see it and as the next run of its chain is told. Decides nothing.

use std::collections::BTreeMap;

use super::draft::RunDraft;
use super::run::value_of;
use crate::model::Payload;

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
