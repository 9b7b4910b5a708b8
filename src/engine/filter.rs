//! CEL filters over events: compiling, evaluating, and finding the one equality by which an event can look a wait up
//! instead of evaluating every wait's filter.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, operators};
use cel::objects::Key as CelKey;
use cel::{Context, Env, Program, Value};

use crate::limits::{FILTER_BYTES_MAX, FILTER_OPERATORS_MAX};
use crate::model::{Event, Payload, Text, WaitIndex, derive};

/// Why a filter cannot be used, or said nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Longer than filters may be.
    #[error("failed to compile the filter: it has {0} bytes, at most {FILTER_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Nested deeper than the thread that evaluates it could follow.
    #[error(
        "failed to compile the filter: it has more than {FILTER_OPERATORS_MAX} operators; simplify it, or filter in the function"
    )]
    TooComplex,
    /// Not CEL.
    #[error("failed to compile the filter: {0}")]
    Syntax(String),
    /// It met something it cannot handle, such as a field that the event does not have.
    #[error("failed to evaluate the filter: {0}")]
    Evaluation(String),
    /// It gave something else than true or false.
    #[error("failed to evaluate the filter: it must give true or false, and gave {0}")]
    NotBoolean(String),
}

/// A compiled filter.
pub struct Filter {
    program: Program,
}

/// A filter's variables: `event` is the trigger or the one event there is, `async` the awaited one.
#[derive(Clone, Copy)]
pub struct Variables<'a> {
    /// The variable `event`: an object with `name`, `data` and what else the trigger has.
    pub event: &'a serde_json::Value,
    /// The variable `async`, where a wait is concerned.
    pub awaited: Option<&'a serde_json::Value>,
}

impl Filter {
    /// Compiles a filter.
    pub fn compile(source: &str) -> Result<Filter, FilterError> {
        if source.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong(source.len()));
        }
        // Evaluation recurses once for each operator, and a stack that overflows ends the process.
        let operators = source.bytes().filter(|byte| b"+-*/%&|?!=<>.[(".contains(byte)).count();
        if operators > FILTER_OPERATORS_MAX {
            return Err(FilterError::TooComplex);
        }
        let program = Program::compile(source).map_err(|errors| FilterError::Syntax(one_line(&errors.to_string())))?;
        Ok(Filter { program })
    }

    /// Whether the filter says yes.
    pub fn matches(&self, variables: Variables<'_>) -> Result<bool, FilterError> {
        match self.program.execute(&context(variables)) {
            Ok(Value::Bool(verdict)) => Ok(verdict),
            Ok(other) => Err(FilterError::NotBoolean(format!("{:?}", other.type_of()))),
            Err(error) => Err(FilterError::Evaluation(one_line(&error.to_string()))),
        }
    }

    /// The first conjunct `async.<path> == <value>` whose value does not depend on the awaited event: its path
    /// without `async.`, and a digest of the value.
    pub fn equality(&self, event: &serde_json::Value) -> Option<(Text, i64)> {
        let context = context(Variables { event, awaited: None });
        conjuncts(self.program.expression()).into_iter().find_map(|(left, right)| {
            let (path, value) = match (awaited_path(left), awaited_path(right)) {
                (Some(path), None) => (path, right),
                (None, Some(path)) => (path, left),
                _ => return None,
            };
            let value = Value::resolve(value, &context).ok()?.json().ok()?;
            Some((path.into(), value_digest(&value)?))
        })
    }
}

/// Where a wait for `event` with this filter is indexed.
pub(super) fn wait_index(event: &Text, filter: Option<&Filter>, trigger: &serde_json::Value) -> WaitIndex {
    let (path, value) = filter.and_then(|filter| filter.equality(trigger)).unwrap_or_else(|| ("".into(), 0));
    WaitIndex { event: event.clone(), path, value }
}

/// Where an event looks for waits that are indexed by `path`; nothing when it has no such value.
pub(super) fn event_index(event: &Event, view: &serde_json::Value, path: &Text) -> Option<WaitIndex> {
    if path.is_empty() {
        return Some(WaitIndex { event: event.name.clone(), path: path.clone(), value: 0 });
    }
    let value = path.split('.').try_fold(view, |value, field| value.get(field))?;
    Some(WaitIndex { event: event.name.clone(), path: path.clone(), value: value_digest(value)? })
}

/// What a filter sees of an event.
pub fn event_view(name: &str, id: &str, data: &Payload) -> serde_json::Value {
    let data: serde_json::Value = data.read().unwrap_or_default();
    serde_json::json!({ "name": name, "id": id, "data": data })
}

/// Digests scalars so that equal CEL values have equal digests; objects and lists are not looked up by.
fn value_digest(value: &serde_json::Value) -> Option<i64> {
    let digest = match value {
        serde_json::Value::String(text) => derive(&[b"s", text.as_bytes()]),
        serde_json::Value::Number(number) => derive(&[b"n", &number.as_f64()?.to_bits().to_be_bytes()]),
        serde_json::Value::Bool(yes) => derive(&[b"b", &[u8::from(*yes)]]),
        _ => return None,
    };
    Some(i64::from_be_bytes(digest.to_be_bytes()))
}

