//! Somebody who reads a run's stream with nothing but HTTP: comes back with `Last-Event-ID` whenever the connection is gone, and
//! forgets what the server says was cut. What must not happen to any reader fails at once: an id that does not grow, a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a whole stream may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// What a reader has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The messages that count, by id.
    pub(super) messages: BTreeMap<i64, Value>,
    /// Every word that ever came, whether it counts or not.
    pub(super) words: Vec<String>,
    /// How often it was told to forget something that it had.
    pub(super) cuts: u32,
    /// How often it connected.
    pub(super) connections: u32,
    /// What the end says.
    pub(super) end: Value,
    last: Option<String>,
}

/// A reader at work.
pub(super) struct Reader {
    task: JoinHandle<Heard>,
    progress: watch::Receiver<usize>,
}

impl Reader {
    /// Begins to read the stream of a run. It hangs up by itself after so many events, and comes back.
    pub(super) fn open(server: &str, run: &str, hangs_up_after: usize) -> Reader {
        let url = format!("{server}/v1/runs/{run}/stream");
        let (progressed, progress) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut heard = Heard::default();
            while !heard.connect(&url, hangs_up_after, &progressed).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            heard
        });
        Reader { task, progress }
    }

    /// Waits until it has been given so many more words than it has now.
    pub(super) async fn has_more(&mut self, words: usize) {
        let wanted = *self.progress.borrow_and_update() + words;
        let enough = tokio::time::timeout(PATIENCE, self.progress.wait_for(|had| *had >= wanted)).await;
        assert!(matches!(enough, Ok(Ok(_))), "the reader was not given {words} words more");
    }

    /// What it has heard when the stream has ended.
    pub(super) async fn heard(self) -> Heard {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the stream ends").expect("nothing is wrong with it")
    }
}

impl Heard {
    /// Reads over one connection. Says whether it was the last.
    async fn connect(&mut self, url: &str, hangs_up_after: usize, progressed: &watch::Sender<usize>) -> bool {
        let mut request = reqwest::Client::new().get(url);
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let Ok(mut response) = request.send().await else { return false };
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        self.connections += 1;
        let (mut rest, mut taken) = (Vec::new(), 0);
        while let Ok(Some(chunk)) = response.chunk().await {
            rest.extend_from_slice(&chunk);
            while let Some(at) = rest.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = rest.drain(..at + 2).collect();
                let event = String::from_utf8(event).expect("events are text");
                if self.take(&event) {
                    return true;
                }
                progressed.send_replace(self.words.len());
                taken += 1;
                if taken >= hangs_up_after {
                    return false;
                }
            }
        }
        false
    }

    /// Takes an event. Says whether it is the end.
    fn take(&mut self, event: &str) -> bool {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let Some(data) = field("data") else { return false };
        let data: Value = serde_json::from_str(data).expect("data are JSON");
        let id = field("id").expect("each event has an id").to_owned();
        let kind = field("event").unwrap_or("message");
        if kind == "end" {
            self.end = data;
            return true;
        }
        let before: i64 = self.last.replace(id.clone()).map_or(0, |last| last.parse().expect("an id is a number"));
        let id: i64 = id.parse().expect("an id is a number");
        assert!(id > before, "{id} came after {before}: {data}");
        match kind {
            "message" => {
                self.words
                    .extend((data["topic"] == "words").then(|| data["data"].as_str().unwrap_or_default().to_owned()));
                self.messages.insert(id, data);
            }
            "cut" => {
                let from = data["from"].as_i64().expect("a cut says from where on");
                let had = self.messages.len();
                let same = |it: &Value| it["step"] == data["step"] && it["run"] == data["run"];
                self.messages.retain(|id, message| *id < from || !same(message));
                self.cuts += u32::from(self.messages.len() < had);
            }
            other => panic!("{other}: {data}"),
        }
        false
    }

    /// What counts of one step, or, without one, of the handler.
    pub(super) fn of(&self, step: Option<&str>) -> Vec<&str> {
        let of_it = self.messages.values().filter(|message| message["step"].as_str() == step);
        of_it.map(|message| message["data"].as_str().expect("words are texts")).collect()
    }
}
