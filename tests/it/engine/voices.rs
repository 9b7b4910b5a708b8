//! What the handlers of these tests publish, and what must become of it: nobody is heard twice, what comes to nothing is
//! cut, and of a step that succeeded exactly what its successful attempt said is left. Each word says who says it, so that
//! nothing has to be believed.

use std::collections::BTreeMap;
use std::ops::Range;

use backstitch_server::engine::Command;
use backstitch_server::limits::{
    ADOPTION_MS, CHANNEL_MESSAGES_MAX, CHANNEL_SEGMENTS, MESSAGES_KEPT_MS, MESSAGES_PER_OP_MAX, NOTE_MS,
    STREAMS_PER_RUN_MAX,
};
use backstitch_server::model::{
    Answer, Change, Checkpoint, Entry, EntryKind, HandlerOp, Messages, Outcome, Payload, PublishOp, RunHead, RunId,
    RunStatus, Snapshot, Stream, Text, Timestamp, Undelivered,
};

use super::harness::World;
use super::house::House;
use super::program::{Node, OnCancel, Program, step_report};
use super::registry::{function, plain_start};
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
    let channel = channel.then_some("news");
    let op = |(index, count): (u32, u32)| speech(&source, attempt, channel, &who, index..index + count);
    // The first word alone, the others together; and of what was said alone the rest is said as if nobody had heard any of it.
    match count {
        0 => Vec::new(),
        1 => vec![op((0, 1))],
        more => vec![op((0, 1)), op((0, more))],
    }
}

