//! What a handler reports while it works, what it is told, and the journal that it fetches. The test is the handler.

use std::time::Duration;

use axum::body::Body;
use backstitch_server::clock::{Clock, SystemClock};
use backstitch_server::limits::{ANSWER_BYTES_MAX, JOURNAL_PAGE_BYTES_MAX, REPORTS_AT_ONCE_MAX};
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, World, request};

const REPORT: &str = "/v1/invocations";

/// An invocation of the function `work`, whose handler is the test.
struct Work<'w> {
    world: &'w World,
    run: String,
    token: String,
}

impl<'w> Work<'w> {
    async fn begin(world: &'w World) -> Work<'w> {
        let run = world.start("work", json!({"input": null})).await;
        Work::of(world, run, 1).await
    }

    /// The `nth` invocation of a run, once it has arrived.
    async fn of(world: &'w World, run: String, nth: usize) -> Work<'w> {
        let body = invocation(world, &run, nth).await;
        let token = body["token"].as_str().expect("a token").to_owned();
        Work { world, run, token }
    }

    async fn report(&self, body: &Value) -> Answer {
        report(self.world, &self.token, &body.to_string()).await
    }

    /// Reports, and returns what is new.
    async fn news(&self, body: Value) -> Value {
        let answer = self.report(&body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        answer.json()
    }

    async fn page(&self, query: &str) -> Answer {
        let path = format!("{REPORT}/journal?{query}");
        let request = request(Method::GET, &path).header("authorization", format!("Bearer {}", self.token));
        self.world.send(request.body(Body::empty()).unwrap()).await
    }
}

async fn report(world: &World, token: &str, body: &str) -> Answer {
    let request = request(Method::POST, REPORT).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {token}"));
    world.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The body of a run's `nth` invocation.
async fn invocation(world: &World, run: &str, nth: usize) -> Value {
    for _ in 0..1_000 {
        let bodies = world.peer.received().into_iter().filter(|received| received.method == "POST");
        let mut bodies = bodies.map(|received| serde_json::from_slice::<Value>(&received.body).unwrap());
        if let Some(body) = bodies.by_ref().filter(|body| body["run"]["id"] == run).nth(nth - 1) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{run} was not invoked {nth} times");
}

fn step(id: &str, value: &Value) -> Value {
    json!({"op": "step", "id": id, "attempt": 1, "ok": value})
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_reported_is_durable_and_what_was_brought_is_not_sent_back() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    let body = invocation(&world, &work.run, 1).await;
    assert_eq!(
        body["links"],
        json!({
            "checkpoint": "http://127.0.0.1:8484/v1/invocations",
            "reports": "http://127.0.0.1:8484/v1/invocations/reports",
            "journal": null,
        })
    );
    assert_eq!(body["run"].get("seen"), None);
    let first = json!({"n": 1, "seen": 0, "ops": [step("a", &json!({"n": 1})), {"op": "marker", "id": "m"}]});
    let news = work.news(first.clone()).await;
    assert_eq!(ids(&news["settled"]), ["a", "m"], "{news}");
    let settled = news["settled"].as_array().unwrap();
    assert_eq!((settled[0].get("ok"), &settled[0]["seq"], &settled[1]["ok"]), (None, &json!(1), &json!(null)));
    assert_eq!((&news["retry"], news.get("stop")), (&json!([]), None));
    let journal = world.get(&format!("/v1/runs/{}/journal", work.run)).await.json();
    assert_eq!(journal["entries"][1]["ok"], json!({"n": 1}), "{journal}");
    // The same again, since its reply was lost: nothing is applied twice, and the outcome comes with it now.
    let again = work.news(first).await;
    assert_eq!((again["settled"][0]["ok"].clone(), ids(&again["settled"])), (json!({"n": 1}), vec!["a", "m"]));
    // A step that fails is to run again, in each reply until it has.
    let failed = json!({"op": "step", "id": "b", "attempt": 1, "params": {"retry": {"initialInterval": "1h", "jitter": 0}},
        "err": {"name": "E", "message": "m", "retryable": true}});
    let news = work.news(json!({"n": 2, "seen": 2, "ops": [failed]})).await;
    assert_eq!(news["retry"][0]["attempt"], 2);
    assert_eq!(news["retry"][0]["error"]["name"], "E");
    assert!(news["retry"][0]["dueIn"].as_u64().is_some_and(|ms| ms > 3_500_000), "{news}");
    let beat = work.news(json!({"n": 2, "seen": 2, "ops": []})).await;
    assert_eq!((ids(&beat["settled"]), ids(&beat["retry"])), (vec![], vec!["b"]));
}

#[tokio::test]
async fn an_answer_without_a_connection_is_taken_once() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    work.news(json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]})).await;
    let answer = json!({"final": true, "seen": 1, "ops": [step("b", &json!(2)), {"op": "done", "ok": "done"}]});
    let taken = work.report(&answer).await;
    assert_eq!((taken.status, taken.json()), (200, json!({})));
    assert_eq!(world.result(&work.run).await["ok"], "done");
    work.report(&answer).await.is_problem(409, "stale", "");
    work.report(&json!({"n": 2, "seen": 1, "ops": []})).await.is_problem(409, "stale", "");
    work.page("before=9").await.is_problem(409, "stale", "");
}

#[tokio::test]
async fn a_handler_that_yields_is_invoked_again_and_its_old_token_is_worth_nothing() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    work.news(json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]})).await;
    let yielded = work.report(&json!({"final": true, "seen": 1, "ops": [{"op": "yield"}]})).await;
    assert_eq!(yielded.status, 200, "{yielded:?}");
    let next = Work::of(&world, work.run.clone(), 2).await;
    let body = invocation(&world, &work.run, 2).await;
    assert_eq!((ids(&body["journal"]), &body["run"]["seen"]), (vec!["a"], &json!(1)), "{body}");
    assert_ne!(next.token, work.token);
    work.report(&json!({"n": 2, "seen": 1, "ops": [step("b", &json!(2))]})).await.is_problem(409, "stale", "");
    let news = next.news(json!({"n": 1, "seen": 1, "ops": [step("b", &json!(3))]})).await;
    assert_eq!(ids(&news["settled"]), ["b"]);
}

