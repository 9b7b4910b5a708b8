//! Objects: durable state under a key, and who holds the key. The handlers of an object are functions whose id is
//! `object/handler`; everything here is what they have in common. Plain data: the engine decides whose turn it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FunctionId, Payload, RunHead, RunId, Text};

/// How a handler of an object works with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectMode {
    /// One run of the key at a time, from start to end; it may change the state.
    Exclusive,
    /// At once, beside whatever runs; it reads the state as it was when the run was created.
    Shared,
}

impl ObjectMode {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectMode::Exclusive => "exclusive",
            ObjectMode::Shared => "shared",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<ObjectMode> {
        [ObjectMode::Exclusive, ObjectMode::Shared].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// One key of an object: what state belongs to, and what one exclusive run holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The app that serves the object.
    pub app: Text,
    /// The object's id.
    pub object: Text,
    /// The key.
    pub key: Text,
}

/// Separates the parts of a key where it is one text: names cannot contain control characters.
const SEPARATOR: char = '\u{1f}';

impl ObjectKey {
    /// The key that a run of this function works with; nothing for a function that is no handler of an object.
    pub fn new(function: &FunctionId, key: &Text) -> Option<ObjectKey> {
        let (object, _) = function.function.split_once('/')?;
        Some(ObjectKey { app: function.app.clone(), object: object.into(), key: key.clone() })
    }

    /// The key that a run works with, if it is one of a handler of an object.
    pub fn of(head: &RunHead) -> Option<ObjectKey> {
        ObjectKey::new(&head.function, head.key.as_ref()?)
    }

    /// All of it as one text: the name of the line of runs that wait for it.
    pub fn line(&self) -> Text {
        format!("{}{SEPARATOR}{}{SEPARATOR}{}", self.app, self.object, self.key).into()
    }

    /// Reads that text back.
    pub fn parse(line: &str) -> Option<ObjectKey> {
        let mut parts = line.splitn(3, SEPARATOR);
        let (app, object, key) = (parts.next()?, parts.next()?, parts.next()?);
        Some(ObjectKey { app: app.into(), object: object.into(), key: key.into() })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}/{}` `{}`", self.app, self.object, self.key)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds a key, and how many wait for it. A key that nobody holds or waits for has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// The layout of this JSON.
    pub format: u32,
    /// The run whose turn it is; nothing while the key is passed on to the next.
    pub holder: Option<RunId>,
    /// How many runs stand in line.
    pub waiting: u64,
    /// The place in line of the next that comes.
    pub next: i64,
}

/// One value of an object's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectValue {
    /// Whose state it belongs to.
    pub object: ObjectKey,
    /// Its name.
    pub name: Text,
    /// The value; nothing when it was taken away by the run that holds the key.
    pub value: Option<Payload>,
    /// What the run that holds the key found there, if it has written here: an invocation is shown that again.
    pub before: Option<Before>,
}

/// What a run found under a name before it wrote there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Absent,
    /// This value.
    Was(Payload),
}

impl ObjectValue {
    /// What the run that holds the key found under the name.
    pub fn at_first(&self) -> Option<&Payload> {
        match &self.before {
            None => self.value.as_ref(),
            Some(Before::Absent) => None,
            Some(Before::Was(value)) => Some(value),
        }
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        let before = match &self.before {
            Some(Before::Was(value)) => value.len(),
            _ => 0,
        };
        self.name.len() + self.value.as_ref().map_or(0, Payload::len) + before
    }
}

/// State as one JSON object, with the bytes of its values.
pub fn state_json<'a>(values: impl Iterator<Item = (&'a Text, &'a Payload)>) -> Payload {
    let mut json = vec![b'{'];
    for (name, value) in values {
        if json.len() > 1 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, &**name).expect("a text prints to memory");
        json.push(b':');
        json.extend_from_slice(value.bytes());
    }
    json.push(b'}');
    Payload::trusted(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_key() {
        let key = ObjectKey::new(&FunctionId::new("shop", "cart/add"), &"user/17 ü".into()).unwrap();
        assert_eq!((&*key.object, &*key.key), ("cart", "user/17 ü"));
        assert_eq!(ObjectKey::parse(&key.line()), Some(key));
        assert_eq!(ObjectKey::new(&FunctionId::new("shop", "order"), &"a".into()), None);
    }

    #[test]
    fn state_is_printed_with_the_bytes_of_its_values() {
        let values: [(Text, Payload); 2] =
            [("a\"".into(), Payload::trusted("1.50")), ("b".into(), Payload::trusted("[ ]"))];
        let json = state_json(values.iter().map(|(name, value)| (name, value)));
        assert_eq!(json, Payload::trusted(r#"{"a\"":1.50,"b":[ ]}"#));
    }
}
