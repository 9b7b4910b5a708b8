//! What people find runs by: tags, which are there or not, and attributes, which have a value. Both are read once at the
//! edge, with their bounds, and are compared here as every store compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Text;
use crate::limits::{
    ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX, LABELS_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX,
};

/// The tags and the attributes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Short texts, each once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Text>,
    /// Values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Text, AttributeValue>,
}

/// What keeps labels from being taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelProblem {
    /// `tags` or `attributes`.
    pub field: &'static str,
    /// The position of the tag, or the attribute's name, if it is about one.
    pub part: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl Labels {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.attributes.is_empty()
    }

    /// Takes labels from outside, within their bounds. A tag that comes twice counts once.
    pub fn checked(tags: Vec<Text>, attributes: BTreeMap<Text, AttributeValue>) -> Result<Labels, LabelProblem> {
        let tags = checked_tags(tags)?;
        let attributes = checked_attributes(attributes)?;
        Ok(Labels { tags, attributes })
    }
}

/// Takes tags from outside, within their bounds.
pub fn checked_tags(tags: Vec<Text>) -> Result<BTreeSet<Text>, LabelProblem> {
    const FIELD: &str = "tags";
    for (at, tag) in tags.iter().enumerate() {
        if let Some(problem) = text_problem(tag, TAG_BYTES_MAX) {
            return Err(LabelProblem { field: FIELD, part: Some(at.to_string()), problem });
        }
    }
    let tags: BTreeSet<Text> = tags.into_iter().collect();
    if tags.len() > TAGS_MAX {
        let problem = format!("has {} tags, at most {TAGS_MAX} are allowed", tags.len());
        return Err(LabelProblem { field: FIELD, part: None, problem });
    }
    Ok(tags)
}

/// Takes attributes from outside, within their bounds.
pub fn checked_attributes(
    attributes: BTreeMap<Text, AttributeValue>,
) -> Result<BTreeMap<Text, AttributeValue>, LabelProblem> {
    const FIELD: &str = "attributes";
    if attributes.len() > ATTRIBUTES_MAX {
        let problem = format!("has {} attributes, at most {ATTRIBUTES_MAX} are allowed", attributes.len());
        return Err(LabelProblem { field: FIELD, part: None, problem });
    }
    let mut bytes = 0;
    for (name, value) in &attributes {
        let wrong = |problem| Err(LabelProblem { field: FIELD, part: Some(name.to_string()), problem });
        if let Some(problem) = name_problem(name) {
            return wrong(problem);
        }
        if let AttributeValue::Text(text) = value
            && let Some(problem) = text_problem(text, ATTRIBUTE_VALUE_BYTES_MAX).filter(|_| !text.is_empty())
        {
            return wrong(problem);
        }
        bytes += name.len() + value.bytes();
    }
    if bytes > LABELS_BYTES_MAX {
        let problem = format!("has {bytes} bytes of names and values, at most {LABELS_BYTES_MAX} are allowed");
        return Err(LabelProblem { field: FIELD, part: None, problem });
    }
    Ok(attributes)
}

/// What keeps a text from being the name of an attribute, if anything does: names stand in filters, between colons.
fn name_problem(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && name.chars().all(allowed) && name.len() <= ATTRIBUTE_NAME_BYTES_MAX {
        return None;
    }
    Some(format!(
        "the name of an attribute has 1 to {ATTRIBUTE_NAME_BYTES_MAX} of the characters A-Z, a-z, 0-9, `_`, `-` and `.`"
    ))
}

fn text_problem(text: &str, bytes_max: usize) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.len() > bytes_max {
        return Some(format!("has {} bytes, at most {bytes_max} are allowed", text.len()));
    }
    text.chars().any(char::is_control).then(|| "contains control characters".to_owned())
}

/// The value of an attribute. Values of one kind have an order; values of two kinds are never equal, and never compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeValue {
    /// Yes or no.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A text, in the order of its bytes. Times in RFC 3339, UTC, are in the order of time.
    Text(Text),
}

impl AttributeValue {
    /// The word for its kind in SQL.
    pub fn kind(&self) -> &'static str {
        match self {
            AttributeValue::Boolean(_) => "boolean",
            AttributeValue::Number(_) => "number",
            AttributeValue::Text(_) => "text",
        }
    }

    fn bytes(&self) -> usize {
        if let AttributeValue::Text(text) = self { text.len() } else { 8 }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Boolean(value) => value.fmt(f),
            AttributeValue::Number(value) => value.0.fmt(f),
            AttributeValue::Text(text) => f.write_str(text),
        }
    }
}

/// A finite number whose whole part is exact: at most 2^53 − 1 in magnitude, and never −0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(f64);

impl Number {
    /// The greatest magnitude: beyond it not every whole number can be told from its neighbour.
    pub const MAX: f64 = 9_007_199_254_740_991.0;

