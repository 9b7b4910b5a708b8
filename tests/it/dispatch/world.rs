//! An invoker with everything around it.

use std::sync::Arc;

use backstitch_server::auth::{RunSecrets, Signer, SigningKey};
use backstitch_server::clock::SystemClock;
use backstitch_server::dispatch::{Discovery, Drift, Egress, HttpClient, HttpInvoker, Invoker};
use backstitch_server::model::{Answer, App, Deployment, Problem, Registry, Snapshot, Text, Undelivered};
use tokio::sync::{mpsc, watch};

use crate::support::peer::{Peer, Received, SDK, Say, response};
use crate::support::runs::{deployment, head, input, snapshot};

pub(super) struct World {
    pub(super) invoker: HttpInvoker,
    pub(super) discovery: Discovery,
    pub(super) drift: mpsc::Receiver<Text>,
    _registry: watch::Sender<Arc<Registry>>,
}

pub(super) fn world(egress: Egress, key: Option<&SigningKey>, headers: Vec<(String, String)>) -> World {
    let clock = Arc::new(SystemClock::new());
    let client = HttpClient::new(egress).expect("a client");
    let signer = Arc::new(Signer::new("test", key, clock.clone()));
    let app = App {
        name: "conformance".into(),
        url: String::new(),
        headers,
        current: None,
        created_at: head().created_at,
        synced_at: None,
        sync_error: None,
        paused: std::collections::BTreeSet::new(),
    };
    let registry = watch::Sender::new(Arc::new(Registry::new(vec![app], Vec::new())));
    let (report, drift) = Drift::channel(clock.clone());
    let secrets = Arc::new(RunSecrets::new(&[1; 32]));
    let invoker = HttpInvoker::new(client.clone(), signer.clone(), secrets, registry.subscribe(), report, clock, None);
    World { invoker, discovery: Discovery::new(client, signer), drift, _registry: registry }
}

pub(super) fn open() -> World {
    world(Egress::Open, None, Vec::new())
}

/// One invocation of the run of the corpus, which has done nothing yet.
pub(super) async fn invoke_at(deployment: Deployment) -> Answer {
    open().invoker.invoke(first(), Arc::new(deployment)).await
}

pub(super) fn first() -> Snapshot {
    snapshot(vec![input("null")])
}

/// The answer to an invocation whose handler does this.
pub(super) async fn invoke(script: impl Fn(&Received) -> Vec<Say> + Send + Sync + 'static) -> Answer {
    let peer = Peer::start(script).await;
    invoke_at(deployment(&peer.url())).await
}

/// The body of a handler that is done.
pub(super) fn done(request: &Received) -> String {
    format!(r#"{{"token":"{}","seen":0,"ops":[{{"op":"done","ok":{{"n":1}}}}]}}"#, request.token())
}

pub(super) fn answers_done(request: &Received) -> Vec<Say> {
    response(200, &SDK, &done(request))
}

/// What the answer is, in one line: the class and the words.
pub(super) fn said(answer: &Answer) -> String {
    match answer {
        Answer::Ops { ops, end, .. } => format!("ops: {} and {}", ops.len(), end.is_some()),
        Answer::Mismatch(mismatch) => format!("mismatch: {}", mismatch.id),
        Answer::Problem(Problem { code, detail }) => format!("problem {code:?}: {detail}"),
        Answer::Undelivered(Undelivered::NotReached { reason, retry_after }) => {
            format!("not reached ({:?}): {reason}", retry_after.map(|span| span.0))
        }
        Answer::Undelivered(Undelivered::Lost { reason }) => format!("lost: {reason}"),
    }
}

pub(super) fn assert_said(answer: &Answer, words: &[&str]) {
    let said = said(answer);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}
