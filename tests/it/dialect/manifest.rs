//! Manifests: what is taken, and the fields that faults are found at.

use backstitch_server::dialect::native::{DeploymentHeader, FilterUse, ManifestError, Reading, decode_manifest};
use backstitch_server::engine::Filter;
use backstitch_server::model::{Overlap, Span, Timing};
use serde_json::{Value, json};

fn decode(manifest: &Value) -> Result<Reading, ManifestError> {
    let header = DeploymentHeader::parse("v1;hash-9");
    let check = |filter: &str, _: FilterUse| Filter::compile(filter).map(drop).map_err(|error| error.to_string());
    decode_manifest(manifest.to_string().as_bytes(), header, &check)
}

fn manifest() -> Value {
    json!({
        "protocol": {"min": 1, "max": 1}, "sdk": "typescript/0.1.0", "app": "shop",
        "deployment": {"id": "2f9c1d", "url": "https://shop-2f9c1d.example.app/api/backstitch", "immutable": true},
        "limits": {"requestBytes": 4_400_000, "responseBytes": 4_400_000, "seconds": 300, "streams": true, "outbound": true},
        "functions": [{
            "id": "order", "name": "Order", "triggers": [{"event": "order/created", "if": "event.data.total > 0"}],
            "retry": {"attempts": 5, "initialInterval": "1s", "factor": 2, "maxInterval": "1h", "jitter": 0.2, "nonRetryable": ["X"]},
            "timeouts": {"invocation": "15m"}, "input": {"type": "object"}, "later": {"field": 1},
        }],
        "something": "new",
    })
}

/// The manifest with one field replaced, or removed by null.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = manifest();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    match manifest.pointer_mut(parent).expect("the parent exists") {
        Value::Object(fields) => fields.insert(field.to_owned(), value),
        Value::Array(items) => Some(std::mem::replace(&mut items[field.parse::<usize>().expect("an index")], value)),
        other => panic!("{other}"),
    };
    manifest
}

