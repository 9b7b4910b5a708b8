//! CEL filters over events: compiling, evaluating, and finding the one equality by which an event can look a wait up
//! instead of evaluating every wait's filter. The parser is `cel`'s; the evaluation is ours, because filters come from
//! apps and events from anyone, and one of them must never hold up the others: it counts its steps.

mod cache;
mod evaluate;
mod operators;
mod pattern;
mod plan;
mod value;

use cel::Env;

pub(super) use cache::Filters;
use evaluate::{Evaluation, Stop};
use plan::{Node, Operator, plan};
use value::Value;

use crate::limits::{FILTER_BYTES_MAX, FILTER_OPERATORS_MAX, FILTER_STEPS_MAX};
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
    /// Not CEL, or more of it than filters have.
    #[error("failed to compile the filter: {0}")]
    Syntax(String),
    /// A pattern of `matches` is none, or too costly.
    #[error("failed to compile the filter: the pattern `{pattern}` cannot be used: {problem}")]
    Pattern {
        /// The pattern's beginning.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It met something it cannot handle, such as a field that the event does not have.
    #[error("failed to evaluate the filter: {0}")]
    Evaluation(String),
    /// It has too much to do on this event.
    #[error(
        "failed to evaluate the filter: it takes more than {FILTER_STEPS_MAX} steps on this event; look at less of it, or filter in the function"
    )]
    TooCostly,
    /// It gave something else than true or false.
    #[error("failed to evaluate the filter: it must give true or false, and gave {0}")]
    NotBoolean(&'static str),
}

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    root: Node,
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
        // Without macros: `has`, `all` and their like stay calls, which are evaluated as what they are.
        let program = Env::default()
            .with_optional_support(false)
            .compile(source)
            .map_err(|errors| FilterError::Syntax(one_line(&errors.to_string())))?;
        Ok(Filter { root: plan(program.expression())? })
    }

    /// Whether the filter says yes.
    pub fn matches(&self, variables: Variables<'_>) -> Result<bool, FilterError> {
        match Evaluation::new(variables.event, variables.awaited).value(&self.root) {
            Ok(Value::Bool(verdict)) => Ok(verdict),
            Ok(other) => Err(FilterError::NotBoolean(other.kind().name())),
            Err(Stop::Wrong(message)) => Err(FilterError::Evaluation(message)),
            Err(Stop::Costly) => Err(FilterError::TooCostly),
        }
    }

    /// Whether a conjunct compares a path of the awaited event with something that does not depend on it.
    pub fn has_equality(&self) -> bool {
        let one_sided = |(left, right)| awaited_path(left).is_some() != awaited_path(right).is_some();
        conjuncts(&self.root).into_iter().any(one_sided)
    }

    /// The first conjunct `async.<path> == <value>` whose value does not depend on the awaited event: its path
    /// without `async.`, and a digest of the value.
    pub fn equality(&self, event: &serde_json::Value) -> Option<(Text, i64)> {
        // One evaluation for all conjuncts: together they have the steps of one filter.
        let mut evaluation = Evaluation::new(event, None);
        conjuncts(&self.root).into_iter().find_map(|(left, right)| {
            let (path, value) = match (awaited_path(left), awaited_path(right)) {
                (Some(path), None) => (path, right),
                (None, Some(path)) => (path, left),
                _ => return None,
            };
            Some((path.into(), value_digest(&evaluation.value(value).ok()?)?))
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
    Some(WaitIndex { event: event.name.clone(), path: path.clone(), value: value_digest(&Value::from(value))? })
}

/// What a filter sees of an event.
pub fn event_view(name: &str, id: &str, data: &Payload) -> serde_json::Value {
    let data: serde_json::Value = data.read().unwrap_or_default();
    serde_json::json!({ "name": name, "id": id, "data": data })
}

/// Digests scalars so that equal CEL values have equal digests; objects and lists are not looked up by.
fn value_digest(value: &Value<'_>) -> Option<i64> {
    let number = |number: f64| derive(&[b"n", &(number + 0.0).to_bits().to_be_bytes()]);
    let digest = match value {
        Value::Text(text) => derive(&[b"s", text.as_bytes()]),
        Value::Int(int) => number(*int as f64),
        Value::Uint(uint) => number(*uint as f64),
        Value::Double(double) => number(*double),
        Value::Bool(yes) => derive(&[b"b", &[u8::from(*yes)]]),
        _ => return None,
    };
    Some(i64::from_be_bytes(digest.to_be_bytes()))
}

/// The equalities that must all hold for the expression to hold.
fn conjuncts(node: &Node) -> Vec<(&Node, &Node)> {
    match node {
        Node::And(operands) => operands.iter().flat_map(conjuncts).collect(),
        Node::Binary(Operator::Equal, operands) => {
            let [left, right] = &**operands;
            vec![(left, right)]
        }
        _ => Vec::new(),
    }
}

/// The dotted path of `async.a.b`, without `async.`.
fn awaited_path(node: &Node) -> Option<String> {
    match node {
        Node::Field(operand, field) if !field.contains('.') => match &**operand {
            Node::Awaited => Some(field.clone()),
            operand => awaited_path(operand).map(|path| format!("{path}.{field}")),
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
        assert_eq!(number.equality(&trigger).map(|(_, digest)| digest), value_digest(&Value::Double(5.0)));
    }
}
