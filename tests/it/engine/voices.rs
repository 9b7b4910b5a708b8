//! What the handlers of these tests publish, and what must become of it: nobody is heard twice, what comes to nothing is
//! cut, and of a step that succeeded exactly what its successful attempt said is left. Each word says who says it, so that
//! nothing has to be believed.

use std::collections::BTreeMap;

use backstitch_server::limits::MESSAGES_KEPT_MS;
use backstitch_server::model::{
    Change, Entry, EntryKind, HandlerOp, Messages, Outcome, Payload, PublishOp, RunHead, RunStatus, Snapshot, Stream,
    Text, Timestamp,
};

use super::program::Node;
use proptest::prelude::*;

/// Nodes that publish, and how often they come.
pub(super) fn nodes() -> Vec<(u32, BoxedStrategy<Node>)> {
    let talk = (0u32..3, 1u32..4, any::<bool>());
    let talk = talk.prop_map(|(throws, words, channel)| Node::Talk { throws, words, channel });
    vec![(4, talk.boxed()), (2, (1u32..3).prop_map(Node::Say).boxed())]
}

/// What a node publishes before it reports, as one op or as several.
pub(super) fn words(node: &Node, snapshot: &Snapshot, id: &str, attempt: u32) -> Vec<HandlerOp> {
    let (count, attempt, source, channel) = match node {
        Node::Talk { words, channel, .. } => (*words, Some(attempt), id.to_owned(), *channel),
        Node::Say(words) => (*words, None, format!("{id}/$publish"), false),
        _ => return Vec::new(),
    };
    let who = match attempt {
        Some(attempt) => format!("{id} {attempt} {}", snapshot.token),
        None => source.clone(),
    };
    let op = |(index, count): (u32, u32)| {
        let data: Vec<String> = (index..index + count).map(|n| format!("\"{who} {n}\"")).collect();
        HandlerOp::Publish(PublishOp {
            source: source.clone().into(),
            attempt,
            channel: channel.then(|| "news".into()),
            topic: "words".into(),
            index,
            count,
            data: Payload::trusted(format!("[{}]", data.join(","))),
        })
    };
    // The first word alone, the others together; and of what was said alone the rest is said as if nobody had heard any of it.
    match count {
        0 => Vec::new(),
        1 => vec![op((0, 1))],
        more => vec![op((0, 1)), op((0, more))],
    }
}

/// Everything that was published, and is still kept.
#[derive(Clone, Default)]
pub(super) struct Voices {
    pub(super) messages: BTreeMap<i64, Messages>,
    pub(super) streams: BTreeMap<(i64, Text), Stream>,
    last: i64,
}

impl Voices {
    /// Takes a change.
    pub(super) fn see(&mut self, now: Timestamp, change: &Change, runs: &BTreeMap<i64, RunHead>) {
        match change {
            Change::MessagesAdded(messages) => {
                assert_eq!(messages.first, self.last + 1, "messages are numbered without gaps: {messages:?}");
                let count = said(messages).len() as i64;
                assert_eq!(messages.no, messages.first + count - 1, "{messages:?}");
                self.add(now, messages);
            }
            Change::MessagesCut(notice) => {
                let cut = |it: &&mut Messages| {
                    let same = it.channel == notice.channel && it.run_no == notice.run_no && it.source == notice.source;
                    same && it.no >= notice.first && it.data.is_some() && it.cut_by.is_none()
                };
                let mut any = false;
                for messages in self.messages.values_mut().filter(cut) {
                    messages.cut_by = Some(notice.no);
                    any = true;
                }
                assert!(any, "nothing was cut: {notice:?}");
                assert!(notice.attempt.is_some() && notice.data.is_none(), "{notice:?}");
                self.add(now, notice);
            }
            Change::MessagesDropped(channel, up_to) => {
                for messages in self.messages.values().filter(|it| it.channel == *channel && it.no <= *up_to) {
                    let since = match channel.run() {
                        Some(_) => runs[&messages.run_no].ended_at.expect("a run's messages are kept until it ends"),
                        None => messages.at,
                    };
                    assert!(now.since(since).0 >= MESSAGES_KEPT_MS, "forgotten early: {messages:?}");
                }
                self.messages.retain(|no, messages| messages.channel != *channel || no > up_to);
            }
            Change::StreamPut(stream) => {
                self.streams.insert((stream.run_no, stream.source.clone()), stream.clone());
            }
            Change::StreamDeleted(run_no, source) => {
                assert!(self.streams.remove(&(*run_no, source.clone())).is_some(), "{source} published nothing");
            }
            _ => {}
        }
    }

    fn add(&mut self, now: Timestamp, messages: &Messages) {
        assert_eq!((messages.at, messages.cut_by), (now, None));
        self.last = messages.no;
        self.messages.insert(messages.no, messages.clone());
    }

    /// Of a run as it is after a transition, everything that it has said is as it should be.
    pub(super) fn check(&self, head: &RunHead, entries: &[Entry]) {
        let mut heard: BTreeMap<&str, Vec<&Messages>> = BTreeMap::new();
        for messages in self.messages.values().filter(|it| it.run_no == head.run_no && it.cut_by.is_none()) {
            if messages.data.is_some() {
                heard.entry(&messages.source).or_default().push(messages);
            }
        }
        for (source, messages) in heard {
            let words: Vec<String> = messages.iter().flat_map(|it| said(it)).collect();
            let mut voices: Vec<&str> = words.iter().map(|word| word.rsplit_once(' ').expect("a word").0).collect();
            voices.dedup();
            assert_eq!(voices.len(), 1, "two voices are heard from `{source}` of {}: {words:?}", head.id);
            let numbers = words.iter().map(|word| word.rsplit_once(' ').and_then(|(_, n)| n.parse::<usize>().ok()));
            assert!(numbers.eq((0..words.len()).map(Some)), "words of `{source}` are lost or came twice: {words:?}");
            let Some(attempt) = messages[0].attempt else { continue };
            assert!(voices[0].starts_with(&format!("{source} {attempt} ")), "{words:?}");
            let step = entries.iter().find(|entry| &*entry.id == source);
            match step.filter(|step| step.is_settled()) {
                Some(step) => {
                    assert_eq!(step.kind, EntryKind::Step);
                    assert!(matches!(step.outcome, Some(Outcome::Ok(_))), "a step that failed is heard: {words:?}");
                    assert_eq!(attempt, step.failures + 1, "a failed attempt is heard: {words:?}");
                }
                None => {
                    assert_eq!(head.status, RunStatus::Ready, "a body is heard while nothing runs: {words:?}");
                    let failures = step.map_or(0, |step| step.failures);
                    assert_eq!(attempt, failures + 1, "an attempt of old is heard: {words:?}");
                }
            }
        }
        let streams = self.streams.range((head.run_no, "".into())..(head.run_no + 1, "".into()));
        for stream in streams.map(|(_, stream)| stream) {
            assert!(!head.status.is_terminal(), "a run that has ended publishes: {stream:?}");
            let body = stream.attempt.is_some();
            assert!(!body || head.status == RunStatus::Ready, "a body publishes while nothing runs: {stream:?}");
            let settled = entries.iter().any(|entry| entry.id == stream.source && entry.is_settled());
            assert!(!settled, "a step publishes after its end: {stream:?}");
        }
    }

    /// The greatest number of a message.
    pub(super) fn last(&self) -> i64 {
        self.last
    }
}

fn said(messages: &Messages) -> Vec<String> {
    messages.data.as_ref().map_or_else(Vec::new, |data| data.read().expect("words are texts"))
}