#[tokio::test]
async fn whoever_has_no_token_of_the_run_is_not_heard() {
    let world = World::open().await;
    let (work, other) = (Work::begin(&world).await, Work::begin(&world).await);
    let body = json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]}).to_string();
    let bare = request(Method::POST, REPORT).header("content-type", "application/json");
    let answer = world.send(bare.body(Body::from(body.clone())).unwrap()).await;
    answer.is_problem(401, "unauthorized", "");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let (named, digest) = work.token.rsplit_once('.').unwrap();
    let others = other.token.rsplit_once('.').unwrap();
    let last = if digest.ends_with('0') { "1" } else { "0" };
    let forged = [
        named.to_owned(),
        format!("{named}.{}{last}", &digest[..31]),
        format!("{named}.{}", others.1),
        format!("{}.{digest}", others.0),
        format!("{named}.{}", world.token(&work.run, "a").rsplit_once('.').unwrap().1),
        world.token(&work.run, "a"),
        "inv_".to_owned(),
        "x".repeat(9_000),
    ];
    for token in forged {
        let answer = report(&world, &token, &body).await;
        answer.is_problem(401, "unauthorized", "");
        assert!(!answer.json()["detail"].as_str().unwrap().contains(&token) || token.len() < 8, "{answer:?}");
    }
    // Another run's token speaks for the other run.
    other.news(json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]})).await;
    assert_eq!(ids(&work.news(json!({"n": 0, "seen": 0, "ops": []})).await["settled"]), Vec::<&str>::new());
}

