//! What a run in a test publishes, taken by the rules of the server: everything once, and nothing of attempts that came to
//! nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::PublishOp;

/// A message that a run in a test has published.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub data: Value,
    /// The channel, if it has a name.
    pub channel: Option<String>,
    /// The step whose body said it, and in which attempt.
    pub step: Option<(String, u32)>,
}

/// Who speaks at one place of the code: which attempt, in which invocation, and how much it has said.
struct Speaker {
    attempt: Option<u32>,
    invocation: u32,
    next: u32,
}

#[derive(Default)]
pub(super) struct Voices {
    messages: Vec<(String, Message)>,
    speakers: BTreeMap<String, Speaker>,
}

impl Voices {
    /// What a reader has heard in the end.
    pub(super) fn heard(&self) -> Vec<Message> {
        self.messages.iter().map(|(_, message)| message.clone()).collect()
    }

    /// How much the handler has said outside of bodies.
    pub(super) fn published(&self) -> BTreeMap<String, u32> {
        let own = self.speakers.iter().filter(|(_, speaker)| speaker.attempt.is_none());
        own.map(|(id, speaker)| (id.clone(), speaker.next)).collect()
    }

    /// Takes an op, of an attempt that is the one to be reported next.
    pub(super) fn take(&mut self, op: PublishOp, invocation: u32) {
        let PublishOp { id, attempt, channel, topic, index, count, data } = op;
        let other = |it: &Speaker| it.attempt != attempt || attempt.is_some() && it.invocation != invocation;
        if self.speakers.get(&id).is_some_and(other) {
            self.cut(&id);
        }
        let speaker = self.speakers.entry(id.clone()).or_insert(Speaker { attempt, invocation, next: 0 });
        let list = [b"[".as_slice(), &data, b"]"].concat();
        let all: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
        let known = speaker.next.saturating_sub(index) as usize;
        speaker.next = speaker.next.max(index + count);
        for data in all.into_iter().skip(known) {
            let step = attempt.map(|attempt| (id.clone(), attempt));
            self.messages.push((id.clone(), Message { topic: topic.clone(), data, channel: channel.clone(), step }));
        }
    }

    /// A step has succeeded: what this attempt has said in this invocation stays.
    pub(super) fn keep(&mut self, id: &str, attempt: u32, invocation: u32) {
        let own = |it: &Speaker| it.attempt == Some(attempt) && it.invocation == invocation;
        if self.speakers.get(id).is_some_and(|it| !own(it)) {
            self.cut(id);
        }
        self.speakers.remove(id);
    }

    /// Nothing came of what a step has said.
    pub(super) fn cut(&mut self, id: &str) {
        if self.speakers.get(id).is_some_and(|speaker| speaker.attempt.is_some()) {
            self.messages.retain(|(source, _)| source != id);
            self.speakers.remove(id);
        }
    }

    /// An invocation is over: its bodies are silent.
    pub(super) fn hush(&mut self) {
        let ids: Vec<String> = self.speakers.keys().cloned().collect();
        ids.iter().for_each(|id| self.cut(id));
    }

    /// The run went on in a new one, which counts anew.
    pub(super) fn restart(&mut self) {
        self.hush();
        self.speakers.clear();
    }
}
