//! Filters that mean harm: none ends the process, and none holds it up. Filters come from manifests and handlers,
//! events from anyone. What a filter says is compared with what the evaluator of the `cel` crate says.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use backstitch_server::engine::{Filter, FilterError, Variables, event_view};
use backstitch_server::limits::{EVENT_BYTES_MAX, FILTER_BYTES_MAX, FILTER_OPERATORS_MAX};
use backstitch_server::model::Payload;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// Compiles and evaluates on a thread with the stack of a server's worker. An optimised build needs 50 ms for the
/// worst; this one, on a busy machine, has a hundred times as long.
fn survives(source: String, event: serde_json::Value) {
    let (sender, receiver) = mpsc::channel();
    let shown: String = source.chars().take(80).collect();
    let work = move || {
        if let Ok(filter) = Filter::compile(&source) {
            let _ = filter.matches(Variables { event: &event, awaited: Some(&event) });
            let _ = filter.equality(&event);
        }
        let _ = sender.send(());
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work).expect("starts");
    let done = receiver.recv_timeout(Duration::from_secs(5));
    assert_ne!(done, Err(mpsc::RecvTimeoutError::Timeout), "the filter `{shown}…` takes too long");
    assert!(thread.join().is_ok(), "the filter `{shown}…` panicked");
}

fn trigger() -> serde_json::Value {
    json!({"name": "e", "data": {"s": "a".repeat(1_000), "n": 1, "list": [1, 2, 3], "key": i64::MAX, "big": u64::MAX}})
}

#[test]
fn nesting_ends_nothing() {
    let fit = |text: String| text.chars().take(FILTER_BYTES_MAX).collect::<String>();
    for depth in [10, 90, 97, FILTER_OPERATORS_MAX, 2_000] {
        for (open, middle, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("{1:", "1", "}"),
            ("true?1:", "1", ""),
            ("event.", "name", ""),
            ("event[", "1", "]"),
            ("1+", "1", ""),
            ("1==", "1", ""),
            ("true&&", "true", ""),
            ("true||", "true", ""),
            ("[1].all(x,", "true", ")"),
            ("[1].map(x,", "1", ")"),
            ("size(", "1", ")"),
        ] {
            survives(fit(format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))), trigger());
        }
        survives(format!("1{}", "+1".repeat(depth)), trigger());
        survives(format!("event{}", ".a".repeat(depth)), trigger());
        survives(format!("event{}", "[0]".repeat(depth)), trigger());
    }
}

#[test]
fn literals_end_nothing() {
    for source in [
        "9223372036854775807 + 1 == 0",
        "-9223372036854775808 == 1",
        "9223372036854775807 * 9223372036854775807 > 0",
        "1 / 0 == 0",
        "1 % 0 == 0",
        "-9223372036854775807 - 2 < 0",
        "-(-9223372036854775807 - 1) > 0",
        "(-9223372036854775807 - 1) / -1 > 0",
        "(-9223372036854775807 - 1) % -1 > 0",
        "99999999999999999999999999999999 > 1",
        "1e999 > 1.0",
        "0xffffffffffffffffff > 1",
        "18446744073709551615u + 1u > 0u",
        "0u - 1u > 0u",
        "event.data.key + 1 > 0",
        "event.data.big + event.data.big > 0",
        "event.data.list[99] == 1",
        "event.data.list[-1] == 1",
        "event.data.list[9223372036854775807] == 1",
        "event.data.s[0] == 'a'",
        "'\\uD800' == 'a'",
        "'\\U00110000' == 'a'",
        "b'\\xff' == b'a'",
        "duration('9999999999999h') > duration('1s')",
        "timestamp('9999-12-31T23:59:59Z') + duration('9999999h') > timestamp('0001-01-01T00:00:00Z')",
        "timestamp('nonsense') > timestamp('')",
        "int(1e300) > 0",
        "int('x') > 0",
        "uint(-1) > 0u",
        "size(1) > 0",
        "event.data.s.matches('(')",
        "type(1) == type('a')",
        "dyn(1) == 'a'",
        "[1, 2].map(x, x, x) == [1]",
        "has(event)",
        "has(event.data.s.t.u)",
        "event.data.s.charAt(99999) == ''",
        "event.data.s.substring(-1) == ''",
        "\0",
        "'\0' == '\0'",
        "event.data.`a`",
        "𝒳 == 1",
    ] {
        survives(source.to_owned(), trigger());
    }
    survives(format!("'{}' == event.name", "a".repeat(FILTER_BYTES_MAX - 30)), trigger());
    survives(format!("{} > 1", "9".repeat(FILTER_BYTES_MAX - 10)), trigger());
    survives(format!("[{}1].exists(x, x == 2)", "1,".repeat(2_000)), trigger());
}

