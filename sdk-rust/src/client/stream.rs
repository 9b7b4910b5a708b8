//! Streams: what runs publish, as it comes, gone on with where it broke off.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Client, Refusal, RunHandle, problem, unexpected};
use crate::error::Error;

/// Silence after which a connection is given up: three times the pause between two signs of life of the server.
const SILENCE: Duration = Duration::from_secs(45);

/// The first pause before a broken stream is read on; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One event, in bytes: more than the largest that a server sends.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// What comes of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent<T> {
    /// A message.
    Message(Message<T>),
    /// What an attempt of a step has published came to nothing: forget what that step of that run has said, from the id
    /// `from` on.
    Cut {
        /// The id of this event.
        id: i64,
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// The first id that is cut.
        from: i64,
    },
    /// Messages up to this id were forgotten by the server before they could be read.
    Gap {
        /// The greatest id that is missing.
        until: i64,
    },
    /// The run has ended: nothing follows.
    End {
        /// `completed`, `failed` or `cancelled`.
        status: Option<String>,
    },
}

/// A message of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<T> {
    /// Grows from message to message.
    pub id: i64,
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub data: T,
    /// The run that published it.
    pub run: String,
    /// The step whose body published it; `None` if the handler did outside of steps.
    pub step: Option<String>,
    /// In which attempt.
    pub attempt: Option<u32>,
}

/// What of a stream is read, made by [`RunHandle::stream`] or [`Client::channel`].
#[must_use = "nothing is read before `events`"]
pub struct Reading<T> {
    client: Client,
    path: Vec<String>,
    topics: Vec<String>,
    after: Option<String>,
    data: std::marker::PhantomData<fn() -> T>,
}

impl<R> RunHandle<R> {
    /// Reads what the run publishes, to its end.
    ///
    /// ```no_run
    /// # use backstitch::Client;
    /// # use backstitch::client::StreamEvent;
    /// # use futures_util::StreamExt;
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let run = Client::new("shop").run::<String>("run_01hzy3v7q8k2m4n6p8r0s2t4v6");
    /// let mut events = run.stream::<String>().topics(["tokens"]).events();
    /// while let Some(event) = events.next().await {
    ///     if let StreamEvent::Message(message) = event? {
    ///         print!("{}", message.data);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<T: DeserializeOwned>(&self) -> Reading<T> {
        Reading::new(&self.client, ["runs", &self.id, "stream"])
    }
}

impl Client {
    /// Reads what runs publish on a channel that has a name, from now on. It has no end.
    pub fn channel<T: DeserializeOwned>(&self, channel: &str) -> Reading<T> {
        Reading::new(self, ["channels", channel, "stream"])
    }
}

impl<T: DeserializeOwned> Reading<T> {
    fn new(client: &Client, path: [&str; 3]) -> Reading<T> {
        let path = path.into_iter().map(str::to_owned).collect();
        Reading { client: client.clone(), path, topics: Vec::new(), after: None, data: std::marker::PhantomData }
    }

    /// Of these topics only.
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Only what follows this id; 0 for all that is kept.
    pub fn after(mut self, id: i64) -> Self {
        self.after = Some(id.to_string());
        self
    }

    /// What comes, in order. A connection that breaks is made again, also while the server is away; the stream ends with an
    /// error if the server refuses.
    pub fn events(self) -> Pin<Box<dyn Stream<Item = Result<StreamEvent<T>, Error>> + Send>>
    where
        T: Send + 'static,
    {
        let reader = Reader { reading: self, lines: None, ready: VecDeque::new(), pause: PAUSE, over: false };
        stream::unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        })
        .boxed()
    }

    /// Everything up to the run's end, put together: the data of what counts in the end, without what was cut.
    pub async fn collect(self) -> Result<Vec<Message<T>>, Error>
    where
        T: Send + 'static,
    {
        let mut events = self.events();
        let mut messages: Vec<Message<T>> = Vec::new();
        while let Some(event) = events.try_next().await? {
            match event {
                StreamEvent::Message(message) => messages.push(message),
                StreamEvent::Cut { id, run, step, from } => messages.retain(|it| {
                    !(it.id >= from && it.id <= id && it.run == run && it.step.as_deref() == Some(&*step))
                }),
                StreamEvent::Gap { .. } => {}
                StreamEvent::End { .. } => break,
            }
        }
        Ok(messages)
    }
}

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

struct Reader<T> {
    reading: Reading<T>,
    lines: Option<Lines>,
    ready: VecDeque<StreamEvent<T>>,
    pause: Duration,
    over: bool,
}

/// A connection, with what has come of an event so far.
struct Lines {
    chunks: Chunks,
    rest: Vec<u8>,
    kind: String,
    id: String,
    data: String,
}