    /// Takes a number, unless it is too large or none.
    pub fn new(value: f64) -> Option<Number> {
        // Adding 0 turns −0 into 0.
        (value.abs() <= Number::MAX).then_some(Number(value + 0.0))
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AttributeValue::Boolean(value) => serializer.serialize_bool(*value),
            AttributeValue::Text(text) => serializer.serialize_str(text),
            // A whole number is written as one: that is how every reader shows it.
            AttributeValue::Number(Number(value)) if value.fract() == 0.0 => serializer.serialize_i64(*value as i64),
            AttributeValue::Number(Number(value)) => serializer.serialize_f64(*value),
        }
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeValue, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = AttributeValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a boolean")
            }

            fn visit_bool<E>(self, value: bool) -> Result<AttributeValue, E> {
                Ok(AttributeValue::Boolean(value))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<AttributeValue, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<AttributeValue, E> {
                self.visit_f64(value as f64)
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<AttributeValue, E> {
                let number = Number::new(value)
                    .ok_or_else(|| E::custom(format_args!("{value} is beyond ±{}; write it as a text", Number::MAX)))?;
                Ok(AttributeValue::Number(number))
            }

            fn visit_str<E>(self, value: &str) -> Result<AttributeValue, E> {
                Ok(AttributeValue::Text(value.into()))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// What a filter asks of one attribute: `NAME:exists`, or `NAME:OPERATOR:VALUE` with `eq`, `gt`, `gte`, `lt`, `lte` or
/// `prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeTest {
    /// The attribute's name.
    pub name: Text,
    /// What its value must be.
    pub wanted: Wanted,
    written: Text,
}

/// What the value of an attribute must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any.
    Any,
    /// One of these: what looks like a number may have been written as a text.
    OneOf(Vec<AttributeValue>),
    /// Of the kind of the bounds, and between them.
    Between(Bound, Bound),
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The end. Nothing: as far as the kind goes.
    pub value: Option<AttributeValue>,
    /// Whether the end itself is inside.
    pub inside: bool,
}

/// Why a text is no test of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read `{written}`: {problem}; write NAME:exists, or NAME:OPERATOR:VALUE with eq, gt, gte, lt, lte or prefix"
)]
pub struct AttributeTestError {
    written: String,
    problem: String,
}

impl AttributeTest {
    /// Whether a run with these attributes passes.
    pub fn matches(&self, attributes: &BTreeMap<Text, AttributeValue>) -> bool {
        let Some(value) = attributes.get(&self.name) else { return false };
        match &self.wanted {
            Wanted::Any => true,
            Wanted::OneOf(values) => values.contains(value),
            Wanted::Between(low, high) => {
                let end = |bound: &Bound, order: std::cmp::Ordering| {
                    bound.value.as_ref().is_none_or(|end| {
                        let compared = value.cmp(end);
                        value.kind() == end.kind() && (compared == order || bound.inside && compared.is_eq())
                    })
                };
                end(low, std::cmp::Ordering::Greater) && end(high, std::cmp::Ordering::Less)
            }
        }
    }
}

impl fmt::Display for AttributeTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl std::str::FromStr for AttributeTest {
    type Err = AttributeTestError;

    fn from_str(written: &str) -> Result<AttributeTest, AttributeTestError> {
        let wrong = |problem: String| AttributeTestError { written: written.chars().take(80).collect(), problem };
        let mut parts = written.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        if let Some(problem) = name_problem(name) {
            return Err(wrong(problem));
        }
        let wanted = match (parts.next(), parts.next()) {
            (Some("exists"), None) => Wanted::Any,
            (Some("exists"), Some(_)) => return Err(wrong("`exists` takes no value".to_owned())),
            (Some(operator), Some(value)) => wanted(operator, value).map_err(wrong)?,
            _ => return Err(wrong("it has no operator, or no value".to_owned())),
        };
        Ok(AttributeTest { name: name.into(), wanted, written: written.into() })
    }
}

fn wanted(operator: &str, written: &str) -> Result<Wanted, String> {
    if written.len() > ATTRIBUTE_VALUE_BYTES_MAX {
        return Err(format!("the value has {} bytes, at most {ATTRIBUTE_VALUE_BYTES_MAX} are allowed", written.len()));
    }
    let values = values(written)?;
    let one = values[0].clone();
    if operator == "eq" {
        return Ok(Wanted::OneOf(values));
    }
    let open = || Bound { value: None, inside: false };
    let at = |value, inside| Bound { value: Some(value), inside };
    if operator == "prefix" {
        let Some(AttributeValue::Text(text)) = values.into_iter().next_back() else {
            return Err("`prefix` compares texts".to_owned());
        };
        let last = AttributeValue::Text(format!("{text}{}", char::MAX).into());
        return Ok(Wanted::Between(at(AttributeValue::Text(text), true), at(last, true)));
    }
    if matches!(one, AttributeValue::Boolean(_)) && matches!(operator, "gt" | "gte" | "lt" | "lte") {
        return Err("booleans have no order; use `eq`".to_owned());
    }
    match operator {
        "gt" => Ok(Wanted::Between(at(one, false), open())),
        "gte" => Ok(Wanted::Between(at(one, true), open())),
        "lt" => Ok(Wanted::Between(open(), at(one, false))),
        "lte" => Ok(Wanted::Between(open(), at(one, true))),
        other => Err(format!("there is no operator `{other}`")),
    }
}