#[test]
fn deep_events_end_nothing() {
    let depth = 120;
    let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let view = event_view("e", "evt_1", &Payload::trusted(text));
    survives("event.data == event.data".to_owned(), view.clone());
    survives("async.data == event.data".to_owned(), view);
}

/// What a filter says of an event of the greatest size.
fn verdict(source: &str, event: &serde_json::Value) -> Result<bool, FilterError> {
    survives(source.to_owned(), event.clone());
    Filter::compile(source)?.matches(Variables { event, awaited: None })
}

#[test]
fn loops_hold_nothing_up() {
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    let costly = |depth| if depth > 4 { Err(FilterError::TooCostly) } else { Ok(true) };
    for depth in [1, 4, 8, 12] {
        let variable = |at: usize| char::from(b'a' + at as u8);
        let nested = |of: &str, inner: &str| {
            let opens: String = (0..depth).map(|at| format!("{ten}.{of}({},", variable(at))).collect();
            format!("{opens} {inner}{}", ")".repeat(depth))
        };
        assert_eq!(verdict(&nested("all", "a > 0"), &trigger()), costly(depth), "{depth}");
        assert_eq!(verdict(&format!("size({}) > 0", nested("map", "a")), &trigger()), costly(depth), "{depth}");
    }
    let list = event_view("e", "evt_1", &Payload::trusted(format!("[{}1]", "1,".repeat(EVENT_BYTES_MAX / 2 - 2))));
    for source in [
        "event.data.all(x, x >= 0)",
        "event.data.all(x, event.data.exists(y, y == x + 1))",
        "event.data.map(x, event.data.map(y, y)) == []",
        "event.data.map(x, {'a': [x, x]}) == []",
        "event.data.map(x, string(x)) == []",
        "event.data.exists(x, x.y) || event.data == event.data",
    ] {
        assert_eq!(verdict(source, &list), Err(FilterError::TooCostly), "{source}");
    }
    assert_eq!(verdict("event.data[200000] == 1 && size(event.data) > 5", &list), Ok(true));
    let orders: Vec<_> = (0..10_000).map(|id| json!({"id": id, "paid": id == 9_999})).collect();
    let orders = json!({"data": orders});
    assert_eq!(verdict("event.data.exists(order, order.id > 3 && order.paid)", &orders), Ok(true));
}

#[test]
fn texts_hold_nothing_up() {
    let long = json!({"data": {"s": "a".repeat(EVENT_BYTES_MAX), "t": "a".repeat(20_000)}});
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    let costly = Err(FilterError::TooCostly);
    assert_eq!(verdict(&format!("size({}event.data.s) > 0", "event.data.s+".repeat(100)), &long), costly);
    for inner in ["event.data.s.contains('b')", "event.data.s != event.data.s", "bytes(event.data.s) == b''"] {
        let source = format!("{ten}.exists(x, {ten}.exists(y, {inner}))");
        assert_eq!(verdict(&source, &long), costly, "{inner}");
    }
    assert_eq!(verdict("size(event.data.s) > 3 && !event.data.s.contains('b')", &long), Ok(true));
    assert_eq!(verdict("size(event.data.t + event.data.t) == 40000", &long), Ok(true));
}

#[test]
fn regexes_hold_nothing_up() {
    let long = json!({"data": {"s": "a".repeat(EVENT_BYTES_MAX), "t": "a".repeat(1_000)}});
    let of = |pattern: &str, field: &str| verdict(&format!("event.data.{field}.matches('{pattern}')"), &long);
    for pattern in ["((a{50}){50}){50}", "(a{1000}){1000}", "\\\\p{L}{5000}", "a{,99999999}b{99999999}", "("] {
        let refused = of(pattern, "t");
        assert!(matches!(refused, Err(FilterError::Pattern { .. })), "{pattern}: {refused:?}");
    }
    let pattern = "event.data.t.matches(event.data.t)";
    assert!(verdict(pattern, &long).is_err_and(|error| error.to_string().contains("must stand in the filter")));
    for (pattern, fits) in [("(a+)+$", true), ("(a|aa)+$", true), ("(?:a*)*b", false), ("^[a-z]+$", true)] {
        assert_eq!(of(pattern, "t"), Ok(fits), "{pattern}");
    }
    for pattern in ["\\\\w{2}b", "(a?){100}a{100}b", "[ab]*a[ab]{100}c"] {
        assert_eq!(of(pattern, "s"), Err(FilterError::TooCostly), "{pattern}");
    }
}

