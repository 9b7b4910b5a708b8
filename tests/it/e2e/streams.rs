//! Streams of tokens when everything dies: the handler, the server, both, an attempt. Whoever reads ends with exactly what the attempts
//! said that succeeded, in order and each word once, however often the connection was gone; and what each step returned is the
//! witness. With handlers of both SDKs in processes of their own.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use backstitch::Client;
use backstitch::client::SubscriptionScope;
use backstitch_server::limits::NOTE_MS;
use backstitch_server::model::Timestamp;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::handlers::AppProcess;
use super::reading::{Heard, PATIENCE, Reader};
use super::server::{Place, Server, free_port};
use super::telling::{Language, Tale};

/// A run of `tell`, and those who read it: one who stays, one who hangs up all the time, and the clients of both SDKs.
struct Show {
    place: Place,
    language: Language,
    server: Server,
    app: AppProcess,
    run: String,
    tale: Tale,
    patient: Reader,
    restless: Reader,
    client: tokio::task::JoinHandle<Result<Vec<backstitch::client::Message<String>>, backstitch::Error>>,
    node: Child,
}

impl Show {
    async fn begin(language: Language, tale: Tale) -> Show {
        let place = Place::new();
        let (server, app) = (Server::start(&place).await, language.serve(free_port()).await);
        let (status, body) = server.put_app("tell", &app.url).await;
        assert!(status < 300, "{body}");
        let (status, body) = server.post("/v1/functions/tell/tell/runs", json!({"input": tale})).await;
        assert_eq!(status, 202, "{body}");
        let run = body["id"].as_str().expect("a start is answered with the run's id").to_owned();
        let [patient, restless] = [usize::MAX, 7].map(|events| Reader::open(&server.url, &run, events));
        let reading = Client::new("tell").url(&server.url).run::<Value>(&run).stream::<String>().topics(["words"]);
        let client = tokio::spawn(reading.collect());
        let node = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/e2e/streams.client.mjs"))
            .args([&server.url, &run])
            .env_remove("BACKSTITCH_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        Show { place, language, server, app, run, tale, patient, restless, client, node }
    }

    /// Somebody has been given so many more words.
    async fn goes_on(&mut self, words: usize) {
        self.patient.has_more(words).await;
    }

    async fn kill_handler(mut self) -> Show {
        let port = self.app.port();
        self.app.kill().await;
        self.app = self.language.serve(port).await;
        self
    }

    async fn kill_server(mut self) -> Show {
        self.server.kill().await;
        self.server = Server::start(&self.place).await;
        self
    }

    async fn kill_both(mut self) -> Show {
        let port = self.app.port();
        self.app.kill().await;
        self.server.kill().await;
        self.server = Server::start(&self.place).await;
        self.app = self.language.serve(port).await;
        self
    }

    /// Waits for the end, and checks what everybody has heard by then. Returns what the patient reader has.
    async fn end(self) -> Heard {
        let result = self.server.result(&self.run).await;
        assert_eq!(result["status"], "completed", "{result}");
        let said = &result["ok"];
        for side in ["left", "right"] {
            let words: Vec<String> =
                serde_json::from_value(said[side].clone()).expect("each step returns what it said");
            let voice = words[0].split(' ').next().expect("a word has a voice").to_owned();
            assert!(words.iter().cloned().eq((0..self.tale.words).map(|n| format!("{voice} {n}"))), "{words:?}");
        }
        let (patient, restless) = (self.patient.heard().await, self.restless.heard().await);
        let late = Reader::open(&self.server.url, &self.run, usize::MAX).heard().await;
        for heard in [&patient, &restless, &late] {
            check(heard, said);
            assert_eq!((&heard.end["status"], &heard.end["run"]), (&json!("completed"), &json!(self.run)));
        }
        assert_eq!((late.cuts, late.words.len()), (0, 2 * self.tale.words as usize), "who comes late hears of no cut");
        assert!(restless.connections > 5, "it came back all the time: {}", restless.connections);
        let node = tokio::time::timeout(PATIENCE, self.node.wait_with_output()).await.expect("the stream ends for it");
        let node: Value = serde_json::from_slice(&node.expect("it ends").stdout).expect("it prints what it has");
        assert_eq!(node, json!({"left": said["left"], "right": said["right"], "status": "completed"}), "TypeScript");
        let client = self.client.await.expect("it reads").expect("nobody refuses");
        for side in ["left", "right"] {
            let of_it = client.iter().filter(|message| message.step.as_deref() == Some(side));
            assert_eq!(
                json!(of_it.map(|message| &message.data).collect::<Vec<_>>()),
                said[side],
                "the client's {side}"
            );
        }
        self.server.kill().await;
        patient
    }
}

/// A reader ends with what the steps returned, and with what the handler said outside of them, once.
fn check(heard: &Heard, said: &Value) {
    for side in ["left", "right"] {
        assert_eq!(json!(heard.of(Some(side))), said[side], "{side} of {heard:?}");
    }
    assert_eq!(heard.of(None), ["begun", "done"]);
    for message in heard.messages.values().filter(|message| message["topic"] == "words") {
        let voice = message["data"].as_str().and_then(|word| word.split([' ', '.']).nth(2));
        assert_eq!(voice, Some(&*message["attempt"].to_string()), "{message}");
    }
}

/// How many different voices a reader has heard of a side, whether they count or not.
fn voices(heard: &Heard) -> usize {
    let voice = |word: &String| word.split(' ').next().unwrap_or_default().to_owned();
    heard.words.iter().map(voice).collect::<std::collections::BTreeSet<_>>().len()
}

/// Two seconds, so that what happens in the middle of it does so on a busy machine, too.
const TALE: Tale = Tale { words: 100, ms: 20, throws: 0 };

async fn an_attempt_throws(language: Language) {
    let show = Show::begin(language, Tale { throws: 2, ..TALE }).await;
    let heard = show.end().await;
    assert_eq!((heard.cuts, voices(&heard)), (2, 3), "two attempts were heard and cut");
    let attempts = heard.of(Some("left"))[0].split(' ').next().map(|voice| voice.ends_with(".3"));
    assert_eq!(attempts, Some(true), "the third attempt counts: {heard:?}");
}

async fn the_handler_dies(language: Language) {
    let mut show = Show::begin(language, TALE).await;
    show.goes_on(30).await;
    let mut show = show.kill_handler().await;
    show.goes_on(30).await;
    let heard = show.kill_handler().await.end().await;
    assert_eq!((heard.cuts, voices(&heard)), (4, 3), "both steps were cut with each process: {heard:?}");
}

/// So soon that nobody knows of the invocation any more: the handler is called again, and what it goes on saying does not count.
async fn the_server_dies_early(language: Language) {
    // On a machine that stands still for a second it was late.
    for _ in 0..3 {
        let mut show = Show::begin(language, TALE).await;
        show.goes_on(10).await;
        let heard = show.kill_server().await.end().await;
        if voices(&heard) == 2 {
            assert_eq!(heard.cuts, 2, "both steps were begun anew: {heard:?}");
            return assert!(heard.connections >= 2);
        }
    }
    panic!("the server was never killed so early that the handler was called again");
}

/// The invocation is known to be open, and its handler is found at work: it goes on where it was.
async fn the_server_dies_late(language: Language) {
    let tale = Tale { words: 150, ms: NOTE_MS / 25, throws: 0 };
    let mut show = Show::begin(language, tale).await;
    show.goes_on(100).await;
    let mut show = show.kill_server().await;
    show.goes_on(40).await;
    let heard = show.kill_server().await.end().await;
    assert_eq!((heard.cuts, voices(&heard)), (0, 1), "nothing is said twice: {heard:?}");
    assert!(heard.connections >= 2);
}

/// Soon, because a server waits half a minute for a handler that it knows to be at work.
async fn both_die(language: Language) {
    let mut show = Show::begin(language, Tale { words: 40, throws: 1, ..TALE }).await;
    show.goes_on(50).await;
    let mut show = show.kill_both().await;
    show.goes_on(20).await;
    let heard = show.kill_both().await.end().await;
    assert!(heard.cuts >= 3 && voices(&heard) >= 4, "the throw and two processes were heard, and cut: {heard:?}");
}

macro_rules! in_both_languages {
    ($($case:ident: $typescript:ident, $rust:ident;)*) => { $(
        #[tokio::test]
        async fn $typescript() {
            $case(Language::TypeScript).await;
        }

        #[tokio::test]
        async fn $rust() {
            $case(Language::Rust).await;
        }
    )* };
}

in_both_languages! {
    an_attempt_throws: an_attempt_throws_in_typescript, an_attempt_throws_in_rust;
    the_handler_dies: the_handler_dies_in_typescript, the_handler_dies_in_rust;
    the_server_dies_early: the_server_dies_early_in_typescript, the_server_dies_early_in_rust;
    the_server_dies_late: the_server_dies_late_in_typescript, the_server_dies_late_in_rust;
    both_die: both_die_in_typescript, both_die_in_rust;
}

/// A browser has nothing but the token that its backend made, and reads one stream with it.
#[tokio::test]
async fn a_token_that_the_client_makes_opens_its_stream_and_no_other() {
    let (server, app) = (Server::start(&Place::new()).await, Language::Rust.serve(free_port()).await);
    let (status, body) = server.put_app("tell", &app.url).await;
    assert!(status < 300, "{body}");
    let client = Client::new("tell").url(&server.url);
    let tell = backstitch::FunctionRef::<Tale, Value>::new("tell");
    let tale = Tale { words: 3, ms: 1, throws: 0 };
    let [run, other] = [client.start(tell, tale).send().await, client.start(tell, tale).send().await]
        .map(|started| started.expect("it starts"));
    let scope = SubscriptionScope::run(run.id()).topics(["words"]).ttl(Duration::from_secs(60));
    let made = client.subscription_token(&scope).await.expect("a token is made");
    let left = made.expires_at.duration_since(run_created(&server, run.id()).await).expect("not before it began");
    assert!((55..90).contains(&left.as_secs()), "a minute, not {left:?}");
    let narrow = Client::new("tell").url(&server.url).key(&made.token);
    let read = async |id: &str| narrow.run::<Value>(id).stream::<String>().topics(["words"]).collect().await;
    let said = read(run.id()).await.expect("its stream is open");
    let result = narrow.run::<Value>(run.id()).result().await.expect("so is its result");
    for side in ["left", "right"] {
        let of_it = said.iter().filter(|message| message.step.as_deref() == Some(side));
        assert_eq!(json!(of_it.map(|message| &message.data).collect::<Vec<_>>()), result[side]);
    }
    let refused = read(other.id()).await.expect_err("the other is not");
    assert_eq!(refused.code(), Some("403"), "{refused:?}");
    let whole = narrow.run::<Value>(run.id()).stream::<Value>().topics(["stage"]).collect().await;
    assert_eq!(whole.expect_err("nor are other topics").code(), Some("403"));
    server.kill().await;
}

async fn run_created(server: &Server, run: &str) -> SystemTime {
    let (_, view) = server.get(&format!("/v1/runs/{run}")).await;
    let at: Timestamp = view["createdAt"].as_str().expect("a time").parse().expect("a time");
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs())
}