/// What a written value may stand for. `"42"` in quotes is a text; without them it may be a number as well.
fn values(written: &str) -> Result<Vec<AttributeValue>, String> {
    if written.starts_with('"') {
        let text: String = serde_json::from_str(written).map_err(|error| format!("the text in quotes: {error}"))?;
        return Ok(vec![AttributeValue::Text(text.into())]);
    }
    let text = AttributeValue::Text(written.into());
    Ok(match serde_json::from_str::<AttributeValue>(written) {
        Ok(value) => vec![value, text],
        Err(_) => vec![text],
    })
}

impl Serialize for AttributeTest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributeTest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeTest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn passes(test: &str, value: &str, expected: bool) {
        let test: AttributeTest = test.parse().unwrap();
        let attributes = BTreeMap::from([("a".into(), serde_json::from_str(value).unwrap())]);
        assert_eq!(test.matches(&attributes), expected, "{test} {value}");
    }

    #[test]
    fn values_are_compared_within_their_kind() {
        passes("a:exists", "false", true);
        passes("b:exists", "1", false);
        passes("a:eq:42", "42", true);
        passes("a:eq:42", "\"42\"", true);
        passes("a:eq:\"42\"", "42", false);
        passes("a:eq:42.0", "42", true);
        passes("a:eq:a:b", "\"a:b\"", true);
        passes("a:eq:true", "true", true);
        passes("a:eq:", "\"\"", true);
        passes("a:eq:-0", "0", true);
        passes("a:gte:100", "100", true);
        passes("a:gt:100", "100", false);
        passes("a:gt:99.5", "100", true);
        passes("a:gt:9", "\"95\"", false);
        passes("a:lt:9", "\"1\"", false);
        passes("a:lt:9", "-1e3", true);
        passes("a:lte:2026-12", "\"2026-11-30T00:00:00.000Z\"", true);
        passes("a:gt:b", "7", false);
        passes("a:prefix:ab", "\"abc\"", true);
        passes("a:prefix:ab", "\"b\"", false);
        passes("a:prefix:4", "\"42\"", true);
    }

    #[test]
    fn what_is_no_test_says_why() {
        for (written, why) in [
            ("", "1 to 64"),
            ("a b:eq:1", "1 to 64"),
            ("a", "no operator"),
            ("a:eq", "no value"),
            ("a:exists:1", "takes no value"),
            ("a:like:1", "no operator `like`"),
            ("a:gt:true", "no order"),
            ("a:eq:\"x", "in quotes"),
        ] {
            let error = written.parse::<AttributeTest>().unwrap_err().to_string();
            assert!(error.contains(why), "{written}: {error}");
        }
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        for text in ["9007199254740991", "-9007199254740991", "0.1", "1e-7", "-0.0", "5e-324"] {
            let value: AttributeValue = serde_json::from_str(text).unwrap();
            let again: AttributeValue = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
            assert_eq!(value, again);
        }
        for text in ["9007199254740992", "1e300", "null", "[1]", "{}"] {
            assert!(serde_json::from_str::<AttributeValue>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_have_bounds() {
        let number = |n: u32| AttributeValue::Number(Number::new(n.into()).unwrap());
        let tags = |n: usize| (0..n).map(|n| n.to_string().into()).collect::<Vec<Text>>();
        let problem = |tags, attributes| Labels::checked(tags, attributes).unwrap_err();
        assert!(Labels::checked(tags(TAGS_MAX), BTreeMap::new()).is_ok());
        assert_eq!(Labels::checked(vec!["a".into(); 100], BTreeMap::new()).unwrap().tags.len(), 1);
        assert!(problem(tags(TAGS_MAX + 1), BTreeMap::new()).problem.contains("33 tags"));
        let long = problem(vec!["a".into(), "x".repeat(TAG_BYTES_MAX + 1).into()], BTreeMap::new());
        assert_eq!((long.field, long.part.as_deref()), ("tags", Some("1")));
        assert!(problem(vec!["".into()], BTreeMap::new()).problem.contains("empty"));
        let many: BTreeMap<Text, _> = (0..33).map(|n| (format!("a{n}").into(), number(n))).collect();
        assert!(problem(Vec::new(), many).problem.contains("33 attributes"));
        let big = |bytes: usize| AttributeValue::Text("x".repeat(bytes).into());
        let large: BTreeMap<Text, _> = (0..20).map(|n| (format!("a{n}").into(), big(1_000))).collect();
        assert!(problem(Vec::new(), large).problem.contains("bytes of names and values"));
        let long = problem(Vec::new(), BTreeMap::from([("a".into(), big(ATTRIBUTE_VALUE_BYTES_MAX + 1))]));
        assert_eq!((long.field, long.part.as_deref()), ("attributes", Some("a")));
    }
}