#[test]
fn a_manifest_is_read() {
    let Reading { manifest, url, warnings } = decode(&manifest()).expect("it is valid");
    assert_eq!(
        (&*manifest.app, &*manifest.sdk, &*manifest.version, &*manifest.hash),
        ("shop", "typescript/0.1.0", "2f9c1d", "hash-9")
    );
    assert!(manifest.immutable && manifest.limits.streams && manifest.limits.outbound);
    assert_eq!((manifest.limits.request_bytes, manifest.limits.seconds), (4_400_000, Some(300)));
    assert_eq!(url.as_deref(), Some("https://shop-2f9c1d.example.app/api/backstitch"));
    let order = &manifest.functions[0];
    assert_eq!((order.retry.attempts, order.retry.max_interval), (Some(5), Some(Span::minutes(60))));
    assert_eq!(order.invocation_timeout, Some(Span::minutes(15)));
    assert_eq!(order.triggers[0].filter.as_deref(), Some("event.data.total > 0"));
    assert_eq!(order.input, Some(json!({"type": "object"})));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn the_schema_of_an_input_is_shown_and_never_in_the_way() {
    let error = decode(&with("/functions/0/input", json!("object"))).expect_err("it is no schema");
    assert!(error.to_string().contains("/functions/0/input"), "{error}");
    let long = json!({"type": "object", "description": "x".repeat(70_000)});
    let Reading { manifest, warnings, .. } = decode(&with("/functions/0/input", long)).expect("it is only left out");
    assert_eq!(manifest.functions[0].input, None);
    assert!(warnings[0].contains("/functions/0/input is not shown"), "{warnings:?}");
}

#[test]
fn what_is_absent_has_a_meaning() {
    let small = json!({
        "protocol": {"min": 1, "max": 3}, "sdk": "x/1", "app": "a", "deployment": {"id": "v", "immutable": false},
        "functions": [{"id": "f", "triggers": []}, {"id": "g"}],
    });
    let reading = decode(&small).expect("it is valid");
    assert_eq!((reading.manifest.limits.request_bytes, reading.manifest.limits.seconds), (32 << 20, None));
    assert!(!reading.manifest.limits.streams && reading.url.is_none());
    assert_eq!(reading.manifest.functions.len(), 2);
}

#[test]
fn what_has_no_effect_is_said() {
    let limited = with("/functions/0/concurrency", json!([{"limit": 5}]));
    assert!(decode(&limited).expect("it is valid").warnings[0].starts_with("/functions/0/concurrency has no effect"));
}

/// One fault each: the field it is found at, and a word of the message.
#[test]
fn faults_name_their_fields() {
    let cases = [
        ("/app", json!(null), "/app", "must be a text"),
        ("/app", json!(""), "/app", "is empty"),
        ("/app", json!("a/b"), "/app", "may not contain `/`"),
        ("/app", json!("x".repeat(300)), "/app", "at most 256"),
        ("/sdk", json!(7), "/sdk", "must be a text"),
        ("/protocol", json!(1), "/protocol", "`min` and `max`"),
        ("/deployment", json!(null), "/deployment", "must be an object"),
        ("/deployment/id", json!(null), "/deployment/id", "must be a text"),
        ("/deployment/immutable", json!("yes"), "/deployment/immutable", "true or false"),
        ("/limits", json!([]), "/limits", "must be an object"),
        ("/limits/requestBytes", json!(-1), "/limits/requestBytes", "integer"),
        ("/limits/requestBytes", json!(10), "/limits/requestBytes", "1024"),
        ("/limits/seconds", json!(0), "/limits/seconds", "greater than 0"),
        ("/limits/streams", json!(1), "/limits/streams", "true or false"),
        ("/functions", json!(null), "/functions", "must be a list"),
        ("/functions", json!(vec![json!({"id": "f"}); 1_001]), "/functions", "1001"),
        ("/functions/0", json!("order"), "/functions/0", "must be an object"),
        ("/functions/0/id", json!(null), "/functions/0/id", "must be a text"),
        ("/functions/0/id", json!("a\u{0}"), "/functions/0/id", "U+0000"),
        ("/functions/0/id", json!("a\u{1f}b"), "/functions/0/id", "control characters"),
        ("/functions/0/triggers", json!({}), "/functions/0/triggers", "must be a list"),
        ("/functions/0/triggers", json!(vec![json!({"event": "e"}); 11]), "/functions/0/triggers", "at most 10"),
        ("/functions/0/triggers/0", json!(1), "/functions/0/triggers/0", "`cron` or `every`"),
        ("/functions/0/triggers/0/event", json!(null), "/functions/0/triggers/0/event", "must be a text"),
        ("/functions/0/triggers/0/if", json!(7), "/functions/0/triggers/0/if", "CEL"),
        (
            "/functions/0/triggers/0/if",
            json!("event.data.total >"),
            "/functions/0/triggers/0/if",
            "`event.data.total >` is not a filter",
        ),
        ("/functions/0/triggers/0/if", json!("x".repeat(5_000)), "/functions/0/triggers/0/if", "at most 4096"),
        ("/functions/0/triggers/0", json!({"cron": "every day"}), "/functions/0/triggers/0/cron", "is no cron line"),
        ("/functions/0/triggers/0", json!({"cron": "61 9 * * MON"}), "/functions/0/triggers/0/cron", "is no cron line"),
        ("/functions/0/triggers/0", json!({"cron": 5}), "/functions/0/triggers/0/cron", "must be a text"),
        (
            "/functions/0/triggers/0",
            json!({"cron": "0 9 * * *", "tz": "Mars/Base"}),
            "/functions/0/triggers/0/tz",
            "no time zone",
        ),
        (
            "/functions/0/triggers/0",
            json!({"cron": "0 9 * * *", "every": "1m"}),
            "/functions/0/triggers/0/every",
            "left out",
        ),
        ("/functions/0/triggers/0", json!({"every": "1ms"}), "/functions/0/triggers/0/every", "at least 1s"),
        (
            "/functions/0/triggers/0",
            json!({"every": "1m", "overlap": "queue"}),
            "/functions/0/triggers/0/overlap",
            "bufferOne",
        ),
        (
            "/functions/0/triggers/0",
            json!({"every": "1m", "jitter": "9d"}),
            "/functions/0/triggers/0/jitter",
            "at most 1d",
        ),
        ("/functions/0/triggers/0", json!({"every": "1m", "id": "a/b"}), "/functions/0/triggers/0/id", "`/`"),
        ("/functions/0/retry/attempts", json!(0), "/functions/0/retry/attempts", "between 1 and"),
        ("/functions/0/retry/attempts", json!("five"), "/functions/0/retry/attempts", "expected u32"),
        ("/functions/0/retry/initialInterval", json!("1.5s"), "/functions/0/retry/initialInterval", "1.5s"),
        ("/functions/0/retry/jitter", json!(-0.1), "/functions/0/retry/jitter", "between 0 and 1"),
        ("/functions/0/retry", json!("often"), "/functions/0/retry", "often"),
        ("/functions/0/timeouts", json!(5), "/functions/0/timeouts", "must be an object"),
        ("/functions/0/timeouts/invocation", json!("soon"), "/functions/0/timeouts/invocation", "soon"),
        ("/functions/0/timeouts/invocation", json!(0), "/functions/0/timeouts/invocation", "longer than 0"),
        ("/functions/0/timeouts/invocation", json!(1.5), "/functions/0/timeouts/invocation", "integer milliseconds"),
        ("/functions/0/timeouts/run", json!("11y"), "/functions/0/timeouts/run", "11y"),
        ("/objects", json!([{"id": "cart"}]), "/objects/0/handlers", "at least one handler"),
        ("/objects", json!({}), "/objects", "a list"),
        ("/objects", objects(json!({"id": "a/b"})), "/objects/0/handlers/0/id", "may not contain `/`"),
        ("/objects", objects(json!({"mode": "both"})), "/objects/0/handlers/0/mode", "\"exclusive\" or \"shared\""),
        (
            "/objects",
            objects(json!({"triggers": [{"event": "e"}]})),
            "/objects/0/handlers/0/triggers",
            "an event has no key",
        ),
        ("/objects", objects(json!({"retry": {"attempts": 0}})), "/objects/0/handlers/0/retry/attempts", "between 1"),
        ("/objects", objects(json!({"id": "x".repeat(255)})), "/objects/0/handlers/0/id", "too long"),
    ];
    for (pointer, value, at, word) in cases {
        let manifest = with(pointer, value.clone());
        let error = decode(&manifest).err().unwrap_or_else(|| panic!("{pointer} = {value} was taken"));
        let ManifestError::Fields(faults) = &error else { panic!("{pointer}: {error}") };
        assert_eq!(faults.len(), 1, "{pointer}: {faults:?}");
        assert_eq!(faults[0].pointer, at);
        assert!(faults[0].message.contains(word), "{pointer}: {}", faults[0].message);
        assert!(error.to_string().contains(at));
    }
}

#[test]
fn an_id_may_be_used_once() {
    let twice = with("/functions", json!([{"id": "f"}, {"id": "g"}, {"id": "f"}]));
    let Err(ManifestError::Fields(faults)) = decode(&twice) else { panic!() };
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].pointer, "/functions/2/id");
    assert!(faults[0].message.contains("`f` is the id of another function"));
}

