//! The page behind the link. Looking at it changes nothing, since mail scanners follow links, too; pressing a button posts
//! the decision, and the app hands it to the server with nothing but the token.

use axum::Router;
use axum::extract::{Form, Query};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use backstitch::Client;
use serde::Deserialize;

use crate::Decision;

#[derive(Deserialize)]
struct Link {
    token: String,
}

#[derive(Deserialize)]
struct Pressed {
    token: String,
    decision: String,
}

/// `GET /decide?token=…` shows two buttons, `POST /decide` settles the wait.
pub fn page() -> Router {
    Router::new().route("/decide", get(look).post(press))
}

async fn look(Query(Link { token }): Query<Link>) -> Response {
    if !token.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return (StatusCode::BAD_REQUEST, "This link is not complete. Copy all of it from the mail.").into_response();
    }
    let buttons = ["approve", "decline"].map(|value| format!("<button name=decision value={value}>{value}</button>"));
    Html(format!(
        "<!doctype html><title>Expense</title><form method=post action=/decide><input type=hidden name=token value=\"{token}\">{}</form>",
        buttons.join(" ")
    ))
    .into_response()
}

async fn press(Form(pressed): Form<Pressed>) -> Response {
    let approved = pressed.decision == "approve";
    match Client::new("expenses-rust").resolve(&pressed.token, Decision { approved }).await {
        Ok(()) => Html(if approved { "Approved." } else { "Declined." }).into_response(),
        Err(error) if error.is_retryable() => {
            (StatusCode::BAD_GATEWAY, "That did not work. Try again in a minute.").into_response()
        }
        Err(_) => (StatusCode::CONFLICT, "This was decided before, or the link is not valid.").into_response(),
    }
}