#[tokio::test]
async fn what_cannot_be_taken_says_where() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    for (body, words) in [
        (
            json!({"n": 1, "seen": 0, "ops": [{"op": "marker", "id": "m"}, {"op": "step", "id": "a", "attempt": 1}]}),
            vec!["ops[1] (step \"a\")", "exactly one of `ok` and `err`"],
        ),
        (
            json!({"n": 1, "seen": 0, "ops": [{"op": "done", "ok": 1}]}),
            vec!["ops[0] (`done`)", "belongs into the answer"],
        ),
        (json!({"n": 1, "seen": 0, "ops": [{"op": "yield"}]}), vec!["ops[0] (`yield`)"]),
        (json!({"n": 0, "seen": 0, "ops": [{"op": "marker", "id": "m"}]}), vec!["`n`: must be at least 1"]),
        (json!({"seen": 0, "ops": []}), vec!["`n`: is missing"]),
        (json!({"n": 1, "ops": []}), vec!["missing field `seen`"]),
        (json!({"n": 1, "seen": 0, "ops": [], "wait": "31s"}), vec!["`wait`: is 31s; at most 30s"]),
        (
            json!({"final": true, "seen": 0, "ops": [{"op": "done", "ok": 1}, {"op": "marker", "id": "m"}]}),
            vec!["ops[0] (`done`)", "must stand last"],
        ),
        (json!([]), vec!["not a JSON object"]),
    ] {
        let answer = work.report(&body).await;
        answer.is_problem(400, "malformed", "");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(words.iter().all(|word| detail.contains(word)), "{body}: {detail}");
    }
    let large = request(Method::POST, REPORT)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", work.token))
        .header("content-length", (ANSWER_BYTES_MAX + 1).to_string());
    world.send(large.body(Body::empty()).unwrap()).await.is_problem(413, "too_large", "");
    // Nothing of it was applied.
    let news = work.news(json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]})).await;
    assert_eq!((ids(&news["settled"]), &news["settled"][0]["seq"]), (vec!["a"], &json!(1)));
}

/// Reports, and says how long it took.
async fn timed(work: &Work<'_>, body: Value) -> (Value, Duration) {
    let clock = SystemClock::new();
    let begun = clock.monotonic_ms();
    let news = work.news(body).await;
    (news, Duration::from_millis(clock.monotonic_ms() - begun))
}

#[tokio::test]
async fn a_wait_ends_with_news_or_with_the_time() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    let wait = json!({"op": "waitSignal", "id": "approval", "params": {"signal": "approve"}});
    let child = json!({"op": "invoke", "id": "child", "params": {"function": "flaky", "input": 5}});
    let news = work.news(json!({"n": 1, "seen": 0, "ops": [wait]})).await;
    assert_eq!(ids(&news["settled"]), Vec::<&str>::new());
    let (news, took) = timed(&work, json!({"n": 1, "seen": 0, "ops": [], "wait": "300ms"})).await;
    assert!(ids(&news["settled"]).is_empty() && took >= Duration::from_millis(300), "{news} after {took:?}");
    let signal = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.post(&format!("/v1/runs/{}/signals/approve", work.run), r#"{"data":{"by":1.50}}"#).await
    };
    let beat = timed(&work, json!({"n": 1, "seen": 0, "ops": [], "wait": 9_000}));
    let (sent, (news, took)) = tokio::join!(signal, beat);
    assert_eq!(sent.status, 202, "{sent:?}");
    assert_eq!((ids(&news["settled"]), &news["settled"][0]["ok"]), (vec!["approval"], &json!({"by": 1.5})));
    assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(3), "{took:?}");
    // A child that ends changes nothing in the row of its parent.
    let (news, took) = timed(&work, json!({"n": 2, "seen": 1, "ops": [child], "wait": "9s"})).await;
    assert_eq!((ids(&news["settled"]), &news["settled"][0]["ok"]), (vec!["child"], &json!("at last")), "{news}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_wait_goes_on_when_another_reply_brought_the_news() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    let reports = async {
        for n in 1..=3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            work.news(json!({"n": n, "seen": n - 1, "ops": [step(&format!("s{n}"), &json!(n))]})).await;
        }
    };
    let beat = timed(&work, json!({"n": 0, "seen": 0, "ops": [], "wait": "1s"}));
    let ((), (news, took)) = tokio::join!(reports, beat);
    assert!(took >= Duration::from_secs(1), "{took:?}: {news}");
    assert_eq!((ids(&news["settled"]), &news["settled"][2]["ok"]), (vec!["s1", "s2", "s3"], &json!(3)));
    // A step that becomes due is news, a step that is due later is none.
    let failed = json!({"op": "step", "id": "b", "attempt": 1, "params": {"retry": {"initialInterval": "500ms", "jitter": 0}},
        "err": {"name": "E", "message": "m", "retryable": true}});
    work.news(json!({"n": 4, "seen": 3, "ops": [failed]})).await;
    let (news, took) = timed(&work, json!({"n": 4, "seen": 3, "ops": [], "wait": "9s"})).await;
    assert_eq!((&news["retry"][0]["id"], &news["retry"][0]["dueIn"]), (&json!("b"), &json!(0)), "{news}");
    assert!(took > Duration::from_millis(200) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_server_that_stops_tells_handlers_first() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.drain.send_replace(true);
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.get("/readyz").await.is_problem(503, "unavailable", "");
        world.post("/v1/functions/shop/echo/runs", r#"{"input":1}"#).await.is_problem(503, "unavailable", "");
    };
    let ((), (news, took)) = tokio::join!(stop, timed(&work, json!({"n": 0, "seen": 0, "ops": [], "wait": "9s"})));
    assert_eq!((&news["stop"], took < Duration::from_secs(3)), (&json!("drain"), true), "{news} after {took:?}");
    // What ends meanwhile is still taken, and the handler may yield.
    let news = work.news(json!({"n": 1, "seen": 0, "ops": [step("a", &json!(1))]})).await;
    assert_eq!((ids(&news["settled"]), &news["stop"]), (vec!["a"], &json!("drain")));
    let yielded = work.report(&json!({"final": true, "seen": 1, "ops": [{"op": "yield"}]})).await;
    assert_eq!(yielded.status, 200, "{yielded:?}");
    assert_eq!(world.get("/healthz").await.status, 200);
}

