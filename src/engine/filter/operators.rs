//! What operators and functions make of values. Arithmetic that leaves its type's range is an error, as CEL has it.

use std::cmp::Ordering;
use std::rc::Rc;

use super::evaluate::{Evaluation, Given, Stop};
use super::plan::{Function, Operator};
use super::value::{Chars, Key, List, Map, Value};

impl<'a> Evaluation<'a> {
    pub(super) fn binary(&mut self, operator: Operator, left: Value<'a>, right: Value<'a>) -> Given<'a> {
        match operator {
            Operator::Equal => self.equal(&left, &right).map(Value::Bool),
            Operator::Unequal => self.equal(&left, &right).map(|equal| Value::Bool(!equal)),
            Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast => {
                self.ordered(operator, &left, &right)
            }
            Operator::In => self.contained(&left, &right),
            Operator::Index => self.index(&left, &right),
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => self.search(operator, &left, &right),
            Operator::Add => self.add(&left, &right),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                self.calculate(operator, &left, &right)
            }
        }
    }

    /// Whether two values are equal; values of different types are not, except numbers.
    fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<bool, Stop> {
        self.charge(1)?;
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                self.charge_copy(a.len().min(b.len()))?;
                **a == **b
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.charge_copy(a.len().min(b.len()))?;
                a == b
            }
            (Value::List(a), Value::List(b)) => return self.equal_lists(a, b),
            (Value::Map(a), Value::Map(b)) => return self.equal_maps(a, b),
            (a, b) => a.compare_numbers(b) == Some(Ordering::Equal),
        })
    }

    fn equal_lists(&mut self, left: &List<'a>, right: &List<'a>) -> Result<bool, Stop> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for at in 0..left.len() {
            let (Some(a), Some(b)) = (left.get(at), right.get(at)) else { return Ok(false) };
            if !self.equal(&a, &b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, left: &Map<'a>, right: &Map<'a>) -> Result<bool, Stop> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (key, a) in left.entries() {
            let Some(b) = self.look_up(right, &key)? else { return Ok(false) };
            if !self.equal(&a, &b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ordered(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Given<'a> {
        let order = match (left, right) {
            (Value::Text(a), Value::Text(b)) => {
                self.charge_copy(a.len().min(b.len()))?;
                Some((**a).cmp(&**b))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.charge_copy(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (a, b) if a.is_number() && b.is_number() => a.compare_numbers(b),
            _ => return self.unfit(operator, left, right),
        };
        // What is no number is neither less nor greater.
        Ok(Value::Bool(order.is_some_and(|order| match operator {
            Operator::Less => order.is_lt(),
            Operator::AtMost => order.is_le(),
            Operator::Greater => order.is_gt(),
            _ => order.is_ge(),
        })))
    }

    fn contained(&mut self, item: &Value<'a>, range: &Value<'a>) -> Given<'a> {
        match range {
            Value::List(list) => {
                for at in 0..list.len() {
                    if let Some(other) = list.get(at)
                        && self.equal(item, &other)?
                    {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            Value::Map(map) => match map_key(item) {
                Some(key) => Ok(Value::Bool(self.look_up(map, &key)?.is_some())),
                None if item.is_number() => Ok(Value::Bool(false)),
                None => self.unfit(Operator::In, item, range),
            },
            _ => self.unfit(Operator::In, item, range),
        }
    }

    fn index(&mut self, of: &Value<'a>, at: &Value<'a>) -> Given<'a> {
        let found = match of {
            Value::List(list) if at.is_number() => {
                at.whole().and_then(|at| usize::try_from(at).ok()).and_then(|at| list.get(at))
            }
            Value::Map(map) => match map_key(at) {
                Some(key) => self.look_up(map, &key)?,
                None => return self.unfit(Operator::Index, of, at),
            },
            _ => return self.unfit(Operator::Index, of, at),
        };
        match found {
            Some(value) => Ok(value),
            None => self.wrong("there is nothing at this index"),
        }
    }

    fn search(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Given<'a> {
        let (Value::Text(text), Value::Text(part)) = (left, right) else { return self.unfit(operator, left, right) };
        Ok(Value::Bool(match operator {
            Operator::Contains => {
                self.charge_search(text.len().saturating_add(part.len()))?;
                text.contains(&**part)
            }
            Operator::StartsWith => {
                self.charge_copy(part.len())?;
                text.starts_with(&**part)
            }
            _ => {
                self.charge_copy(part.len())?;
                text.ends_with(&**part)
            }
        }))
    }

    fn add(&mut self, left: &Value<'a>, right: &Value<'a>) -> Given<'a> {
        match (left, right) {
            (Value::Text(a), Value::Text(b)) => {
                self.charge_search(a.len().saturating_add(b.len()))?;
                Ok(Value::Text(Chars::Made(Rc::from([&**a, &**b].concat()))))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.charge_search(a.len().saturating_add(b.len()))?;
                Ok(Value::Bytes(Rc::from([&**a, &**b].concat())))
            }
            (Value::List(a), Value::List(b)) => {
                self.charge(a.len().saturating_add(b.len()))?;
                let items = |list: &List<'a>| (0..list.len()).filter_map(|at| list.get(at)).collect::<Vec<_>>();
                Ok(Value::List(List::Made(items(a).into_iter().chain(items(b)).collect())))
            }
            _ => self.calculate(Operator::Add, left, right),
        }
    }

    fn calculate(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Given<'a> {
        let result = match (left, right) {
            (Value::Int(a), Value::Int(b)) => match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .map(Value::Int),
            (Value::Uint(a), Value::Uint(b)) => match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .map(Value::Uint),
            (Value::Double(a), Value::Double(b)) if operator != Operator::Modulo => {
                Some(Value::Double(match operator {
                    Operator::Add => a + b,
                    Operator::Subtract => a - b,
                    Operator::Multiply => a * b,
                    _ => a / b,
                }))
            }
            _ => return self.unfit(operator, left, right),
        };
        match result {
            Some(value) => Ok(value),
            None => self.wrong(&format!("`{}` has no result in the range of its type", operator.sign())),
        }
    }

    pub(super) fn call(&mut self, function: Function, value: Value<'a>) -> Given<'a> {
        match (function, value) {
            (Function::Dyn, value) => Ok(value),
            (Function::Type, value) => Ok(Value::Type(value.kind())),
            (Function::Size, value) => self.size(&value),
            (Function::Text, value) => self.text(value),
            (Function::Bytes, value @ Value::Bytes(_)) | (Function::Bool, value @ Value::Bool(_)) => Ok(value),
            (Function::Bytes, Value::Text(text)) => {
                self.charge_search(text.len())?;
                Ok(Value::Bytes(Rc::from(text.as_bytes())))
            }
            (Function::Bool, Value::Text(text)) => match &*text {
                "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
                "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
                _ => self.wrong("`bool` does not know the text"),
            },
            (function, value) => self.number(function, &value),
        }
    }

    fn size(&mut self, value: &Value<'a>) -> Given<'a> {
        let size = match value {
            Value::Text(text) => {
                self.charge_copy(text.len())?;
                text.chars().count()
            }
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            other => return self.wrong(&format!("`size` does not take {}", other.kind().name())),
        };
        Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
    }

    fn text(&mut self, value: Value<'a>) -> Given<'a> {
        // The longest number has some 330 digits.
        self.charge_search(512)?;
        let text = match value {
            Value::Text(_) => return Ok(value),
            Value::Bool(yes) => yes.to_string(),
            Value::Int(int) => int.to_string(),
            Value::Uint(uint) => uint.to_string(),
            Value::Double(double) => double.to_string(),
            Value::Bytes(bytes) => {
                self.charge_search(bytes.len())?;
                match std::str::from_utf8(&bytes) {
                    Ok(text) => text.to_owned(),
                    Err(_) => return self.wrong("`string` takes bytes in UTF-8"),
                }
            }
            other => return self.wrong(&format!("`string` does not take {}", other.kind().name())),
        };
        Ok(Value::Text(Chars::Made(Rc::from(text))))
    }

    fn number(&mut self, function: Function, value: &Value<'a>) -> Given<'a> {
        if let Value::Text(text) = value {
            self.charge_search(text.len())?;
        }
        let number = match (function, value) {
            (Function::Double, Value::Double(double)) => Some(Value::Double(*double)),
            (Function::Double, Value::Int(int)) => Some(Value::Double(*int as f64)),
            (Function::Double, Value::Uint(uint)) => Some(Value::Double(*uint as f64)),
            (Function::Double, Value::Text(text)) => text.parse().ok().map(Value::Double),
            (Function::Int, Value::Text(text)) => text.parse().ok().map(Value::Int),
            (Function::Uint, Value::Text(text)) => text.parse().ok().map(Value::Uint),
            (Function::Int, Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                truncated(value).and_then(|whole| i64::try_from(whole).ok()).map(Value::Int)
            }
            (Function::Uint, Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                truncated(value).and_then(|whole| u64::try_from(whole).ok()).map(Value::Uint)
            }
            (function, value) => {
                return self.wrong(&format!("`{}` does not take {}", function.name(), value.kind().name()));
            }
        };
        match number {
            Some(number) => Ok(number),
            None => self.wrong(&format!("`{}` cannot hold this value", function.name())),
        }
    }
}

/// The key by which a map is asked: a double stands for the whole number that it is.
fn map_key<'a>(value: &Value<'a>) -> Option<Key<'a>> {
    match value {
        Value::Double(_) => value.whole().map(Key::Number),
        value => Key::of(value),
    }
}

fn truncated(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Double(double) => Value::Double(double.trunc()).whole(),
        value => value.whole(),
    }
}
