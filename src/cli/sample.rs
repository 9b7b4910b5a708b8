//! An input to try a function with, made up from the JSON Schema of its input. It shows the shape; whether it fits in every detail is for
//! the handler to say. What cannot be written between single quotes on one line is not suggested.

use serde_json::{Map, Value, json};

/// Characters that a suggestion may have, and levels of it.
const CHARS_MAX: usize = 200;
const DEPTH_MAX: usize = 4;

/// A sample of what the schema describes, as it is typed between single quotes.
pub(super) fn argument(schema: &Value) -> Option<String> {
    let text = sample(schema, 0)?.to_string();
    let fits = text.len() <= CHARS_MAX && !text.contains('\'') && !text.contains(char::is_control);
    fits.then_some(text)
}

fn sample(schema: &Value, depth: usize) -> Option<Value> {
    let said = schema.get("examples").and_then(|examples| examples.get(0));
    let said = said.or_else(|| ["example", "default", "const"].into_iter().find_map(|word| schema.get(word)));
    let said = said.or_else(|| schema.get("enum").and_then(|values| values.get(0)));
    if let Some(said) = said {
        return Some(said.clone());
    }
    if depth == DEPTH_MAX {
        return None;
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(one) = schema.get(word).and_then(|list| list.get(0)) {
            return sample(one, depth + 1);
        }
    }
    let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind));
    match kind.and_then(Value::as_str) {
        Some("object") => object(schema, depth),
        Some("array") => match schema.get("items") {
            Some(items) => Some(json!([sample(items, depth + 1)?])),
            None => Some(json!([])),
        },
        Some("string") => Some(match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => json!("2026-01-31T12:00:00Z"),
            Some("date") => json!("2026-01-31"),
            Some("email") => json!("ann@example.com"),
            _ => json!("text"),
        }),
        Some("integer" | "number") => Some(schema.get("minimum").cloned().unwrap_or(json!(1))),
        Some("boolean") => Some(json!(true)),
        Some("null") => Some(Value::Null),
        _ => None,
    }
}

/// The fields that must be there; all of them if the schema names none.
fn object(schema: &Value, depth: usize) -> Option<Value> {
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return Some(json!({})) };
    let required = schema.get("required").and_then(Value::as_array);
    let wanted = |name: &&String| required.is_none_or(|names| names.iter().any(|known| known == name.as_str()));
    let mut sampled = Map::new();
    for name in fields.keys().filter(wanted) {
        sampled.insert(name.clone(), sample(&fields[name], depth + 1)?);
    }
    Some(Value::Object(sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, wanted: Option<&str>) {
        assert_eq!(argument(&schema).as_deref(), wanted, "{schema}");
    }

    #[test]
    fn shapes_are_shown() {
        let order = json!({"type": "object", "required": ["id", "items", "due"], "properties": {
            "id": {"type": "string"}, "note": {"type": "string"}, "due": {"type": ["string", "null"], "format": "date"},
            "items": {"type": "array", "items": {"type": "object", "properties": {"cents": {"type": "integer", "minimum": 5}}}},
        }});
        check(order, Some(r#"{"due":"2026-01-31","id":"text","items":[{"cents":5}]}"#));
        check(json!({"anyOf": [{"enum": ["lamp", "vase"]}, {"type": "null"}]}), Some(r#""lamp""#));
        check(json!({"type": "object", "examples": [{"n": 21}]}), Some(r#"{"n":21}"#));
        check(json!({"type": "object"}), Some("{}"));
    }

    #[test]
    fn what_cannot_be_typed_or_known_is_not_suggested() {
        check(json!({"default": "it's"}), None);
        check(json!({"default": "x".repeat(300)}), None);
        check(json!(true), None);
        check(json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}), None);
        let mut deep = json!({"type": "null"});
        for _ in 0..20 {
            deep = json!({"type": "array", "items": deep});
        }
        check(deep, None);
    }
}