impl<T: DeserializeOwned> Reader<T> {
    async fn next(&mut self) -> Option<Result<StreamEvent<T>, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.over |= matches!(event, StreamEvent::End { .. });
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            match self.read().await {
                Ok(()) => {}
                Err(refusal) if refusal.passing => {
                    self.lines = None;
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
                Err(refusal) => {
                    self.over = true;
                    return Some(Err(refusal.error));
                }
            }
        }
    }

    /// Reads the next piece.
    async fn read(&mut self) -> Result<(), Refusal> {
        let away = |error: Error| Refusal { error, passing: true };
        if self.lines.is_none() {
            let request = self.request()?;
            self.lines = connect(request).await?;
        }
        let Some(lines) = &mut self.lines else {
            self.ready.push_back(StreamEvent::End { status: None });
            return Ok(());
        };
        let silent = || away(unexpected("the server was silent for too long"));
        let chunk = tokio::time::timeout(SILENCE, lines.chunks.next()).await.map_err(|_| silent())?;
        let chunk = chunk.ok_or_else(|| away(unexpected("the stream broke off")))?;
        lines.rest.extend_from_slice(&chunk.map_err(|error| away(Error::from(error)))?);
        while let Some(end) = lines.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = lines.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some((kind, id, data)) = lines.take(line.trim_end_matches(['\n', '\r'])) {
                self.pause = PAUSE;
                self.ready.extend(event(&kind, &id, &data).map_err(|error| Refusal { error, passing: false })?);
                self.reading.after = Some(id).filter(|id| !id.is_empty()).or(self.reading.after.take());
            }
        }
        if lines.rest.len() + lines.data.len() > EVENT_BYTES_MAX {
            return Err(Refusal { error: unexpected("an event is too long"), passing: false });
        }
        Ok(())
    }

    /// What is asked when a connection is made.
    fn request(&self) -> Result<reqwest::RequestBuilder, Refusal> {
        let Reading { client, path, topics, after, .. } = &self.reading;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let topics = topics.join(",");
        let query = (!topics.is_empty()).then_some(("topics", topics.as_str()));
        let address = client.address(&path, query).map_err(|error| Refusal { error, passing: false })?;
        let mut request = client.http.get(address).header("accept", "text/event-stream");
        if let Some(key) = &client.key {
            request = request.bearer_auth(key);
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        Ok(request)
    }
}

/// Connects; nothing if the end was seen already.
async fn connect(request: reqwest::RequestBuilder) -> Result<Option<Lines>, Refusal> {
    let response = request.send().await;
    let response = response.map_err(|error| Refusal { error: Error::from(error), passing: true })?;
    let status = response.status();
    if status == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    if !status.is_success() {
        let passing = matches!(status.as_u16(), 429 | 500..=599);
        let body = response.bytes().await.unwrap_or_default();
        return Err(Refusal { error: problem(status, &body), passing });
    }
    let chunks: Chunks = Box::pin(stream::unfold(response, |mut response| async move {
        let chunk = response.chunk().await.transpose()?;
        Some((chunk, response))
    }));
    let (kind, id, data) = (String::new(), String::new(), String::new());
    Ok(Some(Lines { chunks, rest: Vec::new(), kind, id, data }))
}

impl Lines {
    /// Takes a line. Gives an event that is whole: its kind, its id, its data.
    fn take(&mut self, line: &str) -> Option<(String, String, String)> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| (kind, self.id.clone(), data));
        }
        let (field, text) = line.split_once(':').unwrap_or((line, ""));
        let text = text.strip_prefix(' ').unwrap_or(text);
        match field {
            "event" => text.clone_into(&mut self.kind),
            "id" => text.clone_into(&mut self.id),
            "data" => self.data.push_str(text),
            _ => {}
        }
        None
    }
}

/// An event; nothing for kinds that this version does not know.
fn event<T: DeserializeOwned>(kind: &str, id: &str, data: &str) -> Result<Option<StreamEvent<T>>, Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(default)]
        topic: String,
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
        #[serde(default)]
        run: String,
        #[serde(default)]
        step: Option<String>,
        #[serde(default)]
        attempt: Option<u32>,
        #[serde(default)]
        from: i64,
        #[serde(default)]
        until: i64,
        #[serde(default)]
        status: Option<String>,
    }
    let unreadable = |error: serde_json::Error| unexpected(&format!("an event of the stream is unreadable: {error}"));
    let Body { topic, data, run, step, attempt, from, until, status } =
        serde_json::from_str(data).map_err(unreadable)?;
    let id = id.parse().unwrap_or(0);
    Ok(Some(match kind {
        "" | "message" => {
            let data = serde_json::from_str(data.map_or("null", RawValue::get)).map_err(unreadable)?;
            StreamEvent::Message(Message { id, topic, data, run, step, attempt })
        }
        "cut" => StreamEvent::Cut { id, run, step: step.unwrap_or_default(), from },
        "gap" => StreamEvent::Gap { until },
        "end" => StreamEvent::End { status },
        _ => return Ok(None),
    }))
}
