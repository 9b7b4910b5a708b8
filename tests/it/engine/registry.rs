//! What is registered in the engine's tests: one app, `shop`, whose functions `f0` to `f3` execute random programs.

use backstitch_server::engine::Start;
use backstitch_server::model::{
    App, CancelOn, Deployment, DeploymentId, DeploymentLimits, DeploymentState, FunctionConfig, FunctionId, Home,
    Labels, Manifest, ObjectMode, Payload, Registry, RetryPolicy, RunHead, Span, Timestamp, Trigger,
};

/// How many functions there are. One invokes only later ones, so that families end.
pub(super) const FUNCTIONS: u8 = 4;

/// Attempts of steps and invocations, in all.
pub(super) const ATTEMPTS: u32 = 3;

/// Pause after a first failure, in milliseconds.
pub(super) const INITIAL_MS: u64 = 1_000;

/// How long runs of `f2` may wait until a handler takes them up.
pub(super) const START_TIMEOUT_MS: u64 = 400_000;

/// How long runs of `f1` may take.
pub(super) const RUN_TIMEOUT_MS: u64 = 1_300_000;

/// The handlers of the object `o`, whose programs come after those of the functions, and whether they are exclusive.
/// One calls only later ones.
pub(super) const HANDLERS: [(&str, bool); 3] = [("o/x", true), ("o/z", false), ("o/y", true)];

pub(super) fn handler(index: u8) -> FunctionId {
    FunctionId::new("shop", HANDLERS[usize::from(index)].0)
}

/// Whether a run has its key to itself.
pub(super) fn is_exclusive(run: &RunHead) -> bool {
    HANDLERS.iter().any(|(id, exclusive)| **id == *run.function.function && *exclusive)
}

/// Where the program of a function is.
pub(super) fn program_of(function: &FunctionId) -> usize {
    let handler = HANDLERS.iter().position(|(id, _)| **id == *function.function);
    let index = || function.function[1..].parse().expect("functions are f0, f1, …");
    handler.map_or_else(index, |at| usize::from(FUNCTIONS) + at)
}

pub(super) fn function(index: u8) -> FunctionId {
    FunctionId::new("shop", format!("f{index}"))
}

/// A start that says what it must, and nothing else.
pub(super) fn plain_start(function: FunctionId, input: Payload) -> Start {
    Start { function, input, name: None, idempotency_key: None, delay: None, key: None, labels: Labels::default() }
}

/// Registers a deployment with this number.
pub(super) fn registry(number: u128, immutable: bool) -> Registry {
    let home = Home { public_url: None, local_url: Some("http://127.0.0.1:2".to_owned()) };
    Registry::default().at(home).with(app(number), Some(deployment(number, immutable).into()))
}

/// Makes another deployment the newest; older ones stay for runs that are pinned to them.
pub(super) fn redeployed(registry: &Registry, number: u128, immutable: bool) -> Registry {
    registry.with(app(number), Some(deployment(number, immutable).into()))
}

/// Pauses a function, or lets it go.
pub(super) fn held(registry: &Registry, index: u8, paused: bool) -> Registry {
    let Some(mut app) = registry.apps.get("shop").cloned() else { return registry.clone() };
    if paused {
        let id = if index < FUNCTIONS { function(index) } else { handler(index - FUNCTIONS) };
        app.paused.insert(id.function);
    } else {
        app.paused.clear();
    }
    registry.with(app, None)
}

fn app(number: u128) -> App {
    App {
        name: "shop".into(),
        url: "http://127.0.0.1:1/".to_owned(),
        headers: Vec::new(),
        current: Some(DeploymentId(number)),
        created_at: Timestamp(0),
        synced_at: None,
        sync_error: None,
        paused: std::collections::BTreeSet::new(),
    }
}

fn deployment(number: u128, immutable: bool) -> Deployment {
    let limits = DeploymentLimits {
        request_bytes: 1 << 25,
        response_bytes: 1 << 25,
        seconds: None,
        streams: true,
        outbound: true,
    };
    let manifest = Manifest {
        app: "shop".into(),
        sdk: "test/0".to_owned(),
        version: number.to_string(),
        hash: "h".to_owned(),
        immutable,
        limits,
        functions: (0..FUNCTIONS)
            .map(config)
            .chain(HANDLERS.map(|(id, exclusive)| object_config(id, exclusive)))
            .collect(),
    };
    let (app, url) = ("shop".into(), "http://127.0.0.1:1/".to_owned());
    let (created_at, seen_at, state) = (Timestamp(0), Timestamp(0), DeploymentState::Active);
    Deployment { id: DeploymentId(number), app, manifest, url, created_at, seen_at, state }
}

/// Handlers of the object: `o/y` may take so long and no longer.
fn object_config(id: &str, exclusive: bool) -> FunctionConfig {
    FunctionConfig {
        id: id.into(),
        retry: retry(),
        start_timeout: (id == "o/y").then_some(Span(START_TIMEOUT_MS)),
        run_timeout: (id == "o/y").then_some(Span(RUN_TIMEOUT_MS)),
        cancel_on: (id == "o/x")
            .then(|| CancelOn { event: "e2".into(), filter: "async.data.key == event.data.key".into() })
            .into_iter()
            .collect(),
        mode: Some(if exclusive { ObjectMode::Exclusive } else { ObjectMode::Shared }),
        ..FunctionConfig::default()
    }
}

fn retry() -> RetryPolicy {
    RetryPolicy { attempts: Some(ATTEMPTS), initial_interval: Some(Span(INITIAL_MS)), ..RetryPolicy::default() }
}

/// `e0` starts `f3` by either of two triggers; `e1` starts `f2` when its key is great enough; the filter on `e2` cannot
/// be evaluated.
fn config(index: u8) -> FunctionConfig {
    let trigger = |event: &str, filter: Option<&str>| Trigger {
        event: event.into(),
        filter: filter.map(Into::into),
        schema: None,
    };
    let triggers = match index {
        3 => vec![
            trigger("e0", Some("event.data.key > 2")),
            trigger("e0", Some("event.data.key == 1")),
            trigger("backstitch/run.failed", None),
        ],
        2 => vec![trigger("e1", Some("event.data.key > 2")), trigger("e0", None)],
        1 => vec![trigger("e2", Some("event.data.missing == 1"))],
        _ => Vec::new(),
    };
    FunctionConfig {
        id: format!("f{index}").into(),
        name: None,
        triggers,
        schedules: Vec::new(),
        mode: None,
        retry: retry(),
        invocation_timeout: None,
        start_timeout: (index == 2).then_some(Span(START_TIMEOUT_MS)),
        run_timeout: (index == 1).then_some(Span(RUN_TIMEOUT_MS)),
        cancel_on: (index == 3)
            .then(|| CancelOn { event: "e2".into(), filter: "async.data.key == event.data.key".into() })
            .into_iter()
            .collect(),
        failure_of: (index == 3).then(|| "f0".into()),
        input: None,
    }
}
