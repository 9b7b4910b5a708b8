//! The clock of `dev`: it goes from timer to timer, keeps what it skipped over a restart, and is not there in production.

use backstitch_server::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::world::{self, Ended, Server, binary};
use crate::support::peer::{Peer, SDK, response};

/// `nap` sleeps for an hour, three times; each request's signature is judged by the machine's clock.
async fn sleeper() -> Peer {
    Peer::start(|request| {
        if request.method == "GET" {
            let manifest = json!({
                "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "shop",
                "deployment": {"id": "v1", "immutable": false}, "functions": [{"id": "nap"}],
            });
            return response(200, &SDK, &manifest.to_string());
        }
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        let journal = call["journal"].as_array().unwrap();
        let seen = journal.iter().filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or(0);
        let ops = match journal.len() as u64 {
            n if n < 3 && seen == n => {
                let id = format!("nap{n}");
                json!([{"op": "sleep", "id": id, "name": id, "params": {"for": "1h"}}])
            }
            3 if seen == 3 => {
                json!([{"op": "done", "ok": journal.iter().map(|entry| entry["at"].clone()).collect::<Vec<_>>()}])
            }
            _ => json!([]),
        };
        response(200, &SDK, &json!({"token": call["token"], "seen": seen, "ops": ops}).to_string())
    })
    .await
}

async fn ask(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = binary(std::path::Path::new("."));
    command.args(arguments).env("BACKSTITCH_URL", server.url());
    world::run(command).await
}

async fn clock(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["clock"];
    all.extend(arguments);
    all.push("--json");
    ask(server, &all).await.expect(0, &[]).json()
}

/// Milliseconds since 1970.
fn ms(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn it_goes_from_timer_to_timer_and_stays_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let app = sleeper().await;
    let named = format!("shop={}", app.url());
    // The key makes requests signed, so that the app sees what time their signatures say.
    let key = backstitch_server::auth::SigningKey::shared([9; 32]).reveal();
    let keyed = [("BACKSTITCH_KEY", &*key)];
    let arguments = ["dev", "--no-discovery", "--app", &named];
    let mut server = Server::start(dir.path(), &arguments, &keyed).await;
    server.says("✓ shop").await;
    ask(&server, &["clock", "next"]).await.expect(4, &["nothing waits for a time"]);
    ask(&server, &["call", "shop/nap", "null", "--run-id", "n", "--no-wait"]).await.expect(0, &[]);

    let at_first = clock(&server, &[]).await;
    let next = clock(&server, &["next"]).await;
    assert!(ms(&next["now"]) >= ms(&at_first["next"]) && next["fired"] == 1, "{at_first} {next}");
    let ahead = next["skippedMs"].as_i64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&ahead), "{next}");
    assert_eq!(server.stop().await, 0);

    let mut server = Server::start(dir.path(), &arguments, &keyed).await;
    server.says("✓ shop").await;
    let again = clock(&server, &[]).await;
    let kept = again["skippedMs"].as_i64().unwrap();
    assert!(ms(&again["now"]) >= ms(&next["now"]) && kept > ahead - 60_000, "what was skipped stays skipped: {again}");
    // Two naps are left, the second begins when the first is over.
    let later = clock(&server, &["advance", "1d"]).await;
    assert_eq!(
        (later["fired"].as_u64(), later["next"].is_null(), later["quiet"].as_bool()),
        (Some(2), true, Some(true)),
        "{later}"
    );
    let result = ask(&server, &["call", "shop/nap", "null", "--run-id", "n", "--json"]).await.expect(0, &[]).json();
    let at: Vec<i64> = result["ok"].as_array().unwrap_or_else(|| panic!("{result}")).iter().map(ms).collect();
    for pair in at.windows(2) {
        assert!((3_600_000..3_660_000).contains(&(pair[1] - pair[0])), "each nap is over at its own time: {at:?}");
    }
    assert!(ms(&later["now"]) - ms(&again["now"]) >= 86_400_000);

    let wall = SystemClock::new().wall().0 / 1_000;
    let signed = app.received();
    assert!(signed.len() >= 4);
    for request in signed {
        let Some(token) = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
            continue;
        };
        let claims = base64_json(token.split('.').nth(1).unwrap());
        assert!((wall - claims["iat"].as_i64().unwrap()).abs() < 300, "signatures have the machine's time: {claims}");
    }
    assert_eq!(server.stop().await, 0);
}

fn base64_json(text: &str) -> Value {
    use base64::Engine as _;
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn what_cannot_be_skipped_is_refused_and_production_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["dev", "--no-discovery"], &[]).await;
    let http = reqwest::Client::new();
    let post = async |body: &str| {
        let address = format!("{}/dev/clock/advance", server.url());
        let sent =
            http.post(address).header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        (sent.status().as_u16(), sent.text().await.unwrap())
    };
    for (body, status, said) in [
        ("{}", 422, "says neither `by`"),
        (r#"{"by": "1h", "to": "next"}"#, 422, "stands beside `by`"),
        (r#"{"by": "soon"}"#, 422, "/by"),
        (r#"{"to": "tomorrow"}"#, 422, "is neither `next` nor a time"),
        (r#"{"to": "2001-01-01T00:00:00Z"}"#, 422, "time never runs backwards"),
        (r#"{"to": "9000-01-01T00:00:00Z"}"#, 422, "100 years"),
        (r#"{"to": "next"}"#, 409, "no_timer"),
        (r#"{"hours": 1}"#, 422, "/hours"),
    ] {
        let answer = post(body).await;
        assert!(answer.0 == status && answer.1.contains(said), "{body}: {answer:?}");
    }
    assert_eq!(server.stop().await, 0);

    let world = world::World::new().await;
    for path in ["clock", "effects"] {
        let there = http.get(format!("{}/dev/{path}", world.server.url())).send().await.unwrap();
        assert_eq!(there.status().as_u16(), 404);
        let problem: Value = serde_json::from_str(&there.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "dev_only");
    }
    world.run(&["clock", "advance", "1h"]).await.expect(4, &["this server runs with `backstitch start`"]);
}