#[test]
fn objects_are_gone_through_in_the_order_of_their_keys() {
    let keys: Vec<String> = (100..300).rev().map(|n| format!("k{n}")).collect();
    let fields: serde_json::Map<_, _> = keys.iter().map(|key| (key.clone(), json!(1))).collect();
    let event = json!({"data": fields, "keys": keys.iter().rev().collect::<Vec<_>>()});
    assert_eq!(verdict("event.data.map(k, k) == event.keys", &event), Ok(true));
    assert_eq!(verdict("{'b': 1, 3: 1, true: 1, 'a': 1, 2: 1}.map(k, k) == [true, 2, 3, 'a', 'b']", &event), Ok(true));
    assert_eq!(verdict("event.data.filter(k, k < 'k102') == ['k100', 'k101']", &event), Ok(true));
}

#[test]
fn what_filters_do_not_have_is_named() {
    for (source, name) in [
        ("evnt.data.id == 1", "`evnt`"),
        ("event.data.id.foo()", "`foo`"),
        ("timestamp('2026-01-01T00:00:00Z') > 1", "`timestamp`"),
        ("[1].all(x.y, true)", "name of a variable"),
        ("[1].map(x)", "`map`"),
        ("[1].all(x, x > 0) && x > 0", "`x`"),
        ("has(event)", "`has`"),
        ("event.data.?id == 1", "unsupported"),
        ("Message{field: 1} == 1", "messages"),
        (&format!("'a'.matches('{0}') || 'a'.matches('{0}')", "a".repeat(129)), "256 bytes together"),
    ] {
        let error = Filter::compile(source).expect_err(source).to_string();
        assert!(error.contains(name), "{source}: {error}");
    }
}

const NUMBERS: &[&str] =
    &["0", "1", "2", "-3", "1.0", "2.5", "2u", "event.data.n", "event.data.half", "event.data.map.a"];
const TEXTS: &[&str] = &["''", "'a'", "'b'", "'ab'", "event.data.s", "event.name"];
const TRUTHS: &[&str] = &["true", "false", "event.data.yes", "has(event.data.s)", "has(event.data.missing)"];
const LISTS: &[&str] = &["[]", "[1, 2, 3]", "['a', 'b']", "event.data.list", "event.data.numbers"];
/// The crate adds these to an empty list, so they are no lists here.
const OBJECTS: &[&str] = &["{}", "{'a': 1}", "{1: 'x'}", "event.data.map"];
const OTHERS: &[&str] = &["null", "b'a'", "int", "event.data.missing", "event.data.deep.a.b", "event.data.none"];
const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const FUNCTIONS: &[&str] = &["size", "int", "uint", "double", "string", "bytes", "bool", "dyn", "type", "!", "-"];
const METHODS: &[&str] = &["contains", "startsWith", "endsWith"];
const QUANTIFIERS: &[&str] = &["all", "exists", "exists_one"];

fn atom(list: &'static [&'static str]) -> BoxedStrategy<String> {
    select(list).prop_map(str::to_owned).boxed()
}

/// What is a number, mostly of one type.
fn number(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return prop_oneof![atom(NUMBERS), Just("x".to_owned())].boxed();
    }
    let inner = || number(depth - 1);
    prop_oneof![
        1 => atom(NUMBERS),
        2 => (inner(), select(&OPERATORS[..5]), inner()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => prop_oneof![text(depth - 1), list(depth - 1)].prop_map(|a| format!("size({a})")),
        1 => (select(&FUNCTIONS[1..4]), any_of(depth - 1)).prop_map(|(op, a)| format!("{op}({a})")),
        1 => (truth(depth - 1), inner(), inner()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
    ]
    .boxed()
}

fn text(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return atom(TEXTS);
    }
    prop_oneof![
        1 => atom(TEXTS),
        1 => (text(depth - 1), text(depth - 1)).prop_map(|(a, b)| format!("({a} + {b})")),
        1 => number(depth - 1).prop_map(|a| format!("string({a})")),
    ]
    .boxed()
}

fn list(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return atom(LISTS);
    }
    let inner = || list(depth - 1);
    prop_oneof![
        2 => atom(LISTS),
        1 => (inner(), inner()).prop_map(|(a, b)| format!("({a} + {b})")),
        1 => (any_of(depth - 1), any_of(depth - 1)).prop_map(|(a, b)| format!("[{a}, {b}]")),
        2 => (range(depth - 1), truth(depth - 1)).prop_map(|(a, b)| format!("{a}.filter(x, {b})")),
        2 => (range(depth - 1), any_of(depth - 1)).prop_map(|(a, b)| format!("{a}.map(x, {b})")),
        1 => (range(depth - 1), truth(depth - 1), any_of(depth - 1)).prop_map(|(a, b, c)| format!("{a}.map(x, {b}, {c})")),
    ]
    .boxed()
}

