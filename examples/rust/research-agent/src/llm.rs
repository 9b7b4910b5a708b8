//! The model, as the agent sees it: one HTTP call in the widely spoken chat-completions format, answered with JSON. What is
//! worth another attempt and what is not is said here, where the status is known.

use backstitch::{DurationExt, Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A model behind the base address of a chat-completions API.
#[derive(Clone)]
pub struct Llm {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
    name: String,
}

impl Llm {
    /// The model `name` at `url`, such as `https://models.example/v1`, with a key if it wants one.
    pub fn new(url: impl Into<String>, key: Option<String>, name: impl Into<String>) -> Llm {
        Llm { http: reqwest::Client::new(), url: url.into(), key, name: name.into() }
    }

    /// Asks for one of three things: `plan`, `act`, `write`.
    pub(crate) async fn chat<T: DeserializeOwned>(&self, task: &str, about: Value) -> Result<T, Error> {
        let messages =
            json!([{ "role": "system", "content": prompt(task) }, { "role": "user", "content": about.to_string() }]);
        let mut request = self.http.post(format!("{}/chat/completions", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.json(&json!({ "model": self.name, "messages": messages })).send().await?;
        let status = response.status();
        let text = response.text().await?;
        let message = format!("the model answered {status}: {text}");
        if status.as_u16() == 429 {
            return Err(Error::new("ModelBusy", message).retry_after(5.seconds()));
        }
        if status.is_client_error() {
            return Err(Error::terminal("ModelRefused", message));
        }
        if !status.is_success() {
            return Err(Error::new("ModelDown", message));
        }
        let answer: Value = serde_json::from_str(&text)?;
        let content = answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
        // A model that answers in prose is asked again.
        Ok(serde_json::from_str(content)?)
    }
}

fn prompt(task: &str) -> &'static str {
    match task {
        "plan" => r#"You plan research. Answer with JSON: {"steps": ["…"]}, at most five, each one sentence."#,
        "act" => {
            r#"You act on a research plan. Tools: search (words), read (document id), buy (document id; costs money). Answer with JSON: {"tool": "…", "argument": "…"}, and with the tool "finish" once the notes answer the question."#
        }
        _ => r#"You write the report. Use nothing but the notes. Answer with JSON: {"report": "…"}."#,
    }
}
