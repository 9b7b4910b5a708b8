//! The server that a transcript describes: what it says to checkpoints, and the parts of the journal that it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::{matching, values};

/// A server on a socket of its own, for one transcript.
pub(super) struct StandIn {
    links: Value,
    script: Arc<Mutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

/// What is to come, and what went wrong.
struct Script {
    token: String,
    checkpoints: std::vec::IntoIter<Value>,
    pages: HashMap<String, Value>,
    complaint: Option<String>,
}

impl StandIn {
    pub(super) async fn start(transcript: &Value, token: &str) -> StandIn {
        let list = |key: &str| transcript.get(key).cloned();
        let checkpoints = list("checkpoints").map(|list| list.as_array().unwrap().clone());
        let pages = list("pages").map(|pages| pages.as_object().unwrap().clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/invocations", listener.local_addr().unwrap());
        let links = json!({
            "checkpoint": checkpoints.is_some().then(|| url.clone()),
            "journal": pages.is_some().then(|| format!("{url}/journal")),
        });
        let script = Arc::new(Mutex::new(Script {
            token: token.to_owned(),
            checkpoints: checkpoints.unwrap_or_default().into_iter(),
            pages: pages.unwrap_or_default().into_iter().collect(),
            complaint: None,
        }));
        let heard = Arc::clone(&script);
        let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let heard = Arc::clone(&heard);
            async move { answer(&heard, &method, &uri, &headers, &body).await }
        });
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        StandIn { links, script, server }
    }

    pub(super) fn links(&self) -> Value {
        self.links.clone()
    }

    /// What went wrong, and what never came.
    pub(super) fn finish(&self) -> Result<(), String> {
        self.server.abort();
        let mut script = self.script.lock().unwrap();
        if let Some(complaint) = script.complaint.take() {
            return Err(complaint);
        }
        if let Some(next) = script.checkpoints.next() {
            return Err(format!("this checkpoint never came: {}", next["request"]));
        }
        match script.pages.keys().next() {
            Some(query) => Err(format!("the page `{query}` was never asked for")),
            None => Ok(()),
        }
    }
}

async fn answer(
    script: &Mutex<Script>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> (StatusCode, String) {
    let said = {
        let mut script = script.lock().unwrap();
        if headers.get("authorization").is_none_or(|bearer| bearer != format!("Bearer {}", script.token).as_str()) {
            script.complaint = Some(format!("the bearer of {method} {uri} is {:?}", headers.get("authorization")));
        }
        if method == Method::GET { script.page(uri) } else { script.checkpoint(body) }
    };
    match said {
        Ok(said) => said,
        Err(wait) => {
            tokio::time::sleep(wait).await;
            (StatusCode::OK, json!({"settled": [], "retry": []}).to_string())
        }
    }
}

/// What is said at once, or how long a beat waits.
type Said = Result<(StatusCode, String), Duration>;

impl Script {
    fn page(&mut self, uri: &Uri) -> Said {
        let query = uri.query().unwrap_or_default();
        let Some(page) = self.pages.remove(query) else {
            self.complaint = Some(format!("nobody has the page `{query}`, or not twice"));
            return Ok((StatusCode::NOT_FOUND, String::new()));
        };
        Ok((StatusCode::OK, page.to_string()))
    }

    fn checkpoint(&mut self, body: &[u8]) -> Said {
        let request: Value = serde_json::from_slice(body).unwrap();
        if request["ops"].as_array().unwrap().is_empty() {
            return Err(values::duration(&request["wait"]));
        }
        let Some(next) = self.checkpoints.next() else {
            self.complaint.get_or_insert(format!("this checkpoint is one too many: {request}"));
            return Ok((StatusCode::CONFLICT, String::new()));
        };
        if next["request"]["n"] != request["n"] {
            self.complaint.get_or_insert(format!("n is {} instead of {}", request["n"], next["request"]["n"]));
        }
        if let Err(reason) = matching::answer(&next["request"], &request) {
            self.complaint.get_or_insert(format!("{reason}\n    in the checkpoint {request}"));
        }
        Ok(match next.get("reply") {
            Some(reply) => (StatusCode::OK, reply.to_string()),
            None => {
                let status = u16::try_from(next["status"].as_u64().unwrap()).unwrap();
                (StatusCode::from_u16(status).unwrap(), next["problem"].to_string())
            }
        })
    }
}