/// What can be gone through.
fn range(depth: u32) -> BoxedStrategy<String> {
    let made = any_of(depth.saturating_sub(1)).prop_map(|a| format!("{{'k': {a}}}"));
    prop_oneof![3 => list(depth), 1 => atom(OBJECTS), 1 => made].boxed()
}

fn truth(depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return atom(TRUTHS);
    }
    let inner = || truth(depth - 1);
    let comparison = |of: fn(u32) -> BoxedStrategy<String>| {
        (of(depth - 1), select(COMPARISONS), of(depth - 1)).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    };
    prop_oneof![
        1 => atom(TRUTHS),
        4 => comparison(number),
        2 => comparison(text),
        2 => comparison(list),
        1 => comparison(any_of),
        2 => (inner(), select(&["&&", "||"][..]), inner()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => inner().prop_map(|a| format!("!{a}")),
        2 => (text(depth - 1), select(METHODS), text(depth - 1)).prop_map(|(a, op, b)| format!("{a}.{op}({b})")),
        2 => (any_of(depth - 1), range(depth - 1)).prop_map(|(a, b)| format!("({a} in {b})")),
        4 => (range(depth - 1), select(QUANTIFIERS), inner()).prop_map(|(a, op, b)| format!("{a}.{op}(x, {b})")),
        1 => any_of(depth - 1).prop_map(|a| format!("has({a}.a)")),
    ]
    .boxed()
}

/// A part of a filter, of whatever type.
fn any_of(depth: u32) -> BoxedStrategy<String> {
    let atoms = prop_oneof![atom(OTHERS), Just("x".to_owned())];
    if depth == 0 {
        return prop_oneof![atoms, atom(NUMBERS), atom(TEXTS), atom(LISTS)].boxed();
    }
    let inner = || any_of(depth - 1);
    prop_oneof![
        2 => atoms,
        2 => number(depth - 1),
        1 => text(depth - 1),
        1 => list(depth - 1),
        1 => truth(depth - 1),
        1 => (inner(), select(OPERATORS), inner()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => (select(FUNCTIONS), inner()).prop_map(|(op, a)| format!("{op}({a})")),
        1 => (list(depth - 1), number(depth - 1)).prop_map(|(a, b)| format!("{a}[{b}]")),
    ]
    .boxed()
}

fn cel_value(json: &serde_json::Value) -> cel::Value {
    match json {
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => cel::Value::Int(int),
            None => cel::Value::Float(number.as_f64().expect("a number")),
        },
        serde_json::Value::Array(items) => items.iter().map(cel_value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), cel_value(value))).collect::<HashMap<_, _>>().into()
        }
        other => cel::to_value(other).expect("a scalar"),
    }
}

/// What the evaluator of the `cel` crate says, nothing when it fails.
fn oracle(source: &str, event: &serde_json::Value) -> Option<bool> {
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", cel_value(event));
    match cel::Program::compile(source).ok()?.execute(&context) {
        Ok(cel::Value::Bool(yes)) => Some(yes),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    /// Where the crate's evaluator says yes or no, ours says the same; where it fails, ours does. No object here has
    /// two keys, since the crate goes through them in the order of a hash.
    #[test]
    fn verdicts_are_those_of_cel(truth in truth(3)) {
        let event = json!({"name": "e", "data": {
            "s": "ab", "n": 2, "half": 0.5, "none": null, "yes": true, "list": [1, 2.5, "a", null], "numbers": [3, 1, 2],
            "map": {"a": 1}, "deep": {"a": {"b": [1]}},
        }});
        // A variable `x` is always there.
        let source = format!("[1].all(x, {truth})");
        let ours = Filter::compile(&source).and_then(|filter| filter.matches(Variables { event: &event, awaited: None }));
        prop_assert_eq!(ours.clone().ok(), oracle(&source, &event), "{}: {:?}", source, ours);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Tokens of the language in any order.
    #[test]
    fn nonsense_ends_nothing(tokens in proptest::collection::vec(0usize..40, 0..40)) {
        const TOKENS: [&str; 40] = [
            "event", "async", ".data", ".name", ".list", "[", "]", "(", ")", "{", "}", ":", ",", "?", "&&", "||", "!",
            "==", "!=", "<", ">=", "+", "-", "*", "/", "%", " in ", "1", "-1", "1u", "1.5", "'a'", "true", "null",
            ".all(x,", ".exists(x,", ".map(x,", ".size()", ".matches('a+')", "has(",
        ];
        let source: String = tokens.iter().map(|token| TOKENS[*token]).collect();
        survives(source, trigger());
    }
}
