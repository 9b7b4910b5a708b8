//! What all readers of foreign JSON share: lists with a bound, values kept as they came, texts that may enter, and
//! errors that name the field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::model::Text;

/// A list that is refused, while it is being read, as soon as it has more than `MAX` items.
pub(super) struct Bounded<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<T, MAX>, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(format_args!("more than {MAX} items, the most that are allowed")));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items::<T, MAX>(PhantomData)).map(Bounded)
    }
}

/// Reads a field that is there, whatever it holds: `null` is a value, not an absence.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one JSON value. When that fails it is read again with an eye on the path, so that the error names the field;
/// the good case does not pay for it.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, FieldProblem> {
    serde_json::from_slice(json).map_err(|error| {
        let mut again = serde_json::Deserializer::from_slice(json);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Err(located) if located.path().iter().next().is_some() => {
                FieldProblem { path: located.path().to_string(), problem: located.inner().to_string() }
            }
            _ => FieldProblem { path: String::new(), problem: error.to_string() },
        }
    })
}

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The way to the field, such as `params.retry.factor`; empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl FieldProblem {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> FieldProblem {
        FieldProblem { path: path.into(), problem: problem.into() }
    }

    /// The same problem, seen from one level further out.
    pub(super) fn within(self, parent: &str) -> FieldProblem {
        let path = if self.path.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.path) };
        FieldProblem { path, ..self }
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.problem) } else { write!(f, "`{}`: {}", self.path, self.problem) }
    }
}

/// What keeps a text from being a name or an id here, if anything does. Control characters do not enter: logs and
/// terminals would obey them, and the store separates the parts of a key with one.
pub(super) fn text_problem(text: &str, bytes_max: usize) -> Option<String> {
    let control = || text.chars().any(char::is_control).then(|| "contains control characters".to_owned());
    source_problem(text, bytes_max).or_else(control)
}

/// What keeps a text of several lines from being taken, if anything does.
pub(super) fn source_problem(text: &str, bytes_max: usize) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.len() > bytes_max {
        return Some(format!("has {} bytes, at most {bytes_max} are allowed", text.len()));
    }
    text.contains('\0').then(|| "contains the character U+0000".to_owned())
}

/// Takes a text as a name or an id.
pub(super) fn named(field: &str, text: &Text, bytes_max: usize) -> Result<(), FieldProblem> {
    text_problem(text, bytes_max).map_or(Ok(()), |problem| Err(FieldProblem::new(field, problem)))
}

/// The first characters of a foreign text, fit to be shown on one line.
pub(super) fn shown(text: &str, chars: usize) -> String {
    let clean: String =
        text.chars().take(chars).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned();
    if text.chars().nth(chars).is_some() { format!("{clean}…") } else { clean }
}
