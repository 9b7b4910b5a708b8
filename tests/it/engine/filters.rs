//! Filters that mean harm: none ends the process. Filters come from manifests and handlers, events from
//! anyone.

use std::sync::mpsc;
use std::time::Duration;

use backstitch_server::engine::{Filter, Variables, event_view};
use backstitch_server::limits::{FILTER_BYTES_MAX, FILTER_OPERATORS_MAX};
use backstitch_server::model::Payload;
use proptest::prelude::*;
use serde_json::json;

/// Compiles and evaluates on a thread with the stack of a server's worker, within seconds.
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
    let done = receiver.recv_timeout(Duration::from_secs(20));
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