#[test]
fn all_faults_are_listed_up_to_a_bound() {
    let mut manifest = manifest();
    manifest["app"] = json!(1);
    manifest["functions"] = json!(vec![json!({"id": 1}); 50]);
    let Err(ManifestError::Fields(faults)) = decode(&manifest) else { panic!() };
    assert_eq!((faults.len(), &*faults[0].pointer, &*faults[1].pointer), (20, "/app", "/functions/0/id"));
}

#[test]
fn other_versions_of_the_protocol_say_which_side_is_old() {
    for (min, max, words) in [(2, 3, "update the server"), (0, 0, "update the SDK")] {
        let error = decode(&with("/protocol", json!({"min": min, "max": max}))).expect_err("another version");
        assert_eq!(error, ManifestError::Version { min, max });
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    for (body, word) in [("", "EOF"), ("<html>", "expected value"), ("[1]", "not an object"), ("{}", "/protocol")] {
        let error = decode_manifest(body.as_bytes(), None, &|_, _| Ok(())).expect_err(body).to_string();
        assert!(error.contains(word), "{body}: {error}");
    }
}

/// An object `cart` with one handler that differs from a good one in this.
fn objects(differs: Value) -> Value {
    let mut handler = json!({"id": "add", "mode": "exclusive"});
    handler.as_object_mut().unwrap().extend(differs.as_object().unwrap().clone());
    json!([{"id": "cart", "handlers": [handler]}])
}

#[test]
fn handlers_of_objects_are_functions_with_a_mode() {
    let handlers = json!([{"id": "add", "mode": "exclusive", "timeouts": {"start": "1m"}}, {"id": "show", "mode": "shared", "triggers": []}]);
    let reading = decode(&with("/objects", json!([{"id": "cart", "handlers": handlers}]))).unwrap();
    let functions = &reading.manifest.functions;
    let modes: Vec<_> =
        functions.iter().filter_map(|function| Some((&*function.id, function.mode?.as_str()))).collect();
    assert_eq!(modes, [("cart/add", "exclusive"), ("cart/show", "shared")]);
    assert!(functions.iter().any(|function| function.mode.is_none()));
    let twice = json!([{"id": "cart", "handlers": [{"id": "a", "mode": "shared"}, {"id": "a", "mode": "shared"}]}, {"id": "cart", "handlers": [{"id": "b", "mode": "shared"}]}]);
    let error = decode(&with("/objects", twice)).unwrap_err().to_string();
    assert!(error.contains("/objects/0/handlers/1/id") && error.contains("/objects/1/id"), "{error}");
}

#[test]
fn schedules_are_read_with_what_they_leave_open() {
    let triggers = json!([
        {"cron": "0 9 * * MON", "tz": "Europe/Berlin"},
        {"id": "often", "every": "15m", "offset": "1m", "jitter": "30s", "overlap": "allow", "catchUp": 5_000, "input": {"a": 1}},
    ]);
    let reading = decode(&with("/functions/0/triggers", triggers)).expect("it is valid");
    let [daily, often] = &reading.manifest.functions[0].schedules[..] else { panic!("two schedules") };
    assert_eq!((&*daily.id, &*daily.spec.function, daily.spec.overlap), ("order", "order", Overlap::Skip));
    assert_eq!((daily.spec.catch_up, daily.spec.input.bytes().as_ref()), (Span(86_400_000), b"null".as_slice()));
    assert_eq!((&*often.id, often.spec.overlap, often.spec.jitter), ("often", Overlap::Allow, Span(30_000)));
    assert_eq!(often.spec.timing, Timing::Every { every: Span(900_000), offset: Span(60_000) });
    assert_eq!((often.spec.catch_up, often.spec.input.bytes().as_ref()), (Span(5_000), br#"{"a":1}"#.as_slice()));
    let twice =
        decode(&with("/functions/0/triggers", json!([{"every": "1m"}, {"every": "2m"}]))).expect_err("one id for two");
    assert!(twice.to_string().contains("/functions/0/triggers/1/id: `order` is the id of another schedule"), "{twice}");
}

#[test]
fn what_an_event_looks_like_is_kept() {
    let schema = json!({"type": "object", "properties": {"cents": {"type": "integer"}}});
    let triggers = json!([{"event": "order/created", "schema": schema}, {"event": "order/paid"}]);
    let reading = decode(&with("/functions/0/triggers", triggers)).expect("it is valid");
    let kept: Vec<_> = reading.manifest.functions[0].triggers.iter().map(|trigger| trigger.schema.clone()).collect();
    assert_eq!(kept, [Some(schema), None]);
    let wrong = decode(&with("/functions/0/triggers/0/schema", json!("a text"))).expect_err("no schema");
    assert!(wrong.to_string().contains("/functions/0/triggers/0/schema: must be a JSON Schema"), "{wrong}");
    let large = json!({"description": "x".repeat(70_000)});
    let reading = decode(&with("/functions/0/triggers/0/schema", large)).expect("it is valid");
    assert_eq!(reading.manifest.functions[0].triggers[0].schema, None);
    assert!(reading.warnings.iter().any(|warning| warning.contains("/triggers/0/schema is not shown")));
}
