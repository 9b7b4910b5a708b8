//! Runs, entries and deployments as tests need them: everything that does not matter has a plain value.

use std::sync::Arc;

use backstitch_server::model::{
    Deployment, DeploymentId, DeploymentLimits, DeploymentState, Entry, EntryKind, EntryStatus, FunctionConfig,
    FunctionId, Labels, Manifest, Outcome, Payload, RetryPolicy, RunHead, RunId, RunStatus, Snapshot, Span, Timestamp,
    Token, TriggerKind,
};

/// The run of the conformance corpus.
pub(crate) const RUN: &str = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";

pub(crate) fn run_id() -> RunId {
    RUN.parse().expect("a run's id")
}

pub(crate) fn token() -> Token {
    Token { epoch: 1, counter: 1, run: run_id() }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn head() -> RunHead {
    let started_at = at("2026-03-01T12:00:00.000Z");
    RunHead {
        run_no: 1,
        id: run_id(),
        function: FunctionId::new("conformance", "main"),
        name: None,
        status: RunStatus::Ready,
        trigger: TriggerKind::Call,
        event: None,
        born_seq: 0,
        parent: None,
        root: run_id(),
        deployment: None,
        created_at: started_at,
        started_at,
        ended_at: None,
        failures: 0,
        losses: 0,
        last_error: None,
        awaiting: Vec::new(),
        hold: None,
        wake_at: Some(Timestamp::ZERO),
        cancel_by: None,
        mismatch_since: None,
        seen: 0,
        open_token: None,
        key: None,
        queue: None,
        start_by: None,
        deadline: None,
        previous: None,
        chain: None,
        seed: None,
        value: None,
        tick: None,
        labels: Labels::default(),
    }
}

/// An entry that waits.
pub(crate) fn entry(idx: u32, id: &str, kind: EntryKind, params: &str) -> Entry {
    Entry {
        run_no: 1,
        idx,
        id: id.into(),
        kind,
        name: None,
        params: Payload::trusted(params.to_owned()),
        status: EntryStatus::Waiting,
        outcome: None,
        seq: None,
        due_at: None,
        failures: 0,
        last_error: None,
        deployment: None,
        child: None,
        created_at: head().started_at,
        settled_at: None,
        details: None,
        copied: false,
    }
}

/// The same entry, settled.
pub(crate) fn settled(entry: Entry, seq: u32, outcome: Outcome) -> Entry {
    let settled_at = Some(Timestamp(head().started_at.0 + i64::from(seq) * 1_000));
    Entry { status: EntryStatus::Settled, seq: Some(seq), outcome: Some(outcome), settled_at, ..entry }
}

pub(crate) fn ok(json: &str) -> Outcome {
    Outcome::Ok(Payload::trusted(json.to_owned()))
}

/// Entry 0 of a run that was called with this input.
pub(crate) fn input(json: &str) -> Entry {
    let entry = entry(0, "$input", EntryKind::Input, r#"{"kind":"call"}"#);
    Entry { status: EntryStatus::Settled, outcome: Some(ok(json)), ..entry }
}

pub(crate) fn snapshot(entries: Vec<Entry>) -> Snapshot {
    Snapshot {
        token: token(),
        head: Arc::new(head()),
        attempt: 1,
        seen: 0,
        entries: entries.into_iter().map(Arc::new).collect(),
        state: None,
        published: Vec::new(),
    }
}

/// A deployment of the app `conformance` with the function `main`.
pub(crate) fn deployment(url: &str) -> Deployment {
    let main = FunctionConfig {
        id: "main".into(),
        name: None,
        triggers: Vec::new(),
        retry: RetryPolicy::default(),
        invocation_timeout: Some(Span::seconds(20)),
        ..FunctionConfig::default()
    };
    let limits = DeploymentLimits {
        request_bytes: 32 << 20,
        response_bytes: 32 << 20,
        seconds: None,
        streams: false,
        outbound: false,
    };
    let manifest = Manifest {
        app: "conformance".into(),
        sdk: "test/1.0".to_owned(),
        version: "v1".to_owned(),
        hash: "hash-1".to_owned(),
        immutable: false,
        limits,
        functions: vec![main],
    };
    Deployment {
        id: DeploymentId(7),
        app: "conformance".into(),
        manifest,
        url: url.to_owned(),
        created_at: head().created_at,
        seen_at: head().created_at,
        state: DeploymentState::Active,
    }
}
