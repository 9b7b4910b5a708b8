//! What people find runs by: tags, which are there or not, and attributes, which have a value. Bounded here, before they leave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::Error;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::Replay;
use crate::time;

/// Tags of one run.
const TAGS_MAX: usize = 32;
/// Bytes of one tag.
const TAG_BYTES_MAX: usize = 128;
/// Attributes of one run.
const ATTRIBUTES_MAX: usize = 32;
/// Bytes of an attribute's name.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of an attribute's text.
const VALUE_BYTES_MAX: usize = 1_024;
/// Bytes of all names and values.
const LABELS_BYTES_MAX: usize = 16 * 1_024;
/// The greatest number that is exact: 2^53 − 1.
const NUMBER_MAX: f64 = 9_007_199_254_740_991.0;

/// The value of an attribute. Times become texts in RFC 3339, which are in the order of time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no.
    Boolean(bool),
    /// A number of at most 2^53 − 1 in magnitude.
    Number(f64),
    /// A text of at most 1 KiB.
    Text(String),
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AttributeValue::Boolean(value) => serializer.serialize_bool(*value),
            AttributeValue::Number(value) if value.fract() == 0.0 => serializer.serialize_i64(*value as i64),
            AttributeValue::Number(value) => serializer.serialize_f64(*value),
            AttributeValue::Text(text) => serializer.serialize_str(text),
        }
    }
}

macro_rules! values {
    ($($from:ty => $value:expr,)*) => {
        $(impl From<$from> for AttributeValue {
            fn from(value: $from) -> AttributeValue {
                $value(value)
            }
        })*
    };
}

values! {
    bool => AttributeValue::Boolean,
    f64 => AttributeValue::Number,
    i32 => |value| AttributeValue::Number(f64::from(value)),
    u32 => |value| AttributeValue::Number(f64::from(value)),
    // What is lost of a greater number is more than the bound lets pass.
    i64 => |value| AttributeValue::Number(value as f64),
    u64 => |value| AttributeValue::Number(value as f64),
    usize => |value| AttributeValue::Number(value as f64),
    String => AttributeValue::Text,
    &str => |value: &str| AttributeValue::Text(value.to_owned()),
    SystemTime => |value| AttributeValue::Text(time::format(value)),
}

/// The tags and the attributes of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Labels {
    #[serde(default)]
    pub(crate) tags: BTreeSet<String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, AttributeValue>,
}

impl Labels {
    /// Whether they can be taken. The error is terminal, and names what is wrong.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String, problem: String| {
            Err(Error::terminal("MisuseError", format!("failed to set {what}: {problem}")))
        };
        for tag in &self.tags {
            if let Some(problem) =
                text_problem(tag, TAG_BYTES_MAX).or_else(|| tag.is_empty().then(|| "it is empty".to_owned()))
            {
                return wrong(format!("the tag {tag:?}"), problem);
            }
        }
        if self.tags.len() > TAGS_MAX {
            return wrong("tags".to_owned(), format!("there are {}, at most {TAGS_MAX} are allowed", self.tags.len()));
        }
        let mut bytes = 0;
        for (name, value) in &self.attributes {
            let problem = match value {
                _ if !is_name(name) => {
                    Some(format!("a name has 1 to {NAME_BYTES_MAX} of the characters A-Z, a-z, 0-9, _, - and ."))
                }
                AttributeValue::Text(text) => text_problem(text, VALUE_BYTES_MAX),
                AttributeValue::Number(value) => (value.is_nan() || value.abs() > NUMBER_MAX)
                    .then(|| format!("{value} is no number within ±(2^53 − 1); write it as a text")),
                AttributeValue::Boolean(_) => None,
            };
            if let Some(problem) = problem {
                return wrong(format!("the attribute {name:?}"), problem);
            }
            bytes += name.len() + if let AttributeValue::Text(text) = value { text.len() } else { 8 };
        }
        let what = "attributes".to_owned();
        if self.attributes.len() > ATTRIBUTES_MAX {
            return wrong(what, format!("there are {}, at most {ATTRIBUTES_MAX} are allowed", self.attributes.len()));
        }
        if bytes > LABELS_BYTES_MAX {
            return wrong(what, format!("names and values have {bytes} bytes, at most {LABELS_BYTES_MAX} are allowed"));
        }
        Ok(())
    }

    /// Adds them to the options of a start or a child, where there are any.
    pub(crate) fn write(&self, mut into: ObjectWriter) -> Result<ObjectWriter, Error> {
        self.check()?;
        if !self.tags.is_empty() {
            into = into.raw("tags", &Raw::encode(&self.tags, "the tags")?);
        }
        if !self.attributes.is_empty() {
            into = into.raw("attributes", &Raw::encode(&self.attributes, "the attributes")?);
        }
        Ok(into)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(allowed)
}

fn text_problem(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() > bytes_max {
        return Some(format!("it has {} bytes, at most {bytes_max} are allowed", text.len()));
    }
    text.chars().any(char::is_control).then(|| "it contains control characters".to_owned())
}

/// Changes what the run is found by. Not in a body: a replay does not run it again, and would know nothing of what it has said.
pub(crate) fn change(replay: &Replay, name: &str, change: impl FnOnce(&mut Labels)) -> Result<(), Error> {
    replay.check_place(name)?;
    let mut labels = replay.core().labels().clone();
    change(&mut labels);
    labels.check()?;
    replay.core().set_labels(labels);
    Ok(())
}
