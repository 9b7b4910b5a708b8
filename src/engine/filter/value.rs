//! Values that a filter works with. What comes from an event stays where it is and is lent; copies are never deep.
//! Objects go through their fields in the order of their keys, so that a filter says the same in every process.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value as Json;

/// A value of CEL.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Chars<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Type(Kind),
}

/// The type of a value, as CEL names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Type,
}

impl Kind {
    /// All types.
    const ALL: [Kind; 10] = [
        Kind::Null,
        Kind::Bool,
        Kind::Int,
        Kind::Uint,
        Kind::Double,
        Kind::Text,
        Kind::Bytes,
        Kind::List,
        Kind::Map,
        Kind::Type,
    ];

    /// The type's name in a filter.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Null => "null_type",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Double => "double",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::Type => "type",
        }
    }

    /// The type of this name.
    pub(super) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A string, lent by the event or the filter, or made on the way.
#[derive(Clone, Debug)]
pub(super) enum Chars<'a> {
    Lent(&'a str),
    Made(Rc<str>),
}

impl Deref for Chars<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Chars::Lent(text) => text,
            Chars::Made(text) => text,
        }
    }
}

/// A list of an event, or one made on the way.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Lent(&'a [Json]),
    Made(Rc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Lent(items) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            List::Lent(items) => items.get(at).map(Value::from),
            List::Made(items) => items.get(at).cloned(),
        }
    }
}

/// An object of an event, or one made on the way.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Lent(&'a serde_json::Map<String, Json>),
    Made(Rc<BTreeMap<Key<'a>, Value<'a>>>),
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Map::Lent(fields) => fields.len(),
            Map::Made(fields) => fields.len(),
        }
    }

    pub(super) fn get(&self, key: &Key<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Map::Lent(fields), Key::Text(name)) => fields.get(&**name).map(Value::from),
            (Map::Lent(_), _) => None,
            (Map::Made(fields), key) => fields.get(key).cloned(),
        }
    }

    /// Its entries in the order of their keys.
    pub(super) fn entries(&self) -> Box<dyn Iterator<Item = (Key<'a>, Value<'a>)> + '_> {
        match self {
            Map::Lent(fields) => {
                Box::new(fields.iter().map(|(name, value)| (Key::Text(Chars::Lent(name)), Value::from(value))))
            }
            Map::Made(fields) => Box::new(fields.iter().map(|(key, value)| (key.clone(), value.clone()))),
        }
    }
}

/// The key of an entry of a map. Whole numbers are one kind of key, however they are written.
#[derive(Clone, Debug)]
pub(super) enum Key<'a> {
    Bool(bool),
    Number(i128),
    Text(Chars<'a>),
}

impl<'a> Key<'a> {
    /// The key that a value is, if values of its type are keys.
    pub(super) fn of(value: &Value<'a>) -> Option<Key<'a>> {
        match value {
            Value::Bool(yes) => Some(Key::Bool(*yes)),
            Value::Int(number) => Some(Key::Number(i128::from(*number))),
            Value::Uint(number) => Some(Key::Number(i128::from(*number))),
            Value::Text(text) => Some(Key::Text(text.clone())),
            _ => None,
        }
    }

    /// The key as a value.
    pub(super) fn value(self) -> Value<'a> {
        match self {
            Key::Bool(yes) => Value::Bool(yes),
            Key::Number(number) => i64::try_from(number)
                .map(Value::Int)
                .unwrap_or_else(|_| Value::Uint(u64::try_from(number).unwrap_or(u64::MAX))),
            Key::Text(text) => Value::Text(text),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Number(_) => 1,
            Key::Text(_) => 2,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Key<'_>) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::Number(a), Key::Number(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => (**a).cmp(&**b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Key<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Key<'_>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}

impl<'a> From<&'a Json> for Value<'a> {
    /// Whole numbers are `int` wherever they fit, so that `event.data.total > 0` compares like with like.
    fn from(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(*yes),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(int), _, _) => Value::Int(int),
                (None, Some(uint), _) => Value::Uint(uint),
                (None, None, double) => Value::Double(double.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(Chars::Lent(text)),
            Json::Array(items) => Value::List(List::Lent(items)),
            Json::Object(fields) => Value::Map(Map::Lent(fields)),
        }
    }
}

impl Value<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Uint(_) => Kind::Uint,
            Value::Double(_) => Kind::Double,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::List(_) => Kind::List,
            Value::Map(_) => Kind::Map,
            Value::Type(_) => Kind::Type,
        }
    }

    /// Compares numbers by what they are worth, whatever their types. Nothing for other values and for what is no
    /// number.
    pub(super) fn compare_numbers(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Double(a), b) => Some(compare_whole(b.whole()?, *a)?.reverse()),
            (a, Value::Double(b)) => compare_whole(a.whole()?, *b),
            (a, b) => Some(a.whole()?.cmp(&b.whole()?)),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Uint(_) | Value::Double(_))
    }

    /// The whole number that it is, also as a double without a fraction.
    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(int) => Some(i128::from(*int)),
            Value::Uint(uint) => Some(i128::from(*uint)),
            Value::Double(double) if double.fract() == 0.0 && double.abs() < 1e30 => Some(*double as i128),
            _ => None,
        }
    }
}

fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double.abs() >= 1e30 {
        return Some(if double > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let floor = double.floor();
    // A double that is between two whole numbers is greater than the lower one.
    Some(whole.cmp(&(floor as i128)).then(if double > floor { Ordering::Less } else { Ordering::Equal }))
}