/// The whole journal, as an SDK fetches it; with how many pages it took.
async fn fetched(work: &Work<'_>, body: &Value) -> (Vec<Value>, usize) {
    let mut journal = body["journal"].as_array().unwrap().clone();
    let mut before = journal.iter().filter_map(|entry| entry["seq"].as_u64()).min();
    let mut pages = 0;
    while let Some(seq) = before.filter(|seq| *seq > 1) {
        let page = work.page(&format!("before={seq}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.body.len() <= JOURNAL_PAGE_BYTES_MAX, "{} bytes", page.body.len());
        let page = page.json();
        let entries = page["journal"].as_array().unwrap();
        assert_eq!(entries.last().map(|entry| &entry["seq"]), Some(&json!(seq - 1)));
        journal.splice(0..0, entries.clone());
        before = page["before"].as_u64();
        pages += 1;
    }
    (journal, pages)
}

#[tokio::test]
async fn a_journal_that_does_not_fit_is_fetched() {
    let world = World::open().await;
    let work = Work::begin(&world).await;
    // As much as a run may have, in outcomes of all sizes.
    let sizes = [1_000_000, 100, 200_000, 250_000, 262_142, 262_143, 150_000, 240_000];
    let (mut values, mut total, mut n) = (Vec::new(), 0, 0);
    while let size = sizes[values.len() % sizes.len()]
        && total + size < 33_000_000
    {
        (total, n) = (total + size, n + 1);
        values.push(json!(char::from(b'a' + (n % 26) as u8).to_string().repeat(size)));
        let id = format!("s/{n}&=ü");
        work.news(json!({"n": n, "seen": n - 1, "ops": [step(&id, values.last().unwrap())]})).await;
    }
    let wait = json!({"op": "waitSignal", "id": "open", "params": {"signal": "go"}});
    work.news(json!({"n": n + 1, "seen": n, "ops": [wait]})).await;
    let yielded = work.report(&json!({"final": true, "seen": n, "ops": [{"op": "yield"}]})).await;
    assert_eq!(yielded.status, 200, "{yielded:?}");
    let next = Work::of(&world, work.run.clone(), 2).await;
    let received = world.peer.received();
    let sent = received.iter().rfind(|received| received.method == "POST").unwrap();
    assert!(sent.body.len() <= 4_400_000 && sent.body.len() > 4_000_000, "{} bytes", sent.body.len());
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["links"]["journal"], "http://127.0.0.1:8484/v1/invocations/journal");
    assert_eq!(body["journal"].as_array().unwrap().last().map(|entry| &entry["pending"]), Some(&json!(true)));

    let (journal, pages) = fetched(&next, &body).await;
    assert!(pages >= 3, "only {pages} pages");
    assert_eq!(journal.len(), values.len() + 1);
    let mut references = 0;
    for (position, (entry, value)) in journal.iter().zip(&values).enumerate() {
        assert_eq!(
            (entry["seq"].as_u64(), entry["digest"].as_str()),
            (Some(position as u64 + 1), Some("44136fa355b3678a"))
        );
        let large = value.as_str().unwrap().len() + 2 > 256 << 10;
        assert_eq!(entry["ref"] == true, large, "{}", entry["id"]);
        let whole = if large {
            references += 1;
            let id: String = form_urlencoded::byte_serialize(entry["id"].as_str().unwrap().as_bytes()).collect();
            let page = next.page(&format!("id={id}")).await.json();
            assert_eq!((&page["before"], page["journal"].as_array().unwrap().len()), (&json!(null), 1));
            page["journal"][0].clone()
        } else {
            entry.clone()
        };
        assert!(whole["ok"] == *value, "{}", entry["id"]);
    }
    assert!(references > 10, "only {references} references");
    work.page("before=9").await.is_problem(409, "stale", "");
    next.page("before=9&id=a").await.is_problem(422, "invalid", "before");
    next.page("before=x").await.is_problem(422, "invalid", "before");
    assert_eq!(next.page("id=nothing").await.json(), json!({"journal": [], "before": null}));
}

/// Reports of several invocations in one request.
async fn together(world: &World, reports: &[(&str, Value)]) -> Answer {
    let reports: Vec<Value> = reports.iter().map(|(token, report)| json!({"token": token, "report": report})).collect();
    world.post(&format!("{REPORT}/reports"), json!({"reports": reports}).to_string()).await
}

#[tokio::test]
async fn reports_that_come_together_are_taken_and_refused_one_by_one() {
    let world = World::open().await;
    let (one, two, over) = (Work::begin(&world).await, Work::begin(&world).await, Work::begin(&world).await);
    over.report(&json!({"final": true, "seen": 0, "ops": [{"op": "done", "ok": 1}]})).await;
    let last = if two.token.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{last}", &two.token[..two.token.len() - 1]);
    let marked =
        |id: &str| json!({"n": 1, "seen": 0, "ops": [step(id, &json!({"of": id})), {"op": "marker", "id": "m"}]});
    let answer = together(
        &world,
        &[
            (&one.token, marked("a")),
            (&over.token, marked("a")),
            (&forged, marked("b")),
            ("awk_1", marked("b")),
            (&two.token, json!({"n": 1, "seen": 0, "ops": [{"op": "nap", "id": "b"}]})),
            (&two.token, json!({"n": 0, "seen": 0, "ops": [], "wait": "10s"})),
            (&two.token, json!({"final": true, "seen": 0, "ops": [step("b", &json!(2)), {"op": "done", "ok": 3}]})),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let replies = answer.json()["replies"].clone();
    let statuses: Vec<u64> =
        replies.as_array().unwrap().iter().map(|reply| reply["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 409, 401, 401, 400, 422, 200], "{replies:#}");
    assert_eq!(ids(&replies[0]["body"]["settled"]), ["a", "m"]);
    let codes: Vec<&str> = (1..6).map(|at| replies[at]["body"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["stale", "unauthorized", "unauthorized", "malformed", "invalid"]);
    assert!(replies[5]["body"]["detail"].as_str().unwrap().contains("/wait"), "{replies:#}");
    assert_eq!(replies[6]["body"], json!({}));
    // What was taken is durable, and what was refused has left nothing.
    assert_eq!(world.result(&two.run).await["ok"], 3);
    let journal = world.get(&format!("/v1/runs/{}/journal", two.run)).await.json();
    assert_eq!(ids(&journal["entries"]), ["$input", "b", "$outcome"], "{journal}");
    assert_eq!(ids(&one.news(json!({"n": 1, "seen": 0, "ops": []})).await["settled"]), ["a", "m"]);
}

#[tokio::test]
async fn reports_that_come_together_have_bounds() {
    let world = World::open().await;
    let beat = json!({"n": 0, "seen": 0, "ops": []});
    let many: Vec<(&str, Value)> = (0..=REPORTS_AT_ONCE_MAX).map(|_| ("inv_1", beat.clone())).collect();
    together(&world, &many).await.is_problem(422, "invalid", "/reports");
    together(&world, &[]).await.is_problem(422, "invalid", "/reports");
    let most = together(&world, &many[1..]).await;
    assert_eq!((most.status, most.json()["replies"].as_array().unwrap().len()), (200, REPORTS_AT_ONCE_MAX));
    let path = format!("{REPORT}/reports");
    world.post(&path, r#"{"reports": [{"token": "inv_1"}]}"#).await.is_problem(422, "invalid", "/reports/0");
    world.post(&path, r#"{"reports": 1}"#).await.is_problem(422, "invalid", "/reports");
    world.post(&path, "nonsense").await.is_problem(400, "malformed", "");
}