/// Some of the words of one voice, by their numbers.
fn speech(source: &str, attempt: Option<u32>, channel: Option<&str>, who: &str, words: Range<u32>) -> HandlerOp {
    let data: Vec<String> = words.clone().map(|n| format!("\"{who} {n}\"")).collect();
    HandlerOp::Publish(PublishOp {
        source: source.into(),
        attempt,
        channel: channel.map(Into::into),
        topic: "words".into(),
        index: words.start,
        count: words.len() as u32,
        data: Payload::trusted(format!("[{}]", data.join(","))),
    })
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

/// A world whose `f0` does this, so many times over, and a run of it that a handler has at work.
fn at_work(nodes: Vec<Node>, rounds: u32) -> (World, RunId) {
    let program = Program { nodes, flaky: 0, on_cancel: OnCancel::Stop, catches: false, hints: false, rounds };
    let mut world = World::new(vec![program; 4], 9);
    let input = Payload::trusted(r#"{"key":1}"#);
    let start = plain_start(function(0), input);
    world.submit(Command::Start(start));
    while world.finish_load(false) {}
    let run = world.book.runs[&1].id;
    world.flow_without_handlers(3);
    assert_eq!(world.calls.len(), 1);
    (world, run)
}

/// The handler at work reports this, and has its reply.
fn report(world: &mut World, ops: Vec<HandlerOp>) {
    let call = &mut world.calls[0];
    call.n += 1;
    let (token, n, seen) = (call.snapshot.token, call.n, super::program::seen(&call.snapshot));
    world.submit(Command::Checkpoint { token, checkpoint: Checkpoint { n, seen, ops } });
    world.flow_without_handlers(2);
}

/// Words of an attempt of the step `0`, in the invocation that is at work.
fn words_of(world: &World, attempt: u32, words: Range<u32>) -> HandlerOp {
    let who = format!("0 {attempt} {}", world.calls[0].snapshot.token);
    speech("0", Some(attempt), None, &who, words)
}

/// The end of an attempt of the step `0`, which throws so many times first.
fn end_of(attempt: u32, throws: u32) -> HandlerOp {
    HandlerOp::Step(step_report("0", attempt, throws, false))
}

/// What is durable and not cut of what a run has said: numbers of words, with the attempt.
fn heard(world: &World, run: RunId) -> Vec<(Option<u32>, String)> {
    let of_it = world.safe.voices.messages.values().filter(|it| it.run == run && it.cut_by.is_none());
    let number = |word: &String| word.rsplit(' ').next().expect("a number").to_owned();
    of_it.flat_map(|it| said(it).iter().map(|word| (it.attempt, number(word))).collect::<Vec<_>>()).collect()
}

fn numbers(attempt: u32, words: Range<u32>) -> Vec<(Option<u32>, String)> {
    words.map(|n| (Some(attempt), n.to_string())).collect()
}

/// Notices that words were cut: their numbers, and from where on.
fn notices(world: &World) -> Vec<(i64, i64)> {
    let notices = world.safe.voices.messages.values().filter(|it| it.data.is_none());
    notices.map(|it| (it.no, it.first)).collect()
}

fn talk(throws: u32) -> Vec<Node> {
    vec![Node::Talk { throws, words: 2, channel: false }]
}

#[test]
fn the_tail_of_an_attempt_that_failed_is_not_heard() {
    let (mut world, run) = at_work(talk(1), 0);
    let first = words_of(&world, 1, 0..2);
    report(&mut world, vec![first]);
    assert_eq!(heard(&world, run), numbers(1, 0..2));
    report(&mut world, vec![end_of(1, 1)]);
    assert_eq!((heard(&world, run), notices(&world)), (vec![], vec![(3, 1)]));
    // Its body goes on saying something, alone, and before, between and behind what the next one says.
    let tail = words_of(&world, 1, 2..4);
    report(&mut world, vec![tail]);
    assert_eq!((heard(&world, run), world.book.voices.last()), (vec![], 3));
    world.advance(2_000);
    world.flow_without_handlers(2);
    let ops = [(1, 4..5), (2, 0..1), (1, 5..6), (2, 1..3), (1, 6..7)];
    let ops = ops.map(|(attempt, words)| words_of(&world, attempt, words)).to_vec();
    report(&mut world, ops);
    report(&mut world, vec![end_of(2, 1)]);
    assert_eq!((heard(&world, run), notices(&world)), (numbers(2, 0..3), vec![(3, 1)]));
}

#[test]
fn nothing_is_heard_of_a_step_that_has_settled() {
    let (mut world, run) = at_work(talk(0), 0);
    let ops = vec![words_of(&world, 1, 0..2), end_of(1, 0)];
    report(&mut world, ops);
    for attempt in [1, 2] {
        let tail = words_of(&world, attempt, 2..4);
        report(&mut world, vec![tail]);
    }
    assert_eq!((heard(&world, run), notices(&world)), (numbers(1, 0..2), vec![]));
    assert_eq!(world.book.voices.last(), 2, "nothing was taken");
}

#[test]
fn an_attempt_that_is_not_the_next_is_not_heard() {
    let (mut world, run) = at_work(talk(0), 0);
    let early = words_of(&world, 2, 0..2);
    report(&mut world, vec![early]);
    assert_eq!((heard(&world, run), world.book.voices.last()), (vec![], 0));
}

#[test]
fn a_word_that_comes_twice_is_taken_once() {
    let (mut world, run) = at_work(talk(0), 0);
    for words in [0..2, 0..2, 1..2, 0..4, 3..5] {
        let again = words_of(&world, 1, words);
        report(&mut world, vec![again]);
    }
    assert_eq!((heard(&world, run), notices(&world)), (numbers(1, 0..5), vec![]));
}

#[test]
fn what_a_lost_invocation_said_is_cut_at_once() {
    let (mut world, run) = at_work(talk(0), 0);
    let half = words_of(&world, 1, 0..1);
    report(&mut world, vec![half]);
    let call = world.calls.remove(0);
    world.returned(&call, Answer::Undelivered(Undelivered::Lost { reason: "planted".to_owned() }));
    world.flow_without_handlers(2);
    assert_eq!((heard(&world, run), notices(&world)), (vec![], vec![(2, 1)]));
    world.advance(60_000);
    world.flow(9);
    assert_eq!((heard(&world, run), notices(&world)), (numbers(1, 0..2), vec![(2, 1)]));
}

/// The server has forgotten the invocation, and its handler is called anew: from the tables alone it is known what to cut.
#[test]
fn what_was_said_before_a_restart_is_cut_when_another_speaks() {
    for speaks in [true, false] {
        let (mut world, run) = at_work(talk(0), 0);
        let half = words_of(&world, 1, 0..2);
        report(&mut world, vec![half]);
        world.crash();
        assert_eq!((heard(&world, run), notices(&world)), (numbers(1, 0..2), vec![]), "nobody knows better yet");
        world.flow_without_handlers(5);
        assert_eq!(world.calls.len(), 1, "the handler is called again");
        let next = if speaks { 0..3 } else { 0..0 };
        if speaks {
            let anew = words_of(&world, 1, next.clone());
            report(&mut world, vec![anew]);
            assert_eq!(notices(&world), [(3, 1)], "cut as soon as another speaks");
        }
        report(&mut world, vec![end_of(1, 0)]);
        assert_eq!((heard(&world, run), notices(&world)), (numbers(1, next), vec![(3, 1)]));
    }
}

/// A step whose invocation is found again goes on where it was, and if its handler is silent it is cut.
#[test]
fn an_invocation_that_is_found_again_goes_on_where_it_was() {
    for silent in [false, true] {
        let (mut world, run) = at_work(talk(0), 0);
        world.advance(NOTE_MS);
        world.flow_without_handlers(3);
        let half = words_of(&world, 1, 0..2);
        report(&mut world, vec![half]);
        world.crash();
        world.flow_without_handlers(5);
        if silent {
            world.calls.clear();
            world.advance(ADOPTION_MS);
            world.flow_without_handlers(5);
            assert_eq!((heard(&world, run), notices(&world)), (vec![], vec![(3, 1)]));
            continue;
        }
        // The reply was lost with the server, so it is said again; and then the rest.
        for words in [0..2, 2..4] {
            let op = words_of(&world, 1, words);
            report(&mut world, vec![op]);
        }
        report(&mut world, vec![end_of(1, 0)]);
        assert_eq!((heard(&world, run), notices(&world)), (numbers(1, 0..4), vec![]));
    }
}

/// Those who say something in the run, with the numbers of what is heard of each.
fn voices_of(world: &World, run: RunId) -> BTreeMap<String, Vec<i64>> {
    let mut voices: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for it in world.safe.voices.messages.values().filter(|it| it.run == run && it.cut_by.is_none()) {
        assert_eq!(it.channel.run(), Some(run));
        voices.entry(it.source.to_string()).or_default().extend(it.first..=it.no);
    }
    voices
}

#[test]
fn a_fork_says_for_itself_what_it_does_again() {
    let (mut world, run) = at_work([vec![Node::Say(2)], talk(0), vec![Node::Marker]].concat(), 0);
    world.flow(9);
    let before = voices_of(&world, run);
    let expected = BTreeMap::from([("0/$publish".to_owned(), vec![1, 2]), ("1".to_owned(), vec![3, 4])]);
    assert_eq!(before, expected);
    let from = backstitch_server::engine::ForkFrom::Entry("1".into());
    let fork = backstitch_server::engine::Fork { run, from, edits: vec![], input: None, cause: None, dry_run: false };
    world.submit(Command::Fork(Box::new(fork)));
    world.flow(9);
    let fork = world.book.runs[&2].clone();
    assert_eq!(fork.status, RunStatus::Completed);
    // The handler is replayed from its beginning, and the fork's readers have heard nothing of it yet.
    let again = BTreeMap::from([("0/$publish".to_owned(), vec![5, 6]), ("1".to_owned(), vec![7, 8])]);
    assert_eq!((voices_of(&world, run), voices_of(&world, fork.id)), (before, again));
    assert!(world.safe.voices.streams.is_empty() && notices(&world).is_empty());
}

#[test]
fn a_run_that_goes_on_in_a_new_one_counts_afresh() {
    let (mut world, run) = at_work([vec![Node::Say(2)], talk(0)].concat(), 1);
    world.flow(9);
    world.advance(60_000);
    world.flow(9);
    let next = world.book.runs[&2].clone();
    assert_eq!((next.status, world.book.runs.len()), (RunStatus::Completed, 2));
    for (run, first) in [(run, 1), (next.id, 5)] {
        let own = BTreeMap::from([
            ("0/$publish".to_owned(), vec![first, first + 1]),
            ("1".to_owned(), vec![first + 2, first + 3]),
        ]);
        assert_eq!(voices_of(&world, run), own);
    }
    assert!(world.safe.voices.streams.is_empty() && notices(&world).is_empty());
}

#[test]
fn a_channel_keeps_so_many_messages_and_no_more() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    let piece = (CHANNEL_MESSAGES_MAX / CHANNEL_SEGMENTS) as u32;
    let all = CHANNEL_MESSAGES_MAX as u32;
    assert!(all.is_multiple_of(piece) && piece as usize <= MESSAGES_PER_OP_MAX);
    let say = |house: &mut House, words: Range<u32>| {
        let marker =
            HandlerOp::Marker { id: format!("m{}", words.start).into(), name: None, params: Payload::trusted("{}") };
        house.answer(|_| vec![speech("$publish", None, None, "$publish", words), marker]);
    };
    let dropped = |house: &House| -> Vec<i64> {
        let dropped = house.said.iter().filter_map(|change| match change {
            Change::MessagesDropped(channel, up_to) => Some((channel, *up_to)),
            _ => None,
        });
        dropped.inspect(|(channel, _)| assert_eq!(channel.run(), Some(run))).map(|(_, up_to)| up_to).collect()
    };
    (0..all / piece).for_each(|n| say(&mut house, n * piece..(n + 1) * piece));
    assert_eq!(dropped(&house), [] as [i64; 0], "so many fit");
    say(&mut house, all..all + 1);
    assert_eq!(dropped(&house), [i64::from(piece)], "the oldest piece goes, and no more");
    say(&mut house, all + 1..all + piece);
    assert_eq!(dropped(&house).len(), 1);
    say(&mut house, all + piece..all + piece + 1);
    assert_eq!(dropped(&house), [piece, 2 * piece].map(i64::from));
}

#[test]
fn a_run_speaks_from_so_many_places_at_once_and_no_more() {
    let mut house = House::new(9);
    let run = house.start(true, 9);
    let marker = |n: u32| HandlerOp::Marker { id: format!("m{n}").into(), name: None, params: Payload::trusted("{}") };
    let place = |n: usize| speech(&format!("s{n}/$publish"), None, Some("news"), "x", 0..1);
    house.answer(|_| (0..STREAMS_PER_RUN_MAX).map(place).chain([marker(0)]).collect());
    assert_eq!((house.head(run).status, house.said.len()), (RunStatus::Ready, STREAMS_PER_RUN_MAX));
    // One that speaks already may go on.
    house.answer(|_| vec![speech("s0/$publish", None, Some("news"), "x", 1..2), marker(1)]);
    assert_eq!((house.head(run).status, house.said.len()), (RunStatus::Ready, STREAMS_PER_RUN_MAX + 1));
    house.answer(|_| vec![place(STREAMS_PER_RUN_MAX), marker(2)]);
    assert_eq!(house.said.len(), STREAMS_PER_RUN_MAX + 1, "it is not taken");
    let error = house.head(run).last_error.clone().expect("why is said");
    let error = String::from_utf8_lossy(error.bytes()).into_owned();
    assert!(error.contains(&format!("{STREAMS_PER_RUN_MAX} places")), "{error}");
    assert!(house.entries(run).all(|entry| &*entry.id != "m2"), "nor is what came with it");
}
