//! A stand-in for a model: speaks the chat-completions format and always gives the same answer to the same messages. As real
//! ones do, it fails now and then (every third request is a 500) and takes its time (every fourth is slow).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing};
use serde_json::{Value, json};

use crate::Note;

const SLOW: Duration = Duration::from_millis(300);

/// The stand-in, to be served at some address whose `/v1` is the model's base address.
pub fn router() -> Router {
    Router::new().route("/v1/chat/completions", routing::post(answer)).with_state(Arc::new(AtomicU32::new(0)))
}

async fn answer(State(requests): State<Arc<AtomicU32>>, Json(asked): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let nth = requests.fetch_add(1, Ordering::Relaxed) + 1;
    if nth % 4 == 2 {
        tokio::time::sleep(SLOW).await;
    }
    if nth % 3 == 1 {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let content = |index: usize| asked["messages"][index]["content"].as_str().unwrap_or_default();
    let about: Value = serde_json::from_str(content(1)).map_err(|_| StatusCode::BAD_REQUEST)?;
    let said = say(content(0), &about).to_string();
    Ok(Json(json!({ "choices": [{ "message": { "role": "assistant", "content": said } }] })))
}

fn say(system: &str, about: &Value) -> Value {
    let question = about["question"].as_str().unwrap_or_default();
    let notes: Vec<Note> = serde_json::from_value(about["notes"].clone()).unwrap_or_default();
    if system.starts_with("You plan") {
        return json!({ "steps": ["search the library", "read what is free", "buy the study if it is needed", "write"] });
    }
    if system.starts_with("You act") {
        // Searches, reads what is free, buys what is not, and has enough.
        let actions = [("search", question), ("read", "seams-1"), ("buy", "seams-2"), ("finish", "")];
        let (tool, argument) = actions[notes.len().min(actions.len() - 1)];
        return json!({ "tool": tool, "argument": argument });
    }
    let facts: Vec<&str> = notes.iter().skip(1).map(|note| note.found.as_str()).collect();
    json!({ "report": format!("{question} {}", facts.join(" ")) })
}
