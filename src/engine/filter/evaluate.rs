//! Evaluates a filter, and counts the steps. Everything that takes time or memory is charged before it is done, by
//! its size; when the steps are used up, nothing goes on. So no filter and no event can hold a partition up.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::plan::{Loop, LoopKind, Node, Operator};
use super::value::{Chars, Key, List, Map, Value};
use crate::limits::FILTER_STEPS_MAX;

/// Bytes that are copied, compared or counted in one step.
const COPIED_PER_STEP: usize = 64;

/// Bytes that are read or searched one by one in one step.
const SEARCHED_PER_STEP: usize = 8;

/// What a pattern's machine does in one step.
const MATCHED_PER_STEP: usize = 8;

/// What making a list costs besides its items, and an object for each of its fields: memory.
const LIST_STEPS: usize = 2;
const FIELD_STEPS: usize = 8;

/// What an error costs: its message is written even where another operand makes up for it.
const ERROR_STEPS: usize = 4;

/// Why an evaluation gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It took more steps than it may.
    Costly,
    /// It met something that it cannot handle.
    Wrong(String),
}

/// The result of a part.
pub(super) type Given<'a> = Result<Value<'a>, Stop>;

/// One evaluation.
pub(super) struct Evaluation<'a> {
    event: &'a Json,
    awaited: Option<&'a Json>,
    locals: Vec<Value<'a>>,
    steps: usize,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(event: &'a Json, awaited: Option<&'a Json>) -> Evaluation<'a> {
        Evaluation { event, awaited, locals: Vec::new(), steps: FILTER_STEPS_MAX }
    }

    /// The value of a part of the filter.
    pub(super) fn value(&mut self, node: &'a Node) -> Given<'a> {
        self.charge(1)?;
        match node {
            Node::Constant(constant) => {
                self.charge_copy(constant.copied_bytes())?;
                Ok(constant.value())
            }
            Node::Event => Ok(self.event.into()),
            Node::Awaited => match self.awaited {
                Some(awaited) => Ok(awaited.into()),
                None => self.wrong("there is no `async` here"),
            },
            Node::Local(at) => match self.locals.get(*at) {
                Some(value) => Ok(value.clone()),
                None => self.wrong("the variable of a loop has no value"),
            },
            Node::Field(operand, name) => self.field(operand, name),
            Node::Has(operand, name) => self.has(operand, name),
            Node::Not(operand) => Ok(Value::Bool(!self.truth(operand)?)),
            Node::Negate(operand) => self.negate(operand),
            Node::And(operands) => self.all_of(operands, false),
            Node::Or(operands) => self.all_of(operands, true),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Node::Binary(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, left, right)
            }
            Node::List(items) => {
                self.charge(LIST_STEPS)?;
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                Ok(Value::List(List::Made(items?.into())))
            }
            Node::Map(entries) => self.map(entries),
            Node::Call(function, operand) => {
                let value = self.value(operand)?;
                self.call(*function, value)
            }
            Node::Matches(text, pattern) => match self.value(text)? {
                Value::Text(text) => {
                    self.charge(pattern.work(text.len()) / MATCHED_PER_STEP)?;
                    Ok(Value::Bool(pattern.is_in(&text)))
                }
                other => self.wrong(&format!("`matches` takes a string, not {}", other.kind().name())),
            },
            Node::Loop(walk) => self.walk(walk),
        }
    }

    /// Takes steps away. Once there are none left, there never are.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Stop> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(Stop::Costly)
            }
        }
    }

    pub(super) fn charge_copy(&mut self, bytes: usize) -> Result<(), Stop> {
        self.charge(bytes / COPIED_PER_STEP)
    }

    pub(super) fn charge_search(&mut self, bytes: usize) -> Result<(), Stop> {
        self.charge(bytes / SEARCHED_PER_STEP)
    }

    pub(super) fn wrong<T>(&mut self, message: &str) -> Result<T, Stop> {
        self.charge(ERROR_STEPS)?;
        Err(Stop::Wrong(message.to_owned()))
    }

    fn truth(&mut self, node: &'a Node) -> Result<bool, Stop> {
        match self.value(node)? {
            Value::Bool(yes) => Ok(yes),
            other => self.wrong(&format!("a condition must be true or false, not {}", other.kind().name())),
        }
    }

    /// `&&`, and `||` where `decisive` is true: an operand that decides does so whatever the others are.
    fn all_of(&mut self, operands: &'a [Node], decisive: bool) -> Given<'a> {
        let mut error = None;
        for operand in operands {
            match self.truth(operand) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(Stop::Costly) => return Err(Stop::Costly),
                Err(wrong) => error = error.or(Some(wrong)),
            }
        }
        error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn field(&mut self, operand: &'a Node, name: &'a str) -> Given<'a> {
        match self.value(operand)? {
            Value::Map(map) => match self.look_up(&map, &Key::Text(Chars::Lent(name)))? {
                Some(value) => Ok(value),
                None => self.wrong(&format!("there is no field `{name}`")),
            },
            other => self.wrong(&format!("there is no field `{name}` in a value of type {}", other.kind().name())),
        }
    }

    fn has(&mut self, operand: &'a Node, name: &'a str) -> Given<'a> {
        match self.value(operand)? {
            Value::Map(map) => Ok(Value::Bool(self.look_up(&map, &Key::Text(Chars::Lent(name)))?.is_some())),
            other => self.wrong(&format!("`has` takes a field of an object, not of {}", other.kind().name())),
        }
    }

    /// Looks an entry up: as many comparisons as the map's size has binary digits.
    pub(super) fn look_up(&mut self, map: &Map<'a>, key: &Key<'a>) -> Result<Option<Value<'a>>, Stop> {
        let bytes = if let Key::Text(text) = key { text.len() } else { 0 };
        let comparisons = (usize::BITS - map.len().leading_zeros()) as usize;
        self.charge(comparisons * (1 + bytes / COPIED_PER_STEP) / 4)?;
        Ok(map.get(key))
    }

    fn negate(&mut self, operand: &'a Node) -> Given<'a> {
        match self.value(operand)? {
            Value::Int(int) => match int.checked_neg() {
                Some(int) => Ok(Value::Int(int)),
                None => self.wrong("the number is too large for `-`"),
            },
            Value::Double(double) => Ok(Value::Double(-double)),
            other => self.wrong(&format!("`-` takes a number, not {}", other.kind().name())),
        }
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Given<'a> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let (key, value) = (self.value(key)?, self.value(value)?);
            let Some(key) = Key::of(&key) else {
                return self.wrong(&format!("the key of an object cannot be {}", key.kind().name()));
            };
            let bytes = if let Key::Text(text) = &key { text.len() } else { 0 };
            // Finding its place among the others compares keys, of which a filter's text has room for 2^10.
            self.charge(FIELD_STEPS + 10 * (bytes / COPIED_PER_STEP))?;
            if map.insert(key, value).is_some() {
                return self.wrong("an object has the same key twice");
            }
        }
        Ok(Value::Map(Map::Made(Rc::new(map))))
    }

    fn walk(&mut self, walk: &'a Loop) -> Given<'a> {
        let range = match self.value(&walk.range)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.charge(map.len())?;
                List::Made(map.entries().map(|(key, _)| key.value()).collect())
            }
            other => {
                return self.wrong(&format!("only lists and objects can be gone through, not {}", other.kind().name()));
            }
        };
        let place = self.locals.len();
        let given = self.each(walk, &range);
        self.locals.truncate(place);
        given
    }

    fn each(&mut self, walk: &'a Loop, range: &List<'a>) -> Given<'a> {
        let place = self.locals.len();
        let (mut made, mut error, mut passed) = (Vec::new(), None, 0u64);
        for at in 0..range.len() {
            self.charge(1)?;
            let Some(item) = range.get(at) else { break };
            self.locals.truncate(place);
            self.locals.push(item.clone());
            let passes = match walk.condition.as_ref().map_or(Ok(true), |condition| self.truth(condition)) {
                // Another item may decide, as in a chain of `&&` or `||`.
                Err(Stop::Wrong(wrong)) if matches!(walk.kind, LoopKind::All | LoopKind::Exists) => {
                    error.get_or_insert(Stop::Wrong(wrong));
                    continue;
                }
                passes => passes?,
            };
            match (walk.kind, passes) {
                (LoopKind::All, false) => return Ok(Value::Bool(false)),
                (LoopKind::Exists, true) => return Ok(Value::Bool(true)),
                (LoopKind::Filter, true) => made.push(item),
                (LoopKind::Map, true) => match &walk.made {
                    Some(node) => made.push(self.value(node)?),
                    None => made.push(item),
                },
                (_, passes) => passed += u64::from(passes),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        Ok(match walk.kind {
            LoopKind::All => Value::Bool(true),
            LoopKind::Exists => Value::Bool(false),
            LoopKind::ExistsOne => Value::Bool(passed == 1),
            LoopKind::Filter | LoopKind::Map => Value::List(List::Made(made.into())),
        })
    }

    pub(super) fn unfit<T>(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<T, Stop> {
        let (sign, left, right) = (operator.sign(), left.kind().name(), right.kind().name());
        self.wrong(&format!("`{sign}` does not take {left} and {right}"))
    }
}
