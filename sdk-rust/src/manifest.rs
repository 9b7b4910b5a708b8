//! What an app says about itself: the answer to discovery, and the identity on every response.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::function::FunctionManifest;
use crate::wire::{PROTOCOL, hex};

/// `rust/0.1.0`, in the manifest and in a header of every response.
pub(crate) const SDK: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));

/// The manifest as it goes out, and what identifies it.
pub(crate) struct Manifest {
    pub(crate) json: Vec<u8>,
    /// `<deployment id>;<manifest hash>`.
    pub(crate) deployment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    protocol: Versions,
    sdk: &'static str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<Deployment<'a>>,
    limits: Limits,
    functions: Vec<&'a FunctionManifest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<ObjectManifest<'a>>,
}

#[derive(Serialize)]
struct ObjectManifest<'a> {
    id: &'a str,
    handlers: Vec<&'a FunctionManifest>,
}

#[derive(Serialize)]
struct Versions {
    min: u32,
    max: u32,
}

#[derive(Serialize)]
struct Deployment<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    immutable: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    request_bytes: usize,
    response_bytes: usize,
    /// How long the host lets an invocation take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    streams: bool,
    outbound: bool,
}

/// What the host of an app can do.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    /// It sends newlines while an answer is slow.
    pub(crate) streams: bool,
    /// The app can make requests to the server.
    pub(crate) outbound: bool,
    /// How long a request may take.
    pub(crate) limit: Option<Duration>,
    /// The largest body of a request and of a response, in bytes.
    pub(crate) bytes_max: usize,
}

impl Manifest {
    /// The app's version names the deployment; without it the manifest's own hash does.
    pub(crate) fn new(app: &App, abilities: Abilities) -> Manifest {
        let functions = app.functions.values().map(|function| &function.manifest);
        let mut objects: Vec<ObjectManifest<'_>> = Vec::new();
        for (id, handler) in app.objects() {
            match objects.last_mut().filter(|object| object.id == id) {
                Some(object) => object.handlers.push(&handler.manifest),
                None => objects.push(ObjectManifest { id, handlers: vec![&handler.manifest] }),
            }
        }
        let mut body = Body {
            protocol: Versions { min: PROTOCOL, max: PROTOCOL },
            sdk: SDK,
            app: &app.id,
            deployment: None,
            limits: Limits {
                request_bytes: abilities.bytes_max,
                response_bytes: abilities.bytes_max,
                seconds: abilities.limit.map(|limit| limit.as_secs()),
                streams: abilities.streams,
                outbound: abilities.outbound,
            },
            functions: functions.filter(|function| function.mode.is_none()).collect(),
            objects,
        };
        let hash = hex(&Sha256::digest(write(&body))[..8]);
        let id = app.config.version.as_deref().unwrap_or(&hash);
        // What has an address of its own serves this code for ever, and needs a name of its own.
        let url = app.config.deployment_url.as_deref().filter(|_| app.config.version.is_some());
        body.deployment = Some(Deployment { id, url, immutable: url.is_some() });
        Manifest { json: write(&body), deployment: format!("{id};{hash}") }
    }
}

fn write(body: &Body<'_>) -> Vec<u8> {
    serde_json::to_vec(body).expect("a manifest is text and numbers")
}
