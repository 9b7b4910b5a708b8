//! The corpus of schedules: each trigger is taken for what it says there, or refused at the place that it says.

use backstitch_server::dialect::native::{ManifestError, decode_manifest};
use backstitch_server::model::{DeclaredSchedule, Timing};
use serde_json::{Value, json};

#[derive(serde::Deserialize)]
struct Corpus {
    schedules: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    trigger: Value,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    schedule: Option<Value>,
}

fn shown(schedule: &DeclaredSchedule) -> Value {
    let spec = &schedule.spec;
    let input: Value = spec.input.read().expect("is JSON");
    let mut shown = json!({
        "id": &*schedule.id, "jitter": spec.jitter, "overlap": spec.overlap.as_str(), "catchUp": spec.catch_up, "input": input,
    });
    let timing = match &spec.timing {
        Timing::Cron { cron, tz } => json!({"cron": &**cron, "tz": tz.as_deref()}),
        Timing::Every { every, offset } => json!({"every": every, "offset": (offset.0 > 0).then_some(offset)}),
    };
    for (name, value) in timing.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null()) {
        shown[name] = value.clone();
    }
    shown
}

#[test]
fn schedules_are_what_the_corpus_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/schedules.json");
    let corpus: Corpus = serde_json::from_str(&std::fs::read_to_string(path).expect("is there")).expect("reads");
    assert!(corpus.schedules.len() > 15);
    for case in corpus.schedules {
        let manifest = json!({
            "protocol": {"min": 1, "max": 1}, "sdk": "test/1", "app": "conformance", "deployment": {"id": "v1"},
            "functions": [{"id": "main", "triggers": [case.trigger]}],
        });
        let reading = decode_manifest(manifest.to_string().as_bytes(), None, &|_, _| Ok(()));
        match (reading, case.refused, case.schedule) {
            (Ok(reading), None, Some(expected)) => {
                assert_eq!(shown(&reading.manifest.functions[0].schedules[0]), expected, "{}", case.name);
            }
            (Err(ManifestError::Fields(errors)), Some(place), None) => {
                let pointers: Vec<&str> = errors.iter().map(|error| &*error.pointer).collect();
                assert_eq!(pointers, [format!("/functions/0/triggers/0/{place}")], "{}: {errors:?}", case.name);
            }
            (reading, ..) => panic!("{}: {reading:?}", case.name),
        }
    }
}
