//! The OpenAPI document: served as it is checked in, and complete.

use backstitch_server::api;
use serde_json::{Value, json};

use super::world::World;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi.json");

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says whether it writes")]
fn the_document_is_fresh() {
    let made = api::description();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(CHECKED_IN, &made).unwrap();
    }
    let checked_in = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
    assert!(
        made == checked_in,
        "docs/reference/openapi.json is not what the code says: run UPDATE_DOCS=1 cargo test --test it description"
    );
}

#[tokio::test]
async fn it_is_served() {
    let world = World::open().await;
    let answer = world.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(std::str::from_utf8(&answer.body).unwrap(), api::description());
}

#[test]
fn every_operation_says_what_it_answers() {
    let document: Value = serde_json::from_str(&api::description()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no id")).to_owned());
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place} has no summary");
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"];
            assert_eq!(*problem, json!({"$ref": "#/components/schemas/Problem"}), "{place}");
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let described = operation["parameters"].as_array().unwrap().iter().any(|p| p["name"] == name);
                assert!(described, "{place} does not describe {name}");
            }
        }
    }
    assert!(ids.len() >= 20, "{ids:?}");
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for reference in references(&document) {
        let target = reference.trim_start_matches('#');
        assert!(document.pointer(target).is_some(), "{reference} leads nowhere");
    }
}

/// The page says something about every address and every kind of problem.
#[test]
fn the_page_leaves_nothing_out() {
    let page = include_str!("../../../docs/reference/api.md");
    let document: Value = serde_json::from_str(&api::description()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let address = format!("`{} {path}`", method.to_uppercase());
            assert!(page.contains(&address), "docs/reference/api.md does not mention {address}");
        }
    }
    for code in document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap() {
        let code = format!("`{}`", code.as_str().unwrap());
        assert!(page.contains(&code), "docs/reference/api.md does not mention the problem {code}");
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(reference)) => vec![reference.clone()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