fn context(variables: Variables<'_>) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    context.add_variable_from_value("event", cel_value(variables.event));
    if let Some(awaited) = variables.awaited {
        context.add_variable_from_value("async", cel_value(awaited));
    }
    context
}

/// JSON as CEL: whole numbers are `int` wherever they fit, so that `event.data.total > 0` compares like with like.
fn cel_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(*yes),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => Value::Int(int),
            (None, Some(uint), _) => Value::UInt(uint),
            (None, None, float) => Value::Float(float.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(cel_value).collect())),
        serde_json::Value::Object(fields) => {
            let map: HashMap<CelKey, Value> =
                fields.iter().map(|(key, value)| (CelKey::from(key.clone()), cel_value(value))).collect();
            Value::from(map)
        }
    }
}

/// The equalities that must all hold for the expression to hold.
fn conjuncts(expression: &IdedExpr) -> Vec<(&IdedExpr, &IdedExpr)> {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => call.args.iter().flat_map(conjuncts).collect(),
        Expr::Call(call) if call.func_name == operators::EQUALS => match call.args.as_slice() {
            [left, right] => vec![(left, right)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The dotted path of `async.a.b`, without `async.`.
fn awaited_path(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Select(select) if !select.test && !select.field.contains('.') => match &select.operand.expr {
            Expr::Ident(name) => (name == "async").then(|| select.field.clone()),
            _ => awaited_path(&select.operand).map(|path| format!("{path}.{}", select.field)),
        },
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(source: &str, event: &serde_json::Value, awaited: &serde_json::Value) -> Result<bool, FilterError> {
        Filter::compile(source)?.matches(Variables { event, awaited: Some(awaited) })
    }

    #[test]
    fn filters_compare_json_as_people_expect() {
        let event = json!({"name": "order/created", "data": {"total": 5, "rate": 0.5, "id": "a", "tags": ["x"]}});
        let awaited = json!({"name": "paid", "data": {"id": "a", "n": 5.0}});
        for (source, expected) in [
            ("event.data.total > 0", true),
            ("event.data.rate < 1", true),
            ("async.data.id == event.data.id", true),
            ("async.data.n == event.data.total", true),
            ("'x' in event.data.tags && event.name.startsWith('order/')", true),
            ("has(event.data.missing)", false),
        ] {
            assert_eq!(matches(source, &event, &awaited), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let nothing = json!({"data": {}});
        assert!(matches!(Filter::compile("event.data."), Err(FilterError::Syntax(_))));
        assert!(matches!(Filter::compile(&"a".repeat(5_000)), Err(FilterError::TooLong(5_000))));
        let chain = |operators: usize| format!("1{}", "+1".repeat(operators));
        assert_eq!(Filter::compile(&chain(FILTER_OPERATORS_MAX + 1)).err(), Some(FilterError::TooComplex));
        assert!(matches!(matches(&chain(FILTER_OPERATORS_MAX), &nothing, &nothing), Err(FilterError::NotBoolean(_))));
        assert!(matches!(matches("event.data.missing == 1", &nothing, &nothing), Err(FilterError::Evaluation(_))));
        assert!(matches!(matches("1 + 1", &nothing, &nothing), Err(FilterError::NotBoolean(_))));
    }

    #[test]
    fn an_equality_is_found_and_an_event_finds_it() {
        let trigger = json!({"data": {"id": "a"}});
        let filter = Filter::compile("async.data.total > 3 && async.data.order.id == event.data.id").expect("compiles");
        let index = wait_index(&"paid".into(), Some(&filter), &trigger);
        assert_eq!(&*index.path, "data.order.id");
        let event = |data: serde_json::Value| {
            let view = json!({"name": "paid", "data": data});
            let event = Event {
                seq: 1,
                id: crate::model::EventId(1),
                name: "paid".into(),
                data: Payload::null(),
                at: crate::model::Timestamp(0),
                client_id: None,
                source: None,
            };
            event_index(&event, &view, &index.path)
        };
        assert_eq!(event(json!({"order": {"id": "a"}})), Some(index.clone()));
        assert_ne!(event(json!({"order": {"id": "b"}})), Some(index.clone()));
        assert_eq!(event(json!({"order": "a"})), None);
    }

    #[test]
    fn an_alternative_is_no_equality() {
        let trigger = json!({"data": {"id": "a"}});
        for source in ["async.data.id == 'a' || async.data.id == 'b'", "async.data.a == async.data.b", "true"] {
            let filter = Filter::compile(source).expect(source);
            assert_eq!(filter.equality(&trigger), None, "{source}");
        }
        let number = Filter::compile("async.data.n == 5").expect("compiles");
        assert_eq!(number.equality(&trigger).map(|(_, digest)| digest), value_digest(&json!(5.0)));
    }
}
