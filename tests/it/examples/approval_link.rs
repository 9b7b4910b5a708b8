//! The approval by link: the link of the "mail" is followed, looked at, decided on once, and refused the second time.

use reqwest::StatusCode;
use serde_json::json;

use super::world::{Kind, World, address};

async fn check(kind: Kind, app: &str) {
    let world = World::start(kind, "approval-link", app).await;
    let page = address(&world.printed("served at ").await);
    let input = json!({ "what": "a lamp", "cents": 4_900, "by": "ann", "link_base": page });
    let run = world.start_run(&format!("{app}/expense"), &json!({ "input": input })).await;
    let link = address(&world.printed("/decide?token=").await);

    let http = reqwest::Client::new();
    let looked = http.get(&link).send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    let token = link.rsplit('=').next().unwrap();
    assert!(looked.text().await.unwrap().contains(token), "the page has the token");
    assert_eq!(world.entry(&run, "decision").await["status"], "waiting", "looking decides nothing");

    let press = async |token: &str, decision: &str| {
        let form = format!("token={token}&decision={decision}&comment=fine");
        let post =
            http.post(format!("{page}/decide")).header("content-type", "application/x-www-form-urlencoded").body(form);
        post.send().await.unwrap().status()
    };
    assert_eq!(press(token, "approve").await, StatusCode::OK);
    let result = world.result(&run).await;
    assert_eq!(result["status"], "completed", "{result}");
    assert!(result["ok"].to_string().contains("approved"), "{result}");
    assert_eq!(press(token, "decline").await, StatusCode::CONFLICT, "a token settles once");
    let (head, _) = token.rsplit_once('.').unwrap();
    assert_eq!(
        press(&format!("{head}.{}", "0".repeat(32)), "decline").await,
        StatusCode::CONFLICT,
        "nobody guesses a token"
    );
}

#[tokio::test]
async fn in_typescript() {
    check(Kind::Node, "expenses").await;
}

#[tokio::test]
async fn in_rust() {
    check(Kind::Rust, "expenses-rust").await;
}
